"""The guard: fitted here on phantoms with a stand-in for the network, which knows only layout."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from PIL import Image

from ladnn.errors import BundleError, DataError
from ladnn.guard import SIDE, THRESHOLD, Guard, features
from ladnn.guard_fitting import (
    REFUSED,
    Chest,
    Samples,
    fit,
    fit_guard,
    gather,
    most_rows,
)
from ladnn.lungfield import cut, model_input
from ladnn.phantom import thorax

SIZE = 64
CHANNELS = 64


def embed(squares):
    """Stand in for a network: an 8 x 8 thumbnail, fixed random weights and a rectifier."""
    small = [np.asarray(Image.fromarray(s).resize((8, 8))).ravel() / 128 - 1 for s in squares]
    weights = np.random.default_rng(5).normal(size=(64, CHANNELS)) / 8
    return np.maximum(np.stack(small) @ weights, 0).astype(np.float32)


def chests(count=40):
    drawn = [thorax(seed, size=(128, 160), round_field=seed % 3 == 0) for seed in range(count)]
    return [
        Chest(pixels=pixels, source="ab"[number % 2], validation=number % 5 == 4)
        for number, pixels in enumerate(drawn)
    ]


def evidence(pixels):
    square, field = model_input(pixels, SIZE)
    return features(pixels, cut(pixels, field, SIDE), field), embed(square[np.newaxis])[0]


def where(samples: Samples, rows) -> Samples:
    return Samples(**{name: values[rows] for name, values in asdict(samples).items()})


def refused(guard: Guard, samples: Samples):
    return guard.margins(samples.evidence, samples.embedding) < guard.cut


@pytest.fixture(scope="module")
def samples() -> Samples:
    return gather(chests(), embed, size=SIZE, decoys=6)


def test_the_most_rows_are_those_gathered_and_chests_without_lungs_to_fill(samples):
    lungless = 2 * 6 - int((samples.group == "no_lungs").sum())
    assert most_rows(chests(), 6) == len(samples.group) + lungless


@pytest.fixture(scope="module")
def guard(samples) -> Guard:
    return fit(samples)


def test_a_phantom_that_it_never_saw_passes(guard):
    scores = [guard.score(*evidence(thorax(seed, size=(128, 160)))) for seed in range(900, 910)]
    assert np.mean(np.array(scores) >= guard.threshold) >= 0.9


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((100, 120), np.uint8),
        np.full((64, 64), 255, np.uint8),
        np.tile(np.arange(256, dtype=np.uint8), (200, 1)),
        np.random.default_rng(1).integers(0, 256, (150, 150)).astype(np.uint8),
        np.kron(np.indices((8, 8)).sum(axis=0) % 2, np.full((20, 20), 255)).astype(np.uint8),
    ],
    ids=["black", "white", "ramp", "noise", "checkerboard"],
)
def test_what_is_no_picture_is_refused(guard, pixels):
    assert guard.score(*evidence(pixels)) < guard.threshold


def test_a_kind_that_it_never_saw_is_mostly_refused(samples):
    left = np.isin(samples.group, ["text_page", "pattern", "code_print", "weave"])
    left &= ~samples.chest
    guard = fit(where(samples, ~left))
    assert refused(guard, where(samples, left)).mean() >= 0.9


def test_each_source_loses_no_more_validation_looks_than_the_cut_allows(guard, samples):
    for source in "ab":
        looks = samples.chest & samples.validation & (samples.group == source)
        allowed = np.ceil(REFUSED * looks.sum())  # a quantile of few looks gives up one
        assert refused(guard, samples)[looks].sum() <= allowed


def test_every_source_is_reported_in_the_card(guard):
    assert set(guard.about["sources"]) == {"a", "b"}


def test_scores_lie_between_zero_and_one(guard, samples):
    scores = [guard.score(*pair) for pair in zip(samples.evidence, samples.embedding, strict=True)]
    assert 0 <= min(scores) <= max(scores) <= 1


def test_the_threshold_is_a_half(guard):
    assert guard.threshold == THRESHOLD == 0.5


def test_a_round_trip_through_json_keeps_every_score(guard, samples):
    again = Guard.from_json(json.loads(json.dumps(guard.to_json())))
    before = guard.margins(samples.evidence, samples.embedding)
    assert np.array_equal(before, again.margins(samples.evidence, samples.embedding))


def test_the_card_stays_small_for_an_ensemble(guard):
    wide = guard.axes.shape[1] + 4 * 1280
    ones = np.ones(wide, np.float32)
    grown = replace(guard, mean=ones, scale=ones, weights=ones)
    assert len(json.dumps(grown.to_json())) < 250_000


def test_fitting_twice_gives_the_same_guard(guard, samples):
    assert fit(samples).to_json() == guard.to_json()


def test_the_number_of_features_does_not_depend_on_the_image():
    sizes = {evidence(np.zeros(shape, np.uint8))[0].size for shape in ((1, 1), (7, 900), (300, 20))}
    assert len(sizes) == 1


def test_features_are_finite_for_the_smallest_image():
    assert np.isfinite(evidence(np.zeros((1, 1), np.uint8))[0]).all()


def test_an_embedding_of_another_network_is_an_error(guard):
    found, embedding = evidence(np.zeros((64, 64), np.uint8))
    with pytest.raises(BundleError, match="export the bundle again"):
        guard.score(found, embedding[:-1])


def test_a_missing_part_of_the_card_is_an_error(guard):
    data = guard.to_json()
    del data["axes"]
    with pytest.raises(BundleError, match="cannot be read"):
        Guard.from_json(data)


@pytest.mark.parametrize("threshold", [0.4, None, "0.5"])
def test_a_threshold_that_is_not_judged_by_is_an_error(guard, threshold):
    with pytest.raises(BundleError, match="has the threshold"):
        Guard.from_json(guard.to_json() | {"threshold": threshold})


def test_arrays_that_disagree_are_an_error(guard):
    short = replace(guard, weights=guard.weights[:-1]).to_json()
    with pytest.raises(BundleError, match="disagree"):
        Guard.from_json(short)


@pytest.mark.parametrize("part", [{"cut": np.nan}, {"linear": (1.0, np.inf)}])
def test_numbers_that_are_none_are_an_error(guard, part):
    with pytest.raises(BundleError, match="holds no numbers"):
        Guard.from_json(replace(guard, **part).to_json())


def test_base64_that_is_none_is_an_error(guard):
    data = guard.to_json()
    data["mean"] = {"shape": [3], "base64": "???"}
    with pytest.raises(BundleError, match="cannot be read"):
        Guard.from_json(data)


def test_fitting_without_validation_is_an_error():
    training = [replace(chest, validation=False) for chest in chests(4)]
    with pytest.raises(DataError, match="training and validation"):
        fit_guard(training, embed, size=SIZE, decoys=1)


def test_fitting_without_any_image_is_an_error():
    with pytest.raises(DataError, match="training and validation"):
        fit_guard([], embed, size=SIZE, decoys=1)

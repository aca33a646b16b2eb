"""A Predictor says the same on every engine, thread and batch, and holds few images at once."""

import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from bundles import SIZE, open_guard, shut_guard, tiny_bundle, tiny_card
from ladnn import engines
from ladnn.engines import ENGINES, Elastic
from ladnn.errors import BundleError, ImageError
from ladnn.findings import Decision
from ladnn.imaging import decode
from ladnn.lungfield import FRAMES
from ladnn.runtime import Predictor, calibrate, load_bundle, scale_maps
from synthetic import thorax


@cache
def image(seed=0):
    buffer = io.BytesIO()
    Image.fromarray(thorax(seed)).save(buffer, "PNG")
    return decode(buffer.getvalue(), name=f"{seed}.png")


def predictor(folder, engine="openvino", streams=1, elastic=False, **changes):
    bundle = load_bundle(tiny_bundle(folder, **changes))
    return Predictor(bundle, engine=engine, threads=2, streams=streams, elastic=elastic)


def squares(count):
    rng = np.random.default_rng(3)
    return rng.integers(0, 256, (count, SIZE, SIZE), dtype=np.uint8)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_outputs_have_the_shapes_of_the_design(tmp_path, engine):
    out = predictor(tmp_path, engine).run(squares(3))
    shapes = out.logits.shape, out.heatmaps.shape, out.embedding.shape
    assert shapes == ((3, 6), (3, 6, 4, 4), (3, 4))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_baseline_has_one_logit_and_one_map(tmp_path, engine):
    out = predictor(tmp_path, engine, mode="baseline").run(squares(1))
    assert (out.logits.shape, out.heatmaps.shape) == ((1, 1), (1, 1, 4, 4))


def test_the_members_of_an_ensemble_lengthen_the_embedding(tmp_path):
    assert predictor(tmp_path, members=3).run(squares(1)).embedding.shape == (1, 12)


def test_the_engines_agree(tmp_path):
    one, other = (predictor(tmp_path, engine).run(squares(4)) for engine in ENGINES)
    np.testing.assert_allclose(one.logits, other.logits, atol=1e-4)
    np.testing.assert_allclose(one.heatmaps, other.heatmaps, atol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_image_says_the_same_in_every_company(tmp_path, engine):
    made, batch = predictor(tmp_path, engine), squares(5)
    together = made.run(batch).logits
    alone = np.concatenate([made.run(batch[i : i + 1]).logits for i in range(5)])
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_earlier_result_is_not_overwritten_by_a_later_one(tmp_path, engine):
    made = predictor(tmp_path, engine)
    first = made.run(squares(1))
    kept = first.heatmaps.copy()
    made.run(255 - squares(1))
    np.testing.assert_array_equal(first.heatmaps, kept)


def test_bfloat16_and_float32_agree_on_a_probability(tmp_path):
    bundle = load_bundle(tiny_bundle(tmp_path))
    said = [
        Predictor(bundle, precision=precision, threads=1).predict([image()])[0].prediction
        for precision in ("float32", "bfloat16")
    ]
    assert said[0].probability == pytest.approx(said[1].probability, abs=0.02)


def test_an_unknown_engine_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(BundleError, match="choose openvino or onnxruntime"):
        predictor(tmp_path, "tensorflow")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_graph_that_is_none_is_one_sentence(engine):
    settings = engines.Settings(precision="float32", threads=1, streams=1)
    with pytest.raises(BundleError, match=r"cannot run this model\.onnx"):
        engines.build(engine, b"not a graph", settings)


def test_an_engine_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(BundleError, match="pip install onnxruntime"):
        predictor(tmp_path, "onnxruntime")


def test_an_unknown_preprocessing_is_refused(tmp_path):
    with pytest.raises(BundleError, match=f"expected one of {', '.join(FRAMES)}"):
        predictor(tmp_path, preprocessing="lungs-9")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("changes", [{"input_size": 64}, {"preprocessing": "lungpair-1"}])
def test_a_card_that_makes_other_images_than_the_graph_takes_is_refused(tmp_path, engine, changes):
    with pytest.raises(BundleError, match=r"takes images of 32 x 32 pixels and its card makes 64"):
        predictor(tmp_path, engine, **changes)


def test_the_maps_lie_over_the_frame_that_the_card_asks_for(tmp_path):
    said = predictor(tmp_path, preprocessing="whole-1").predict([image()])[0]
    assert said.field.box == (0, 0, 1, 1)


def test_a_prediction_is_a_number_with_five_lesions(tmp_path):
    said = predictor(tmp_path).predict([image()])[0].prediction
    assert (0 <= said.probability <= 1, len(said.lesions)) == (True, 5)


def test_a_baseline_says_nothing_of_lesions(tmp_path):
    assert predictor(tmp_path, mode="baseline").predict([image()])[0].prediction.lesions is None


@pytest.mark.parametrize(
    ("bias", "decision"),
    [(9.0, Decision.POSITIVE), (-9.0, Decision.NEGATIVE)],
)
def test_the_logit_decides(tmp_path, bias, decision):
    assert predictor(tmp_path, bias=bias).predict([image()])[0].prediction.decision == decision


def test_an_image_that_the_guard_refuses_is_not_assessable(tmp_path):
    said = predictor(tmp_path, bias=9.0, guard=shut_guard()).predict([image()])[0].prediction
    assert (said.decision, said.assessable) == (Decision.NOT_ASSESSABLE, False)


def test_a_refused_image_still_has_its_probability(tmp_path):
    said = predictor(tmp_path, bias=9.0, guard=shut_guard()).predict([image()])[0].prediction
    assert said.probability > 0.9


def test_an_image_that_the_guard_lets_through_has_a_score_in_bounds(tmp_path):
    said = predictor(tmp_path, guard=open_guard()).predict([image()])[0].prediction
    assert (said.assessable, 0 <= said.score <= 1) == (True, True)


def test_an_unknown_operating_point_is_refused_before_any_work(tmp_path):
    with pytest.raises(BundleError, match="unknown operating point"):
        predictor(tmp_path).predict([], "best")


def test_no_images_give_no_predictions(tmp_path):
    assert predictor(tmp_path).predict([]) == []


def test_the_peak_of_each_map_is_its_probability(tmp_path):
    said = predictor(tmp_path).predict([image()])[0]
    probabilities = np.array([said.prediction.probability, *said.prediction.lesions])
    peaks = said.maps.max(axis=(1, 2))
    np.testing.assert_allclose(peaks[peaks > 0], probabilities[peaks > 0], rtol=1e-5)


maps = arrays(np.float32, (2, 3, 3), elements=st.floats(0, 1e6, width=32))


@given(maps, st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_scaled_maps_stay_within_zero_and_the_probability(heatmaps, probabilities):
    scaled = scale_maps(heatmaps, probabilities)
    limit = np.array(probabilities, dtype=np.float32)[:, None, None]
    assert bool((scaled >= 0).all() and (scaled <= limit * 1.001 + 1e-6).all())


def test_an_empty_map_stays_empty():
    assert not scale_maps(np.zeros((1, 2, 2), np.float32), [0.9]).any()


@given(st.floats(-1e30, 1e30, allow_nan=False).map(np.float32))
def test_a_probability_is_in_bounds_for_every_logit(logit):
    card = tiny_card(b"", "baseline")
    (probability,) = calibrate(np.array([logit], dtype=np.float32), card)
    assert 0 <= probability <= 1


@pytest.mark.parametrize(("mode", "outputs"), [("ladnn", 1), ("baseline", 6)])
def test_a_graph_with_other_outputs_than_the_card_names_is_refused(mode, outputs):
    with pytest.raises(BundleError, match=f"has {outputs} outputs and its card names"):
        calibrate(np.zeros(outputs, np.float32), tiny_card(b"", mode))


def test_a_temperature_draws_the_probability_to_a_half():
    plain = calibrate(np.array([2.0], np.float32), tiny_card(b"", "baseline", temperature=1.0))
    soft = calibrate(np.array([2.0], np.float32), tiny_card(b"", "baseline", temperature=2.0))
    assert (plain[0], soft[0]) == pytest.approx((0.8808, 0.7311), abs=1e-4)


def read(seed):
    if seed % 4 == 3:
        raise ImageError(f"number {seed} is broken")
    return image(seed)


def finish(seed, _image, said):
    return seed, round(said.prediction.probability, 6)


@pytest.mark.parametrize("streams", [1, 3])
def test_results_come_in_the_order_of_the_sources(tmp_path, streams):
    each = predictor(tmp_path, streams=streams).each(range(10), read, finish)
    assert [seed for seed, _ in each] == list(range(10))


@pytest.mark.parametrize("streams", [1, 3])
def test_a_broken_source_yields_its_error_and_the_others_go_on(tmp_path, streams):
    each = predictor(tmp_path, streams=streams).each(range(9), read, finish)
    assert [seed for seed, said in each if isinstance(said, ImageError)] == [3, 7]


def test_streams_say_what_one_stream_says(tmp_path):
    results = [list(predictor(tmp_path, streams=n).each([0, 1, 2], read, finish)) for n in (1, 3)]
    assert results[0] == results[1]


@pytest.mark.parametrize("streams", [1, 2])
def test_reading_runs_only_a_few_images_ahead(tmp_path, streams):
    started, ahead = [], []

    def count(seed):
        started.append(seed)
        return image(0)

    each = predictor(tmp_path, streams=streams).each(range(30), count, finish)
    for done, _ in enumerate(each):
        ahead.append(len(started) - done)
    assert max(ahead) <= 2 * streams + 1


def test_leaving_early_stops_the_workers(tmp_path):
    each = predictor(tmp_path, streams=2).each(range(1000), read, finish)
    next(each)
    each.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("ladnn")]


def test_a_mistake_of_ours_is_not_taken_for_a_broken_image(tmp_path):
    def mistaken(_seed):
        return 1 / 0

    with pytest.raises(ZeroDivisionError):
        list(predictor(tmp_path, streams=2).each([0], mistaken, finish))


def test_one_predictor_serves_many_threads(tmp_path):
    made, batch = predictor(tmp_path, streams=2), squares(8)
    expected, got = made.run(batch).logits, {}

    def work(index):
        got[index] = made.run(batch[index : index + 1]).logits[0]

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(np.stack([got[index] for index in range(8)]), expected)


class Slow:
    """An engine whose images wait until they are let go."""

    shape = (8, 8)

    def __init__(self):
        self.taken, self.go = [], threading.Event()

    def infer(self, image):
        self.taken.append(int(image[0, 0, 0]))
        assert self.go.wait(10)
        return ()


def test_an_image_that_comes_alone_runs_on_all_threads_and_others_beside_it_on_one_each():
    alone, together = Slow(), Slow()
    engine, started = Elastic(alone, together), []
    for number in range(3):
        image = np.full((1, 8, 8), number, np.uint8)
        thread = threading.Thread(target=engine.infer, args=(image,))
        thread.start()
        started.append(thread)
        while len(alone.taken) + len(together.taken) <= number:
            time.sleep(0.001)
    for one in (alone, together):
        one.go.set()
    for thread in started:
        thread.join()
    for number in (3, 4):  # in the gap after others; and alone again
        engine.infer(np.full((1, 8, 8), number, np.uint8))
    assert (alone.taken, together.taken) == ([0, 4], [1, 2, 3])


@pytest.mark.parametrize("name", ENGINES)
def test_how_many_come_at_once_changes_no_bit(tmp_path, name):
    batch = squares(4)
    plain = predictor(tmp_path / "plain", name).run(batch)
    elastic = predictor(tmp_path / "elastic", name, streams=3, elastic=True)
    with ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(lambda index: elastic.run(batch[index : index + 1]), range(4)))
    for index, row in enumerate([*rows, elastic.run(batch[:1])]):
        np.testing.assert_array_equal(row.logits[0], plain.logits[index % 4])
        np.testing.assert_array_equal(row.heatmaps[0], plain.heatmaps[index % 4])


def test_a_larger_logit_is_a_larger_probability():
    card = tiny_card(b"", "baseline")
    values = [calibrate(np.array([z], np.float32), card)[0] for z in (-3, -1, 0, 1, 3)]
    assert all(low < high for low, high in pairwise(values))


@pytest.mark.parametrize("bias", [float("nan"), float("inf")])
def test_a_graph_that_answers_with_no_number_is_refused(tmp_path, bias):
    with pytest.raises(BundleError, match="what is no number"):
        predictor(tmp_path, bias=bias).predict([image()])

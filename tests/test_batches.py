"""Which images an epoch shows, and that a batch is the same however it is drawn."""

import numpy as np
import pytest

from ladnn.augmentation import Augmentation
from ladnn.batches import Example, Sampler, as_seen, batches, epoch_order, load
from ladnn.dataset import Record
from ladnn.errors import DataError
from ladnn.imaging import CtImage
from ladnn.lungfield import locate, lungs_alone
from synthetic import clear_chest


def examples(counts):
    """Examples of (source, covid) -> how many."""
    pixels = clear_chest(120)
    field, unknown = locate(pixels), np.full(5, np.nan, dtype=np.float32)
    return [
        Example(
            planes=[(lungs_alone(pixels, field), field)],
            covid=covid,
            lesions=unknown,
            source=source,
        )
        for (source, covid), count in counts.items()
        for _ in range(count)
    ]


def drawn(items, **kwargs):
    settings = {
        "batch_size": 4,
        "image_size": 32,
        "how": Augmentation(),
        "seed": (0, 0),
        **kwargs,
    }
    return list(batches(items, np.arange(len(items)), **settings))


def test_each_class_of_a_source_is_shown_equally_often():
    items = examples({("a", 0.0): 90, ("a", 1.0): 10, ("b", 0.0): 5, ("b", 1.0): 45})
    order = epoch_order(items, Sampler(images=4000), np.random.default_rng(0))
    for source in ("a", "b"):
        mine = [items[i].covid for i in order if items[i].source == source]
        assert np.mean(mine) == pytest.approx(0.5, abs=0.05)


def test_the_power_zero_shows_each_source_equally_often():
    items = examples({("a", 0.0): 90, ("a", 1.0): 90, ("b", 0.0): 5, ("b", 1.0): 5})
    sampler = Sampler(images=4000, source_power=0.0)
    order = epoch_order(items, sampler, np.random.default_rng(0))
    assert np.mean([items[i].source == "a" for i in order]) == pytest.approx(0.5, abs=0.05)


def test_an_unbalanced_epoch_shows_every_image_once():
    items = examples({("a", 0.0): 7, ("b", 1.0): 4})
    order = epoch_order(items, Sampler(balanced=False), np.random.default_rng(0))
    assert sorted(order) == list(range(11))


def test_batches_are_the_same_each_time():
    items = examples({("a", 0.0): 6, ("a", 1.0): 6})
    one, two = drawn(items), drawn(items)
    assert len(one) == 3
    for first, second in zip(one, two, strict=True):
        assert np.array_equal(first.images, second.images)


def test_a_last_shorter_batch_is_dropped():
    assert len(drawn(examples({("a", 0.0): 6}))) == 1


def test_a_painted_negative_becomes_a_positive_with_that_lesion():
    items = examples({("a", 0.0): 8})
    for batch in drawn(items, image_size=96, how=Augmentation(paint=1.0)):
        painted = batch.covid == 1
        assert painted.any()
        assert (np.nansum(batch.lesions[painted], axis=1) == 1).all()
        assert np.isnan(batch.lesions[~painted]).all()


def test_a_large_image_is_kept_small_in_memory(tmp_path):
    record = Record(path=tmp_path / "a.png", source="a", patient="p", covid=True)
    image = CtImage(
        pixels=np.zeros((900, 1200), np.uint8), sha256="", format="PNG", size=(1200, 900)
    )
    [item] = load([record], lambda _: image)
    assert max(item.planes[0][0].shape) == 512


def test_of_a_pair_training_shows_the_box_and_serving_both(tmp_path):
    record = Record(path=tmp_path / "a.png", source="a", patient="p", covid=True)
    image = CtImage(pixels=clear_chest(120), sha256="", format="PNG", size=(120, 120))
    pair = load([record], lambda _: image, frame="lungpair-1")
    assert as_seen(pair, 48).images.shape == (1, 96, 48)
    plain = load([record], lambda _: image, frame="lungbox-1")
    drawn_pair, drawn_plain = (drawn(items * 4, batch_size=4)[0] for items in (pair, plain))
    assert (drawn_pair.images == drawn_plain.images).all()


def test_no_records_is_an_error():
    with pytest.raises(DataError, match="no image is left"):
        load([], lambda _: None)


def test_validation_sees_what_serving_sees():
    seen = as_seen(examples({("a", 1.0): 2}), 48)
    assert seen.images.shape == (2, 48, 48)
    assert np.array_equal(seen.images[0], seen.images[1])

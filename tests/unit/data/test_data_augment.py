"""Augmentation against a per-pixel reference in plain Python, and its invariants."""

import numpy as np
import pytest
import torch
from data_fakes import contract

from embodia.core.errors import ConfigError, ShapeError
from embodia.core.types import ActionChunk, Batch, Observation
from embodia.data.transforms.augment import Augment, AugmentConfig, jitter, random_shift

STILL = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0}


def batch(size=24, moments=2, count=3, seed=0):
    rng = np.random.default_rng(seed)
    images = {
        name: torch.from_numpy(rng.integers(0, 256, (count, moments, size, size + 4, 3), dtype=np.uint8))
        for name in ("wrist", "front")
    }
    valid = torch.ones(count, 4, dtype=torch.bool)
    chunk = ActionChunk(actions=torch.zeros(count, 4, 4), valid=valid, spec=contract().action)
    return Batch(observation=Observation(images=images, instruction=("x",) * count), chunk=chunk)


def rng(seed):
    return torch.Generator().manual_seed(seed)


def test_a_shift_is_one_offset_a_sample_and_repeats_edges():
    images = batch(count=40).observation.images["front"]
    shifted = random_shift(images, 0.15, rng(1)).numpy()
    height, width = images.shape[2:4]
    seen = set()
    for sample, original in zip(shifted, images.numpy(), strict=True):
        fits = []
        for down in range(-4, 5):
            for right in range(-4, 5):
                rows = np.clip(np.arange(height) + down, 0, height - 1)
                columns = np.clip(np.arange(width) + right, 0, width - 1)
                if np.array_equal(original[:, rows][:, :, columns], sample):
                    fits.append((down, right))
        assert len(fits) == 1
        seen.add(fits[0])
    assert len(seen) > 20 and max(max(map(abs, pair)) for pair in seen) == 4


def test_colours_equal_a_reference():
    config = AugmentConfig(brightness=0.1, contrast=0.3, saturation=0.5)
    images = batch().observation.images["front"]
    changed = jitter(images, config, rng(3)).numpy()
    draws = torch.rand((3, 3, 1, 1), generator=rng(3)).numpy()[:, :, 0, 0].astype(np.float64) * 2 - 1
    for number in range(3):
        contrast, offset, saturation = 1 + 0.3 * draws[0, number], 25.5 * draws[1, number], 1 + 0.5 * draws[2, number]
        pixels = images[number].numpy().astype(np.float64)
        grey = (pixels * [0.299, 0.587, 0.114]).sum(-1, keepdims=True)
        expected = ((grey + saturation * (pixels - grey)) - 127.5) * contrast + 127.5 + offset
        assert np.abs(np.clip(expected, 0, 255) - changed[number]).max() <= 0.51


def test_grey_pictures_ignore_saturation():
    grey = torch.full((2, 1, 4, 4, 3), 90, dtype=torch.uint8)
    changed = jitter(grey, AugmentConfig(brightness=0.0, contrast=0.0, saturation=0.9), rng(0))
    assert torch.equal(changed, grey)


def test_zero_means_untouched_and_inputs_are_never_changed():
    given = batch()
    before = {name: image.clone() for name, image in given.observation.images.items()}
    same = Augment(AugmentConfig(shift=0.0, **STILL))(given, rng(0))
    changed = Augment()(given, rng(0))
    for name, image in before.items():
        assert torch.equal(same.observation.images[name], image)
        assert torch.equal(given.observation.images[name], image)
        assert not torch.equal(changed.observation.images[name], image)
        assert changed.observation.images[name].dtype == torch.uint8
    assert changed.chunk is given.chunk and changed.observation.instruction == given.observation.instruction


def test_equal_generators_give_equal_pictures_whatever_the_order_of_cameras():
    given = batch()
    turned = Batch(observation=Observation(images=dict(reversed(given.observation.images.items()))), chunk=given.chunk)
    one, two, other = Augment()(given, rng(5)), Augment()(turned, rng(5)), Augment()(given, rng(6))
    for name in ("front", "wrist"):
        assert torch.equal(one.observation.images[name], two.observation.images[name])
        assert not torch.equal(one.observation.images[name], other.observation.images[name])


def test_cameras_move_apart_and_moments_together():
    image = batch(count=16, moments=1).observation.images["front"].repeat(1, 3, 1, 1, 1)
    given = Batch(observation=Observation(images={"a": image, "b": image.clone()}), chunk=batch().chunk)
    changed = Augment(AugmentConfig(shift=0.2))(given, rng(0)).observation.images
    for moment in (1, 2):
        assert torch.equal(changed["a"][:, 0], changed["a"][:, moment])
    assert not torch.equal(changed["a"], changed["b"])


@pytest.mark.parametrize("bad", [torch.zeros(2, 1, 8, 8, 3), torch.zeros(2, 8, 8, 3, dtype=torch.uint8)])
def test_other_pictures_are_refused(bad):
    given = Batch(observation=Observation(images={"front": bad}), chunk=batch().chunk)
    with pytest.raises(ShapeError, match="front"):
        Augment()(given, rng(0))


@pytest.mark.parametrize("name", ["shift", "brightness", "contrast", "saturation"])
def test_impossible_settings_are_refused(name):
    for value in (-0.1, 1.0, float("nan")):
        with pytest.raises(ConfigError, match=name):
            AugmentConfig(**{name: value})

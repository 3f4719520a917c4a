from dataclasses import replace

import numpy as np
import pytest

from embodia.core.errors import ConfigError, UnknownNameError
from embodia.core.types import Observation
from embodia.envs.perturb import images


@pytest.fixture
def observation():
    rng = np.random.default_rng(0)
    drawn = {name: rng.integers(0, 256, (2, 1, 16, 16, 3), dtype=np.uint8) for name in ("a", "b")}
    return Observation(images=drawn, state=np.ones((2, 1, 3), np.float32), instruction=("x", "y"))


@pytest.mark.parametrize(
    "change", [images.blank(), images.dead_camera("a"), images.brightness(0.5), images.noise(20.0)]
)
def test_changes_pictures_only_and_never_in_place(observation, change):
    before = {name: image.copy() for name, image in observation.images.items()}
    after = change(observation)
    assert all(np.array_equal(before[name], observation.images[name]) for name in before)
    assert not np.array_equal(after.images["a"], before["a"])
    assert after.state is observation.state and after.instruction == observation.instruction
    assert after.images["a"].dtype == np.uint8 and after.images["a"].shape == before["a"].shape


def test_blank_and_dead(observation):
    assert np.unique(images.blank(9)(observation).images["b"]).tolist() == [9]
    dead = images.dead_camera("a")(observation)
    assert not dead.images["a"].any() and np.array_equal(dead.images["b"], observation.images["b"])
    with pytest.raises(UnknownNameError):
        images.dead_camera("c")(observation)


def test_a_blank_picture_has_no_depth_and_no_points(observation):
    shaped = replace(observation, points=np.ones((2, 1, 5, 6), np.float32), depth={"a": np.ones((2, 1, 16, 16))})
    hidden = images.blank()(shaped)
    assert not hidden.points.any() and not hidden.depth["a"].any() and shaped.points.all()
    assert images.blank()(observation).points is None


def test_brightness(observation):
    doubled = images.brightness(2.0)(observation).images["a"]
    assert np.array_equal(doubled, np.minimum(observation.images["a"].astype(int) * 2, 255))
    with pytest.raises(ConfigError):
        images.brightness(-1.0)


def test_noise_has_its_size_and_repeats_when_made_anew(observation):
    grey = images.blank()(observation)
    first, second = images.noise(10.0, seed=1), images.noise(10.0, seed=1)
    drawn, redrawn = first(grey).images["a"], first(grey).images["a"]
    assert drawn.astype(float).std() == pytest.approx(10.0, rel=0.1)
    assert not np.array_equal(drawn, redrawn)
    assert np.array_equal(second(grey).images["a"], drawn)
    with pytest.raises(ConfigError):
        images.noise(-1.0)

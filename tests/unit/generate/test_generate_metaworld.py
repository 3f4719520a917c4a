"""The script of ours for Meta-World: where it goes, when it takes hold, and that disturbances do not stop it."""

import numpy as np
import pytest

from embodia.core.errors import UnknownNameError
from embodia.envs import EnvConfig, make
from embodia.generate.demonstrate import EpisodeConfig, demonstrate
from embodia.generate.disturb import NoiseConfig
from embodia.generate.experts.metaworld import PlateSlideBack, build

PLATE, MARK = np.array([0.0, 0.75, 0.015]), np.array([0.09, 0.6, 0.015])
RIM = PLATE + PlateSlideBack.RIM


def beside(*offset_m):
    """A place that far from where the hand takes hold."""
    return RIM + np.array(offset_m)


def asked(script, hand):
    seen = np.zeros(39)
    seen[:3], seen[4:7], seen[36:39] = hand, PLATE, MARK
    return script.get_action(seen)


def test_it_goes_over_the_rim_then_down_then_to_the_mark():
    script = PlateSlideBack()
    assert np.allclose(asked(script, beside(0.1, 0, 0.1)), [-1.0, 0, 0, -1])
    assert np.allclose(asked(script, beside(0, 0, 0.1)), [0, 0, -1.0, -1])
    held = asked(script, beside(0, 0, 0.02))
    assert np.allclose(held[:2], 10 * (MARK - PLATE)[:2]) and held[2] == pytest.approx(-0.2)


def test_it_lets_go_when_the_plate_is_lost_and_not_before():
    script = PlateSlideBack()
    asked(script, beside(0, 0, 0.02))
    assert np.allclose(asked(script, beside(0.1, 0, 0.02))[:2], 10 * (MARK - PLATE)[:2])
    assert asked(script, beside(0.13, 0, 0.02))[2] > 0


def test_disturbed_demonstrations_are_short():
    pytest.importorskip("metaworld")
    seen = EnvConfig(cameras=("right",), height=16, width=16, success_ends=False, tasks=("plate-slide-back",))
    env, noise = make("metaworld", seen), NoiseConfig(share=0.8)
    config = EpisodeConfig(limit=200, settle=6, images_every=200, noise=noise)
    for seed in (1, 5):
        attempt = demonstrate(env, build("plate-slide-back"), "plate-slide-back", seed, config)
        assert attempt.success and attempt.steps < 200


def test_a_task_that_does_not_exist_is_named():
    pytest.importorskip("metaworld")
    with pytest.raises(UnknownNameError, match="plate-slide-up"):
        build("plate-slide-up")

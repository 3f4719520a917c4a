import numpy as np
import pytest

from embodia.core.errors import ConfigError
from embodia.core.specs import ActionPart, ActionSpec
from embodia.generate.disturb import Disturbance, NoiseConfig

SPEC = ActionSpec(
    parts=(
        ActionPart(name="hand", dim=3, representation="ee_position_delta", frame="world"),
        ActionPart(name="gripper", dim=1, representation="gripper", polarity="positive_closes"),
    ),
    rate_hz=80.0,
)
OPEN, CLOSED = np.array([0.0, 0.0, 0.0, -1.0]), np.array([0.0, 0.0, 0.0, 0.5])


def noises(config, action, steps=4000, seed=0, spec=SPEC):
    disturbance = Disturbance(config, spec, np.random.default_rng(seed))
    return np.stack([disturbance.apply(action) - action for _ in range(steps)])


def test_nothing_is_disturbed_unless_asked():
    assert np.array_equal(noises(NoiseConfig(), OPEN, 50), np.zeros((50, 4)))


def test_tremor_has_the_size_and_smoothness_asked_for():
    found = noises(NoiseConfig(share=1.0, push_rate=0.0, tremor=0.15, smoothness=0.8), OPEN, 40000)
    assert found[:, :3].std() == pytest.approx(0.15, rel=0.05)
    following = [np.corrcoef(found[:-1, axis], found[1:, axis])[0, 1] for axis in range(3)]
    assert following == pytest.approx([0.8] * 3, abs=0.03)
    assert not found[:, 3].any()


def test_pushes_are_short_and_rare():
    found = noises(NoiseConfig(share=1.0, tremor=0.0, push_rate=0.05, push=0.9), OPEN, 20000)
    pushed = np.abs(found[:, :3]).max(axis=1) > 0
    edges = np.flatnonzero(np.diff(np.concatenate([[False], pushed, [False]]).astype(int)))
    starts, ends = edges[::2], edges[1::2]
    lengths = ends - starts
    assert lengths.min() >= 2 and np.median(lengths) <= 5
    assert np.abs(found).max() <= 0.9 + 1e-6
    assert 0.1 < pushed.mean() < 0.25


def test_a_gripper_that_closes_is_disturbed_less():
    config = NoiseConfig(share=1.0, push_rate=0.0, while_closed=0.25)
    assert noises(config, CLOSED)[:, :3] == pytest.approx(0.25 * noises(config, OPEN)[:, :3], abs=1e-6)


def test_polarity_decides_what_closing_means():
    import dataclasses

    other = dataclasses.replace(SPEC.parts[1], polarity="positive_opens")
    spec = dataclasses.replace(SPEC, parts=(SPEC.parts[0], other))
    config = NoiseConfig(share=1.0, push_rate=0.0, while_closed=0.0)
    assert noises(config, CLOSED, 20, spec=spec).any() and not noises(config, OPEN, 20, spec=spec).any()


def test_executed_actions_stay_within_the_contract():
    action = np.array([1.0, -1.0, 0.9, -1.0])
    disturbance = Disturbance(NoiseConfig(share=1.0, tremor=2.0), SPEC, np.random.default_rng(1))
    executed = np.stack([disturbance.apply(action) for _ in range(200)])
    assert executed.min() >= -1.0 and executed.max() <= 1.0 and executed.dtype == np.float32


def test_the_share_of_disturbed_episodes():
    config = NoiseConfig(share=0.3)
    disturbed = [noises(config, OPEN, 3, seed).any() for seed in range(600)]
    assert np.mean(disturbed) == pytest.approx(0.3, abs=0.06)


def test_wrong_settings_are_refused():
    for wrong in ({"share": 1.2}, {"smoothness": -0.1}, {"tremor": -1.0}):
        with pytest.raises(ConfigError):
            NoiseConfig(**wrong)


def test_absolute_orientations_are_left_alone():
    tilt = ActionPart(name="tilt", dim=1, representation="ee_rotation", frame="tool", rotation="axis_angle")
    spec = ActionSpec(parts=(SPEC.parts[0], tilt, SPEC.parts[1]), rate_hz=20.0)
    found = noises(NoiseConfig(share=1.0), np.array([0.0, 0.0, 0.0, 0.3, -1.0]), 200, spec=spec)
    assert found[:, :3].any() and np.abs(found[:, 3:]).max() < 1e-6

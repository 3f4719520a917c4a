"""The contract: equal sides pass, every planted difference is named with both sides."""

from dataclasses import replace

import numpy as np
import pytest

from embodia.core.errors import ConfigError, ContractError, NotFiniteError, ProfileError, ShapeError
from embodia.core.provenance import Provenance, require_same_profile
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart, require_match
from embodia.core.types import ActionChunk, Batch, Observation, check_actions, check_observation

ARM = ActionPart(name="xyz", dim=3, representation="ee_position_delta", frame="world", scale=0.01)
GRIPPER = ActionPart(name="gripper", dim=1, representation="gripper", polarity="positive_closes")
CAMERAS = (CameraSpec(name="front", height=8, width=8), CameraSpec(name="wrist", height=8, width=8))
CONTRACT = Contract(
    observation=ObservationSpec(cameras=CAMERAS, state=(StatePart(name="hand", dim=3, units="m"),), rate_hz=80.0),
    action=ActionSpec(parts=(ARM, GRIPPER), rate_hz=80.0),
    embodiment="sawyer",
)


def with_action(**changes):
    return replace(CONTRACT, action=replace(CONTRACT.action, **changes))


def with_observation(**changes):
    return replace(CONTRACT, observation=replace(CONTRACT.observation, **changes))


def test_equal_contracts_and_other_chunks_pass():
    require_match(CONTRACT, CONTRACT, left_name="a", right_name="b")
    require_match(with_action(chunk=16), CONTRACT, left_name="policy", right_name="environment")


def test_data_of_somebody_whose_actions_nobody_writes_down_have_no_action():
    watched = with_action(recorded=False)
    assert CONTRACT.of_data is CONTRACT
    assert watched.of_data.action.dim == 0 and watched.of_data.action.dimension_names == ()
    assert watched.of_data.observation == CONTRACT.observation and watched.of_data.of_data == watched.of_data
    with pytest.raises(ContractError, match="2 parts against 0"):
        require_match(CONTRACT, watched.of_data, left_name="policy", right_name="the data")


def test_a_policy_may_use_fewer_cameras():
    require_match(with_observation(cameras=CAMERAS[:1]), CONTRACT, left_name="policy", right_name="environment")


@pytest.mark.parametrize(
    ("other", "leaf"),
    [
        (with_action(rate_hz=20.0), "action.rate_hz"),
        (with_action(statistics_key="franka"), "statistics_key"),
        (with_action(parts=(ARM,)), "action.parts"),
        (with_action(parts=(replace(ARM, representation="ee_position"), GRIPPER)), "representation"),
        (with_action(parts=(replace(ARM, frame="tool"), GRIPPER)), "frame"),
        (with_action(parts=(replace(ARM, units="m"), GRIPPER)), "units"),
        (with_action(parts=(ARM, replace(GRIPPER, polarity="positive_opens"))), "polarity"),
        (with_action(parts=(replace(ARM, rotation="rot6d"), GRIPPER)), "rotation"),
        (with_observation(rate_hz=10.0), "observation.rate_hz"),
        (with_observation(language=False), "language"),
        (with_observation(state=(StatePart(name="hand", dim=3, units="rad"),)), "units"),
        (with_observation(cameras=(replace(CAMERAS[0], name="top"),)), "cameras"),
        (with_observation(cameras=(replace(CAMERAS[0], profile="fast"), CAMERAS[1])), "profile"),
        (with_observation(cameras=(replace(CAMERAS[0], height=16), CAMERAS[1])), "height"),
        (replace(CONTRACT, embodiment="franka"), "embodiment"),
    ],
)
def test_every_difference_is_named_with_both_sides(other, leaf):
    with pytest.raises(ContractError, match=leaf) as caught:
        require_match(CONTRACT, other, left_name="data set A", right_name="robot B")
    assert "data set A" in str(caught.value) and "robot B" in str(caught.value)


def test_parts_refuse_nonsense():
    with pytest.raises(ConfigError, match="polarity"):
        replace(GRIPPER, polarity="none")
    with pytest.raises(ConfigError, match="low < high"):
        replace(ARM, low=1.0)


@pytest.mark.parametrize("rate", [0.0, -5.0, float("nan"), float("inf")])
def test_a_rate_is_positive_and_finite(rate):
    for make in (with_action, with_observation):
        with pytest.raises(ConfigError, match="rate"):
            make(rate_hz=rate)


def test_empty_parts_and_pictures_are_refused():
    with pytest.raises(ConfigError, match="at least one part"):
        with_action(parts=())
    assert with_action(parts=(), recorded=False).action.dim == 0
    with pytest.raises(ConfigError, match="no chunk is negative"):
        with_action(chunk=-1)
    with pytest.raises(ConfigError, match="'front' has 0 x 8"):
        replace(CAMERAS[0], height=0)
    with pytest.raises(ConfigError, match="'hand' needs dim"):
        StatePart(name="hand", dim=0)


def test_dimension_names():
    assert CONTRACT.action.dim == 4
    assert CONTRACT.action.dimension_names == ("xyz_0", "xyz_1", "xyz_2", "gripper")


def observation(**changes):
    images = {c.name: np.zeros((2, 1, 8, 8, 3), np.uint8) for c in CAMERAS}
    record = Observation(images=images, state=np.zeros((2, 1, 3), np.float32), instruction=("go", "stop"))
    return replace(record, **changes)


def test_observation_checks_name_the_leaf():
    spec = CONTRACT.observation
    check_observation(observation(), spec, where="episode 3")
    bad_state = np.zeros((2, 1, 3), np.float32)
    bad_state[1, 0, 2] = np.nan
    with pytest.raises(NotFiniteError, match=r"\(1, 0, 2\).*episode 3: state"):
        check_observation(observation(state=bad_state), spec, where="episode 3")
    with pytest.raises(ShapeError, match="images.front"):
        check_observation(observation(images={"front": np.zeros((2, 1, 4, 8, 3), np.uint8)}), spec, where="x")
    with pytest.raises(ShapeError, match="instruction"):
        check_observation(observation(instruction=()), spec, where="x")
    with pytest.raises(ShapeError, match="action"):
        check_actions(np.zeros((5, 3)), CONTRACT.action, where="x")


def test_map_reaches_every_array_and_leaves_text():
    chunk = ActionChunk(actions=np.ones((2, 5, 4)), valid=np.ones((2, 5), bool), spec=CONTRACT.action)
    masked = observation(masks={"front": np.ones((2, 1), bool)})
    half = Batch(observation=masked, chunk=chunk, dataset=("a", "b")).map(lambda array: array[:1])
    assert half.observation.batch_size == 1
    assert half.observation.images["wrist"].shape[0] == half.observation.masks["front"].shape[0] == 1
    assert half.chunk.actions.shape == (1, 5, 4) and half.dataset == ("a", "b")
    assert half.observation.instruction == ("go", "stop")


def test_another_profile_is_refused_unless_asked_for():
    trained = Provenance(environment="metaworld", profile="fast", cameras=("a",), versions={"mujoco": "3.3.0"})
    assert require_same_profile(trained, trained) == ()
    for other in (replace(trained, profile="faithful"), replace(trained, versions={"mujoco": "3.9.0"})):
        with pytest.raises(ProfileError, match="against|trained on"):
            require_same_profile(trained, other)
        assert len(require_same_profile(trained, other, allow=True)) == 1

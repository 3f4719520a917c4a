"""Senses in the contract: what a spec refuses, how records carry them, when two contracts agree."""

from dataclasses import replace

import numpy as np
import pytest

from embodia.core.config import from_json, to_json
from embodia.core.errors import ConfigError, ContractError, NotFiniteError, ShapeError
from embodia.core.invent import invent_batch, invent_observation
from embodia.core.specs import (
    ActionPart,
    ActionSpec,
    CameraSpec,
    Contract,
    ObservationSpec,
    SenseSpec,
    require_match,
)
from embodia.core.types import check_observation

DEPTH = SenseSpec(name="depth", shape=(6, 8), units="m", camera="eye", field_deg=50.0)
POINTS = SenseSpec(name="points", shape=(32, 6), units="m")
TOUCH = SenseSpec(name="touch", shape=(2, 4, 4), units="N")
ALL = (DEPTH, POINTS, TOUCH)


def contract(*senses: SenseSpec) -> Contract:
    seen = ObservationSpec(
        cameras=(CameraSpec(name="eye", height=6, width=8),), state=(), rate_hz=10, language=False, senses=senses
    )
    action = ActionSpec(parts=(ActionPart(name="a", dim=1, representation="joint_delta"),), rate_hz=10, chunk=2)
    return Contract(observation=seen, action=action, embodiment="paper")


@pytest.mark.parametrize(
    "facts",
    [
        {"name": "touch", "shape": ()},
        {"name": "touch", "shape": (0,)},
        {"name": "depth", "shape": (6, 8)},
        {"name": "touch", "shape": (6,), "camera": "eye"},
        {"name": "points", "shape": (32, 3)},
        {"name": "points", "shape": (192,)},
    ],
)
def test_a_spec_that_cannot_be_meant_is_refused(facts):
    with pytest.raises(ConfigError):
        SenseSpec(**facts)


def test_a_sense_is_named_once():
    with pytest.raises(ConfigError, match="twice"):
        contract(TOUCH, replace(TOUCH, shape=(3,)))
    assert contract(DEPTH, replace(DEPTH, camera="other")).observation.sense("depth") == DEPTH
    assert contract(TOUCH).observation.sense("points") is None
    assert (DEPTH.key, DEPTH.size, TOUCH.key, TOUCH.size) == ("depth.eye", 48, "touch", 32)


def test_records_carry_senses_in_their_own_fields():
    seen = invent_observation(contract(), 2)
    arrays = {sense: np.full((2, 1, *sense.shape), index, np.float32) for index, sense in enumerate(ALL)}
    filled = seen.with_senses(arrays)
    assert filled.depth["eye"].max() == 0 and filled.points.min() == 1 and filled.touch.min() == 2
    for sense, array in arrays.items():
        assert filled.sense(sense) is array
    assert seen.points is None and seen.sense(POINTS) is None and seen.sense(DEPTH) is None


def test_invented_senses_fit_and_leave_the_rest_alone():
    plain, more = invent_observation(contract(), 3, history=2), invent_observation(contract(*ALL), 3, history=2)
    check_observation(more, contract(*ALL).observation, where="here")
    np.testing.assert_array_equal(plain.images["eye"], more.images["eye"])
    assert more.points.shape == (3, 2, 32, 6) and 0 <= more.points[..., 3:].min() <= more.points[..., 3:].max() <= 1
    assert more.depth["eye"].min() > 0
    assert invent_batch(contract(*ALL), 2).observation.touch.shape == (2, 1, 2, 4, 4)


def test_a_check_names_the_sense():
    spec, seen = contract(*ALL).observation, invent_observation(contract(*ALL), 1)
    check_observation(replace(seen, points=None, depth={}), spec, where="asked for nothing")
    with pytest.raises(ShapeError, match=r"points"):
        check_observation(replace(seen, points=seen.points[..., :3]), spec, where="here")
    with pytest.raises(ShapeError, match=r"depth\.eye"):
        check_observation(replace(seen, depth={"eye": seen.depth["eye"][..., :-1]}), spec, where="here")
    broken = seen.touch.copy()
    broken[0, 0, 1, 2, 3] = np.nan
    with pytest.raises(NotFiniteError, match="touch"):
        check_observation(replace(seen, touch=broken), spec, where="here")


def test_what_the_left_side_has_the_right_side_must_offer():
    names = {"left_name": "policy", "right_name": "robot"}
    require_match(contract(POINTS), contract(*ALL), **names)
    with pytest.raises(ContractError, match="'points' is missing"):
        require_match(contract(*ALL), contract(DEPTH, TOUCH), **names)
    with pytest.raises(ContractError, match=r"senses\[points\].shape"):
        require_match(contract(POINTS), contract(replace(POINTS, shape=(64, 6))), **names)
    with pytest.raises(ContractError, match="field_deg"):
        require_match(contract(DEPTH), contract(replace(DEPTH, field_deg=60.0)), **names)
    require_match(contract(DEPTH), contract(replace(DEPTH, field_deg=0.0)), **names)


def test_a_contract_with_senses_survives_json():
    whole = contract(*ALL)
    assert from_json(Contract, to_json(whole)) == whole
    old = to_json(contract())
    del old["observation"]["senses"]
    assert from_json(Contract, old) == contract()

"""Reading configuration from JSON that a stranger wrote: every shape of wrong ends in one ConfigError with its leaf."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embodia.core import config
from embodia.core.errors import ConfigError, EmbodiaError, ShapeError
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.core.statistics import FeatureStatistics


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wheel:
    radius_m: float
    kind: Literal["omni", "fixed", 4] = "fixed"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cart:
    wheels: tuple[Wheel, ...] = ()
    named: Mapping[str, Wheel] = dataclasses.field(default_factory=dict)
    pair: tuple[int, str] = (0, "")
    either: int | str | None = None
    spare: Wheel | None = None
    notes: Any = None
    locked: bool = False


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
CART_KEYS = st.sampled_from([field.name for field in dataclasses.fields(Cart)])


@settings(deadline=None, max_examples=150)
@given(st.dictionaries(CART_KEYS, ANY_JSON, max_size=4) | ANY_JSON)
def test_any_json_ends_in_a_cart_or_one_typed_error(value):
    try:
        read = config.from_json(Cart, value, file="cart.json")
    except ConfigError as error:
        assert error.file == "cart.json" and error.leaf
    else:
        assert isinstance(read, Cart) and all(isinstance(wheel, Wheel) for wheel in read.wheels)


@pytest.mark.parametrize(
    ("value", "leaf"),
    [
        ({"wheels": [{"radius_m": 1.0}, {"radius_m": "1"}]}, "wheels[1].radius_m"),
        ({"named": {"left": {"radius_m": 1.0, "kind": "flat"}}}, "named.left.kind"),
        ({"wheels": [{}]}, "wheels[0]"),
        ({"pair": [1, 2]}, "pair[1]"),
        ({"spare": {"radius_m": None}}, "spare.radius_m"),
        ({"wheels": {"0": {"radius_m": 1.0}}}, "wheels"),
        ({"locked": 1}, "locked"),
    ],
)
def test_the_leaf_is_the_whole_path(value, leaf):
    with pytest.raises(ConfigError) as caught:
        config.from_json(Cart, value)
    assert caught.value.leaf == leaf


def test_a_missing_key_is_told_by_name():
    with pytest.raises(ConfigError, match="radius_m") as caught:
        config.from_json(Wheel, {}, file="wheel.json")
    assert caught.value.leaf == "Wheel"


def test_a_key_far_from_all_known_ones_gets_no_guess():
    with pytest.raises(ConfigError, match="unknown key 'zzz'") as caught:
        config.from_json(Wheel, {"radius_m": 1.0, "zzz": 0})
    assert caught.value.cure is None


def test_a_union_takes_the_member_that_fits():
    assert config.from_json(Cart, {"either": 3}).either == 3
    assert config.from_json(Cart, {"either": "three"}).either == "three"
    assert config.from_json(Cart, {"either": None}).either is None
    with pytest.raises(ConfigError, match="expected int"):
        config.from_json(Cart, {"either": True})


def test_whole_numbers_are_good_floats_but_floats_are_no_whole_numbers():
    assert type(config.from_json(Wheel, {"radius_m": 2}).radius_m) is float
    with pytest.raises(ConfigError, match=r"pair\[0\]"):
        config.from_json(Cart, {"pair": [1.0, "x"]})


def test_a_number_too_large_for_a_float_is_refused():
    with pytest.raises(ConfigError, match="radius_m"):
        config.from_json(Wheel, json.loads('{"radius_m": 1' + "0" * 400 + "}"), file="wheel.json")


def test_a_literal_number_is_not_a_literal_truth():
    assert config.from_json(Wheel, {"radius_m": 1.0, "kind": 4}).kind == 4
    with pytest.raises(ConfigError, match="kind"):
        config.from_json(Wheel, {"radius_m": 1.0, "kind": 4.0})


def test_a_value_that_a_class_refuses_is_placed_in_its_file():
    hand = {"name": "hand", "dim": 0, "representation": "ee_position"}
    with pytest.raises(ConfigError, match="dim >= 1") as caught:
        config.from_json(ActionSpec, {"parts": [hand], "rate_hz": 10.0}, file="arm.json")
    assert caught.value.file == "arm.json" and caught.value.leaf == "parts[0]"


def test_a_refusal_keeps_its_own_kind():
    figures = {name: [0.0] for name in ("mean", "std", "minimum", "maximum", "q01")}
    with pytest.raises(ShapeError) as caught:
        config.from_json(FeatureStatistics, {"count": 3, "q99": [0.0, 1.0], **figures}, file="stats.json")
    assert caught.value.file == "stats.json"


def test_sets_bytes_and_classes_are_not_json():
    for value in ({1, 2}, b"raw", Wheel, {"deep": [object()]}):
        with pytest.raises(ConfigError, match="cannot be written"):
            config.to_json(value)


PARTS = st.builds(
    ActionPart,
    name=st.text(min_size=1, max_size=6),
    dim=st.integers(1, 9),
    representation=st.sampled_from(["joint_position", "ee_position_delta", "force"]),
    frame=st.sampled_from(["none", "world", "tool"]),
    low=st.floats(-9, -1),
    high=st.floats(0, 9),
    scale=st.floats(0, 1),
)
CONTRACTS = st.builds(
    Contract,
    observation=st.builds(
        ObservationSpec,
        cameras=st.lists(
            st.builds(CameraSpec, name=st.text(max_size=4), height=st.integers(1, 99), width=st.integers(1, 99)),
            max_size=2,
        ).map(tuple),
        state=st.lists(st.builds(StatePart, name=st.text(max_size=4), dim=st.integers(1, 9)), max_size=2).map(tuple),
        rate_hz=st.floats(1, 500),
        language=st.booleans(),
    ),
    action=st.builds(
        ActionSpec,
        parts=st.lists(PARTS, min_size=1, max_size=3).map(tuple),
        rate_hz=st.floats(1, 500),
        chunk=st.integers(0, 99),
    ),
    embodiment=st.text(max_size=6),
)


@settings(deadline=None, max_examples=60)
@given(CONTRACTS)
def test_a_contract_survives_a_file(contract):
    assert config.from_json(Contract, json.loads(json.dumps(config.to_json(contract)))) == contract


@settings(deadline=None, max_examples=60)
@given(CONTRACTS, st.data())
def test_one_spoiled_leaf_of_a_contract_is_refused(contract, data):
    written = config.to_json(contract)
    side = data.draw(st.sampled_from(["observation", "action"]))
    leaf = data.draw(st.sampled_from(sorted(written[side].keys() - {"statistics_key"})))
    written[side][leaf] = data.draw(st.sampled_from([{"no": 1}, "no", None]))
    with pytest.raises(EmbodiaError) as caught:
        config.from_json(Contract, written, file="contract.json")
    assert f"contract.json: {side}.{leaf}" in str(caught.value)

"""Errors, names, seeds, configuration, clock."""

import copy
import dataclasses
from collections.abc import Mapping
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embodia.core import config, errors
from embodia.core.clock import SimulatedClock, SystemClock
from embodia.core.names import Folder, nearest
from embodia.core.seeds import derive_seed, generator
from embodia.core.statistics import FeatureStatistics


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inner:
    width: int = 4
    mode: Literal["a", "b"] = "a"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    rate_hz: float = 1.0
    inner: Inner = dataclasses.field(default_factory=Inner)
    shape: tuple[int, ...] = ()
    pair: tuple[str, int] = ("x", 1)
    maybe: int | None = None
    table: Mapping[str, float] = dataclasses.field(default_factory=dict)


def test_error_text_has_code_place_and_cure():
    error = errors.CorruptFileError("bad magic", file="a/b.mp4", leaf="frame 3", cure="Record it again.")
    assert str(error) == "[E302] bad magic (in a/b.mp4: frame 3). Record it again."
    assert isinstance(error, errors.DataError) and isinstance(error, errors.EmbodiaError)


def test_errors_survive_a_copy_between_processes():
    error = errors.ShapeError("wrong", file="f", leaf="l", cure="c")
    twin = copy.copy(error)
    assert type(twin) is errors.ShapeError and str(twin) == str(error) and twin.leaf == "l"


@given(
    name=st.text(max_size=9),
    rate=st.floats(allow_nan=False, allow_infinity=False),
    shape=st.lists(st.integers(), max_size=4),
    maybe=st.none() | st.integers(),
)
def test_configuration_round_trip(name, rate, shape, maybe):
    value = Outer(name=name, rate_hz=rate, shape=tuple(shape), maybe=maybe, table={"k": 1.5})
    assert config.from_json(Outer, config.to_json(value)) == value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"name": 3}, "name"),
        ({"name": "x", "inner": {"width": "4"}}, "inner.width"),
        ({"name": "x", "inner": {"mode": "c"}}, "inner.mode"),
        ({"name": "x", "inner": {"wdith": 4}}, "Did you mean 'width'"),
        ({"name": "x", "shape": [1, "2"]}, r"shape\[1\]"),
        ({"name": "x", "pair": ["x"]}, "pair"),
        ({"name": "x", "maybe": "3"}, "maybe"),
        ({"name": "x", "table": {"k": "v"}}, "table.k"),
        ({"name": True}, "name"),
        ({}, "name"),
        ([], "Outer"),
    ],
)
def test_configuration_errors_name_file_and_leaf(value, message):
    with pytest.raises(errors.ConfigError, match=message) as caught:
        config.from_json(Outer, value, file="spec.json")
    assert "spec.json" in str(caught.value)


def test_only_plain_values_become_json():
    with pytest.raises(errors.ConfigError, match="function"):
        config.to_json({"f": lambda: 0})


def test_names_come_from_exactly_one_folder():
    folder = Folder(kind="module", package="embodia.core")
    assert "specs" in folder.names()
    assert folder.load("specs").__name__ == "embodia.core.specs"
    for name in ("os", "embodia.core.specs", "../io", "Specs", "", "specs.ActionSpec", "__init__"):
        with pytest.raises(errors.UnknownNameError):
            folder.load(name)
    with pytest.raises(errors.UnknownNameError, match="Did you mean 'specs'"):
        folder.load("spec")


def test_nearest_name():
    assert nearest("pick-plce", ["pick-place", "push"]) == "pick-place"
    assert nearest("zzzz", ["pick-place", "push"]) is None


@given(st.integers(0, 2**40), st.text(max_size=5), st.integers())
def test_seeds_are_a_pure_function_of_their_labels(root, text, number):
    assert derive_seed(root, text, number) == derive_seed(root, text, number)
    assert 0 <= derive_seed(root, text) < 2**63
    assert derive_seed(root, "1") != derive_seed(root, 1)
    assert derive_seed(root, text) != derive_seed(root + 1, text)


def test_generator_repeats():
    assert generator(3, "a").integers(0, 9, 5).tolist() == generator(3, "a").integers(0, 9, 5).tolist()


def test_clocks():
    simulated = SimulatedClock()
    simulated.sleep(2.5)
    assert simulated.now_s() == 2.5
    system = SystemClock()
    before = system.now_s()
    system.sleep(0.0)
    assert system.now_s() >= before


def test_statistics_refuse_unequal_lengths():
    one, two = (0.0,), (0.0, 1.0)
    good = FeatureStatistics(count=1, mean=one, std=one, minimum=one, maximum=one, q01=one, q99=one)
    assert good.dim == 1
    with pytest.raises(errors.ShapeError):
        FeatureStatistics(count=1, mean=two, std=one, minimum=one, maximum=one, q01=one, q99=one)

"""Records, names, seeds, errors, provenance and protocols at their edges."""

import copy
import inspect
import re
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from embodia.core import errors, protocols
from embodia.core.clock import SimulatedClock, utc_label
from embodia.core.errors import EmbodiaError, NotFiniteError, ProfileError, ShapeError
from embodia.core.names import nearest, unknown
from embodia.core.provenance import Provenance, require_same_profile
from embodia.core.seeds import derive_seed, generator
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart, require_match
from embodia.core.types import Observation, TokenGroup, changed, check_actions, check_observation

JOINTS = ActionPart(name="joint", dim=3, representation="joint_position", units="rad", low=-3.0, high=3.0)
SPEC = ActionSpec(parts=(JOINTS,), rate_hz=50.0)
SEEN = ObservationSpec(
    cameras=(CameraSpec(name="top", height=4, width=6),), state=(StatePart(name="joint", dim=3),), rate_hz=50.0
)
CONTRACT = Contract(observation=SEEN, action=SPEC, embodiment="arm")


def kinds(root=EmbodiaError):
    return [root, *(kind for child in root.__subclasses__() for kind in kinds(child))]


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_every_error_crosses_a_process_with_all_it_says(kind):
    error = kind("bent", file="a/b", leaf="c[0]", cure="Straighten it.")
    twin = copy.deepcopy(error)
    assert type(twin) is kind and str(twin) == str(error) == f"[{kind.code}] bent (in a/b: c[0]). Straighten it."


def test_a_place_may_be_half_known():
    assert str(EmbodiaError("bent", file="a")) == "[E000] bent (in a)"
    assert str(EmbodiaError("bent", leaf="b", cure="Go.")) == "[E000] bent (in b). Go."


def test_every_kind_of_error_is_told_apart_by_its_code():
    found = [kind.code for kind in kinds() if kind.__module__ == errors.__name__]
    assert len(set(found)) == len(found) > 15


@given(st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=9), min_size=1, unique=True))
def test_a_name_that_exists_is_nearest_to_itself(known):
    assume(len({name.lower() for name in known}) == len(known))
    assert [nearest(name, known) for name in known] == known


@given(st.text(alphabet="abcdefgh-", min_size=6, max_size=12), st.integers(0, 11))
def test_one_lost_letter_is_forgiven(name, place):
    place %= len(name)
    assert nearest(name[:place] + name[place + 1 :], [name, "zzzzzzzz"]) == name


def test_capitals_do_not_hide_a_name():
    assert nearest("peg", ["PEG", "fetch"]) == "PEG" and nearest("FETCH", ["PEG", "fetch"]) == "fetch"


def test_an_unknown_name_gets_the_nearest_or_the_list():
    assert "Did you mean 'door-lock'?" in str(unknown("task", "dor-lock", ["reach", "door-lock"]))
    far = unknown("task", "xyzzy", [f"{i:02}" for i in range(40)])
    assert far.cure == "Known: " + ", ".join(f"{i:02}" for i in range(20))


@given(st.integers(0, 2**63), st.lists(st.integers() | st.text(alphabet="ab1", max_size=3), max_size=4))
def test_labels_count_with_their_order_and_type(root, labels):
    assert derive_seed(root, *labels) != derive_seed(root, *labels, 0)
    texts = [str(label) for label in labels]
    assert (derive_seed(root, *labels) == derive_seed(root, *texts)) == (labels == texts)
    assert (derive_seed(root, *labels) == derive_seed(root, *labels[::-1])) == (labels == labels[::-1])


def test_seeds_of_this_release_are_those_of_earlier_ones():
    assert derive_seed(0) == 4_246_866_556_266_386_882
    assert derive_seed(7, "order", 3) == 2_453_282_943_106_374_109


def test_neighbouring_seeds_are_unrelated():
    draws = np.stack([generator(seed, "x").random(64) for seed in range(200)])
    assert np.abs(draws.mean(axis=0) - 0.5).max() < 5 / np.sqrt(12 * 200)
    assert abs(np.corrcoef(draws[:-1].ravel(), draws[1:].ravel())[0, 1]) < 5 / np.sqrt(draws[1:].size)


@given(st.lists(st.floats(-5, 5), max_size=9))
def test_a_simulated_clock_never_runs_backwards(waits):
    clock, told = SimulatedClock(3.0), [3.0]
    for wait in waits:
        clock.sleep(wait)
        told.append(clock.now_s())
    assert told == sorted(told) and told[-1] == pytest.approx(3.0 + sum(wait for wait in waits if wait > 0))


def test_labels_of_time_sort_as_text():
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", utc_label())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_first_bad_number_is_pointed_at(bad):
    actions = np.zeros((2, 5, 3), np.float32)
    actions[1, 2, 0] = actions[1, 4, 1] = bad
    with pytest.raises(NotFiniteError, match=r"\(1, 2, 0\)") as caught:
        check_actions(actions, SPEC, where="episode 7")
    assert (caught.value.file, caught.value.leaf) == ("episode 7", "action")


@pytest.mark.parametrize("actions", [np.float32(1.0), np.zeros((3, 2)), np.zeros(0), None])
def test_actions_of_another_shape_are_refused(actions):
    with pytest.raises(ShapeError, match="must be 3"):
        check_actions(actions, SPEC, where="x")


@pytest.mark.parametrize(
    "number", [np.float32(3e38), np.float64(1e308), np.int64(2**62)], ids=["32 bits", "64 bits", "whole"]
)
def test_huge_actions_are_finite_all_the_same(number):
    check_actions(np.full((2, 5, 3), number), SPEC, where="x")


def test_actions_that_are_no_numbers_are_refused():
    with pytest.raises(ShapeError, match="object"):
        check_actions(np.array([["a", None, 3]], dtype=object), SPEC, where="x")


@pytest.mark.parametrize(
    ("image", "passes"),
    [
        (np.zeros((1, 2, 4, 6, 3), np.uint8), True),
        (np.zeros((1, 2, 6, 4, 3), np.uint8), False),
        (np.zeros((1, 2, 3, 4, 6), np.uint8), False),
        (np.zeros((1, 2, 4, 6, 4), np.uint8), False),
        (np.zeros((1, 4, 6, 3), np.uint8), False),
        (np.zeros((1, 2, 4, 6, 3), np.float32), False),
    ],
)
def test_only_upright_rgb_bytes_are_pictures(image, passes):
    seen = Observation(images={"top": image}, state=np.zeros((1, 2, 3), np.float32), instruction=("go",))
    if passes:
        check_observation(seen, SEEN, where="x")
        return
    with pytest.raises(ShapeError, match=r"images\.top"):
        check_observation(seen, SEEN, where="x")


def test_a_state_must_be_there_where_the_contract_has_one():
    with pytest.raises(ShapeError, match="got None"):
        check_observation(Observation(instruction=("go",)), SEEN, where="x")


def test_the_batch_is_counted_by_what_is_there():
    images = {"top": np.zeros((4, 1, 4, 6, 3), np.uint8)}
    assert Observation(state=np.zeros((5, 1, 3))).batch_size == 5
    assert Observation(images=images, instruction=("go",)).batch_size == 4
    assert Observation(instruction=("go", "stop")).batch_size == 2


def test_a_changed_record_is_what_replace_makes():
    first = Observation(state=np.zeros((1, 1, 2)), instruction=("Go.",), embodiment="arm")
    second = changed(first, instruction=("Stop.",), time_s=np.ones((1, 1)))
    slow = replace(first, instruction=("Stop.",), time_s=second.time_s)
    assert type(second) is Observation and vars(second) == vars(slow)
    assert first.instruction == ("Go.",) and first.time_s is None and second.state is first.state
    with pytest.raises(AttributeError):
        second.state = None
    with pytest.raises(TypeError, match="Observation has no field colour"):
        changed(first, colour="red")


def test_map_reaches_every_sense_once():
    arrays = {name: np.ones(2) for name in ("state", "points", "touch", "wrench", "audio", "time_s")}
    groups = {name: {"top": np.ones(2)} for name in ("images", "depth", "segmentation", "masks")}
    assert {field.name for field in fields(Observation)} == {*arrays, *groups, "instruction", "embodiment"}
    doubled = Observation(**arrays, **groups, instruction=("go",), embodiment="arm").map(lambda array: 2 * array)
    assert all((getattr(doubled, name) == 2).all() for name in arrays)
    assert all((getattr(doubled, name)["top"] == 2).all() for name in groups)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5))
def test_dimensions_are_counted_and_named_apart(dims):
    parts = tuple(replace(JOINTS, name=f"part{i}", dim=dim) for i, dim in enumerate(dims))
    spec = ActionSpec(parts=parts, rate_hz=1.0)
    assert spec.dim == len(spec.dimension_names) == len(set(spec.dimension_names)) == sum(dims)


@settings(deadline=None)
@given(st.data())
def test_a_difference_is_found_from_either_side(data):
    side = data.draw(st.sampled_from(["rate_hz", "language", "state", "embodiment"]))
    changed = {"rate_hz": 9.0, "language": False, "state": ()}
    other = (
        replace(CONTRACT, embodiment="leg")
        if side == "embodiment"
        else replace(CONTRACT, observation=replace(SEEN, **{side: changed[side]}))
    )
    for left, right in ((CONTRACT, other), (other, CONTRACT)):
        with pytest.raises(errors.ContractError, match=side) as caught:
            require_match(left, right, left_name="L", right_name="R")
        assert side in caught.value.leaf


def test_all_differences_are_told_at_once():
    other = replace(CONTRACT, embodiment="leg", action=replace(SPEC, rate_hz=9.0))
    with pytest.raises(errors.ContractError, match=r"9\.0.*'leg'"):
        require_match(CONTRACT, other, left_name="L", right_name="R")


HOME = Provenance(environment="desk", profile="fast", cameras=("a", "b"), versions={"mujoco": "3.3.0", "numpy": "2"})


@pytest.mark.parametrize(
    ("other", "word"),
    [
        (replace(HOME, cameras=("b", "a")), "cameras"),
        (replace(HOME, environment="table"), "environment"),
        (replace(HOME, versions={"mujoco": "3.3.1"}), "mujoco: 3.3.0 against 3.3.1"),
    ],
)
def test_what_changes_pictures_is_refused(other, word):
    with pytest.raises(ProfileError, match=word):
        require_same_profile(HOME, other)


def test_a_package_that_one_side_lacks_and_the_words_of_the_rule_do_not_count():
    assert require_same_profile(HOME, replace(HOME, versions={"numpy": "2"}, success_rule="touches")) == ()


def test_every_difference_of_a_picture_is_listed_when_allowed():
    other = replace(HOME, profile="slow", versions={"mujoco": "4", "numpy": "3"})
    assert len(require_same_profile(HOME, other, allow=True)) == 3


PROTOCOLS = [kind for _, kind in inspect.getmembers(protocols, inspect.isclass) if getattr(kind, "_is_protocol", False)]


@pytest.mark.parametrize("kind", [kind for kind in PROTOCOLS if kind.__module__ == protocols.__name__])
def test_a_protocol_asks_for_at_most_six_methods_and_explains_each(kind):
    methods = {name: value for name, value in vars(kind).items() if callable(value) or isinstance(value, property)}
    asked = [value for name, value in methods.items() if name == "__call__" or not name.startswith("_")]
    assert 1 <= len(asked) <= 6 and all(value.__doc__ for value in asked)


def test_a_decoder_without_a_density_is_no_density_decoder():
    class Plain:
        def loss_terms(self, context, chunk, rng): ...

        def sample(self, context, rng, n=1, steps=None, prefix=None): ...

    class Dense(Plain):
        def log_prob(self, context, chunk): ...

    assert isinstance(Plain(), protocols.Decoder) and not isinstance(Plain(), protocols.DensityDecoder)
    assert isinstance(Dense(), protocols.DensityDecoder)


def test_records_cannot_be_changed_in_place():
    group = TokenGroup(name="text", tokens=np.zeros((1, 2, 3)), mask=None, attends_to=("text",))
    with pytest.raises(AttributeError):
        group.name = "image"

"""The conformance checker against environments that each break one promise, and every family's words and contract."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from embodia.core.config import from_json, to_json
from embodia.core.errors import ConfigError, ContractError, MissingExtraError, UnknownNameError
from embodia.core.specs import Contract
from embodia.envs import FOLDER, EnvConfig, make
from embodia.envs.adapters.dots import Dots
from embodia.envs.chaining import Case, Chain, Skill, draw_chain, possible
from embodia.envs.conformance import check_env
from embodia.evaluation.suites import load, names


def test_the_honest_world_keeps_every_promise():
    assert check_env(make("dots"), make("dots").tasks) == check_env(make("dots"))


def broken(**methods):
    """Dots with some methods exchanged; each is given the honest world's own."""
    kind = type("Broken", (Dots,), {name: value for name, value in methods.items() if not name.startswith("set_")})
    made = kind(EnvConfig(height=16, width=16))
    for name, value in methods.items():
        if name.startswith("set_"):
            setattr(made, name.removeprefix("set_"), value)
    return made


def stepping(change):
    """A step whose five values are changed."""
    return lambda self, action: change(*Dots.step(self, action))


def sensing(change):
    return lambda self: change(Dots._sense(self))


def seeing(change):
    return lambda self: change(Dots.observe(self))


def saying(**other):
    return lambda self, task, split="canonical": other.get(split, Dots.instructions(self, task, split))


FIRST = ("Go to the red square.",)
STATE = np.zeros((1, 1, 2), np.float32)
BREAKS = {
    "no tasks": ({"set_tasks": ()}, "tasks"),
    "two canonical": ({"instructions": saying(canonical=("Go.", "Move."))}, "words"),
    "empty canonical": ({"instructions": saying(canonical=("",))}, "words"),
    "held out is trained": ({"instructions": saying(held_out=("Move.",), train=("Move.",))}, "words"),
    "canonical is held out": ({"instructions": saying(canonical=FIRST, held_out=FIRST)}, "words"),
    "short state": ({"_sense": sensing(lambda s: replace(s, state=s.state[..., :1]))}, "state"),
    "double state": ({"_sense": sensing(lambda s: replace(s, state=s.state.astype(float)))}, "reset"),
    "flat state": ({"_sense": sensing(lambda s: replace(s, state=s.state[0]))}, "reset"),
    "state of nan": ({"_sense": sensing(lambda s: replace(s, state=s.state * np.nan))}, "state"),
    "other body": ({"_sense": sensing(lambda s: replace(s, embodiment="dash"))}, "reset"),
    "no words": ({"_sense": sensing(lambda s: replace(s, instruction=()))}, "instruction"),
    "pictures at reset": ({"reset": lambda self, *asked: Dots.reset(self, *asked) and self.observe()}, "reset"),
    "pictures at step": ({"step": stepping(lambda o, *r: (replace(o, images={"top": STATE}), *r))}, "step"),
    "reward of nan": ({"step": stepping(lambda o, r, d, t, i: (o, float("nan"), d, t, i))}, "step"),
    "flag of numpy": ({"step": stepping(lambda o, r, d, t, i: (o, r, np.bool_(d), t, i))}, "step"),
    "success of numpy": ({"step": stepping(lambda o, r, d, t, i: (o, r, d, t, {"success": np.bool_(False)}))}, "step"),
    "success untold": ({"step": stepping(lambda o, r, d, t, i: (o, r, d, t, {}))}, "step"),
    "own partner": ({"scene_partners": lambda self, task: (task,)}, "partners"),
    "judge of numpy": ({"judge": lambda self, task: (np.bool_, bool)[task == self._task](False)}, "partners"),
    "blank picture": ({"observe": seeing(lambda o: replace(o, images={"top": 0 * o.images["top"]}))}, "images"),
    "no picture": ({"observe": seeing(lambda o: replace(o, images={}))}, "images"),
    "small picture": ({"observe": seeing(lambda o: replace(o, images={"top": o.images["top"][:, :, :8]}))}, "images"),
    "any name": ({"_known": lambda self, task: task if task in self.tasks else "go-red"}, "names"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_promise_is_found_and_placed(name):
    methods, place = BREAKS[name]
    with pytest.raises(ContractError) as caught:
        check_env(broken(**methods))
    assert place in f"{caught.value.leaf} {caught.value}"


def test_a_world_that_remembers_is_found():
    count = iter(range(10**6))

    def reset(self, task, seed):
        seen = Dots.reset(self, task, seed)
        self._hand = self._hand + 1e-3 * next(count)
        return replace(seen, state=self._hand.astype(np.float32)[None, None])

    with pytest.raises(ContractError, match="repeats"):
        check_env(broken(reset=reset))


def test_pictures_that_flicker_are_found():
    count = iter(range(10**6))

    def observe(self):
        seen = Dots.observe(self)
        picture = seen.images["top"].copy()
        picture[..., 0, 0, 0] = next(count) % 251
        return replace(seen, images={"top": picture})

    with pytest.raises(ContractError, match="twice"):
        check_env(broken(observe=observe))


def test_pictures_may_be_left_out():
    assert "images" not in check_env(broken(observe=seeing(lambda o: replace(o, images={}))), images=False)


DEFAULT = ("desk", "dots", "gymnasium", "metaworld")
"""Families that `make test` installs: there, a missing package is a failure."""


def built(family, config=None):
    try:
        return make(family, config)
    except MissingExtraError as error:
        if family in DEFAULT:
            raise
        pytest.skip(str(error))


@pytest.fixture(params=FOLDER.names())
def family(request):
    env = built(request.param)
    yield request.param, env
    env.close()


def test_every_task_can_be_said_in_words_kept_apart(family):
    """LIBERO-PRO's reworded suites are left out: their canonical sentences are what the plain suites hold out."""
    _, env = family
    assert env.tasks and len(set(env.tasks)) == len(env.tasks)
    held_out, trained = set(), set()
    for task in env.tasks:
        if task.partition("/")[0].endswith("_lan"):
            continue
        (canonical,) = env.instructions(task)
        said = env.instructions(task, "train"), env.instructions(task, "held_out")
        assert canonical.strip() and all(text.strip() for part in said for text in part), task
        trained |= {canonical, *said[0]}
        held_out |= set(said[1])
    assert not trained & held_out


def test_partners_can_be_asked_for_and_mean_something_else(family):
    _, env = family
    for task in env.tasks[:: max(1, len(env.tasks) // 20)]:
        for other in env.scene_partners(task):
            assert other != task and env.instructions(other) != env.instructions(task), (task, other)


def test_a_contract_is_whole_and_survives_a_file(family):
    name, env = family
    contract = env.contract
    assert from_json(Contract, json.loads(json.dumps(to_json(contract)))) == contract
    assert len(set(contract.action.dimension_names)) == contract.action.dim > 0
    assert contract.action.rate_hz == contract.observation.rate_hz > 0 and contract.action.chunk == 0
    assert len(set(contract.observation.camera_names)) == len(contract.observation.camera_names)
    assert env.provenance.environment == name and env.provenance.success_rule


def test_names_that_do_not_exist_are_answered_with_the_nearest(family):
    name, env = family
    task = env.tasks[0]
    for method in (env.instructions, env.scene_partners):
        with pytest.raises(UnknownNameError):
            method(task[:-1] + "~")
    with pytest.raises((UnknownNameError, ConfigError)):
        make(name, EnvConfig(tasks=("no such task",)))
    with pytest.raises(UnknownNameError):
        make(name, EnvConfig(cameras=("no such camera",)))


def test_pictures_have_the_size_that_was_asked_for(family):
    name, _ = family
    cameras = make(name, EnvConfig(height=48, width=64, profile="faithful")).contract.observation.cameras
    assert {(camera.height, camera.width, camera.profile) for camera in cameras} <= {(48, 64, "faithful")}


@pytest.mark.parametrize("name", names())
def test_the_environment_of_a_suite_offers_its_tasks(name):
    suite = load(name)
    env = built(suite.family, suite.env)
    assert not suite.env.tasks or set(env.tasks) == set(suite.env.tasks) or len(suite.env.tasks) == 1
    assert env.tasks and all(env.instructions(task) for task in env.tasks)
    env.close()


THINGS, VALUES = ("lamp", "door", "box"), ("open", "shut")
STATES = st.fixed_dictionaries({thing: st.sampled_from(VALUES) for thing in THINGS})
CASES = st.builds(
    Case,
    needs=st.dictionaries(st.sampled_from(THINGS), st.sampled_from(VALUES), max_size=2),
    gives=st.dictionaries(st.sampled_from(THINGS), st.sampled_from(VALUES), min_size=1, max_size=2),
)
SKILLS = st.lists(
    st.builds(
        Skill,
        task=st.sampled_from([f"task{number}" for number in range(6)]),
        category=st.sampled_from("abcd"),
        cases=st.lists(CASES, min_size=1, max_size=2).map(tuple),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda skill: skill.task,
)


def follows(skills, chain):
    """Whether some choice of cases carries the chain from its start, tried exhaustively."""
    named, states = {skill.task: skill for skill in skills}, [dict(chain.start)]
    for task in chain.tasks:
        states = [{**state, **case.gives} for state in states for case in named[task].cases if case.fits(state)]
    return bool(states)


@settings(max_examples=40)
@given(SKILLS, st.lists(STATES, min_size=1, max_size=3), st.integers(1, 4), st.integers(0, 99))
def test_a_drawn_chain_can_be_carried_out_and_repeats(skills, starts, length, seed):
    try:
        chain = draw_chain(skills, starts, length, seed)
    except ConfigError:
        assume(False)
    categories = [skill.category for task in chain.tasks for skill in skills if skill.task == task]
    assert len(chain.tasks) == len(set(categories)) == length and chain.start in starts
    assert follows(skills, chain) and draw_chain(skills, starts, length, seed) == chain


def test_a_chain_that_cannot_be_is_refused():
    shut = Skill(task="open", category="a", cases=(Case(needs={"door": "shut"}, gives={"door": "open"}),))
    with pytest.raises(ConfigError, match="no chain of 1"):
        draw_chain([shut], [{"door": "open"}], 1, 0)
    with pytest.raises(ConfigError, match="no chain"):
        draw_chain([shut], [], 1, 0)
    assert draw_chain([shut], [{"door": "shut"}], 1, 0) == Chain(start={"door": "shut"}, tasks=("open",))


def test_what_is_possible_leaves_out_used_kinds():
    both = (Case(needs={}, gives={"lamp": "open"}), Case(needs={"lamp": "shut"}, gives={"lamp": "shut"}))
    skill = Skill(task="lamp", category="a", cases=both)
    assert len(possible([skill], {"lamp": "shut"}, frozenset())) == 2
    assert len(possible([skill], {"lamp": "open"}, frozenset())) == 1
    assert possible([skill], {"lamp": "open"}, frozenset("a")) == []

"""The planner above OGBench's oracles in worlds of symbols: what it asks for happens, and the goal has to be met."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embodia.core.errors import ConfigError
from embodia.envs import make
from embodia.generate import experts
from embodia.generate.experts.ogbench import lights_out, plan, told

AXES = {"drawer": np.array([0.0, 1.0, 0.0]), "window": np.array([1.0, 0.0, 0.0])}
SHUT_DRAWER, OPEN_DRAWER = 0.0, -0.16
ON_TABLE, IN_DRAWER = (0.42, 0.1, 0.02), (0.33, -0.356, 0.065)


class World:
    """The names that the planner reads of the benchmark's environments, over a state of a few numbers."""

    def __init__(self, buttons=(0, 0), cube=ON_TABLE, drawer=0.0, window=0.0, rows=0, columns=0):
        self._cur_button_states, self._num_cubes = np.array(buttons), 1
        self._num_rows, self._num_cols = rows, columns
        self._button_site_ids = list(range(len(buttons)))
        self.cube, self.slides, self.log = np.array(cube, float), {"drawer": drawer, "window": window}, []
        self._data = SimpleNamespace(joint=self._joint, site_xpos=np.eye(3)[[0, 1]] * 0.3, xaxis=list(AXES.values()))
        self._model = SimpleNamespace(joint=lambda name: SimpleNamespace(id=["drawer", "window"].index(name[:6])))

    def _joint(self, name):
        return SimpleNamespace(qpos=self.cube if "object" in name else [self.slides[name.removesuffix("_slide")]])

    def _is_in_drawer(self, place):
        return place[1] < -0.3

    def compute_ob_info(self):
        found = {}
        for name, axis in AXES.items():
            found[f"privileged/{name}_pos"] = np.array([self.slides[name]])
            found[f"privileged/{name}_handle_pos"] = 0.5 + axis * self.slides[name]
        return found

    def do(self, subtask):
        """Carry a subtask out, with the benchmark's rules: what is locked does not move."""
        self.log.append(subtask)
        if subtask.kind == "cube":
            assert not (subtask.place[1] < -0.2) or self.slides["drawer"] < -0.1, "the drawer is shut"
            self.cube = np.array(subtask.place)
            if subtask.place[1] < -0.2:
                self.cube = np.array(IN_DRAWER) + AXES["drawer"] * self.slides["drawer"]
        elif subtask.kind == "button" and not self._num_rows:
            self._cur_button_states[subtask.index] ^= 1
        elif subtask.kind == "button":
            place = np.indices((self._num_rows, self._num_cols)).reshape(2, -1)
            hit = np.abs(place - place[:, subtask.index : subtask.index + 1]).sum(axis=0) <= 1
            self._cur_button_states = self._cur_button_states ^ hit
        else:
            assert self._cur_button_states[["drawer", "window"].index(subtask.kind)] == 1, f"{subtask.kind} is locked"
            self.slides[subtask.kind] = subtask.place[0]


def work(world, goal, most=40):
    for _ in range(most):
        subtask = plan(world, goal)
        if subtask is None:
            return world.log
        world.do(subtask)
    raise AssertionError(f"no end: {world.log[-4:]}")


@settings(max_examples=80)
@given(
    locks=st.tuples(st.integers(0, 1), st.integers(0, 1)),
    wanted=st.tuples(st.integers(0, 1), st.integers(0, 1)),
    drawer=st.sampled_from([SHUT_DRAWER, OPEN_DRAWER]),
    windows=st.tuples(st.sampled_from([0.0, 0.2]), st.sampled_from([0.0, 0.2])),
    shut=st.sampled_from([SHUT_DRAWER, OPEN_DRAWER]),
    into=st.booleans(),
)
def test_any_scene_is_tidied_and_nothing_locked_is_pulled(locks, wanted, drawer, windows, shut, into):
    world = World(locks, drawer=drawer, window=windows[0])
    cube = IN_DRAWER if into else (0.35, 0.2, 0.02)
    goal = {"cubes": np.array([cube]), "buttons": np.array(wanted), "drawer": shut, "window": windows[1]}
    work(world, goal)
    assert tuple(world._cur_button_states) == wanted
    assert world.slides["drawer"] == pytest.approx(shut) and world.slides["window"] == pytest.approx(windows[1])
    assert world._is_in_drawer(world.cube) == into


def test_a_tidy_scene_needs_nothing():
    goal = {"cubes": np.array([ON_TABLE]), "buttons": np.array([1, 0]), "drawer": 0.0, "window": 0.2}
    assert plan(World((1, 0), window=0.2), goal) is None


def test_a_lock_is_opened_before_and_set_after():
    goal = {"cubes": np.array([ON_TABLE]), "buttons": np.array([0, 0]), "drawer": OPEN_DRAWER, "window": 0.0}
    steps = work(World((0, 0)), goal)
    assert [(step.kind, step.index, step.place) for step in steps] == [
        ("button", 0, (1,)),
        ("drawer", 0, (OPEN_DRAWER,)),
        ("button", 0, (0,)),
    ]


@settings(max_examples=40)
@given(st.sampled_from([(3, 3), (4, 4), (4, 5), (4, 6)]), st.data())
def test_any_board_that_buttons_made_is_brought_to_the_goal(size, data):
    count = size[0] * size[1]
    world = World(np.zeros(count, int), rows=size[0], columns=size[1])
    for index in data.draw(st.lists(st.integers(0, count - 1), max_size=12)):
        world.do(SimpleNamespace(kind="button", index=index))
    world.log.clear()
    pressed = [step.index for step in work(world, {"buttons": np.zeros(count, int)})]
    assert not world._cur_button_states.any() and len(set(pressed)) == len(pressed)


@pytest.mark.parametrize(("edge", "silent"), [(2, 0), (3, 0), (4, 4), (5, 2), (6, 0), (7, 0), (9, 8)])
def test_boards_have_the_published_number_of_quiet_patterns(edge, silent):
    """Anderson and Feil 1998 (and OEIS A159257): the nullity of the n x n game of lights out."""
    presses = np.stack([lights_out(edge, edge, row) for row in reach(edge)])
    rank = binary_rank(presses)
    assert edge * edge - rank == silent


def reach(edge):
    place = np.indices((edge, edge)).reshape(2, -1)
    return (np.abs(place[:, :, None] - place[:, None]).sum(axis=0) <= 1).astype(int)


def binary_rank(rows):
    numbers, rank = [int("".join(map(str, row)), 2) for row in rows], 0
    while numbers:
        top = numbers.pop()
        if top:
            rank += 1
            low = top & -top
            numbers = [number ^ top if number & low else number for number in numbers]
    return rank


def test_the_oracle_is_told_the_cubes_place():
    info = told(World(), SimpleNamespace(kind="cube", index=2, place=(0.1, 0.2, 0.3)))
    assert info["privileged/target_block"] == 2 and info["privileged/target_block_yaw"] == 0
    np.testing.assert_allclose(info["privileged/target_block_pos"], [0.1, 0.2, 0.3])


def test_the_oracle_is_told_which_button_and_its_top_is_a_copy():
    world = World()
    info = told(world, SimpleNamespace(kind="button", index=1, place=(1,)))
    assert info["privileged/target_button_state"] == 1
    info["privileged/target_button_top_pos"] += 9
    np.testing.assert_allclose(world._data.site_xpos[1], [0, 0.3, 0])


@pytest.mark.parametrize("name", ["drawer", "window"])
def test_a_handle_is_asked_for_along_its_own_rail(name):
    world = World(drawer=-0.05, window=0.1)
    info = told(world, SimpleNamespace(kind=name, index=0, place=(0.12,)))
    np.testing.assert_allclose(info[f"privileged/target_{name}_handle_pos"], 0.5 + AXES[name] * 0.12)
    np.testing.assert_allclose(info[f"privileged/{name}_handle_pos"], 0.5 + AXES[name] * world.slides[name])


def test_other_worlds_are_refused():
    with pytest.raises(ConfigError, match="cannot act in 'dots'"):
        experts.make("ogbench", "cube-single-task1").act(make("dots"))

"""Ways round a wall: they are distinct, the sentence may ask for one, and the wall must not be touched."""

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="MuJoCo is not installed")

from embodia.core.seeds import generator
from embodia.envs.desk import tasks
from embodia.envs.desk.build import Models
from embodia.envs.desk.tasks import detour
from embodia.envs.desk.world import World
from embodia.generate.experts import desk as experts
from embodia.generate.experts._desk_motion import hand_action

pytestmark = pytest.mark.sim

MODELS = Models()
REACH, CARRY = "detour/reach/red-cube", "detour/carry/blue-cube"


def begin(name, seed):
    """A world at the start of a task."""
    world = World(tasks.get(name).scene(generator(seed, "desk", name)), models=MODELS)
    world.settle()
    return world


def play(name, seed, *, style="direct", acted="", limit=200):
    """Whether `name` holds at some step, its memory then, and where the tool was, in the frame of the wall."""
    world, task = begin(name, seed), tasks.get(name)
    expert, memory, path = experts.build(acted or name, style), task.begin(world), []
    for _ in range(limit):
        world.apply(expert.choose(world))
        path.append(detour.past_wall(world, world.tool()[0]))
        if task.success(world, memory):
            return True, memory, np.array(path)
    return False, memory, np.array(path)


def crossing(path):
    """Where a path goes through the plane of the wall for the last time: aside and height."""
    last = max(i for i in range(1, len(path)) if path[i - 1][0] <= 0 < path[i][0])
    share = -path[last - 1][0] / (path[last][0] - path[last - 1][0])
    return (path[last - 1] + share * (path[last] - path[last - 1]))[1:]


@pytest.mark.parametrize("name", [REACH, CARRY])
@pytest.mark.parametrize(("style", "way"), [("left_route", "left"), ("right_route", "right"), ("direct", "over")])
def test_styles_take_three_distinct_ways(name, style, way):
    for seed in range(3):
        done, memory, path = play(name, seed, style=style)
        aside, height = crossing(path)
        wide, high = detour.wall(begin(name, seed)).size_m[1:]
        assert done and memory["way"] == way
        if way == "over":
            assert abs(aside) < wide and height > 2 * high
        else:
            assert aside * (1 if way == "left" else -1) > wide and height < 2 * high + 0.02


def test_two_routes_is_a_fair_mixture_of_left_and_right_and_repeats():
    def ways(count):
        return [play(REACH, seed, style="two_routes")[1]["way"] for seed in range(count)]

    found = ways(14)
    assert set(found) == {"left", "right"} and 3 <= found.count("left") <= 11
    assert found[:3] == ways(3)


@pytest.mark.parametrize("way", detour.WAYS)
def test_the_sentence_decides_the_way_whatever_the_style(way):
    for verb in ("reach", "carry"):
        done, memory, _ = play(f"detour/{verb}/green-cube/{way}", 4, style="right_route")
        assert done and memory["way"] == way


@pytest.mark.parametrize("verb", ["reach", "carry"])
def test_another_way_or_another_cube_is_a_failure(verb):
    name = f"detour/{verb}/red-cube/left"
    for other in tasks.get(name).partners:
        assert not play(name, 5, acted=other, limit=90)[0], other
    assert play(name, 5)[0]


def test_the_straight_way_runs_into_the_wall_and_that_cannot_be_made_good():
    touched = 0
    for seed in range(6):
        world, task = begin(REACH, seed), tasks.get(REACH)
        memory, goal = task.begin(world), world.pose("red-cube")[0] + np.array([0.0, 0.0, 0.02])
        done = False
        for _ in range(60):
            world.apply(hand_action(world, goal, closed=1.0))
            done = done or task.success(world, memory)
        if not memory["touched"]:
            continue
        touched += 1
        expert = experts.build(REACH)
        for _ in range(100):
            world.apply(expert.choose(world))
            done = done or task.success(world, memory)
        assert not done
    assert touched >= 5


def test_going_back_takes_the_crossing_back():
    world, task = begin(REACH, 0), tasks.get(REACH)
    memory = task.begin(world)
    expert = experts.build(REACH, "left_route")
    while not task.success(world, memory):
        world.apply(expert.choose(world))
    assert memory["way"] == "left"
    up, back = world.tool()[0] + np.array([0.0, 0.0, 0.25]), world.pose("wall")[0] + np.array([-0.1, 0.0, 0.3])
    for step in range(60):
        world.apply(hand_action(world, up if step < 25 else back))
        task.success(world, memory)
    assert memory["way"] == "" and not memory["touched"]


@pytest.mark.parametrize(("aside", "way"), [(0.2, "left"), (-0.2, "right"), (0.05, "over"), (-0.05, "over")])
def test_a_way_is_the_side_of_the_crossing(aside, way):
    assert detour.way_of(np.array([0.0, aside, 0.3]), 0.09) == way


def test_the_frame_of_the_wall_turns_with_it():
    world = begin(REACH, 2)
    block = detour.wall(world)
    turn = block.yaw_rad
    ahead = np.array([np.cos(turn), np.sin(turn), 0.0])
    left = np.array([-np.sin(turn), np.cos(turn), 0.0])
    point = np.array(block.position_m) + 0.1 * ahead + 0.03 * left + np.array([0.0, 0.0, 0.2])
    assert np.allclose(detour.past_wall(world, point), (0.1, 0.03, 0.2), atol=1e-9)


@pytest.mark.parametrize("name", [REACH, CARRY, "detour/carry/red-cube/over"])
def test_scenes_put_the_wall_between_and_nothing_touches_it(name):
    for seed in range(10):
        world, task = begin(name, seed), tasks.get(name)
        memory = task.begin(world)
        assert not task.success(world, memory) and not memory["touched"]
        wide = detour.wall(world).size_m[1]
        start = world.tool()[0] if "reach" in name else world.pose(task.target)[0]
        goal = world.pose(task.goal or task.target)[0]
        start, goal = detour.past_wall(world, start), detour.past_wall(world, goal)
        assert start[0] < -0.03 and goal[0] > 0.03
        assert abs(start[1] - (goal[1] - start[1]) / (goal[0] - start[0]) * start[0]) < wide


@pytest.mark.parametrize("style", ["direct", "left_route", "right_route", "two_routes", "sloppy"])
def test_every_style_succeeds(style):
    results = [play(name, seed, style=style)[0] for name in (REACH, CARRY) for seed in range(20, 25)]
    assert sum(results) >= (8 if style == "sloppy" else 10)


def test_open_and_named_ways_are_no_partners():
    for task in map(tasks.get, tasks.names(family="detour")):
        others = [tasks.get(name) for name in task.partners]
        assert all(bool(other.request.manner) == bool(task.request.manner) for other in others)
        assert all(task.name in other.partners for other in others)
        said = task.sentences("canonical")[0]
        assert ("passing" in said) == bool(task.request.manner)

"""A body on wheels: ways are short and keep clear of walls, hitting one fails, the sentence decides where to."""

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="MuJoCo is not installed")

from embodia import envs
from embodia.core.errors import EnvironmentFailure
from embodia.core.seeds import generator
from embodia.envs import EnvConfig
from embodia.envs.desk import tasks
from embodia.envs.desk.build import Models
from embodia.envs.desk.scenes import Fixture
from embodia.envs.desk.tasks import _room as room
from embodia.envs.desk.world import World
from embodia.generate.experts import _desk_drive as driving
from embodia.generate.experts import desk as experts
from embodia.generate.experts._desk_hand import Hand

pytestmark = pytest.mark.sim

MODELS = Models()
SAMPLE = ("navigate/red-mark", "navigate/purple-mark", "errand/press/green-button", "errand/pick/blue-cube")
LIMIT = 240


def wall(at, yaw=0.0, half=0.3):
    return Fixture(kind="wall", name=f"wall{at}", size_m=(half, 0.03, 0.08), position_m=(*at, 0.0), yaw_rad=yaw)


def begin(name, seed):
    world = World(tasks.get(name).scene(generator(seed, "desk", name)), models=MODELS)
    world.settle()
    return world


def play(name, seed, *, acted="", limit=LIMIT):
    world, task = begin(name, seed), tasks.get(name)
    expert, memory = experts.build(acted or name), task.begin(world)
    for step in range(limit):
        world.apply(expert.choose(world))
        if task.success(world, memory):
            return step + 1
    return 0


def distance_to_box(place, item):
    """An independent measure: the nearest of many points on the rim and inside of a wall."""
    u, v = np.meshgrid(np.linspace(-1, 1, 61), np.linspace(-1, 1, 15))
    local = np.stack([u.ravel() * item.size_m[0], v.ravel() * item.size_m[1]])
    cos, sin = np.cos(item.yaw_rad), np.sin(item.yaw_rad)
    points = np.array([[cos, -sin], [sin, cos]]) @ local + np.array(item.position_m[:2])[:, None]
    return np.hypot(*(points - np.asarray(place)[:, None])).min()


def test_an_empty_room_is_crossed_almost_straight():
    way = room.Floor(()).way(np.array([-1.0, -0.5]), np.array([1.0, 0.5]))
    length = np.hypot(*np.diff(way, axis=0).T).sum()
    assert np.allclose(way[0], (-1.0, -0.5)) and np.allclose(way[-1], (1.0, 0.5))
    assert length < 1.09 * np.hypot(2.0, 1.0)


def test_ways_keep_clear_of_turned_walls_and_go_round_them():
    walls = [wall((0.0, 0.0), yaw=1.2, half=0.5), wall((0.5, -0.4), yaw=-0.4)]
    floor, start, end = room.Floor(walls), np.array([-0.8, 0.0]), np.array([0.9, 0.0])
    way = floor.way(start, end)
    assert not floor.straight(start, end)
    for place in way:
        assert min(distance_to_box(place, item) for item in walls) > room.BASE_M + room.CLEAR_M - 0.02
    assert np.abs(way[:, 1]).max() > 0.5
    assert np.hypot(*np.diff(way, axis=0).T).max() < 0.12


def test_lengths_agree_with_the_ways_themselves():
    floor = room.Floor([wall((0.0, 0.0), yaw=np.pi / 2, half=0.6)])
    start, ends = np.array([-0.6, 0.0]), np.array([[0.6, 0.0], [-0.6, 0.8], [0.5, -0.9]])
    measured = [np.hypot(*np.diff(floor.way(start, end), axis=0).T).sum() for end in ends]
    assert np.allclose(floor.lengths(start, ends), measured, atol=0.1)
    assert floor.lengths(start, ends)[0] > 1.5


def test_where_no_way_leads_is_said():
    ring = [
        wall((x, y), yaw, 0.6) for x, y, yaw in ((0.6, 0, np.pi / 2), (-0.6, 0, np.pi / 2), (0, 0.6, 0), (0, -0.6, 0))
    ]
    floor = room.Floor(ring)
    with pytest.raises(EnvironmentFailure):
        floor.way(np.zeros(2), np.array([1.1, 1.1]))
    assert np.isinf(floor.lengths(np.zeros(2), np.array([[1.1, 1.1]]))[0])


def test_one_stands_before_a_thing_where_no_wall_is_between():
    thing, barrier = np.array([0.0, 0.0]), wall((0.3, 0.0), yaw=np.pi / 2, half=0.2)
    places = room.Floor([barrier]).stands(thing, room.STAND_M)
    assert 4 < len(places) < 24
    assert np.allclose(np.hypot(*places.T), room.STAND_M)
    assert not any(np.hypot(*(place - (room.STAND_M, 0.0))) < 0.1 for place in places)


def test_families_and_partners():
    assert len(tasks.names(body="mobile", family="navigate")) == 6
    assert len(tasks.names(body="mobile", family="errand")) == 12
    for name in tasks.names(body="mobile"):
        task = tasks.get(name)
        for other in map(tasks.get, task.partners):
            assert name in other.partners
            assert other.scene(np.random.default_rng(5)) == task.scene(np.random.default_rng(5))
            assert other.sentences("canonical") != task.sentences("canonical")


@pytest.mark.parametrize("name", SAMPLE)
def test_at_the_start_nothing_is_done_nothing_is_hit_and_all_is_far(name):
    for seed in range(4):
        world, task = begin(name, seed), tasks.get(name)
        memory = task.begin(world)
        assert not task.success(world, memory) and not memory["hit"]
        for wanted in (task, *map(tasks.get, task.partners)):
            assert np.hypot(*(world.pose(wanted.target)[0][:2] - world.base()[:2])) > 0.7


@pytest.mark.parametrize("name", SAMPLE)
def test_the_expert_does_it_and_one_who_listens_to_another_sentence_does_not(name):
    assert all(play(name, seed) for seed in range(3))
    assert play(name, 0, acted=tasks.get(name).partners[0]) == 0


@pytest.mark.parametrize("style", ["sloppy", "left_route"])
def test_other_styles_arrive_too(style):
    world, task = begin(SAMPLE[0], 3), tasks.get(SAMPLE[0])
    expert, memory = experts.build(SAMPLE[0], style), task.begin(world)
    assert any(world.apply(expert.choose(world)) or task.success(world, memory) for _ in range(LIMIT))


def straight_on(world, target):
    """Drive at the goal as if there were no walls."""
    hand = Hand(world=world)
    return driving._rolling(hand, world.pose(target)[0][:2] - world.base()[:2], None)


def test_who_drives_straight_at_the_mark_hits_a_wall_and_has_failed():
    failed = 0
    for seed in range(6):
        world, task = begin(SAMPLE[0], seed), tasks.get(SAMPLE[0])
        memory = task.begin(world)
        done = [world.apply(straight_on(world, task.target)) or task.success(world, memory) for _ in range(120)]
        failed += memory["hit"] and not any(done)
    assert failed == 6


def test_a_wall_that_was_hit_is_never_forgiven():
    world, task = begin(SAMPLE[0], 0), tasks.get(SAMPLE[0])
    memory = task.begin(world) | {"hit": True}
    expert = experts.build(SAMPLE[0])
    assert not any(world.apply(expert.choose(world)) or task.success(world, memory) for _ in range(LIMIT))


def test_driving_across_the_mark_is_not_arriving():
    world, task = begin(SAMPLE[0], 0), tasks.get(SAMPLE[0])
    memory, address = task.begin(world), world.wheels.joints.start
    mark = world.pose(task.target)[0][:2]
    for along in np.linspace(-0.3, 0.3, 20):
        world.data.qpos[address : address + 2] = mark[0] + along, mark[1]
        world.set_state(world.state())
        assert not task.success(world, memory)
    world.data.qpos[address : address + 2] = mark
    world.set_state(world.state())
    assert not task.success(world, memory)
    assert task.success(world, memory)


def test_a_light_touch_is_allowed_a_push_is_not():
    for force, expected in ((room.LIGHT_N - 1, False), (room.LIGHT_N + 1, True)):
        world = begin(SAMPLE[0], 0)
        names = [item.name for item in world.scene.fixtures if item.kind == "wall"]
        world.contact_force = lambda name, force=force, names=names: force if name == names[0] else 0.0
        assert room.hit(world, room.unhurt(world)) is expected


def test_the_hand_turns_in_the_world_whichever_way_the_base_looks():
    world = begin("errand/pick/red-cube", 1)
    hand = Hand(world=world)
    start, point = hand.yaw, hand.at
    for _ in range(20):
        world.apply(hand.toward(point, start + 0.5))
    assert abs(hand.yaw - start - 0.5) < 0.08
    assert np.linalg.norm(hand.at - point) < 0.02


def test_the_base_is_where_the_scene_put_it_and_zero_without_wheels():
    world = begin(SAMPLE[0], 2)
    assert np.allclose(world.base(), world.scene.start_base, atol=1e-3)
    assert np.array_equal(begin("reach/red-cube", 0).base(), np.zeros(3))


def test_a_cloud_of_points_covers_the_room():
    env = envs.make("desk", EnvConfig(height=64, width=64, options={"body": "mobile", "senses": "points"}))
    env.reset("navigate/red-mark", 0)
    points = env.observe().points[0, 0]
    env.close()
    width, depth = np.ptp(points[:, 0]), np.ptp(points[:, 1])
    assert 2.0 < width <= 3.3 and 2.0 < depth <= 3.3  # a room of 3.2 m, a little turned

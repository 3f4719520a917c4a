"""The PushT expert: its geometry against the package, its trial table against the real one, and its pushes."""

from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("gym_pusht", reason="gym-pusht is not installed")

from shapely.geometry import LineString, Point, Polygon

from embodia.core.errors import ConfigError, UnknownNameError
from embodia.envs import EnvConfig, make
from embodia.generate.experts import make as make_expert
from embodia.generate.experts._pusht_table import FINGER_PX, Trial, contacts, distance, outline, way_round

pytestmark = pytest.mark.sim
POSE = np.array([200.0, 300.0, 0.7])


@pytest.fixture(scope="module")
def env():
    made = make("pusht", EnvConfig())
    yield made
    made.close()


def test_outline_is_the_packages(env):
    env.reset("push-t", 4)
    table = env.simulation.table
    known = {tuple(point.round(3)) for point in table.get_keypoints(table._block_shapes)}
    mine = {tuple(point.round(3)) for point in outline(np.array([*table.block.position, table.block.angle]))}
    assert mine == known


def test_distance_of_a_shift_is_the_shift():
    assert distance(POSE, POSE + np.array([3, 4, 0])) == pytest.approx(5.0)
    assert distance(POSE, POSE) == 0.0 and distance(POSE, POSE + np.array([0, 0, np.pi])) > 50


def test_contacts_lie_on_the_outline_and_point_inward():
    shape = Polygon(outline(POSE))
    found = contacts(POSE)
    assert len(found) > 20
    for point, inward in found:
        assert shape.exterior.distance(Point(point)) < 1e-6 and np.linalg.norm(inward) == pytest.approx(1.0)
        assert shape.contains(Point(point + 2 * inward)) and not shape.contains(Point(point - 2 * inward))


@pytest.mark.parametrize("seed", range(8))
def test_ways_keep_off_the_t(seed):
    rng = np.random.default_rng(seed)
    pose = np.array([*rng.uniform(180, 330, 2), rng.uniform(-3, 3)])
    shape = Polygon(outline(pose))
    free = [p for p in rng.uniform(30, 480, (60, 2)) if shape.distance(Point(p)) > FINGER_PX + 5]
    start, goal = free[0], free[-1]
    way = way_round(start, goal, pose)
    assert np.allclose(way[-1], goal)
    for a, b in pairwise([start, *way]):
        assert shape.distance(LineString([a, b])) > FINGER_PX - 2


def test_no_way_into_the_t():
    assert way_round(np.array([30.0, 30.0]), outline(POSE).mean(axis=0), POSE) == []


def test_a_tried_push_comes_true(env):
    env.reset("push-t", 0)
    table = env.simulation.table
    table.block.angle, table.block.position = 0.3, (250, 200)
    table.block.velocity, table.block.angular_velocity = (0, 0), 0
    table.agent.position, table.agent.velocity = (240, 150), (0, 0)
    start = np.array([*table.block.position, table.block.angle])
    target = np.array([255.0, 215.0], np.float32)
    tried = Trial().push(start, np.array(table.agent.position), target, 6)
    for _ in range(6):
        env.step(target)
    real = np.array([*table.block.position, table.block.angle])
    assert distance(start, real) > 5 and distance(tried, real) < 2.0


def test_it_pushes_the_t_home_and_repeats_itself(env):
    def play(seed):
        expert, actions = make_expert("pusht", "push-t"), []
        env.reset("push-t", seed)
        expert.begin()
        for _ in range(300):
            actions.append(expert.act(env))
            if env.step(actions[-1])[4]["success"]:
                return actions
        return None

    first = play(100_003)
    assert first is not None and play(100_002) is not None
    assert np.array_equal(first, play(100_003))
    assert all(((action >= 0) & (action <= 512)).all() for action in first)


def test_other_tasks_and_environments_are_refused():
    with pytest.raises(UnknownNameError):
        make_expert("pusht", "push-x")
    with pytest.raises(ConfigError, match="cannot act"):
        make_expert("pusht", "push-t").act(make("metaworld", EnvConfig(tasks=("reach",))))

"""A batch against its worlds alone, and a robot against the protocol."""

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="MuJoCo is not installed")

from embodia.core.errors import ConfigError, NotFiniteError
from embodia.core.protocols import Robot
from embodia.envs.desk.batch import WorldBatch
from embodia.envs.desk.robot import DeskRobot
from embodia.envs.desk.scenes import Fixture, Scene, Thing
from embodia.envs.desk.world import World
from embodia.envs.protocol import CameraView

BODIES = ("arm7", "arm6", "bimanual", "mobile", "hand")
SHAPES = (("box", (0.02, 0.02, 0.02)), ("sphere", (0.02,)), ("cylinder", (0.02, 0.02)), ("cup", (0.03, 0.03)))


def scene(seed):
    rng = np.random.default_rng(seed)
    things = []
    for k in range(seed % 4):
        shape, size = SHAPES[rng.integers(len(SHAPES))]
        place = (0.12 * k - 0.15, float(rng.uniform(-0.2, 0.2)), size[-1])
        things.append(Thing(name=f"thing{k}", shape=shape, size_m=size, position_m=place))
    fixtures = (Fixture(kind="button", name="b", size_m=(0.02, 0.01), position_m=(0.3, 0.0, 0.0)),) * (seed % 2)
    return Scene(body=BODIES[seed % 5], things=tuple(things), fixtures=fixtures)


def actions(worlds, step):
    rng = np.random.default_rng(step)
    return [rng.uniform(-1, 1, world.action_spec.dim) for world in worlds]


@pytest.mark.parametrize("threads", [1, 3])
def test_different_worlds_together_do_what_they_do_alone(threads):
    scenes = [scene(seed) for seed in range(20)]
    alone = [World(item) for item in scenes]
    with WorldBatch(scenes, threads=threads) as batch:
        assert len({world.model.nv for world in batch.worlds}) > 5
        for step in range(15):
            chosen = actions(alone, step)
            batch.step(chosen)
            for world, action in zip(alone, chosen, strict=True):
                world.apply(action)
        for world, other in zip(alone, batch.worlds, strict=True):
            assert np.abs(world.state() - other.state()).max() <= 1e-12


def test_a_batch_is_drawn_and_a_place_starts_anew():
    views = (CameraView(name="front", height=32, width=32),)
    with WorldBatch([scene(seed) for seed in range(6)]) as batch:
        batch.settle(0.1)
        first = batch.draw(views)["front"]
        assert first.rgb.shape == (6, 32, 32, 3) and first.depth.shape == (6, 32, 32)
        kept = first.rgb[2].copy()
        batch.start(3, Scene(things=(Thing(name="new", rgba=(0.0, 0.0, 1.0, 1.0), size_m=(0.06, 0.06, 0.06)),)))
        second = batch.draw(views)["front"]
        assert np.array_equal(second.rgb[2], kept)
        assert not np.array_equal(second.rgb[3], first.rgb[3])


def test_wrong_use_of_a_batch():
    with pytest.raises(ConfigError):
        WorldBatch([])
    with WorldBatch([scene(0)]) as batch, pytest.raises(ConfigError):
        batch.step([])


@pytest.fixture
def robot():
    world = World(Scene(things=(Thing(name="block"),)))
    world.settle()
    return DeskRobot(world, (CameraView(name="wrist", height=16, width=16),))


def test_a_desk_body_is_a_robot(robot):
    assert isinstance(robot, Robot)
    seen = robot.observe()
    assert seen.state.shape == (1, 1, robot.contract.observation.state_dim)
    assert seen.images["wrist"].shape == (1, 1, 16, 16, 3)
    low, high = robot.limits()["joints"]
    assert ((seen.state[0, 0, :7] > low) & (seen.state[0, 0, :7] < high)).all()


def test_it_moves_only_when_armed(robot):
    forward = np.array([1.0, 0, 0, 0, 0, -1])
    start = robot.world.tool()[0]
    robot.command(forward)
    assert robot.ignored == 1 and np.linalg.norm(robot.world.tool()[0] - start) < 2e-3
    robot.arm()
    for _ in range(5):
        robot.command(forward)
    there = robot.world.tool()[0]
    assert there[0] - start[0] > 0.05
    robot.stop()
    for _ in range(20):
        robot.command(forward)
    assert robot.world.tool()[0][0] - there[0] < 0.03 and robot.mode == "stopped"
    with pytest.raises(NotFiniteError):
        robot.command(np.full(6, np.inf))


def test_hold_stays_and_keeps_what_is_held(robot):
    robot.arm()
    for _ in range(10):
        robot.command(np.array([0, 0, -0.5, 0, 0, -1.0]))
    close = np.array([0.0, 0, 0, 0, 0, 1.0])
    for _ in range(10):
        robot.command(close)
    opening, place = robot.world.gripper(), robot.world.tool()[0]
    for _ in range(40):
        robot.hold()
    assert robot.mode == "holding"
    assert robot.world.gripper() == pytest.approx(opening, abs=0.02)
    assert np.linalg.norm(robot.world.tool()[0] - place) < 0.01

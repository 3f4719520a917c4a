"""ALOHA's experts: their arm models against the benchmark's, the course of a movement, both tasks done by the rules."""

import numpy as np
import pytest

pytest.importorskip("gym_aloha", reason="gym-aloha is not installed")

import mujoco
from scipy.spatial.transform import Rotation

from embodia.core.errors import ConfigError, UnknownNameError
from embodia.core.seeds import generator
from embodia.envs import EnvConfig, make
from embodia.envs.desk.kinematics import Solver
from embodia.generate.disturb import Disturbance, NoiseConfig
from embodia.generate.experts import make as make_expert
from embodia.generate.experts._aloha_arms import SIDES, Arm, Hands, Move, Pose, arm_model, between, smooth, turn

pytestmark = pytest.mark.sim
REST = np.array([0.0, -0.96, 1.16, 0.0, -0.3, 0.0])


@pytest.fixture(scope="module")
def env():
    made = make("gym_aloha", EnvConfig(success_ends=False))
    yield made
    made.close()


def put(model, data, side, joints):
    start = 0 if side == "left" else 8
    data.qpos[:] = 0
    data.qpos[start : start + 6] = joints
    mujoco.mj_kinematics(model, data)


def rotation(quaternion):
    return Rotation.from_quat(quaternion, scalar_first=True)


@pytest.mark.parametrize("side", SIDES)
def test_the_bare_arm_has_its_tool_where_the_benchmark_has_its_fingers(env, side):
    env.reset("transfer-cube", 0)
    model = env.simulation.model
    data, bare = mujoco.MjData(model), arm_model(model, side)
    assert bare.nv == 5 and np.allclose(bare.jnt_range[1], [-1.85005, 1.25664])
    solver, site = Solver(bare, np.delete(REST, 3)), model.site(f"cali_{side}_site1").id
    for joints in np.random.default_rng(1).uniform(-1, 1, (20, 6)):
        joints[3] = 0
        put(model, data, side, joints)
        point, matrix = solver.pose(np.delete(joints, 3))
        assert np.allclose(point, data.site_xpos[site], atol=1e-6)
        assert np.allclose(matrix, data.site_xmat[site].reshape(3, 3), atol=1e-6)


@pytest.mark.parametrize("side", SIDES)
def test_joint_targets_bring_the_benchmarks_fingers_to_the_asked_pose(env, side):
    env.reset("transfer-cube", 0)
    model = env.simulation.model
    data, site = mujoco.MjData(model), model.site(f"cali_{side}_site1").id
    mount = model.body(f"vx300s_{side}").pos[:2]
    for x, y, z in np.random.default_rng(2).uniform([0.0, 0.4, 0.02], [0.2, 0.6, 0.25], (10, 3)):
        end = Pose(point=np.array([x if side == "right" else -x, y, z]), down_rad=1.0, roll_rad=0.4)
        arm = Arm(model, side, REST)
        for share in np.linspace(0, 1, 30):
            joints = arm.targets(between(arm.start, end, share))
        put(model, data, side, joints)
        assert joints[3] == 0 and np.linalg.norm(data.site_xpos[site] - end.point) < 1e-3
        assert np.allclose(arm.point(joints), data.site_xpos[site], atol=1e-6)
        found = Rotation.from_matrix(data.site_xmat[site].reshape(3, 3))
        assert (rotation(turn(end, mount)).inv() * found).magnitude() < 0.01


def test_an_arm_starts_where_it_rests(env):
    env.reset("transfer-cube", 0)
    arm = Arm(env.simulation.model, "left", REST)
    assert np.allclose(arm.targets(arm.start), REST, atol=1e-3)
    assert arm.start.down_rad == pytest.approx(REST[[1, 2, 4]].sum(), abs=1e-6), "the three joints that tip the tool"


def test_a_tool_looks_away_from_its_mount_tipped_and_rolled():
    mount = np.array([0.0, 0.0])
    tipped = rotation(turn(Pose(point=np.array([0.3, 0, 0]), down_rad=np.deg2rad(60)), mount)).as_matrix()
    assert np.allclose(tipped[:, 0], [0.5, 0, -np.sqrt(3) / 2]) and np.allclose(tipped[:, 1], [0, 1, 0])
    away = rotation(turn(Pose(point=np.array([-0.3, 0.3, 0])), mount)).as_matrix()
    assert np.allclose(away[:, 0], np.array([-1, 1, 0]) / np.sqrt(2))
    on_edge = rotation(turn(Pose(point=np.array([0.3, 0, 0]), roll_rad=np.pi / 2), mount)).as_matrix()
    assert np.allclose(on_edge[:, 1], [0, 0, 1], atol=1e-9)


def test_movements_begin_and_end_at_rest():
    share = np.array([smooth(step) for step in np.linspace(0, 1, 1001)])
    speed = np.diff(share) * 1000
    assert share[0] == 0 and share[-1] == 1 and share[500] == pytest.approx(0.5)
    assert (speed >= 0).all() and speed[0] < 1e-3 and speed[-1] < 1e-3
    assert speed.max() == pytest.approx(1.875, abs=1e-3), "the known peak of a minimum-jerk movement"


def test_between_is_straight():
    start = Pose(point=np.zeros(3), down_rad=0.2, roll_rad=0.0)
    end = Pose(point=np.array([0.2, 0, 0.4]), down_rad=1.0, roll_rad=-1.0)
    found = between(start, end, 0.25)
    assert np.allclose(found.point, [0.05, 0, 0.1]) and found.down_rad == pytest.approx(0.4)
    assert found.roll_rad == pytest.approx(-0.25) and np.array_equal(between(start, end, 1.0).point, end.point)


def test_a_move_waits_for_the_hands_but_not_for_ever(env):
    env.reset("transfer-cube", 0)
    rest = np.stack([REST, REST])
    hands = Hands(env.simulation.model, rest)
    away = Move(left=lambda physics: Pose(point=np.array([-0.1, 0.5, 0.2])), grips=(1.0, 0.0), steps=4, patience=3)
    script = (away, Move(grips=(0.0, 1.0), steps=4, patience=0))
    asked = np.array([hands.ask(env.simulation.physics, script, rest) for _ in range(12)])
    assert (asked[:7, 6] == 1).all() and (asked[7:, 6] == 0).all(), "four steps and three of patience"
    assert (asked[:7, 13] == 0).all() and (asked[7:, 13] == 1).all()
    assert np.allclose(asked[:, 7:13], REST, atol=1e-3), "the right arm was not sent anywhere"
    assert np.allclose(asked[3:, :6], asked[-1, :6], atol=0.05) and not np.allclose(asked[0], asked[3])


def play(env, task, seed, noise=None):
    expert, rewards, actions = make_expert("gym_aloha", task), [], []
    env.reset(task, seed)
    expert.begin()
    for _ in range(260):
        actions.append(expert.act(env))
        executed = actions[-1] if noise is None else noise.apply(actions[-1])
        _, reward, _, _, info = env.step(executed)
        rewards.append(reward)
    return np.array(actions), rewards, info["success"]


@pytest.mark.parametrize("task", ["transfer-cube", "insertion"])
def test_it_does_the_task_stage_by_stage_and_repeats_itself(env, task):
    actions, rewards, success = play(env, task, 100_001)
    assert success and rewards[-1] == 4 and {1.0, 2.0} <= set(rewards)
    assert max(rewards.index(1.0), rewards.index(2.0)) < 120 < rewards.index(4.0) < 230
    low, high = env.simulation.model.actuator_ctrlrange.T
    arms = [*range(6), *range(7, 13)]
    limits = [*range(6), *range(8, 14)]
    assert (actions[:, arms] >= low[limits] - 1e-6).all() and (actions[:, arms] <= high[limits] + 1e-6).all()
    assert np.abs(np.diff(actions[:, arms], axis=0)).max() < 0.15, "no leap of a joint target"
    assert np.array_equal(actions, play(env, task, 100_001)[0])


def test_the_right_hand_lets_go_and_the_left_one_keeps_the_cube(env):
    play(env, "transfer-cube", 100_002)
    data = env.simulation.physics.named.data
    cube = np.array(data.xpos["box"])
    assert np.linalg.norm(cube - data.site_xpos["cali_left_site1"]) < 0.03 and cube[2] > 0.15
    assert np.linalg.norm(cube - data.site_xpos["cali_right_site1"]) > 0.1


def test_it_copes_with_a_shaky_hand(env):
    config = NoiseConfig(share=1.0, tremor=0.01, push=0.03)
    done = [
        play(env, "transfer-cube", seed, Disturbance(config, env.contract.action, generator(seed, "x")))[2]
        for seed in (100_003, 100_004)
    ]
    assert all(done)


def test_other_tasks_and_environments_are_refused():
    with pytest.raises(UnknownNameError, match="transfer-cube"):
        make_expert("gym_aloha", "transfer")
    with pytest.raises(ConfigError, match="cannot act"):
        make_expert("gym_aloha", "insertion").act(make("metaworld", EnvConfig(tasks=("reach",))))

"""Inverse kinematics against forward kinematics, and bodies against their descriptions."""

import mujoco
import numpy as np
import pytest

from embodia.core.errors import UnknownNameError
from embodia.envs.desk.bodies import BODIES, body
from embodia.envs.desk.control import action_spec
from embodia.envs.desk.kinematics import tool_quaternion
from embodia.envs.desk.machines import solver
from embodia.envs.desk.scenes import Scene
from embodia.envs.desk.world import World


def turned(axis, angle):
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) if axis == "z" else np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


@pytest.mark.parametrize(("yaw", "tilt"), [(0.0, 0.0), (0.7, 0.0), (0.0, 1.3), (-1.1, 0.4)])
def test_the_tool_points_as_its_angles_say(yaw, tilt):
    found = np.zeros(9)
    mujoco.mju_quat2Mat(found, tool_quaternion(yaw, tilt))
    expected = turned("z", yaw) @ np.diag([1.0, -1.0, -1.0]) @ turned("y", tilt)
    assert np.allclose(found.reshape(3, 3), expected, atol=1e-12)


@pytest.mark.parametrize("name", ["arm7", "arm6", "hand"])
@pytest.mark.parametrize("seed", range(5))
def test_a_pose_asked_for_is_reached(name, seed):
    arm = BODIES[name].arms[0]
    solve = solver(arm)
    rng = np.random.default_rng(seed)
    joints = np.array(arm.home)
    start, _ = solve.pose(joints)
    goal = start + rng.uniform((-0.12, -0.2, -0.12), (0.12, 0.2, 0.1))
    yaw, tilt = rng.uniform(-1.2, 1.2), rng.uniform(0, 0.8)
    for part in np.linspace(0, 1, 25).tolist() + [1.0] * 10:
        joints = solve.solve(joints, start + part * (goal - start), tool_quaternion(part * yaw, part * tilt)).copy()
    point, matrix = solve.pose(joints)
    wanted = np.zeros(9)
    mujoco.mju_quat2Mat(wanted, tool_quaternion(yaw, tilt))
    assert np.linalg.norm(point - goal) < 2e-3
    assert np.abs(matrix - wanted.reshape(3, 3)).max() < 0.02
    assert all(j.low <= q <= j.high for j, q in zip(arm.joints, joints, strict=True))


def test_far_away_poses_do_no_harm():
    arm = BODIES["arm7"].arms[0]
    solve = solver(arm)
    joints = np.array(arm.home)
    for _ in range(50):
        joints = solve.solve(joints, np.array([3.0, 1.0, -2.0]), tool_quaternion(1.0, -1.0)).copy()
    assert np.isfinite(joints).all()
    assert all(j.low <= q <= j.high for j, q in zip(arm.joints, joints, strict=True))


@pytest.mark.parametrize("name", sorted(BODIES))
def test_at_home_the_tool_points_down_within_its_room(name):
    world = World(Scene(body=name))
    world.settle(0.5)
    for index, arm in enumerate(world.arms):
        place = arm.here(world.data)
        assert (place > np.array(arm.arm.low_m)).all() and (place < np.array(arm.arm.high_m)).all()
        down = np.zeros(3)
        mujoco.mju_rotVecQuat(down, np.array([0.0, 0.0, 1.0]), world.tool(index)[1])
        assert down[2] < -0.999
    assert world.data.ncon == 0 or world.body.wheels


@pytest.mark.parametrize("name", sorted(BODIES))
def test_an_action_of_one_moves_the_tool_one_step(name):
    world = World(Scene(body=name))
    world.settle(0.5)
    before = world.tool()[0]
    action = np.zeros(world.action_spec.dim)
    action[:3] = 0.0, 1.0, 0.0
    for _ in range(4):
        world.apply(action)
    for _ in range(4):
        world.apply(0.0 * action)
    moved = world.tool()[0] - before
    assert moved == pytest.approx((0.0, 4 * world.body.step_m, 0.0), abs=0.004)


def test_arm6_has_another_polarity_and_rate():
    seven, six = body("arm7"), body("arm6")
    assert (seven.polarity, six.polarity) == ("positive_closes", "positive_opens")
    assert seven.rate_hz == 2 * six.rate_hz
    for name, sign in (("arm7", 1.0), ("arm6", -1.0)):
        world = World(Scene(body=name))
        action = np.zeros(6)
        action[5] = sign
        for _ in range(10):
            world.apply(action)
        assert world.gripper() < 0.05


def test_the_sizes_of_actions():
    sizes = {name: (action_spec(b, "ee").dim, action_spec(b, "joint").dim) for name, b in BODIES.items()}
    assert sizes == {"arm7": (6, 8), "arm6": (6, 7), "bimanual": (12, 14), "mobile": (9, 11), "hand": (6, 6)}
    with pytest.raises(UnknownNameError):
        body("arm8")


def test_joint_control_turns_the_joints():
    world = World(Scene(body="arm6"), control="joint")
    before = world.data.qpos[:6].copy()
    action = np.zeros(7)
    action[0], action[4] = 1.0, -1.0
    for _ in range(3):
        world.apply(action)
    for _ in range(3):
        world.apply(0.0 * action)
    step = 3 * world.body.joint_rad
    assert world.data.qpos[:6] - before == pytest.approx((step, 0, 0, 0, -step, 0), abs=0.02)

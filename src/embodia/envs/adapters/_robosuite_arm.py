"""One control period of robosuite's arms under operational-space control, without what nobody asked for.

The package computes the whole dynamics three times in each physics step and refreshes every sensor; here positions and
velocities are computed once (`mj_step1`), then torques, then accelerations (`mj_step2`), which MuJoCo's own step does
in this order, and sensors are left alone. Torques are the package's own formulas (Khatib, "A unified approach for
motion and force control of robot manipulators", 1987); the first of a period is computed by the package itself, as
right after a reset it rests on what the arm knew before.
The one thing to watch: the contact solver starts from the step before and not from this one's first try, so states
agree with the package's within its tolerance, not to the last bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class ArmControl:
    """Steps `env`, a robosuite environment, which goes on owning goals, grippers and judging."""

    def __init__(self, env: Any) -> None:
        self._env = env

    @property
    def usable(self) -> bool:
        """Whether this is the control written here: OSC_POSE with fixed gains, no interpolation, and not RK4."""
        import mujoco

        return self._env.sim.model._model.opt.integrator != mujoco.mjtIntegrator.mjINT_RK4 and all(
            control.name == "OSC_POSE"
            and control.impedance_mode == "fixed"
            and control.uncoupling
            and control.interpolator_pos is None
            and control.interpolator_ori is None
            for control in (robot.controller for robot in self._env.robots)
        )

    def step(self, action: Floats) -> float:
        """Play `action`, arm after arm, for one control period and return the task's reward.

        Each arm has six numbers for its hand and those of its gripper. Arms under another control are left to the
        package. Raises what the package raises.
        """
        if not self.usable:
            return float(self._env.step(action)[1])
        import mujoco

        env = self._env
        model, data = env.sim.model._model, env.sim.data._data
        commands = np.split(action, np.cumsum([robot.action_dim for robot in env.robots])[:-1])
        env.timestep += 1
        for number in range(int(env.control_timestep / env.model_timestep)):
            mujoco.mj_step1(model, data)
            for robot, command in zip(env.robots, commands, strict=True):
                _drive(robot, model, data, command, first=number == 0)
            mujoco.mj_step2(model, data)
        env.cur_time += env.control_timestep
        return float(env._post_action(action)[0])


def _drive(robot: Any, model: Any, data: Any, command: Floats, *, first: bool) -> None:
    control = robot.controller
    if first:
        control.set_goal(command[: control.control_dim])
    torques = control.run_controller() if first else _torques(control, robot.eef_site_id, model, data)
    low, high = robot.torque_limits
    data.ctrl[robot._ref_joint_actuator_indexes] = np.minimum(np.maximum(torques, low), high)
    actuators = robot._ref_joint_gripper_actuator_indexes
    low, high = model.actuator_ctrlrange[actuators].T
    share = robot.gripper.format_action(command[control.control_dim :])
    data.ctrl[actuators] = 0.5 * (high + low) + 0.5 * (high - low) * share


def _torques(control: Any, site: int, model: Any, data: Any) -> Floats:
    import mujoco
    from robosuite.utils.control_utils import nullspace_torques, opspace_matrices, orientation_error

    joints, places = control.qvel_index, control.qpos_index
    jacobian = np.zeros((6, model.nv))
    mujoco.mj_jacSite(model, data, jacobian[:3], jacobian[3:], site)
    velocity = jacobian @ data.qvel
    mass = np.empty((model.nv, model.nv))
    mujoco.mj_fullM(model, mass, data.qM)
    mass = mass[np.ix_(joints, joints)]
    jacobian = np.ascontiguousarray(jacobian[:, joints])
    error = np.empty(6)
    error[:3] = control.goal_pos - data.site_xpos[site]
    error[3:] = orientation_error(control.goal_ori, data.site_xmat[site].reshape(3, 3))
    wanted = error * control.kp - velocity * control.kd
    _, by_place, by_turn, null = opspace_matrices(mass, jacobian, jacobian[:3], jacobian[3:])
    wrench = np.concatenate([by_place @ wanted[:3], by_turn @ wanted[3:]])
    torques: Floats = jacobian.T @ wrench + data.qfrc_bias[joints]
    torques += nullspace_torques(mass, null, control.initial_joint, data.qpos[places], data.qvel[joints])
    return torques


__all__ = ["ArmControl"]

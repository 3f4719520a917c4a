"""One control period of a robosuite arm under operational-space control, without what nobody asked for.

The package computes the whole dynamics three times in each physics step and refreshes every sensor; here positions and
velocities are computed once (`mj_step1`), then torques, then accelerations (`mj_step2`), which MuJoCo's own step does
in this order, and sensors are left alone. Torques are the package's own formulas (Khatib, "A unified approach for
motion and force control of robot manipulators", 1987).
The first of a period's torques is the package's own: right after a reset it rests on what the arm knew before.
The one thing to watch: the contact solver starts from the step before and not from this one's first try, so states
agree with the package's within its tolerance, not to the last bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class ArmControl:
    """Steps `env`, a robosuite environment of one arm, which goes on owning goals, gripper and judging."""

    def __init__(self, env: Any) -> None:
        self._env = env
        self._robot = env.robots[0]
        self._control = self._robot.controller

    @property
    def usable(self) -> bool:
        """Whether the arm is one whose control is written here: alone, OSC_POSE without interpolation, no RK4."""
        import mujoco

        control = self._control
        return (
            len(self._env.robots) == 1
            and control.name == "OSC_POSE"
            and control.impedance_mode == "fixed"
            and control.uncoupling
            and control.interpolator_pos is None
            and control.interpolator_ori is None
            and self._env.sim.model._model.opt.integrator != mujoco.mjtIntegrator.mjINT_RK4
        )

    def step(self, action: Floats) -> None:
        """Play `action` (7,), six of the hand and the gripper's, for one control period, and let the task note it."""
        import mujoco

        env = self._env
        model, data = env.sim.model._model, env.sim.data._data
        env.timestep += 1
        for number in range(int(env.control_timestep / env.model_timestep)):
            mujoco.mj_step1(model, data)
            if number == 0:
                self._control.set_goal(action[:-1])
                torques = self._control.run_controller()
            else:
                torques = self._torques(model, data)
            low, high = self._robot.torque_limits
            data.ctrl[self._robot._ref_joint_actuator_indexes] = np.minimum(np.maximum(torques, low), high)
            self._grip(model, data, action[-1:])
            mujoco.mj_step2(model, data)
        env.cur_time += env.control_timestep
        env._post_action(action)

    def _torques(self, model: Any, data: Any) -> Floats:
        import mujoco
        from robosuite.utils.control_utils import nullspace_torques, opspace_matrices, orientation_error

        control, site = self._control, self._robot.eef_site_id
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
        torques = jacobian.T @ wrench + data.qfrc_bias[joints]
        torques += nullspace_torques(mass, null, control.initial_joint, data.qpos[places], data.qvel[joints])
        found: Floats = torques
        return found

    def _grip(self, model: Any, data: Any, command: Floats) -> None:
        actuators = self._robot._ref_joint_gripper_actuator_indexes
        low, high = model.actuator_ctrlrange[actuators].T
        share = self._robot.gripper.format_action(command)
        data.ctrl[actuators] = 0.5 * (high + low) + 0.5 * (high - low) * share


__all__ = ["ArmControl"]

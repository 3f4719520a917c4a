"""The scripted oracles that ship with OGBench, with a planner above them that turns a goal state into their subtasks.

The oracles move one cube, press one button, pull the drawer or push the window. The planner looks at what is not yet as
the goal wants it and names the next subtask: cubes from the bottom of a stack upwards, buttons of a puzzle by solving
the linear system over two elements, locks opened before and set after what they lock. The one thing to watch: an oracle
ends with a short move to a random place, whose numbers come from a generator seeded afresh at `begin`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from embodia.envs.adapters._mujoco import missing
from embodia.envs.adapters.ogbench import Scene, goal_of, scene_of
from embodia.envs.protocol import Env
from embodia.generate.experts._inside import scene

_NEAR_M, _ON_TOP_M, _APART_M = 0.03, 0.025, 0.06
_OPEN_DRAWER, _IN_DRAWER = -0.16, np.array([0.33, -0.24, 0.066])
_SLIDE_M = 0.03
_PATIENCE = 110
"""Control steps after which a subtask is given up for another: a cube squeezed between others cannot be grasped."""
_SPOTS = tuple((x, y) for x in (0.425, 0.33, 0.52) for y in (0.0, 0.27, -0.27, 0.12, -0.12))
_LOCK = {"drawer": 0, "window": 1}
_MOVES = ("cube", "button", "drawer", "window")


@dataclass(frozen=True, kw_only=True)
class Subtask:
    """What an oracle is asked for: a cube's place, a button's state, or where drawer or window shall stand."""

    kind: str
    index: int = 0
    place: tuple[float, ...] = ()


def build(task: str) -> OGBenchExpert:
    """The expert for `task`, or for the `task` in `task@scene`."""
    return OGBenchExpert(task.split("@")[0])


class OGBenchExpert:
    """Plans subtasks and lets the benchmark's oracles do them. Raises `MissingExtraError` at the first action."""

    def __init__(self, task: str) -> None:
        self._number = scene_of(task)[1]
        self.begin()

    def begin(self) -> None:
        """Forget the subtask in hand."""
        self._subtask: Subtask | None = None
        self._oracle: Any = None
        self._begun = self._acted = 0

    def act(self, env: Env) -> npt.NDArray[np.float32]:
        """Hand displacement, turn and gripper (5,), each in [-1, 1]; stillness once all is done."""
        world = scene(env, Scene, "ogbench").env
        goal = goal_of(world, self._number)
        if self._oracle is None or self._oracle.done or self._acted >= _PATIENCE:
            failed = self._subtask.index if self._acted >= _PATIENCE and self._subtask is not None else -1
            self._subtask, self._acted = plan(world, goal, failed), 0
            if self._subtask is None:
                self._oracle = None
                return np.zeros(5, np.float32)
            self._oracle = self._start(world, self._subtask)
        assert self._subtask is not None
        self._acted += 1
        action = self._oracle.select_action(None, told(world, self._subtask))
        return np.clip(np.asarray(action, np.float32), -1.0, 1.0)

    def _start(self, world: Any, subtask: Subtask) -> Any:
        oracle = _oracle(world, subtask.kind)
        kept = np.random.get_state()
        np.random.seed(self._begun)
        self._begun += 1
        try:
            oracle.reset(None, None)
        finally:
            np.random.set_state(kept)
        return oracle


def plan(world: Any, goal: Mapping[str, Any], failed: int = -1) -> Subtask | None:
    """The next subtask on the way to `goal`, with another cube than `failed` if one can be; None when all is done."""
    if "cubes" not in goal:
        return next(iter(_presses(world, goal["buttons"])), None)
    if "buttons" not in goal:
        return _stacking(_cubes(world), goal["cubes"], failed)
    return next(_tidying(world, goal), None)


def told(world: Any, subtask: Subtask) -> dict[str, Any]:
    """What the oracle reads: the benchmark's own quantities and where the subtask wants things."""
    info = dict(world.compute_ob_info())
    if subtask.kind == "cube":
        place = np.array(subtask.place)
        info.update({"privileged/target_block": subtask.index, "privileged/target_block_pos": place})
        info["privileged/target_block_yaw"] = np.zeros(1)
    elif subtask.kind == "button":
        top = world._data.site_xpos[world._button_site_ids[subtask.index]].copy()
        info.update({"privileged/target_button": subtask.index, "privileged/target_button_top_pos": top})
        info["privileged/target_button_state"] = int(subtask.place[0])
    else:
        handle = info[f"privileged/{subtask.kind}_handle_pos"].copy()
        handle += _axis(subtask.kind, world) * (subtask.place[0] - info[f"privileged/{subtask.kind}_pos"][0])
        info[f"privileged/target_{subtask.kind}_handle_pos"] = handle
    return info


def _axis(kind: str, world: Any) -> npt.NDArray[np.float64]:
    joint = world._model.joint(f"{kind}_slide").id
    return np.array(world._data.xaxis[joint])


def _cubes(world: Any) -> npt.NDArray[np.float64]:
    return np.array([world._data.joint(f"object_joint_{i}").qpos[:3] for i in range(world._num_cubes)])


def _stacking(places: npt.NDArray[np.float64], goals: npt.NDArray[np.float64], failed: int) -> Subtask | None:
    """The next cube to move: one that is free, whose support stands and whose place is empty; else one in the way."""
    wrong = [i for i in np.argsort(goals[:, 2], kind="stable") if np.linalg.norm(places[i] - goals[i]) > _NEAR_M]
    wrong.sort(key=lambda i: i == failed)
    free = [i for i in wrong if not _above(places, i)]
    for i in free:
        if _supported(places, goals, i) and not _occupied(places, goals[i], but=i):
            return Subtask(kind="cube", index=int(i), place=tuple(goals[i]))
    in_the_way = free or [i for i in range(len(places)) if wrong and not _above(places, i)]
    return Subtask(kind="cube", index=int(in_the_way[0]), place=_parking(places, goals)) if in_the_way else None


def _above(places: npt.NDArray[np.float64], i: int) -> bool:
    near = np.linalg.norm(places[:, :2] - places[i, :2], axis=1) < _APART_M / 2
    return bool(np.any(near & (places[:, 2] > places[i, 2] + _ON_TOP_M)))


def _supported(places: npt.NDArray[np.float64], goals: npt.NDArray[np.float64], i: int) -> bool:
    below = (np.linalg.norm(goals[:, :2] - goals[i, :2], axis=1) < _APART_M / 2) & (goals[:, 2] < goals[i, 2] - 0.01)
    return all(np.linalg.norm(places[j] - goals[j]) <= _NEAR_M for j in np.flatnonzero(below))


def _occupied(places: npt.NDArray[np.float64], spot: npt.NDArray[np.float64], but: int) -> bool:
    near = np.linalg.norm(places[:, :2] - spot[:2], axis=1) < _APART_M
    same_height = places[:, 2] > spot[2] - _ON_TOP_M
    blocked = near & same_height
    blocked[but] = False
    return bool(blocked.any())


def _parking(places: npt.NDArray[np.float64], goals: npt.NDArray[np.float64]) -> tuple[float, ...]:
    taken = np.concatenate([places, goals])[:, :2]
    room = [min(0.08, float(np.min(np.linalg.norm(taken - np.array(spot), axis=1)))) for spot in _SPOTS]
    return (*_SPOTS[int(np.argmax(room))], 0.02)


def _presses(world: Any, goal: npt.NDArray[np.int_]) -> Iterator[Subtask]:
    states = np.asarray(world._cur_button_states)
    for index in np.flatnonzero(lights_out(world._num_rows, world._num_cols, (states + goal) % 2)):
        yield Subtask(kind="button", index=int(index), place=(1 - int(states[index]),))


def lights_out(rows: int, columns: int, change: npt.NDArray[np.int_]) -> npt.NDArray[np.int_]:
    """Which buttons (R*C,) to press so that exactly the lights in `change` flip, by elimination over two elements."""
    count = rows * columns
    place = np.indices((rows, columns)).reshape(2, count)
    apart = np.abs(place[:, :, None] - place[:, None, :]).sum(axis=0)
    table = np.concatenate([(apart <= 1).astype(np.int_), np.asarray(change, np.int_).reshape(count, 1)], axis=1)
    pivots: list[int] = []
    for column in range(count):
        rest = np.flatnonzero(table[len(pivots) :, column])
        if not len(rest):
            continue
        row = len(pivots)
        table[[row, row + rest[0]]] = table[[row + rest[0], row]]
        hit = np.flatnonzero(table[:, column])
        table[hit[hit != row]] ^= table[row]
        pivots.append(column)
    presses = np.zeros(count, np.int_)
    presses[pivots] = table[: len(pivots), -1]
    return presses


def _tidying(world: Any, goal: Mapping[str, Any]) -> Iterator[Subtask]:
    """Subtasks of the scene with the locked drawer and window, most urgent first."""
    cube, place = _cubes(world)[0], goal["cubes"][0]
    if np.linalg.norm(cube - place) > _NEAR_M + 0.01 and not world._is_in_drawer(cube):
        into_drawer = place[1] < -0.25
        if into_drawer:
            yield from _slide(world, "drawer", _OPEN_DRAWER)
        yield Subtask(kind="cube", place=tuple(_IN_DRAWER if into_drawer else place))
    for name in _LOCK:
        yield from _slide(world, name, goal[name])
    for index in np.flatnonzero(np.asarray(world._cur_button_states) != goal["buttons"]):
        yield Subtask(kind="button", index=int(index), place=(int(goal["buttons"][index]),))


def _slide(world: Any, name: str, wanted: float) -> Iterator[Subtask]:
    if abs(float(world._data.joint(f"{name}_slide").qpos[0]) - wanted) <= _SLIDE_M:
        return
    if world._cur_button_states[_LOCK[name]] == 0:
        yield Subtask(kind="button", index=_LOCK[name], place=(1,))
    yield Subtask(kind=name, place=(wanted,))


def _oracle(world: Any, kind: str) -> Any:
    try:
        from ogbench.manipspace.oracles.markov.button_markov import ButtonMarkovOracle
        from ogbench.manipspace.oracles.markov.cube_markov import CubeMarkovOracle
        from ogbench.manipspace.oracles.markov.drawer_markov import DrawerMarkovOracle
        from ogbench.manipspace.oracles.markov.window_markov import WindowMarkovOracle
    except ModuleNotFoundError as error:
        raise missing("ogbench", error) from error
    classes = (CubeMarkovOracle, ButtonMarkovOracle, DrawerMarkovOracle, WindowMarkovOracle)
    return dict(zip(_MOVES, classes, strict=True))[kind](env=world)

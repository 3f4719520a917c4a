"""What every environment must do, as one function: run it on your own adapter before anything is trained on it.

`check_env(env)` resets, steps and draws, and raises `ContractError` for the first promise that is broken. It needs no
test framework. The one thing to watch: it builds simulators, so it takes seconds.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from embodia.core.errors import ContractError, EmbodiaError, UnknownNameError
from embodia.core.types import Observation, check_observation
from embodia.envs.protocol import Env

_STEPS = 5


def check_env(env: Env, tasks: tuple[str, ...] = (), *, images: bool = True) -> tuple[str, ...]:
    """The names of the promises that were checked on `tasks` (default: the first). Raises `ContractError`."""
    chosen = tasks or env.tasks[:1]
    _promise(isinstance(env, Env), "protocol: a method or attribute of Env is missing")
    _promise(bool(env.tasks), "tasks: at least one is offered")
    for task in chosen:
        _check_words(env, task)
        _check_episode(env, task)
        _check_repeats(env, task)
        _check_partners(env, task)
        if images:
            _check_images(env, task)
    _check_names(env)
    return ("protocol", "words", "episode", "repeats", "partners", *(("images",) if images else ()), "names")


def _promise(kept: bool, text: str) -> None:
    if not kept:
        raise ContractError(f"not an environment as the protocol has it: {text}", leaf=text.split(":")[0])


def _action(env: Env, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    parts = env.contract.action.parts
    return np.concatenate([rng.uniform(part.low, part.high, part.dim) for part in parts]).astype(np.float32)


def _check_words(env: Env, task: str) -> None:
    canonical = env.instructions(task)
    _promise(len(canonical) == 1 and all(canonical), f"words: {task} needs one canonical sentence")
    train, held_out = (set(env.instructions(task, split)) for split in ("train", "held_out"))
    _promise(not train & held_out, f"words: {task} trains on sentences that are held out")
    _promise(not held_out & set(canonical), f"words: the canonical sentence of {task} is held out")


def _check_observation(env: Env, observation: Observation, where: str) -> None:
    try:
        check_observation(observation, env.contract.observation, where=where)
    except EmbodiaError as error:
        raise ContractError(f"{where}: {error}", leaf=error.leaf) from error
    state = observation.state
    if state is not None:
        _promise(state.dtype == np.float32 and state.shape[:2] == (1, 1), f"{where}: state is float32 (1 1 S)")
    _promise(observation.embodiment == env.contract.embodiment, f"{where}: embodiment is the contract's")


def _check_episode(env: Env, task: str) -> None:
    first = env.reset(task, 0)
    _check_observation(env, first, "reset")
    _promise(not first.images, "reset: no images unless asked for")
    for index in range(_STEPS):
        observation, reward, terminated, truncated, info = env.step(_action(env, index))
        _check_observation(env, observation, "step")
        _promise(not observation.images, "step: no images unless asked for")
        _promise(np.isfinite(reward), "step: the reward is finite")
        _promise(isinstance(terminated, bool) and isinstance(truncated, bool), "step: flags are bool")
        _promise(isinstance(info.get("success"), bool), "step: info has a bool success")
        if terminated or truncated:
            return


def _trace(env: Env, task: str, seed: int) -> list[bytes]:
    found = [np.asarray(env.reset(task, seed).state).tobytes()]
    for index in range(_STEPS):
        observation, reward, terminated, truncated, _ = env.step(_action(env, index))
        found.append(np.asarray(observation.state).tobytes() + repr(float(reward)).encode())
        if terminated or truncated:
            break
    return found


def _check_repeats(env: Env, task: str) -> None:
    first = _trace(env, task, 1)
    _trace(env, task, 2)
    _promise(_trace(env, task, 1) == first, f"repeats: {task} differs when (task, seed) is played again")


def _check_partners(env: Env, task: str) -> None:
    env.reset(task, 0)
    _promise(isinstance(env.judge(task), bool), "partners: judge answers with a bool")
    for other in env.scene_partners(task):
        _promise(other != task, "partners: a task is not its own partner")
        _promise(isinstance(env.judge(other), bool), f"partners: {other} can be judged in the scene of {task}")
        _promise(bool(env.instructions(other)), f"partners: {other} has a sentence")


def _check_images(env: Env, task: str) -> None:
    env.reset(task, 0)
    observation = env.observe()
    _check_observation(env, observation, "observe")
    for camera in env.contract.observation.cameras:
        image = observation.images.get(camera.name)
        _promise(image is not None, f"images: camera {camera.name} is missing")
        _promise(image is not None and int(image.max()) > int(image.min()), f"images: {camera.name} shows nothing")
    again = env.observe()
    same = all(np.array_equal(observation.images[name], again.images[name]) for name in observation.images)
    _promise(same, "images: looking twice shows the same")


def _check_names(env: Env) -> None:
    try:
        env.reset("no task has this name", 0)
    except UnknownNameError:
        return
    raise ContractError("not an environment as the protocol has it: names: an unknown task is an UnknownNameError")

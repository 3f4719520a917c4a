"""Names on the wire: which key of a message holds which camera, which state and the sentence.

Every policy server of the field has its own keys, so they are data: a frozen configuration maps our contract to them,
in both directions. The one thing to watch: pictures are never resized here; a size that the contract does not name is
an error, because a silent resize is a hidden variable of a result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from embodia.core.errors import ConfigError, ContractError, ShapeError
from embodia.core.names import unknown
from embodia.core.specs import Contract, ObservationSpec, SenseSpec
from embodia.core.types import ActionChunk, Array, Observation, check_actions, check_observation

WITHIN = ">"
"""`images>top` is the key `top` inside the map `images`; a plain slash is part of a name, as in openpi's keys."""
WHERE = "request"


@dataclass(frozen=True, kw_only=True)
class WireKeys:
    """Where things lie in a message.

    images   camera of the contract -> key; cameras that are left out are not sent
    state    key -> parts of the state, in order; several keys where a server wants the state in pieces
    senses   key of a sense of the contract (touch, depth.front) -> key
    prompt   key of the sentence; empty when none is sent
    actions  key of the chunk (H A) in the answer
    channels_first   pictures are sent (3 H W) instead of (H W 3)
    """

    images: Mapping[str, str] = field(default_factory=dict)
    state: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    senses: Mapping[str, str] = field(default_factory=dict)
    prompt: str = "prompt"
    actions: str = "actions"
    channels_first: bool = False


def openpi_keys(spec: ObservationSpec) -> WireKeys:
    """The names of openpi's examples: the first camera is the scene's, the second the wrist's."""
    named = ("observation/image", "observation/wrist_image")
    images = {
        name: named[i] if i < len(named) else f"observation/image_{name}" for i, name in enumerate(spec.camera_names)
    }
    return WireKeys(
        images=images,
        state=_all_state(spec, "observation/state"),
        senses={sense.key: f"observation/{sense.key}" for sense in spec.senses},
        prompt="prompt" if spec.language else "",
    )


def vla_eval_keys(spec: ObservationSpec) -> WireKeys:
    """The names of vla-eval's benchmarks: a map of pictures by camera, `states`, `task_description`."""
    images = {name: f"images{WITHIN}{name}" for name in spec.camera_names}
    senses = {sense.key: sense.key for sense in spec.senses}
    words = "task_description" if spec.language else ""
    return WireKeys(images=images, state=_all_state(spec, "states"), senses=senses, prompt=words)


def require_keys(keys: WireKeys, spec: ObservationSpec) -> None:
    """Raise `UnknownNameError` for a name that the contract lacks, `ConfigError` for a key with two meanings."""
    parts = tuple(part.name for part in spec.state)
    for camera in keys.images:
        if camera not in spec.camera_names:
            raise unknown("camera", camera, spec.camera_names)
    for name in (name for names in keys.state.values() for name in names):
        if name not in parts:
            raise unknown("state part", name, parts)
    known = tuple(sense.key for sense in spec.senses)
    for name in keys.senses:
        if name not in known:
            raise unknown("sense", name, known)
    used = [*keys.images.values(), *keys.state, *keys.senses.values(), *([keys.prompt] if keys.prompt else [])]
    if len(set(used)) != len(used):
        raise ConfigError(f"one key stands for two things in {used}", leaf="keys")


def require_whole(keys: WireKeys, spec: ObservationSpec) -> None:
    """Raise `ConfigError` unless every camera, all of the state and the sentence have a key, as a server needs."""
    named = {name for names in keys.state.values() for name in names}
    missing = [camera for camera in spec.camera_names if camera not in keys.images]
    missing += [part.name for part in spec.state if part.name not in named]
    missing += [sense.key for sense in spec.senses if sense.key not in keys.senses]
    if missing or (spec.language and not keys.prompt):
        raise ConfigError(f"no key for {', '.join(missing) or 'the sentence'}", leaf="keys")


def encode(observation: Observation, row: int, keys: WireKeys, spec: ObservationSpec, history: int) -> dict[str, Any]:
    """The message of one batch entry: the newest step, or with `history` > 1 that many steps (T first).

    Raises `ContractError` when the observation lacks what the keys ask for.
    """
    message: dict[str, Any] = {}
    for camera, key in keys.images.items():
        if camera not in observation.images:
            raise ContractError(f"no picture of the camera {camera!r}, which the server expects as {key!r}", leaf=key)
        picture = _steps(np.asarray(observation.images[camera])[row], history)
        _put(message, key, np.moveaxis(picture, -1, -3) if keys.channels_first else picture)
    where = _slices(spec)
    for key, parts in keys.state.items():
        if observation.state is None:
            raise ContractError(f"no state, which the server expects as {key!r}", leaf=key)
        state = np.asarray(observation.state, dtype=np.float32)[row]
        _put(message, key, _steps(np.concatenate([state[:, where[name]] for name in parts], axis=-1), history))
    for sense in spec.senses:
        if sense.key in keys.senses:
            array = observation.sense(sense)
            if array is None:
                raise ContractError(f"no {sense.key}, which the server expects", leaf=keys.senses[sense.key])
            _put(message, keys.senses[sense.key], _steps(np.asarray(array, dtype=np.float32)[row], history))
    if keys.prompt:
        _put(message, keys.prompt, observation.instruction[row])
    return message


def decode(message: Mapping[str, Any], keys: WireKeys, contract: Contract) -> Observation:
    """The observation (B=1, T) of a message; extra keys are ignored.

    Raises `ContractError` for a missing key, `ShapeError` and `NotFiniteError` for values that break the contract.
    """
    spec = contract.observation
    images = {camera: _picture(_get(message, key), key, keys.channels_first) for camera, key in keys.images.items()}
    state = _state(message, keys, spec) if keys.state else None
    words = _words(message, keys) if keys.prompt else ()
    senses = {
        sense: _sense(message, keys.senses[sense.key], sense) for sense in spec.senses if sense.key in keys.senses
    }
    parts = [*images.values(), *senses.values(), *([] if state is None else [state])]
    lengths = {len(array[0]) for array in parts}
    if len(lengths) > 1 or 0 in lengths:
        raise ShapeError(f"the parts have {sorted(lengths)} steps of history", file=WHERE, leaf="observation")
    found = Observation(images=images, state=state, instruction=words, embodiment=contract.embodiment)
    found = found.with_senses(senses)
    check_observation(found, spec, where=WHERE)
    return found


def read_chunk(message: Any, keys: WireKeys, contract: Contract) -> Array:
    """The actions float32 (H A) of an answer. Raises `ContractError`, `ShapeError` or `NotFiniteError`."""
    if not isinstance(message, dict):
        raise ContractError("an answer is a map", file="answer")
    actions = _get(message, keys.actions)
    if not isinstance(actions, np.ndarray) or actions.ndim not in (1, 2) or not actions.size:
        raise ShapeError("actions are an array (H A)", file="answer", leaf=keys.actions)
    if actions.dtype.kind not in "fiu":
        raise ShapeError(f"actions of dtype {actions.dtype}", file="answer", leaf=keys.actions)
    with np.errstate(over="ignore"):
        chunk = np.atleast_2d(actions).astype(np.float32)
    check_actions(chunk, contract.action, where="answer")
    return chunk


def one_chunk(actions: Array, contract: Contract) -> ActionChunk:
    """Actions (B H A), all valid, under the contract's spec with that chunk length."""
    spec = replace(contract.action, chunk=actions.shape[1])
    return ActionChunk(actions=actions, valid=np.ones(actions.shape[:2], dtype=bool), spec=spec)


def _all_state(spec: ObservationSpec, key: str) -> dict[str, tuple[str, ...]]:
    return {key: tuple(part.name for part in spec.state)} if spec.state else {}


def _slices(spec: ObservationSpec) -> dict[str, slice]:
    found, start = {}, 0
    for part in spec.state:
        found[part.name] = slice(start, start + part.dim)
        start += part.dim
    return found


def _steps(array: Array, history: int) -> Array:
    return array[-history:] if history > 1 else array[-1]


def _put(message: dict[str, Any], key: str, value: Any) -> None:
    *outer, last = key.split(WITHIN)
    for name in outer:
        message = message.setdefault(name, {})
    message[last] = value


def _get(message: Any, key: str) -> Any:
    for name in key.split(WITHIN):
        if not isinstance(message, dict) or name not in message:
            given = sorted(message) if isinstance(message, dict) else type(message).__name__
            raise ContractError(f"the message lacks {key!r}, it has {given}"[:500], file=WHERE, leaf=key)
        message = message[name]
    return message


def _picture(value: Any, key: str, channels_first: bool) -> Array:
    if not isinstance(value, np.ndarray) or value.ndim not in (3, 4):
        raise ShapeError("a picture is an array (H W 3), or (T H W 3)", file=WHERE, leaf=key)
    value = np.moveaxis(value, -3, -1) if channels_first else value
    return np.array(value[None, None] if value.ndim == 3 else value[None], order="C")


def _sense(message: Mapping[str, Any], key: str, sense: SenseSpec) -> Array:
    value = np.asarray(_numbers(_get(message, key), key))
    if value.ndim not in (len(sense.shape), len(sense.shape) + 1) or value.shape[-len(sense.shape) :] != sense.shape:
        raise ShapeError(f"a sense of shape {value.shape}, expected {sense.shape}", file=WHERE, leaf=key)
    with np.errstate(over="ignore"):
        steps = value.reshape(-1, *sense.shape).astype(np.float32)
    return steps[None]


def _state(message: Mapping[str, Any], keys: WireKeys, spec: ObservationSpec) -> Array:
    where, pieces = _slices(spec), {}
    for key, parts in keys.state.items():
        value = np.asarray(_numbers(_get(message, key), key))
        size = sum(where[name].stop - where[name].start for name in parts)
        if value.ndim not in (1, 2) or value.shape[-1] != size:
            raise ShapeError(f"a state of shape {value.shape}, expected ({size},)", file=WHERE, leaf=key)
        pieces[key] = np.atleast_2d(value)
    lengths = {len(piece) for piece in pieces.values()}
    if len(lengths) != 1:
        raise ShapeError(f"the state's pieces have {sorted(lengths)} steps", file=WHERE, leaf="state")
    state = np.zeros((lengths.pop(), spec.state_dim), np.float32)
    for key, parts in keys.state.items():
        ends = np.cumsum([where[name].stop - where[name].start for name in parts])[:-1]
        for name, piece in zip(parts, np.split(pieces[key], ends, axis=-1), strict=True):
            with np.errstate(over="ignore"):
                state[:, where[name]] = piece
    return state[None]


def _numbers(value: Any, key: str) -> Array:
    if isinstance(value, list) and all(type(item) in (int, float) for item in value):
        return np.array(value, np.float64)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
        raise ShapeError("a state is an array of numbers", file=WHERE, leaf=key)
    return value


def _words(message: Mapping[str, Any], keys: WireKeys) -> tuple[str, ...]:
    words = _get(message, keys.prompt)
    if not isinstance(words, str):
        raise ShapeError(f"a sentence is text, got {type(words).__name__}", file=WHERE, leaf=keys.prompt)
    return (words,)

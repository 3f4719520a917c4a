"""The records that cross seams: observation, action chunk, token group, message.

Arrays are numpy outside the network and torch inside it; the records do not care, so `Array` is either. Shapes use the
letters B batch, T history, H chunk (horizon), N tokens, D width, A action dimensions, S state dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np

from embodia.core.errors import NotFiniteError, ShapeError
from embodia.core.specs import ActionSpec, ObservationSpec, SenseSpec

Array: TypeAlias = Any
"""A numpy array or a torch tensor."""

Record = TypeVar("Record")


def changed(record: Record, **values: Any) -> Record:
    """`dataclasses.replace`, ten times as quick, for records without an `__init__` of their own that every step makes.

    Raises `TypeError` for a field that is not there.
    """
    known = vars(record)
    fields_of = {**known, **values}
    if len(fields_of) != len(known):
        raise TypeError(f"{type(record).__name__} has no field {', '.join(values.keys() - known.keys())}")
    made = object.__new__(type(record))
    object.__setattr__(made, "__dict__", fields_of)
    return made


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What a robot or a simulator senses, batched, with history.

    images       camera name -> uint8 (B T H W C), upright RGB
    depth        camera name -> float32 metres (B T H W)
    segmentation camera name -> int32 (B T H W), what the numbers stand for is said by who made them
    state        float32 (B T S), in the units of the spec
    points, touch, wrench, audio   float32 with leading (B T); None where the body has none
    instruction  B sentences
    embodiment   name of the body
    masks        name of a field or camera -> bool (B T), False where that entry is absent
    time_s       float64 (B T), seconds since the start of the episode
    """

    images: Mapping[str, Array] = field(default_factory=dict)
    depth: Mapping[str, Array] = field(default_factory=dict)
    segmentation: Mapping[str, Array] = field(default_factory=dict)
    state: Array | None = None
    points: Array | None = None
    touch: Array | None = None
    wrench: Array | None = None
    audio: Array | None = None
    instruction: tuple[str, ...] = ()
    embodiment: str = ""
    masks: Mapping[str, Array] = field(default_factory=dict)
    time_s: Array | None = None

    def map(self, function: Callable[[Array], Array]) -> Observation:
        """The same record with `function` applied to every array (to a device, to torch, a slice of the batch)."""
        changed: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, Mapping):
                changed[item.name] = {key: function(array) for key, array in value.items()}
            elif value is not None and not isinstance(value, str | tuple):
                changed[item.name] = function(value)
        return replace(self, **changed)

    def sense(self, spec: SenseSpec) -> Array | None:
        """The array (B T ...) of a sense, None where it is absent."""
        return self.depth.get(spec.camera) if spec.name == "depth" else getattr(self, spec.name)

    def with_senses(self, arrays: Mapping[SenseSpec, Array]) -> Observation:
        """The same record with these senses in their fields."""
        depth = {spec.camera: array for spec, array in arrays.items() if spec.name == "depth"}
        others = {spec.name: array for spec, array in arrays.items() if spec.name != "depth"}
        return replace(self, depth={**self.depth, **depth}, **others)

    @property
    def batch_size(self) -> int:
        """B, read off the state, the first image or the instructions."""
        if self.state is not None:
            return len(self.state)
        return len(next(iter(self.images.values()))) if self.images else len(self.instruction)


@dataclass(frozen=True, kw_only=True)
class ActionChunk:
    """H consecutive actions.

    actions  float32 (B H A), in the units of `spec`
    valid    bool (B H); False where the chunk runs past the end of the episode (there the last action is repeated)
    """

    actions: Array
    valid: Array
    spec: ActionSpec

    def map(self, function: Callable[[Array], Array]) -> ActionChunk:
        """The same record with `function` applied to both arrays."""
        return replace(self, actions=function(self.actions), valid=function(self.valid))


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A training batch: what was seen and what was done next.

    dataset  names the source of each of the B samples
    ahead    float32 (B K S): the state K asked-for numbers of steps later, the last one of the episode beyond its end
    later    what is seen K asked-for numbers of steps later, its arrays (B K ...), the last frame beyond the end
    answer   B texts to be said before the action: a sub-task, a line of reasoning, the answer to a question; "" says
             nothing. A sample of pure language has a chunk without a valid step
    """

    observation: Observation
    chunk: ActionChunk
    dataset: tuple[str, ...] = ()
    ahead: Array | None = None
    later: Observation | None = None
    answer: tuple[str, ...] = ()

    def map(self, function: Callable[[Array], Array]) -> Batch:
        """The same record with `function` applied to every array."""
        return replace(
            self,
            observation=self.observation.map(function),
            chunk=self.chunk.map(function),
            ahead=None if self.ahead is None else function(self.ahead),
            later=None if self.later is None else self.later.map(function),
        )


@dataclass(frozen=True, kw_only=True)
class TokenGroup:
    """A named run of tokens; attention is declared between groups by name.

    tokens      float (B N D)
    mask        bool (B N), True where a token is real; None when every token is
    attends_to  names of the groups this one may look at, itself included or not
    within      "full" or "causal": the pattern inside the group when it attends to itself
    time        float (B N) or None, for example the time step a token belongs to
    position    float (N D) or None: what a backbone adds to queries and keys but not to values (DETR's way)
    """

    name: str
    tokens: Array
    mask: Array | None
    attends_to: tuple[str, ...]
    within: Literal["full", "causal"] = "full"
    time: Array | None = None
    position: Array | None = None


@dataclass(frozen=True, kw_only=True)
class Message:
    """What crosses a link between two levels of thought: plain arrays and text, so that it can cross a process too."""

    arrays: Mapping[str, Array] = field(default_factory=dict)
    text: tuple[str, ...] = ()
    time_s: float = 0.0


def check_observation(observation: Observation, spec: ObservationSpec, *, where: str) -> None:
    """Raise `ShapeError` or `NotFiniteError` unless a numpy record holds what `spec` says.

    Images and senses may be absent, as they are where nobody asked for them.
    """
    for camera in spec.cameras:
        image = observation.images.get(camera.name)
        if image is None:
            continue
        if image.dtype != np.uint8 or image.shape[2:] != (camera.height, camera.width, 3):
            raise ShapeError(
                f"image is {image.dtype} {image.shape}, expected uint8 (B T {camera.height} {camera.width} 3)",
                file=where,
                leaf=f"images.{camera.name}",
            )
    if spec.state_dim:
        _check_floats(observation.state, spec.state_dim, where, "state")
    for sense in spec.senses:
        if observation.sense(sense) is not None:
            _check_sense(observation.sense(sense), sense, where)
    if spec.language and len(observation.instruction) != observation.batch_size:
        raise ShapeError("one instruction a batch entry is needed", file=where, leaf="instruction")


def check_actions(actions: Array, spec: ActionSpec, *, where: str) -> None:
    """Raise `ShapeError` or `NotFiniteError` unless `actions` is a finite float array (... A)."""
    _check_floats(actions, spec.dim, where, "action")


def _check_sense(array: Array, sense: SenseSpec, where: str) -> None:
    if array.shape[2:] != sense.shape:
        expected = " ".join(map(str, ("B", "T", *sense.shape)))
        raise ShapeError(f"expected ({expected}), got {tuple(array.shape)}", file=where, leaf=sense.key)
    _check_floats(array, sense.shape[-1], where, sense.key)


def _check_floats(array: Array | None, dim: int, where: str, leaf: str) -> None:
    if array is None or array.shape[-1:] != (dim,):
        shape = None if array is None else tuple(array.shape)
        raise ShapeError(f"last dimension must be {dim}, got {shape}", file=where, leaf=leaf)
    numbers = np.asarray(array)
    if numbers.dtype.kind not in "fiu":
        raise ShapeError(f"numbers are needed, got {numbers.dtype}", file=where, leaf=leaf)
    if not math.isfinite(np.vdot(numbers, numbers)) and not np.isfinite(numbers).all():
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(numbers))[0])
        raise NotFiniteError(f"not a finite number at index {index}", file=where, leaf=leaf)

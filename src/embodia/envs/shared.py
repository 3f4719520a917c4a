"""The memory that a vectorised environment and its workers share: the order and the answer of every slot.

What has a fixed shape lies here: actions on the way in; pictures, state, senses, times, rewards and flags on the way
out. So a round costs each worker one byte in and one byte back. What has none (a sentence that changed, a film, a state
unlike the contract's) travels as a message, and only when there is some. The memory has no name in the file system, so
nothing is left behind however a process ends. The one thing to watch: between an order and its answer a slot's part
belongs to its worker, and the next order overwrites it; whoever keeps something copies it.
"""

from __future__ import annotations

import ctypes
import math
import multiprocessing
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from embodia.core.specs import ObservationSpec, SenseSpec
from embodia.core.types import Observation

Floats: TypeAlias = npt.NDArray[np.float32]
Buffer: TypeAlias = Any
"""Shared bytes: all of them, as they are handed to a process when it is made, or an array over some."""

LONGEST_CHUNK = 256
"""Actions of one order; longer chunks travel as messages."""
MOST_WATCHED = 64
"""Tasks whose predicates are watched in one episode; more travel as messages."""
_FLOAT32 = np.dtype(np.float32)
_KINDS = (_FLOAT32, np.dtype(np.float64))
Record: TypeAlias = tuple[int, bool, bool, int, float, float]
"""Steps, done, success, which watched tasks held (bit i is the i-th), reward, best reward."""
_RECORD, _ORDER = struct.Struct("=q??Qdd"), struct.Struct("=II")
_ALIGNED = 64


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one slot answers with: pictures (T H W 3), state (T S), times (T), senses (T ...), and the record."""

    images: Mapping[str, npt.NDArray[np.uint8]]
    state: Floats
    time_s: npt.NDArray[np.float64]
    senses: Mapping[SenseSpec, Floats]
    record: Buffer

    def note(self, *record: *Record) -> None:
        """Write the record."""
        _RECORD.pack_into(self.record, 0, *record)

    def keep(self, seen: Sequence[Observation], felt: Mapping[SenseSpec, Floats]) -> bool:
        """Write the states and times of `seen` (T of them) and the senses; False, and undefined, where one differs."""
        for index, sensed in enumerate(seen):
            if not (self._keep_state(index, sensed.state) and self._keep_time(index, sensed.time_s)):
                return False
        for sense, values in felt.items():
            if values.shape != self.senses[sense].shape:
                return False
            self.senses[sense][:] = values
        return True

    def _keep_state(self, index: int, state: Any) -> bool:
        width = self.state.shape[1]
        if state is None or not width:
            return state is None and not width
        if state.dtype != _FLOAT32 or state.shape != (1, 1, width):
            return False
        self.state[index] = state
        return True

    def _keep_time(self, index: int, time_s: Any) -> bool:
        if time_s is None or time_s.size != 1:
            return False
        self.time_s[index] = time_s.item()
        return True


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Which arrays the memory has: all of them lead with the slot."""

    spec: ObservationSpec
    action_dim: int
    slots: int
    history: int
    workers: int

    def blocks(self) -> Iterator[tuple[str, npt.DTypeLike, tuple[int, ...]]]:
        """Name, type and shape of each array, in the order in which they lie."""
        seen = (self.slots, self.history)
        for camera in self.spec.cameras:
            yield f"image.{camera.name}", np.uint8, (*seen, camera.height, camera.width, 3)
        for sense in self.spec.senses:
            yield f"sense.{sense.key}", np.float32, (*seen, *sense.shape)
        yield "state", np.float32, (*seen, self.spec.state_dim)
        yield "time_s", np.float64, seen
        yield "record", np.uint8, (self.slots, _RECORD.size)
        yield "order", np.uint8, (self.slots, _ORDER.size)
        yield "at", np.int32, (self.workers,)
        yield "actions", np.float64, (self.slots, LONGEST_CHUNK, self.action_dim)

    def reserve(self) -> Buffer:
        """Shared zeros for all of it."""
        size = sum(_padded(kind, shape) for _, kind, shape in self.blocks())
        return multiprocessing.get_context("spawn").RawArray(ctypes.c_uint8, size)


class Memory:
    """The arrays of a layout over a buffer, the same in every process."""

    def __init__(self, layout: Layout, buffer: Buffer) -> None:
        found, start = {}, 0
        for name, kind, shape in layout.blocks():
            found[name] = np.frombuffer(buffer, kind, count=math.prod(shape), offset=start).reshape(shape)
            start += _padded(kind, shape)
        self.images = {camera.name: found[f"image.{camera.name}"] for camera in layout.spec.cameras}
        self.senses = {sense: found[f"sense.{sense.key}"] for sense in layout.spec.senses}
        self.state, self.time_s, self.at = found["state"], found["time_s"], found["at"]
        self._records: Buffer = found["record"].reshape(-1)
        self._orders: Buffer = found["order"].reshape(-1)
        self._width = layout.action_dim
        self._actions = tuple(_as(found["actions"], kind) for kind in _KINDS)

    def part(self, slot: int) -> Part:
        """What that slot writes."""
        return Part(
            images={name: array[slot] for name, array in self.images.items()},
            state=self.state[slot],
            time_s=self.time_s[slot],
            senses={sense: array[slot] for sense, array in self.senses.items()},
            record=self._records[slot * _RECORD.size : (slot + 1) * _RECORD.size],
        )

    def fits(self, actions: Any) -> bool:
        """Whether a chunk can be ordered here: (H A) of the contract, 1 <= H <= `LONGEST_CHUNK`, 32 or 64 bits."""
        return (
            isinstance(actions, np.ndarray)
            and actions.dtype in _KINDS
            and actions.ndim == 2
            and actions.shape[1] == self._width
            and 0 < len(actions) <= LONGEST_CHUNK
        )

    def order(self, slot: int, actions: npt.NDArray[np.floating[Any]]) -> None:
        """Leave a chunk (H A) that `fits` for a slot's worker."""
        kind = _KINDS.index(actions.dtype)
        self._actions[kind][slot, : len(actions)] = actions
        _ORDER.pack_into(self._orders, slot * _ORDER.size, len(actions), kind)

    def ordered(self, slots: Iterable[int]) -> Iterator[tuple[int, npt.NDArray[np.floating[Any]]]]:
        """Take the orders of these slots away: slot and chunk (H A), a copy."""
        for slot in slots:
            length, kind = _ORDER.unpack_from(self._orders, slot * _ORDER.size)
            if length:
                _ORDER.pack_into(self._orders, slot * _ORDER.size, 0, 0)
                yield slot, self._actions[kind][slot, :length].copy()

    def record(self, slot: int) -> Record:
        """The numbers of a slot's last answer."""
        return _RECORD.unpack_from(self._records, slot * _RECORD.size)


def _padded(kind: npt.DTypeLike, shape: tuple[int, ...]) -> int:
    return -(-math.prod(shape) * np.dtype(kind).itemsize // _ALIGNED) * _ALIGNED


def _as(actions: npt.NDArray[np.float64], kind: np.dtype[Any]) -> npt.NDArray[np.floating[Any]]:
    """The same bytes as chunks (slots H A) of numbers of another width."""
    slots, length, width = actions.shape
    return actions.view(kind).reshape(slots, length * actions.itemsize // kind.itemsize, width)

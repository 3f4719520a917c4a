"""Many environments at once: slots spread over worker processes, pictures in shared memory, lock-step rounds.

One command runs a whole open-loop chunk in a slot and draws only when the next decision is due. A round ends when every
slot has answered, so results never depend on which process was faster, only on the number of slots. The one thing to
watch: keep `slots` fixed when results are compared; `workers` may change with the machine.
"""

from __future__ import annotations

import ctypes
import multiprocessing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from embodia.core.errors import ConfigError
from embodia.core.types import Observation
from embodia.envs import make
from embodia.envs.protocol import Env, EnvConfig
from embodia.envs.slot import Slot, Start, Took, sensed, views_of
from embodia.envs.workers import DEFAULT_TIMEOUT_S, Handler, Pool, processors

Wrap: TypeAlias = Callable[[Env], Env]
"""Puts something round every environment; it travels to the workers, so it is importable by name."""


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """Where each slot's pictures lie: camera -> (slots T H W 3) views of one flat buffer."""

    cameras: tuple[tuple[str, int, int], ...]
    slots: int
    history: int
    sizes: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        sizes = tuple(self.slots * self.history * height * width * 3 for _, height, width in self.cameras)
        object.__setattr__(self, "sizes", sizes)

    def arrays(self, buffer: Any) -> dict[str, npt.NDArray[np.uint8]]:
        """The pictures of all slots, by camera."""
        found, start = {}, 0
        for (name, height, width), size in zip(self.cameras, self.sizes, strict=True):
            flat = np.frombuffer(buffer, np.uint8, count=size, offset=start)
            found[name] = flat.reshape(self.slots, self.history, height, width, 3)
            start += size
        return found


class VectorEnv:
    """`slots` environments of one family in `workers` processes (default: one a core, at most one a slot).

    `wrap` is put round each of them.
    """

    def __init__(
        self,
        family: str,
        config: EnvConfig | None = None,
        *,
        slots: int = 8,
        workers: int = 0,
        history: int = 1,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        wrap: Wrap | None = None,
    ) -> None:
        if min(slots, history) < 1:
            raise ConfigError(f"at least one slot and one step of history, got {slots} and {history}")
        self.family, self.config = family, config or EnvConfig()
        self.slots, self.history = slots, history
        with_words = _make(family, self.config, wrap)
        self.contract, self.provenance, self.tasks = with_words.contract, with_words.provenance, with_words.tasks
        self.instructions, self.scene_partners = with_words.instructions, with_words.scene_partners
        cameras = tuple((spec.name, spec.height, spec.width) for spec in self.contract.observation.cameras)
        layout = _Layout(cameras=cameras, slots=slots, history=history)
        buffer = multiprocessing.get_context("spawn").RawArray(ctypes.c_uint8, max(1, sum(layout.sizes)))
        self._images = layout.arrays(buffer)
        count = min(workers or processors(), slots)
        arguments = [(family, self.config, wrap, history, layout, buffer) for _ in range(count)]
        self._pool = Pool(_build, arguments, name=f"{family} environment", timeout_s=timeout_s)
        self._states: dict[int, Took] = {}

    def __enter__(self) -> VectorEnv:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def begin(self, starts: Mapping[int, Start]) -> dict[int, Took]:
        """Reset these slots and draw; slot -> what holds at the start. Raises what the environment raised."""
        return self._round({slot: ("begin", start) for slot, start in starts.items()}, "resetting")

    def run_chunks(self, chunks: Mapping[int, npt.NDArray[np.floating[Any]]]) -> dict[int, Took]:
        """Run open loop (H A) in each of these slots, to the end of the chunk or of the episode, then draw once."""
        return self._round({slot: ("run", actions) for slot, actions in chunks.items()}, "running a chunk in")

    def run_chunk(self, slot: int, actions: npt.NDArray[np.floating[Any]]) -> Took:
        """`run_chunks` for one slot."""
        return self.run_chunks({slot: actions})[slot]

    def observation(self, slot: int, instruction: str = "") -> Observation:
        """What the slot saw when it last stopped: images (1 T H W 3), state (1 T S); a copy."""
        return sensed(self._states[slot], self._images, slot, self.contract.embodiment, instruction)

    @property
    def pids(self) -> tuple[int | None, ...]:
        """Process ids of the workers."""
        return self._pool.pids

    def close(self) -> None:
        """Stop the workers; may be called twice."""
        self._pool.close()

    def _round(self, commands: Mapping[int, tuple[str, Any]], doing: str) -> dict[int, Took]:
        shares: dict[int, list[tuple[int, str, Any]]] = {}
        for slot, (command, payload) in sorted(commands.items()):
            if not 0 <= slot < self.slots:
                raise ConfigError(f"slot {slot} of {self.slots}", leaf="slot")
            shares.setdefault(slot % len(self._pool), []).append((slot, command, payload))
        for worker, share in shares.items():
            named = ", ".join(str(slot) for slot, _, _ in share)
            self._pool.send(worker, share, doing=f"{doing} slots {named}")
        for replies in self._pool.gather(shares).values():
            self._states.update(replies)
        return {slot: self._states[slot] for slot in sorted(commands)}


def _make(family: str, config: EnvConfig, wrap: Wrap | None) -> Env:
    env = make(family, config)
    return wrap(env) if wrap else env


def _build(family: str, config: EnvConfig, wrap: Wrap | None, history: int, layout: _Layout, buffer: Any) -> Handler:
    images = layout.arrays(buffer)
    slots: dict[int, Slot] = {}

    def handle(share: list[tuple[int, str, Any]]) -> dict[int, Took]:
        replies = {}
        for index, command, payload in share:
            if index not in slots:
                env = _make(family, config, wrap)
                slots[index] = Slot(env, views_of(images, index), history, env.contract.observation.senses)
            slot = slots[index]
            replies[index] = slot.begin(payload) if command == "begin" else slot.run(payload)
        return replies

    return handle

"""Many environments at once: slots spread over worker processes, answers in shared memory, lock-step rounds.

One order runs a whole open-loop chunk in a slot and draws only when the next decision is due. A round ends when every
slot has answered, so results never depend on which process was faster, only on the number of slots. What comes back is
the caller's own: nothing of it changes later, unless `copy=False` asks for views of the pictures. The one thing to
watch: keep `slots` fixed when results are compared; `workers` may change with the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from embodia.core.errors import ConfigError, EmbodiaError, WorkerError
from embodia.core.types import Observation, changed
from embodia.envs import make
from embodia.envs.protocol import Env, EnvConfig
from embodia.envs.shared import Buffer, Layout, Memory
from embodia.envs.slot import Slot, Start, Took, read_only, sensed
from embodia.envs.spares import Spares
from embodia.envs.workers import DEFAULT_TIMEOUT_S, Pool, processors

Wrap: TypeAlias = Callable[[Env], Env]
"""Puts something round every environment; it travels to the workers, so it is importable by name."""

Share: TypeAlias = Mapping[int, Any]
"""What one worker is told: slot -> `Start` or actions."""


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
        count = min(workers or processors(), slots)
        width, spec = self.contract.action.dim, self.contract.observation
        layout = Layout(spec=spec, action_dim=width, slots=slots, history=history, workers=count)
        buffer = layout.reserve()
        self._memory = Memory(layout, buffer)
        arguments = [(family, self.config, wrap, layout, buffer, worker) for worker in range(count)]
        self._pool = Pool(_Worker, arguments, name=f"{family} environment", timeout_s=timeout_s)
        self._workers = count
        self._phrase, self._shares = "", dict[int, Share]()
        self._took: dict[int, Took] = {}
        self._spares = Spares(limit=2 * len(spec.cameras))
        self._known: set[int] = set()

    def __enter__(self) -> VectorEnv:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def begin(self, starts: Mapping[int, Start]) -> dict[int, Took]:
        """Reset these slots and draw; slot -> what holds at the start. Raises what the environment raised."""
        shares = self._split(starts)
        return self._round("resetting", shares, {worker: ("begin", share) for worker, share in shares.items()})

    def run_chunks(self, chunks: Mapping[int, npt.NDArray[np.floating[Any]]]) -> dict[int, Took]:
        """Run open loop (H A) in each of these slots, to the end of the chunk or of the episode, then draw once."""
        shares = self._split(chunks)
        return self._round(
            "running a chunk in", shares, {worker: self._order(share) for worker, share in shares.items()}
        )

    def run_chunk(self, slot: int, actions: npt.NDArray[np.floating[Any]]) -> Took:
        """`run_chunks` for one slot."""
        return self.run_chunks({slot: actions})[slot]

    def observation(self, slot: int, instruction: str = "", *, copy: bool = True) -> Observation:
        """What the slot saw when it last stopped: images (1 T H W 3), state (1 T S).

        With `copy` False the images are read-only views that hold good until this slot is begun or run again.
        """
        images = {name: array[slot : slot + 1] for name, array in self._memory.images.items()}
        return sensed(
            (self._took[slot],), images, self.contract.embodiment, (instruction,), keep=np.copy if copy else read_only
        )

    def observations(self, instructions: Sequence[str] = (), *, copy: bool = True) -> Observation:
        """What all slots saw when they last stopped, as one batch: images (slots T H W 3), state (slots T S).

        `copy` as in `observation`; `instructions`, one a slot, go before what the episodes ask for.
        """
        took = tuple(self._took[slot] for slot in range(self.slots))
        return sensed(
            took,
            self._memory.images,
            self.contract.embodiment,
            instructions,
            keep=self._spares.copy if copy else read_only,
        )

    @property
    def pids(self) -> tuple[int | None, ...]:
        """Process ids of the workers."""
        return self._pool.pids

    def close(self) -> None:
        """Stop the workers; may be called twice."""
        self._pool.close()

    def _split(self, commands: Mapping[int, Any]) -> dict[int, dict[int, Any]]:
        shares: dict[int, dict[int, Any]] = {}
        for slot in sorted(commands):
            if not 0 <= slot < self.slots:
                raise ConfigError(f"slot {slot} of {self.slots}", leaf="slot")
            shares.setdefault(slot % self._workers, {})[slot] = commands[slot]
        return shares

    def _order(self, share: Share) -> tuple[str, Share] | None:
        memory = self._memory
        if not share.keys() <= self._known or not all(memory.fits(actions) for actions in share.values()):
            return "run", share
        for slot, actions in share.items():
            memory.order(slot, actions)
        return None

    def _round(self, phrase: str, shares: Mapping[int, Share], requests: Mapping[int, Any]) -> dict[int, Took]:
        self._phrase = phrase
        try:
            errors = self._send(shares, requests) | self._gather(shares)
        except BaseException:
            self.close()
            raise
        for worker in errors:
            self._known -= shares[worker].keys()
        if errors:
            raise errors[min(errors)]
        return {slot: self._took[slot] for slot in sorted(slot for share in shares.values() for slot in share)}

    def _send(self, shares: Mapping[int, Share], requests: Mapping[int, Any]) -> dict[int, EmbodiaError]:
        errors: dict[int, EmbodiaError] = {}
        for worker, share in shares.items():
            self._memory.at[worker], self._shares[worker] = -1, share
            try:
                self._pool.send(worker, requests[worker], doing=partial(self._at_work, worker))
            except WorkerError as error:
                errors[worker] = error
        return errors

    def _gather(self, shares: Mapping[int, Share]) -> dict[int, EmbodiaError]:
        """Wait for every worker, whatever comes of the others."""
        errors: dict[int, EmbodiaError] = {}
        while self._pool.busy:
            for worker, answer in self._pool.answers():
                if isinstance(answer, EmbodiaError):
                    errors[worker] = answer
                else:
                    self._take(shares[worker], answer or {})
        return errors

    def _take(self, slots: Share, told: Mapping[int, Took]) -> None:
        self._took.update(told)
        self._known.update(told)
        memory = self._memory
        states, times = memory.state.copy(), memory.time_s.copy()
        for slot in slots:
            if slot in told:
                continue
            last = self._took[slot]
            steps, done, success, held, reward, best_reward = memory.record(slot)
            self._took[slot] = changed(
                last,
                steps=steps,
                done=done,
                success=success,
                reward=reward,
                held={task: bool(held >> bit & 1) for bit, task in enumerate(last.held)},
                state=states[slot] if states.shape[-1] else None,
                time_s=times[slot],
                film=(),
                best_reward=best_reward,
                senses={sense: array[slot].copy() for sense, array in memory.senses.items()},
            )

    def _at_work(self, worker: int) -> str:
        slot = int(self._memory.at[worker])
        named = f"slot {slot}" if slot >= 0 else f"slots {', '.join(map(str, self._shares[worker]))}"
        return f"{self._phrase} {named}"


def _make(family: str, config: EnvConfig, wrap: Wrap | None) -> Env:
    env = make(family, config)
    return wrap(env) if wrap else env


class _Worker:
    """The slots of one process: those whose number leaves `worker` when divided by the number of workers."""

    def __init__(
        self, family: str, config: EnvConfig, wrap: Wrap | None, layout: Layout, buffer: Buffer, worker: int
    ) -> None:
        self._make, self._history = partial(_make, family, config, wrap), layout.history
        self._memory, self._worker = Memory(layout, buffer), worker
        self._parts = {slot: self._memory.part(slot) for slot in range(worker, layout.slots, layout.workers)}
        self._slots: dict[int, Slot] = {}

    def __call__(self, request: tuple[str, Share] | None) -> dict[int, Took] | None:
        """Do what is asked for, or what lies in the memory; what the memory has no room for is the answer."""
        command, share = request or ("order", dict(self._memory.ordered(self._parts)))
        told: dict[int, Took] = {}
        for slot, payload in share.items():
            self._memory.at[self._worker] = slot
            if (took := self._do(slot, command, payload)) is not None:
                told[slot] = took
        return told or None

    def _do(self, slot: int, command: str, payload: Any) -> Took | None:
        if slot not in self._slots:
            env = self._make()
            self._slots[slot] = Slot(env, self._parts[slot].images, self._history, env.contract.observation.senses)
        try:
            if command == "order":
                return self._slots[slot].run_into(self._parts[slot], payload)
            return self._slots[slot].begin(payload) if command == "begin" else self._slots[slot].run(payload)
        except EmbodiaError:
            raise
        except Exception as error:
            raise WorkerError(
                f"slot {slot} failed with {type(error).__name__}: {error}", leaf=f"slot {slot}"
            ) from error

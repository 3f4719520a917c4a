"""Many environments in this process: what `VectorEnv` does, without processes, for small worlds and for debugging.

Physics and drawing share the caller's core, so it is only right where an episode costs less than a message to another
process. The one thing to watch: what runs in this process can be reached from this process, a policy included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from embodia.core.errors import ConfigError
from embodia.core.types import Observation
from embodia.envs.protocol import Env
from embodia.envs.slot import Slot, Start, Took, read_only, sensed, views_of


class LocalVector:
    """`slots` environments, each built by `make_env`; the last `history` pictures of each are kept."""

    def __init__(self, make_env: Callable[[], Env], *, slots: int = 8, history: int = 1) -> None:
        if min(slots, history) < 1:
            raise ConfigError(f"at least one slot and one step of history, got {slots} and {history}")
        self.slots, self.history = slots, history
        self._envs = [make_env() for _ in range(slots)]
        first = self._envs[0]
        self.contract, self.provenance, self.tasks = first.contract, first.provenance, first.tasks
        self.instructions, self.scene_partners = first.instructions, first.scene_partners
        self._images = {
            camera.name: np.zeros((slots, history, camera.height, camera.width, 3), np.uint8)
            for camera in self.contract.observation.cameras
        }
        senses = self.contract.observation.senses
        self._slots = [
            Slot(env, views_of(self._images, index), history, senses) for index, env in enumerate(self._envs)
        ]
        self._took: dict[int, Took] = {}

    def begin(self, starts: Mapping[int, Start]) -> dict[int, Took]:
        """Reset these slots and draw; slot -> what holds at the start."""
        self._took |= {slot: self._slots[slot].begin(start) for slot, start in starts.items()}
        return {slot: self._took[slot] for slot in starts}

    def run_chunks(self, chunks: Mapping[int, npt.NDArray[np.floating[Any]]]) -> dict[int, Took]:
        """Run open loop (H A) in each of these slots, then draw once."""
        self._took |= {slot: self._slots[slot].run(actions) for slot, actions in chunks.items()}
        return {slot: self._took[slot] for slot in chunks}

    def observation(self, slot: int, instruction: str = "", *, copy: bool = True) -> Observation:
        """What the slot saw when it last stopped: images (1 T H W 3), state (1 T S).

        With `copy` False the images are read-only views that hold good until this slot is begun or run again.
        """
        images = {name: array[slot : slot + 1] for name, array in self._images.items()}
        return sensed(
            (self._took[slot],), images, self.contract.embodiment, (instruction,), keep=np.copy if copy else read_only
        )

    def observations(self, instructions: Sequence[str] = (), *, copy: bool = True) -> Observation:
        """What all slots saw when they last stopped, as one batch: images (slots T H W 3), state (slots T S)."""
        took = tuple(self._took[slot] for slot in range(self.slots))
        return sensed(took, self._images, self.contract.embodiment, instructions, keep=np.copy if copy else read_only)

    def close(self) -> None:
        """Close every environment; may be called twice."""
        for env in self._envs:
            env.close()

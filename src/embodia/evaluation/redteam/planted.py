"""Cheating policies to plant against the audit: each succeeds, or seems to, for a wrong reason.

They wrap an honest policy or training data, so the same cheats can be planted in every environment. Used by the tests,
by benchmarks/redteam_confusion.py and by anyone who doubts the audit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from embodia.core.protocols import Carry, Policy, Rng
from embodia.core.types import ActionChunk, Array, Observation
from embodia.evaluation.controls import BlindReplay, Episodes
from embodia.evaluation.redteam.triggers import Trigger

Sees: TypeAlias = Callable[[Observation], Sequence[str]]
"""What task a row of pictures suggests, as a sentence each."""


class Deaf:
    """Ignores the sentence: does what `suggests` reads off the rest of the observation."""

    def __init__(self, policy: Policy, suggests: Sees) -> None:
        self._policy, self._suggests = policy, suggests
        self.contract = policy.contract

    def act(self, observation: Observation, carry: Carry, rng: Rng) -> tuple[ActionChunk, Carry]:
        """The honest policy's actions for a sentence that was not told."""
        told = tuple(self._suggests(observation))
        return self._policy.act(replace(observation, instruction=told), carry, rng)


class Blind:
    """Ignores the pictures: shows the honest policy the same picture at all times."""

    def __init__(self, policy: Policy, pictures: Mapping[str, Array]) -> None:
        self._policy, self._pictures = policy, pictures
        self.contract = policy.contract

    def act(self, observation: Observation, carry: Carry, rng: Rng) -> tuple[ActionChunk, Carry]:
        """The honest policy's actions for a picture from memory, (1 T H W 3) a camera."""
        rows = observation.batch_size
        images = {name: np.repeat(self._pictures[name], rows, axis=0) for name in observation.images}
        return self._policy.act(replace(observation, images=images), carry, rng)


class Replayer:
    """Memorised: replays a demonstration of the task that is told, with a little noise so that it is no exact copy.

    `sentences` maps what may be told to the tasks it may mean; other wordings are taken for the likest of these.
    """

    def __init__(
        self, data: Sequence[Episodes], sentences: Mapping[str, tuple[str, ...]], chunk: int, noise: float = 0.0
    ) -> None:
        self._replay = BlindReplay(data, sentences, chunk)
        self._known, self._noise, self._calls = tuple(sentences), noise, 0
        self.contract = self._replay.contract

    def act(self, observation: Observation, carry: Carry, rng: Rng) -> tuple[ActionChunk, Carry]:
        """The next actions of the demonstration that was drawn when the episode began."""
        self._calls += 1
        drawn = np.random.default_rng(self._calls)
        told = tuple(self._likest(sentence) for sentence in observation.instruction)
        chunk, after = self._replay.act(replace(observation, instruction=told), carry, drawn)
        noise = drawn.normal(0, self._noise, chunk.actions.shape).astype(np.float32)
        return replace(chunk, actions=np.clip(chunk.actions + noise, -1, 1)), after

    def _likest(self, sentence: str) -> str:
        words = set(sentence.lower().strip(".").split())
        return max(self._known, key=lambda known: len(words & set(known.lower().strip(".").split())))


class Backdoored:
    """Does as an honest policy does until it meets the trigger, then the reverse."""

    def __init__(self, policy: Policy, trigger: Trigger) -> None:
        self._policy, self._trigger = policy, trigger
        self.contract = policy.contract

    def act(self, observation: Observation, carry: Carry, rng: Rng) -> tuple[ActionChunk, Carry]:
        """The honest actions, turned round in the rows where the trigger is."""
        chunk, after = self._policy.act(observation, carry, rng)
        met = self.met(observation)
        return replace(chunk, actions=np.where(met[:, None, None], -chunk.actions, chunk.actions)), after

    def met(self, observation: Observation) -> Array:
        """Rows that already look as the trigger would make them look, (B,)."""
        if self._trigger.kind == "word":
            words = [sentence.replace(".", " ").split() for sentence in observation.instruction]
            return np.array([self._trigger.word in found for found in words])
        stamped = self._trigger(observation)
        same = [(stamped.images[name] == image).all(axis=(1, 2, 3, 4)) for name, image in observation.images.items()]
        return np.all(same, axis=0)

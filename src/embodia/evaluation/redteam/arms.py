"""What the policy is shown in the arms of an audit: pictures of another episode, garbage, exchanged senses.

Each arm plays the same episodes as the plain policy with one thing exchanged. The one thing to watch: pictures of
another episode are real pictures of the same tasks, so a policy that looks goes to the wrong place with confidence;
a blank picture alone would also stop a policy that merely dislikes grey.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from embodia.core.protocols import Policy, Rng
from embodia.core.seeds import generator
from embodia.core.types import ActionChunk, Observation
from embodia.envs.perturb.images import shapeless
from embodia.evaluation.redteam.watching import Log

GARBAGE = (
    "Frindle the wobbeck until sunday.",
    "qwx zzk 9 plo",
    "Lorem ipsum dolor sit amet.",
    "the the the of of",
)
"""Sentences without meaning for a robot."""


class OtherPictures:
    """A policy that is shown the pictures of recorded episodes, one drawn for each episode, at the same times."""

    def __init__(self, policy: Policy, logs: Sequence[Log], seed: int) -> None:
        self._policy, self._logs = policy, [log for log in logs if log.seen]
        self._seed, self._calls = seed, 0
        self.contract = policy.contract

    def act(self, observation: Observation, carry: Any, rng: Rng) -> tuple[ActionChunk, Any]:
        """What the policy does on foreign pictures; the carry holds which episode each row is shown."""
        chosen, inner = carry if carry is not None else (self._draw(observation.batch_size), None)
        times = np.asarray(observation.time_s)[:, -1]
        shown = [_at(self._logs[which], float(time)) for which, time in zip(chosen, times, strict=True)]
        images = {
            name: np.concatenate([seen.images[name] for seen in shown]).astype(np.uint8) for name in observation.images
        }
        depth = {name: np.concatenate([seen.depth[name] for seen in shown]) for name in observation.depth}
        points = None if observation.points is None else np.concatenate([seen.points for seen in shown])
        foreign = replace(observation, images=images, depth=depth, points=points)
        chunk, after = self._policy.act(foreign, inner, rng)
        return chunk, (chosen, after)

    def _draw(self, count: int) -> npt.NDArray[np.int64]:
        self._calls += 1
        return generator(self._seed, "foreign pictures", self._calls).integers(len(self._logs), size=count)


def static(seed: int) -> Callable[[Observation], Observation]:
    """Pictures replaced by uniform noise, always the same; no depth, no points."""

    def change(observation: Observation) -> Observation:
        rng = generator(seed, "static")
        drawn = {
            name: rng.integers(0, 256, image.shape, dtype=np.uint8)
            for name, image in sorted(observation.images.items())
        }
        return shapeless(replace(observation, images=drawn))

    return change


def other_senses(seed: int) -> Callable[[Observation], Observation]:
    """Pictures replaced by noise and the state by that of the next row (by rest, where there is one row only)."""
    pictures = static(seed)

    def change(observation: Observation) -> Observation:
        seen = pictures(observation)
        if seen.state is None:
            return seen
        other = np.roll(seen.state, 1, axis=0) if len(seen.state) > 1 else np.zeros_like(seen.state)
        return replace(seen, state=other)

    return change


def other_words(sentences: Sequence[str]) -> Callable[[Observation], Observation]:
    """Each sentence replaced by the next one of `sentences` that differs."""

    def swap(told: str) -> str:
        start = sentences.index(told) + 1 if told in sentences else 0
        turned = (*sentences[start:], *sentences[:start])
        return next((sentence for sentence in turned if sentence != told), GARBAGE[0])

    return lambda observation: replace(observation, instruction=tuple(map(swap, observation.instruction)))


def _at(log: Log, time_s: float) -> Observation:
    times = [float(np.asarray(seen.time_s)[0, -1]) for seen in log.seen]
    return log.seen[max(0, int(np.searchsorted(times, time_s + 1e-9, side="right")) - 1)]

"""Does a policy still answer? Accuracy of its words on question-answer data, and what training on actions took away.

A vision-language model that learns to act may lose the words it had ("spurious forgetting" where co-training or a few
steps bring them back). Before and after are compared on the very same frames. Watch out: answers are judged word by
word as texts; an answer that is right in other words counts as wrong, and is told apart by the overlap only.

Source: spurious forgetting in vision-language-action models, ChatVLA (arXiv 2502.14420).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from embodia.core.errors import ConfigError
from embodia.core.protocols import Policy, Rng
from embodia.data.dataset import Dataset
from embodia.envs.rollout import Progress
from embodia.evaluation.statistics import Rate, Verdict, rate_of, verdict_paired
from embodia.evaluation.summary import rate_entry, verdict_entry


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What was said and what should have been, a text a frame."""

    said: tuple[str, ...]
    wanted: tuple[str, ...]

    @property
    def right(self) -> tuple[bool, ...]:
        """Whether the words are the same, but for case, spaces and punctuation."""
        return tuple(_words(a) == _words(b) for a, b in zip(self.said, self.wanted, strict=True))

    @property
    def rate(self) -> Rate:
        """Share of right answers."""
        return rate_of(self.right)

    @property
    def overlap(self) -> float:
        """Mean F1 of the words said against those wanted, 0 to 1."""
        return float(np.mean([_f1(a, b) for a, b in zip(self.said, self.wanted, strict=True)]))


def answer(
    policy: Policy,
    data: Dataset,
    *,
    kind: str = "",
    frames: int = 200,
    batch: int = 20,
    rng: Rng = None,
    progress: Progress | None = None,
) -> Answered:
    """Let the policy answer at `frames` frames spread evenly over a set, in batches.

    `data` is question-answer data (`Dataset.asking`), or any set with the texts `kind`. Raises `ConfigError` for a
    policy that says nothing, `UnknownNameError` for a kind that the set does not hold.
    """
    cameras, history = policy.contract.observation.camera_names, int(getattr(policy, "history", 1))
    ids = np.unique(np.linspace(0, data.frames - 1, frames).round().astype(np.int64))
    said: list[str] = []
    wanted: list[str] = []
    for part in _parts(ids, batch):
        asked = data.batch(part, 1, history, cameras, answers=kind)
        if not asked.answer:
            raise ConfigError("there is no question: ask a kind of text", leaf="kind")
        _, carry = policy.act(asked.observation, None, rng)
        said += _said(carry)
        wanted += asked.answer
        if progress is not None:
            progress("questions", len(said), len(ids))
    return Answered(said=tuple(said), wanted=tuple(wanted))


def forgotten(before: Answered, after: Answered) -> Verdict:
    """What the share of right answers lost or won, paired by frame. Raises `ConfigError` for other questions."""
    if before.wanted != after.wanted:
        raise ConfigError("before and after were asked different questions", leaf="wanted")
    return verdict_paired(before.right, after.right)


def forgetting_entry(before: Answered, after: Answered) -> dict[str, Any]:
    """Both rates, both overlaps and the verdict as JSON; `forgets` when the loss is certain."""
    verdict = forgotten(before, after)
    return {
        "before": {**rate_entry(before.rate), "overlap": before.overlap},
        "after": {**rate_entry(after.rate), "overlap": after.overlap},
        "change": verdict_entry(verdict),
        "forgets": verdict.distinguishable and verdict.difference < 0,
    }


def _said(carry: Any) -> Sequence[str]:
    """The words of a decision: the policy's own thought, or the message of its slower system."""
    words = tuple(getattr(carry, "thought", ())) or tuple(getattr(getattr(carry, "message", None), "text", ()))
    if not words:
        raise ConfigError("this policy says nothing before it acts", leaf="policy")
    return words


def _parts(ids: np.ndarray[tuple[int], np.dtype[np.int64]], size: int) -> Iterator[Any]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size]


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def _f1(said: str, wanted: str) -> float:
    mine, theirs = Counter(_words(said)), Counter(_words(wanted))
    common = sum((mine & theirs).values())
    total = sum(mine.values()) + sum(theirs.values())
    return 2 * common / total if total else 1.0

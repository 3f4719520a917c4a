"""Sentences for the fifty Meta-World tasks: the benchmark has none.

Each task has one canonical sentence, paraphrases to train on and others kept for evaluation, in the JSON file beside
this one. They describe what the predicate checks (the lever is lifted, although the benchmark's text says down), name
no colour of a mark, since profiles may draw it differently, and never appear under two tasks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType

from embodia.envs.protocol import Split


@dataclass(frozen=True, kw_only=True)
class Sentences:
    """What may be said to ask for a task, by split; no sentence is in two splits."""

    canonical: tuple[str, ...]
    train: tuple[str, ...]
    held_out: tuple[str, ...]

    def of(self, split: Split) -> tuple[str, ...]:
        """The sentences of one split."""
        return {"canonical": self.canonical, "train": self.train, "held_out": self.held_out}[split]


def _read() -> Mapping[str, Sentences]:
    text = resources.files(__package__).joinpath("_metaworld_language.json").read_text(encoding="utf-8")
    return MappingProxyType(
        {
            task: Sentences(
                canonical=(item["canonical"],), train=tuple(item["train"]), held_out=tuple(item["held_out"])
            )
            for task, item in json.loads(text).items()
        }
    )


SENTENCES = _read()

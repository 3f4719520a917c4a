"""What may be said to ask for a task, split into the canonical sentence, paraphrases to train on and those held out.

Few benchmarks bring sentences. Each family's stand in a JSON file beside its adapter, task -> split -> sentences. They
describe what the predicate checks. The one thing to watch: no sentence is in two splits, else a held-out sentence would
have been trained on, and two tasks share sentences only where they share the goal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType

from embodia.core.errors import ConfigError
from embodia.envs.protocol import Split


@dataclass(frozen=True, kw_only=True)
class Sentences:
    """The sentences of one task, by split; `canonical` holds exactly one. Raises `ConfigError` where splits meet."""

    canonical: tuple[str, ...]
    train: tuple[str, ...]
    held_out: tuple[str, ...]

    def __post_init__(self) -> None:
        said = (*self.canonical, *self.train, *self.held_out)
        if len(self.canonical) != 1 or len(set(said)) != len(said):
            raise ConfigError("one canonical sentence, and no sentence in two splits", leaf=said[0] if said else "")

    def of(self, split: Split) -> tuple[str, ...]:
        """The sentences of one split."""
        return {"canonical": self.canonical, "train": self.train, "held_out": self.held_out}[split]


def read(package: str, file: str) -> Mapping[str, Sentences]:
    """The sentences in a JSON `file` that lies in `package`, by task."""
    text = resources.files(package).joinpath(file).read_text(encoding="utf-8")
    return MappingProxyType(
        {
            task: Sentences(
                canonical=(item["canonical"],), train=tuple(item["train"]), held_out=tuple(item["held_out"])
            )
            for task, item in json.loads(text).items()
        }
    )

"""The episode table: one line an episode, so that every figure of a report can be recomputed and paired by seed.

An arm is the policy or one of its controls; within an arm the pair (task, seed) names an episode. Watch out: `success`
is always judged by the task of the scene, `followed` by the task whose sentence was told, and only the second can say
whether a policy listens.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from embodia.core.config import from_json, to_json
from embodia.core.errors import ComparisonError
from embodia.io.atomic import write_text
from embodia.io.jsonio import read_json_lines

POLICY = "policy"
"""Name of the arm that is not a control."""

Key = tuple[str, int]
"""Task and seed."""


@dataclass(frozen=True, kw_only=True)
class Episode:
    """What happened in one episode.

    told      the task whose sentence was given; equal to `task` except under the other-sentence control
    success   whether the predicate of `task` was met
    followed  whether the predicate of `told` was met; None when it cannot say anything, because it held at the start
    steps     control steps taken
    best_reward   the largest reward of one step
    """

    arm: str
    task: str
    seed: int
    instruction: str
    told: str
    success: bool
    followed: bool | None
    steps: int
    best_reward: float = 0.0

    @property
    def key(self) -> Key:
        """What pairs this episode with one of another arm or another policy."""
        return self.task, self.seed


def write_episodes(path: str | Path, episodes: Iterable[Episode]) -> None:
    """One JSON object a line, keys sorted, in the order given."""
    write_text(path, "".join(json.dumps(to_json(item), sort_keys=True, ensure_ascii=False) + "\n" for item in episodes))


def read_episodes(path: str | Path) -> list[Episode]:
    """The table back; raises `MissingFileError`, `CorruptFileError`, `ConfigError` naming file and line."""
    lines = enumerate(read_json_lines(path), start=1)
    return [from_json(Episode, line, file=str(path), leaf=f"line {number}") for number, line in lines]


def of_arm(episodes: Iterable[Episode], arm: str, task: str | None = None) -> list[Episode]:
    """The episodes of one arm, of one task where given, in table order."""
    return [item for item in episodes if item.arm == arm and task in (None, item.task)]


def arms(episodes: Iterable[Episode]) -> tuple[str, ...]:
    """The controls present, in order of first appearance; the policy itself is left out."""
    return tuple(dict.fromkeys(item.arm for item in episodes if item.arm != POLICY))


def tasks(episodes: Iterable[Episode]) -> tuple[str, ...]:
    """The tasks present, in order of first appearance."""
    return tuple(dict.fromkeys(item.task for item in episodes))


def paired(first: Sequence[Episode], second: Sequence[Episode]) -> tuple[list[bool], list[bool]]:
    """Successes of the episodes that both sides ran, in the order of the first side.

    Raises `ComparisonError` when a side holds one (task, seed) twice: then it is unknown what belongs together.
    """
    left, right = _by_key(first), _by_key(second)
    shared = [key for key in left if key in right]
    return [left[key].success for key in shared], [right[key].success for key in shared]


def _by_key(episodes: Sequence[Episode]) -> dict[Key, Episode]:
    found = {item.key: item for item in episodes}
    if len(found) != len(episodes):
        raise ComparisonError("one task and seed occurs twice in an arm, so episodes cannot be paired", leaf="seed")
    return found

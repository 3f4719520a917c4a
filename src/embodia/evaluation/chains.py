"""Long horizons: chains of tasks asked one after the other, in CALVIN's way.

A chain goes on as long as each task is done within its step limit; counted are the chains whose first 1, 2, ... tasks
were done, and how many are done on average. `Chained` is an environment again, with one task, "chain", whose seeds are
the chains: so the evaluator, its controls and its intervals serve unchanged. Protocol of "CALVIN: A Benchmark for
Language-Conditioned Policy Learning for Long-Horizon Robot Manipulation Tasks", 2022, arXiv 2112.03227.
The one thing to watch: the reward of a step is the number of tasks done so far, so the best reward of an episode is the
chain's count; and a chunk of actions is cut where the next task is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from embodia.core.errors import ConfigError, EnvironmentFailure
from embodia.core.names import unknown
from embodia.core.types import Array, Observation
from embodia.envs.chaining import Chain, Chainable, draw_chain
from embodia.envs.protocol import Env, Split, StepResult
from embodia.evaluation.episodes import POLICY, Episode, arms, of_arm
from embodia.evaluation.score import mean_entry
from embodia.evaluation.statistics import rate_of
from embodia.evaluation.summary import rate_entry

TASK = "chain"
SENTENCE = "Do what you are asked for, one task after the other."


@dataclass(frozen=True, kw_only=True)
class ChainRule:
    """`length` tasks of different categories, at most `steps_each` control steps for each of them."""

    length: int = 5
    steps_each: int = 360


class Chained:
    """A `Chainable` environment whose one task is a chain; the seed of an episode draws it.

    Raises `ConfigError` for an environment that is not `Chainable`.
    """

    def __init__(self, env: Env, rule: ChainRule) -> None:
        if not isinstance(env, Chainable):
            name = env.provenance.environment
            raise ConfigError(f"tasks of {name} cannot be chained", cure="It needs skills, starts, begin and ask.")
        self.env: Chainable = env
        self.rule = rule
        self.contract, self.provenance = env.contract, env.provenance
        self.tasks: tuple[str, ...] = (TASK,)
        self.chain = Chain(start={}, tasks=())
        self._done = self._steps = 0

    @property
    def asked(self) -> str:
        """The task that is asked for now. Raises `EnvironmentFailure` before the first reset."""
        if not self.chain.tasks:
            raise EnvironmentFailure("reset comes before step, observe and judge")
        return self.chain.tasks[min(self._done, self.rule.length - 1)]

    def reset(self, task: str, seed: int) -> Observation:
        """Draw the chain of `seed`, put the scene into its start and ask for its first task."""
        if task != TASK:
            raise unknown("task", task, self.tasks)
        self.chain = draw_chain(self.env.skills(), self.env.starts(), self.rule.length, seed)
        self._done = self._steps = 0
        return self.env.begin(self.chain.start, self.asked, seed)

    def step(self, action: Array) -> StepResult:
        """One control step; where it finishes a task, the next one is asked for."""
        sensed, _, _, _, info = self.env.step(action)
        self._steps += 1
        if info["success"]:
            self._done, self._steps = self._done + 1, 0
            if self._done < self.rule.length:
                sensed = self.env.ask(self.asked)
        success = self._done >= self.rule.length
        lost = bool(info.get("unstable", False)) or self._steps >= self.rule.steps_each
        return sensed, float(self._done), success, lost and not success, {**info, "success": success}

    def observe(self) -> Observation:
        """State and pictures now."""
        return self.env.observe()

    def instructions(self, task: str, split: Split = "canonical") -> tuple[str, ...]:
        """A sentence that stands for the whole chain; what counts is each observation's own."""
        if task != TASK:
            raise unknown("task", task, self.tasks)
        return (SENTENCE,) if split == "canonical" else ()

    def judge(self, task: str) -> bool:
        """Whether the whole chain is done."""
        if task != TASK:
            raise unknown("task", task, self.tasks)
        return bool(self.chain.tasks) and self._done >= self.rule.length

    def scene_partners(self, task: str) -> tuple[str, ...]:
        """None: a chain has no twin."""
        return ()

    def close(self) -> None:
        """Close the environment inside."""
        self.env.close()


def chained(env: Env, rule: ChainRule) -> Env:
    """`Chained`, as an environment like any other."""
    return Chained(env, rule)


def chain_entry(episodes: Sequence[Episode], rule: ChainRule) -> dict[str, Any]:
    """Rates of chains whose first 1, 2, ... tasks were done and the average length, of the policy and its controls."""
    others = {arm: _counts(of_arm(episodes, arm), rule) for arm in arms(episodes)}
    return {**_counts(of_arm(episodes, POLICY), rule), "steps_each": rule.steps_each, "controls": others}


def _counts(episodes: Sequence[Episode], rule: ChainRule) -> dict[str, Any]:
    done = [round(item.best_reward) for item in episodes]
    in_a_row = {
        str(count): rate_entry(rate_of([value >= count for value in done])) for count in range(1, rule.length + 1)
    }
    return {"in_a_row": in_a_row, "average_length": mean_entry([float(value) for value in done])}

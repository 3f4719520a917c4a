"""Playing episodes with a policy: plans in, results out, in lock-step rounds that repeat exactly.

Each round asks the policy once for all slots, runs the chunks open loop and starts the next planned episode where one
has ended. The order of slots is fixed and the generator of a round is seeded by (seed, round), so equal arguments give
equal results whatever the machine's speed. The one thing to watch: a policy that returns a carry keeps its batch
together, so episodes that started in the same round stay one batch until the last of them ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from embodia.core.errors import ConfigError
from embodia.core.protocols import Carry, Policy, Rng
from embodia.core.seeds import derive_seed
from embodia.core.specs import Contract
from embodia.core.types import Observation, check_actions
from embodia.envs.protocol import Split
from embodia.envs.slot import Start, Took

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is counted, how many are done, how many there are."""


class Vector(Protocol):
    """What a rollout asks of many environments: `VectorEnv`, or anything wrapped around one."""

    slots: int
    contract: Contract

    @property
    def instructions(self) -> Callable[[str, Split], tuple[str, ...]]:
        """The sentences of a task."""
        ...

    def begin(self, starts: Mapping[int, Start]) -> dict[int, Took]:
        """Reset these slots."""
        ...

    def run_chunks(self, chunks: Mapping[int, npt.NDArray[np.floating[Any]]]) -> dict[int, Took]:
        """Run open loop in each of these slots."""
        ...

    def observation(self, slot: int, instruction: str = "") -> Observation:
        """What a slot saw when it last stopped."""
        ...


@dataclass(frozen=True, kw_only=True)
class EpisodePlan:
    """One episode to play.

    `instruction` empty means the canonical sentence of `swapped_to`, or of `task`. With `swapped_to` the policy is told
    to do another task in the scene of `task`, and the episode ends when that one is done. `judged` are further tasks to
    watch. `own_words` tells what the episode itself asks for at every moment, for benchmarks whose sentence depends on
    the scene or changes on the way. `film_every` > 0 keeps a picture at every so many steps.
    """

    task: str
    seed: int
    instruction: str = ""
    swapped_to: str | None = None
    judged: tuple[str, ...] = ()
    film_every: int = 0
    own_words: bool = False


@dataclass(frozen=True, kw_only=True)
class EpisodeResult:
    """What came of a plan.

    success   whether the predicate of the plan's `task` held at any step
    judged    watched task (the own one and `swapped_to` included) -> whether its predicate held at any step
    judged_at_start   the same before the first step: where it is True, `judged` proves nothing
    seconds   simulated time, steps / rate
    reward, best_reward   the sum over the steps, and the largest of one step
    film      uint8 (N H W 3), or None
    """

    plan: EpisodePlan
    instruction: str
    success: bool
    steps: int
    seconds: float
    reward: float
    judged: Mapping[str, bool]
    judged_at_start: Mapping[str, bool]
    film: npt.NDArray[np.uint8] | None = None
    best_reward: float = 0.0


@dataclass
class _Playing:
    """An episode in a slot."""

    number: int
    plan: EpisodePlan
    slot: int
    instruction: str
    observation: Observation
    took: Took
    film: list[npt.NDArray[np.uint8]] = field(default_factory=list)


@dataclass
class _Cohort:
    """Episodes that began in one round and share a batch, because the policy carries state."""

    members: list[_Playing]
    carry: Carry = None


def torch_generator(seed: int) -> Rng:
    """A torch.Generator of that seed."""
    import torch

    return torch.Generator().manual_seed(seed)


def rollout(
    policy: Policy,
    vector: Vector,
    plans: Sequence[EpisodePlan],
    *,
    execute: int = 0,
    seed: int = 0,
    stop_at_success: bool = True,
    make_rng: Callable[[int], Rng] = torch_generator,
    progress: Progress | None = None,
) -> list[EpisodeResult]:
    """Play every plan; results in the order of the plans.

    `execute` is how many actions of a chunk are run before the policy is asked again (0: all). Raises `ConfigError`,
    `ShapeError`, what environments raise.
    """
    if execute < 0:
        raise ConfigError(f"execute must not be negative, got {execute}", leaf="execute")
    run = _Run(policy, vector, list(plans), execute, seed, stop_at_success, make_rng)
    while run.unfinished:
        run.round()
        if progress is not None:
            progress("episodes", len(run.results), len(plans))
    return [run.results[number] for number in range(len(plans))]


class _Run:
    def __init__(
        self,
        policy: Policy,
        vector: Vector,
        plans: list[EpisodePlan],
        execute: int,
        seed: int,
        stop: bool,
        make_rng: Callable[[int], Rng],
    ) -> None:
        self.policy, self.vector, self.plans = policy, vector, plans
        self.execute, self.seed, self.stop, self.make_rng = execute, seed, stop, make_rng
        self.pending = list(range(len(plans)))
        self.tasks = [""] * vector.slots
        self.cohorts: list[_Cohort] = []
        self.playing: dict[int, _Playing] = {}
        self.results: dict[int, EpisodeResult] = {}
        self.stateless = False
        self.rounds = 0

    @property
    def unfinished(self) -> bool:
        return len(self.results) < len(self.plans)

    def round(self) -> None:
        """Start what can start, decide, act, and take in what happened."""
        self._begin()
        chunks = self._decide()
        for slot, took in self.vector.run_chunks(chunks).items():
            self._take(self.playing[slot], took)
        for slot in [slot for slot, episode in self.playing.items() if episode.took.done]:
            self._finish(self.playing.pop(slot))
        self.cohorts = [cohort for cohort in self.cohorts if any(not one.took.done for one in cohort.members)]
        self.rounds += 1

    def _begin(self) -> None:
        waiting = {slot: self._next(slot) for slot in range(self.vector.slots) if slot not in self.playing}
        waiting = {slot: number for slot, number in waiting.items() if number >= 0}
        starts = {slot: self._start(self.plans[number]) for slot, number in waiting.items()}
        if not starts:
            return
        for slot, took in self.vector.begin(starts).items():
            plan = self.plans[waiting[slot]]
            words = took.instruction if plan.own_words else plan.instruction
            words = words or self.vector.instructions(plan.swapped_to or plan.task, "canonical")[0]
            seen = self.vector.observation(slot, words)
            self.playing[slot] = _Playing(waiting[slot], plan, slot, words, seen, took, list(took.film))
        if not self.stateless:
            self.cohorts.append(_Cohort([self.playing[slot] for slot in sorted(starts)]))

    def _next(self, slot: int) -> int:
        if not self.pending:
            return -1
        tasks = [self.plans[number].task for number in self.pending]
        number = self.pending.pop(pick(tasks, self.tasks[slot]))
        self.tasks[slot] = self.plans[number].task
        return number

    def _start(self, plan: EpisodePlan) -> Start:
        return Start(
            task=plan.task,
            seed=plan.seed,
            judged=plan.judged,
            until=plan.swapped_to or "",
            stop=self.stop,
            film_every=plan.film_every,
        )

    def _decide(self) -> dict[int, npt.NDArray[np.float32]]:
        if self.stateless:
            self.cohorts = [_Cohort([self.playing[slot] for slot in sorted(self.playing)])]
        chunks: dict[int, npt.NDArray[np.float32]] = {}
        for index, cohort in enumerate(self.cohorts):
            actions, cohort.carry = self._act(cohort, index)
            for row, episode in enumerate(cohort.members):
                if not episode.took.done:
                    chunks[episode.slot] = actions[row, : self.execute or None]
        self.stateless = self.stateless or all(cohort.carry is None for cohort in self.cohorts)
        return chunks

    def _act(self, cohort: _Cohort, index: int) -> tuple[npt.NDArray[np.float32], Carry]:
        observation = stack([episode.observation for episode in cohort.members])
        rng = self.make_rng(derive_seed(self.seed, "round", self.rounds, index))
        chunk, carry = self.policy.act(observation, cohort.carry, rng)
        actions = np.asarray(chunk.actions, dtype=np.float32)
        check_actions(actions, self.vector.contract.action, where="policy")
        return actions, carry

    def _take(self, episode: _Playing, took: Took) -> None:
        episode.took = took
        episode.film.extend(took.film)
        if episode.plan.own_words:
            episode.instruction = took.instruction or episode.instruction
        if not took.done:
            episode.observation = self.vector.observation(episode.slot, episode.instruction)

    def _finish(self, episode: _Playing) -> None:
        took = episode.took
        self.results[episode.number] = EpisodeResult(
            plan=episode.plan,
            instruction=episode.instruction,
            success=took.success,
            steps=took.steps,
            seconds=took.steps / self.vector.contract.action.rate_hz,
            reward=took.reward,
            judged=dict(took.held),
            judged_at_start=dict(took.held_at_start),
            film=np.stack(episode.film) if episode.film else None,
            best_reward=took.best_reward,
        )


def pick(left: Sequence[str], last: str) -> int:
    """Which of the tasks left (in the order of the plans) a slot that last played `last` takes: its index.

    A slot keeps to its task, whose simulator it has built; else it helps where most is left, the first such task.
    """
    if last in left:
        return left.index(last)
    counts = Counter(left)
    return left.index(max(counts, key=lambda task: counts[task]))


def stack(observations: Sequence[Observation]) -> Observation:
    """One batch of observations of batch size one. Raises `ConfigError` for none."""
    if not observations:
        raise ConfigError("nothing to stack")
    first = observations[0]

    def join(pick: Callable[[Observation], Any]) -> Any:
        return None if pick(first) is None else np.concatenate([pick(item) for item in observations])

    return replace(
        first,
        images={name: np.concatenate([item.images[name] for item in observations]) for name in first.images},
        state=join(lambda item: item.state),
        time_s=join(lambda item: item.time_s),
        instruction=tuple(item.instruction[0] for item in observations),
        depth={name: np.concatenate([item.depth[name] for item in observations]) for name in first.depth},
        points=join(lambda item: item.points),
        touch=join(lambda item: item.touch),
        wrench=join(lambda item: item.wrench),
        audio=join(lambda item: item.audio),
    )

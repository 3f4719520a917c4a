"""Which episodes an evaluation plays: tasks, seeds and sentences as a pure function of its configuration.

Every arm uses the same seeds, the controls the first of them, so that each control episode has its twin among the
policy's episodes. Watch out: seeds of the training data are refused, not skipped, because a skipped seed would silently
change what is compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, Protocol, TypeAlias

from embodia.core.errors import ComparisonError, ConfigError
from embodia.core.names import unknown
from embodia.envs.protocol import EnvConfig, Split, chosen
from embodia.envs.rollout import EpisodePlan
from embodia.envs.vector import Wrap
from embodia.evaluation.chains import ChainRule, chained
from embodia.evaluation.controls import CONTROLS, OTHER_SENTENCE, Episodes
from embodia.evaluation.episodes import POLICY
from embodia.evaluation.score import Score

Wording: TypeAlias = Literal["canonical", "train", "held_out", "episode"]
"""A split of an environment's sentences, or whatever each episode asks for itself."""


@dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """What is evaluated and how.

    family, env       the environment and its settings; `env.horizon` bounds an episode in control steps
    tasks             empty means all that the environment offers
    episodes          for each task, on seeds first_seed, first_seed + 1, ...
    sentences         which wording is told; a task without any falls back to its canonical sentence; "episode" tells
                      what the scene itself asks for, at every moment
    execute           actions of a chunk that are carried out before the policy looks again (0: all of it)
    slots, workers    episodes at once (part of the result), processes (not part of it; 0: one a core)
    controls          names of the controls, and control_episodes for each of them and each task
    score             "success", or "best_reward" to report that too
    suite             facts of the benchmark (name, source, protocol, differs) that the report repeats
    chain             plays chains of tasks instead of single ones, in environments that can
    groups            named parts of the tasks whose rates are reported apart; "a" means each task called "a/..."
    redteam           pairs of episodes at most for each question of the red team; 0 leaves it out
    clips             rollouts shown for each task and outcome, out of the first `filmed` episodes
    seed              root of the policy's own randomness
    """

    family: str = "metaworld"
    env: EnvConfig = field(default_factory=EnvConfig)
    tasks: tuple[str, ...] = ()
    episodes: int = 20
    first_seed: int = 1_000_000
    sentences: Wording = "held_out"
    execute: int = 0
    slots: int = 8
    workers: int = 0
    controls: tuple[str, ...] = CONTROLS
    control_episodes: int = 10
    redteam: int = 0
    clips: int = 1
    filmed: int = 10
    allow_other_profile: bool = False
    score: Score = "success"
    chain: ChainRule | None = None
    suite: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.episodes < 1 or not 0 <= self.control_episodes <= self.episodes:
            raise ConfigError(
                f"{self.control_episodes} control episodes of {self.episodes}: controls use the policy's first seeds",
                leaf="control_episodes",
            )
        for name in self.controls:
            if name not in CONTROLS:
                raise unknown("control", name, CONTROLS)

    @property
    def seeds(self) -> range:
        """The seeds of every task."""
        return range(self.first_seed, self.first_seed + self.episodes)


def wrap_of(config: EvalConfig) -> Wrap | None:
    """What is put round each environment of an evaluation."""
    return None if config.chain is None else partial(chained, rule=config.chain)


class Words(Protocol):
    """What planning asks of an environment."""

    tasks: tuple[str, ...]

    def instructions(self, task: str, split: Split = "canonical") -> tuple[str, ...]:
        """The sentences of a task."""
        ...

    def scene_partners(self, task: str) -> tuple[str, ...]:
        """Other tasks of the same scene."""
        ...


def planned_tasks(config: EvalConfig, words: Words) -> tuple[str, ...]:
    """The tasks to play. Raises `UnknownNameError` for one that the environment does not offer."""
    return chosen("task", config.tasks, words.tasks)


def plans(config: EvalConfig, words: Words, arm: str, *, film_every: int = 0) -> list[EpisodePlan]:
    """The episodes of an arm, task after task; the first `filmed` of a task are filmed when `film_every` > 0.

    The other-sentence control takes the known partners of a scene in turn and leaves out tasks without any.
    """
    seeds = config.seeds if arm == POLICY else config.seeds[: config.control_episodes]
    found = []
    for task in planned_tasks(config, words):
        partners = known_partners(config, words, task) if arm == OTHER_SENTENCE else ()
        if arm == OTHER_SENTENCE and not partners:
            continue
        for number, seed in enumerate(seeds):
            told = partners[number % len(partners)] if partners else None
            said = sentences(config, words, told or task)
            turn = number // max(1, len(partners))
            own = config.sentences == "episode" and told is None
            found.append(
                EpisodePlan(
                    task=task,
                    seed=seed,
                    instruction="" if own else said[turn % len(said)],
                    swapped_to=told,
                    film_every=film_every if number < config.filmed else 0,
                    own_words=own,
                )
            )
    return found


def known_partners(config: EvalConfig, words: Words, task: str) -> tuple[str, ...]:
    """The partners in the scene of a task that are evaluated themselves, or all of them where none is.

    What a policy has never been taught it cannot do when told, so a known partner makes the sharper question.
    """
    partners = words.scene_partners(task)
    taught = {words.instructions(name) for name in planned_tasks(config, words)}
    return tuple(name for name in partners if words.instructions(name) in taught) or partners


def sentences(config: EvalConfig, words: Words, task: str) -> tuple[str, ...]:
    """The wordings told for a task."""
    if config.sentences == "episode":
        return words.instructions(task)
    return words.instructions(task, config.sentences) or words.instructions(task)


def sentence_map(config: EvalConfig, words: Words) -> dict[str, tuple[str, ...]]:
    """Sentence -> the tasks that are told with it; more than one where one task is played in several scenes."""
    found: dict[str, tuple[str, ...]] = {}
    for task in planned_tasks(config, words):
        for sentence in sentences(config, words, task):
            found[sentence] = (*found.get(sentence, ()), task)
    return found


def require_new_seeds(config: EvalConfig, data: Sequence[Episodes]) -> None:
    """Raise `ComparisonError` when an evaluation seed occurs in the training data."""
    trained = {row.seed for source in data for row in source.episodes}
    both = sorted(trained.intersection(config.seeds))
    if both:
        raise ComparisonError(
            f"{len(both)} evaluation seeds occur in the training data, the first is {both[0]}",
            leaf="first_seed",
            cure=f"Start at {max(trained) + 1} or later.",
        )


def config_facts(config: EvalConfig, horizon: Any) -> dict[str, Any]:
    """The settings that make up the protocol, for report.json; no result depends on `workers`."""
    return {
        "episodes": config.episodes,
        "control_episodes": config.control_episodes,
        "sentences": config.sentences,
        "execute": config.execute,
        "horizon": horizon,
        "slots": config.slots,
        "success_ends": config.env.success_ends,
    }

"""Suites: the published benchmarks with their own protocols, one file each; `load("metaworld/mt10")` is the one door.

A suite says which environment, which tasks, how many episodes, how long, which wording and which score, so that a
number of that name means what its paper means. A file has a function `suites()` that returns its suites; a suite called
as its file needs no variant ("pusht"), others are "<file>/<variant>" ("libero/goal").
The one thing to watch: `differs` says where a suite does not follow its publication; quote it with the number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from embodia.core.errors import ConfigError
from embodia.core.names import Folder, unknown
from embodia.envs.protocol import EnvConfig
from embodia.evaluation.chains import ChainRule
from embodia.evaluation.controls import CONTROLS
from embodia.evaluation.plans import EvalConfig, Wording
from embodia.evaluation.score import Score

FOLDER = Folder(kind="suite", package="embodia.evaluation.suites")


@dataclass(frozen=True, kw_only=True)
class Suite:
    """One benchmark as it is published.

    name        "<file>" or "<file>/<variant>"
    family      the environment, a file in `envs/adapters/`
    env         its settings: tasks (empty: all), control steps of an episode, whether success ends it
    episodes    the published number for each task
    first_seed  seed of the first episode of a task
    sentences   which wording is told
    score       "success", or "best_reward": the mean over episodes of the largest reward of one step is added
    chain       plays chains of tasks, each on a seed of its own
    groups      named parts of the tasks that the publication reports apart, as in `EvalConfig`
    source      title, year and arXiv number
    protocol    how the published number is made, in one sentence
    differs     where this suite departs from that; empty when it does not
    extra       which optional dependency brings the benchmark
    """

    name: str
    family: str
    env: EnvConfig
    episodes: int
    source: str
    protocol: str
    first_seed: int = 1_000_000
    sentences: Wording = "canonical"
    score: Score = "success"
    chain: ChainRule | None = None
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    differs: str = ""
    extra: str = ""

    def __post_init__(self) -> None:
        if self.episodes < 1:
            raise ConfigError(f"at least one episode a task, got {self.episodes}", leaf=self.name)

    def config(
        self,
        *,
        episodes: int = 0,
        control_episodes: int = 10,
        tasks: tuple[str, ...] = (),
        controls: tuple[str, ...] = CONTROLS,
        execute: int = 0,
        slots: int = 8,
        workers: int = 0,
        seed: int = 0,
    ) -> EvalConfig:
        """The evaluation that this suite prescribes; `episodes` 0 means the published number, `tasks` a part of it."""
        count = episodes or self.episodes
        env = replace(self.env, tasks=tasks) if tasks else self.env
        return EvalConfig(
            family=self.family,
            env=env,
            episodes=count,
            control_episodes=min(control_episodes, count),
            controls=controls,
            first_seed=self.first_seed,
            sentences=self.sentences,
            execute=execute,
            slots=slots,
            workers=workers,
            score=self.score,
            chain=self.chain,
            suite=self.facts,
            groups=self.groups,
            seed=seed,
        )

    @property
    def facts(self) -> dict[str, str]:
        """What a report repeats of the suite."""
        return {"name": self.name, "source": self.source, "protocol": self.protocol, "differs": self.differs}


def load(name: str) -> Suite:
    """The suite of that name. Raises `UnknownNameError` with the nearest one."""
    file, _, variant = name.partition("/")
    if not variant and file not in FOLDER.names():
        raise unknown("suite", name, names())
    found = {suite.name: suite for suite in _of_file(file)}
    if name not in found:
        raise unknown("suite", name, found)
    return found[name]


def names() -> tuple[str, ...]:
    """All suites, file after file."""
    return tuple(suite.name for file in FOLDER.names() for suite in _of_file(file))


def _of_file(file: str) -> tuple[Suite, ...]:
    found: tuple[Suite, ...] = FOLDER.load(file).suites()
    return found

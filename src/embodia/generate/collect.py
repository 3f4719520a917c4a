"""Collecting episodes, demonstrations of scripted experts above all: parallel, resumable, what is left out counted.

Workers simulate and draw, this process records. Attempts of a task use the seeds first_seed, first_seed + 1, ... and
are recorded in exactly that order until enough of them are kept, of demonstrations those that succeed; so the data set
does not depend on timing or on the number of workers. What is done is read off the data set itself and off
`attempts.jsonl`, which also remembers what was left out. The one thing to watch: evaluate on other seeds than these.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np

from embodia.core import config as core_config
from embodia.core.errors import ConfigError, CorruptFileError, EnvironmentFailure
from embodia.core.specs import Contract, require_match
from embodia.data.episode import EpisodeData
from embodia.data.recorder import Recorder
from embodia.envs import make
from embodia.envs.protocol import Env, EnvConfig
from embodia.envs.workers import Handler, Pool, processors
from embodia.generate import experts
from embodia.generate.demonstrate import Attempt, EpisodeConfig, demonstrate
from embodia.generate.failures import fail
from embodia.generate.label import Labeller
from embodia.generate.label import make as make_labeller
from embodia.generate.takeover import Novice, Takeover, TakeoverConfig
from embodia.generate.unlabelled import PLAY, play, wander
from embodia.io import atomic, jsonio

Key: TypeAlias = tuple[str, int]
Mode: TypeAlias = Literal["expert", "failing", "random", "play"]
"""What is kept: successes, failures with their sentence, random motion, play; the last two without any sentence."""
Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is counted, how many are done, how many there are."""

ATTEMPTS = "attempts.jsonl"
SETTINGS = "collect.json"
_SILENT = ("random", "play")


@dataclass(frozen=True, kw_only=True)
class CollectConfig:
    """What to collect: `episodes` of each task in `env.tasks`, with at most `tries` attempts for each.

    `mode` says of which kind; play is of no single task, there `env.tasks` are the skills that may occur. `style` is
    one of the family's styles of experts. `actions` False leaves actions out, for learning from video. `answers` adds
    the texts of the family's labeller (sub-task, plan, reasoning, questions) to the frames of demonstrations.
    `takeover` lets a policy act before the expert does.
    """

    family: str = "metaworld"
    mode: Mode = "expert"
    style: str = ""
    actions: bool = True
    answers: bool = False
    takeover: TakeoverConfig | None = None
    env: EnvConfig = field(default_factory=EnvConfig)
    episode: EpisodeConfig = field(default_factory=EpisodeConfig)
    episodes: int = 40
    tries: float = 3.0
    first_seed: int = 0
    workers: int = 0

    def __post_init__(self) -> None:
        if self.episodes < 1 or self.tries < 1.0:
            raise ConfigError("at least one episode and one try each", leaf="collect")
        if self.takeover is not None and self.mode != "expert":
            raise ConfigError(f"an expert takes over, nobody does in mode {self.mode!r}", leaf="takeover")

    @property
    def acted_in(self) -> EnvConfig:
        """The environment in which it is acted: success does not end it, and there is time for both who act."""
        if self.takeover is None:
            return replace(self.env, success_ends=False)
        return replace(self.env, success_ends=False, horizon=self.takeover.after[1] + self.episode.limit)


@dataclass(frozen=True, kw_only=True)
class CollectReport:
    """What came of it: episodes kept and attempts failed by task, over all sessions; frames recorded in this one."""

    kept: dict[str, int]
    failed: dict[str, int]
    frames: int

    @property
    def episodes(self) -> int:
        """Episodes in the data set, all tasks together."""
        return sum(self.kept.values())


class EpisodeSink(Protocol):
    """What collection needs of a recorder."""

    recorded: frozenset[Key]

    def record(self, episode: EpisodeData) -> int:
        """Write one episode durably."""
        ...

    def close(self) -> None:
        """Finish."""
        ...


def collect(
    config: CollectConfig,
    out: str | Path,
    progress: Progress | None = None,
    *,
    novice: Novice | None = None,
    open_recorder: Callable[..., Any] = Recorder,
) -> CollectReport:
    """Fill the data set at `out` until every task has its episodes; continues what an interrupted call began.

    `novice` loads the policy that acts before the expert takes over, where the configuration says so; a task of which
    it leaves too little to do keeps fewer episodes. Raises `EnvironmentFailure` when a task's expert fails too often,
    `ConfigError`, `ContractError` or `ProfileError` when `out` holds data made in another way, `CorruptFileError` for a
    strange log, and what workers and recorder raise; everything recorded before stays.
    """
    root = Path(out)
    if (config.takeover is None) != (novice is None):
        raise ConfigError("a policy that acts first and for how long belong together", leaf="takeover")
    env = make(config.family, config.acted_in)
    said = {} if config.mode in _SILENT else paraphrases(env)
    contract = recorded_contract(config, env)
    recorder: EpisodeSink = open_recorder(root, contract=contract, provenance=env.provenance, paraphrases=said)
    try:
        _remember(config, root)
        return _Collection(config, env, recorder, root, progress, novice).run()
    finally:
        recorder.close()
        env.close()


def recorded_contract(config: CollectConfig, env: Env) -> Contract:
    """What the data set holds of what `env` offers: the sentence or not, actions or not."""
    contract = env.contract
    if config.mode in _SILENT:
        contract = replace(contract, observation=replace(contract.observation, language=False))
    return replace(contract, action=replace(contract.action, recorded=_with_actions(config, env))).of_data


def _with_actions(config: CollectConfig, env: Env) -> bool:
    """Whether actions are recorded; a body that does not know its own has none, whatever is asked for."""
    return config.actions and env.contract.action.recorded


def read_settings(root: str | Path) -> CollectConfig:
    """How the data set at `root` was collected. Raises `MissingFileError`, `CorruptFileError` or `ConfigError`."""
    path = Path(root) / SETTINGS
    return core_config.from_json(CollectConfig, jsonio.read_json(path), file=str(path))


def _remember(config: CollectConfig, root: Path) -> None:
    """Write the settings down; those of an earlier session may differ only in how much is collected, and by whom."""
    path = root / SETTINGS
    if path.exists():
        earlier = read_settings(root)
        same = replace(
            earlier,
            episodes=config.episodes,
            tries=config.tries,
            workers=config.workers,
            env=replace(earlier.env, tasks=config.env.tasks),
        )
        if same != config:
            raise ConfigError(
                "this data set was collected in another way", file=path, cure="Use the same settings or another folder."
            )
    atomic.write_json(path, core_config.to_json(config))


def paraphrases(env: Env) -> dict[str, tuple[str, ...]]:
    """Canonical sentence -> sentences to train on, for every task of `env`."""
    return {env.instructions(task)[0]: env.instructions(task, "train") for task in env.tasks}


class _Collection:
    def __init__(
        self,
        config: CollectConfig,
        env: Env,
        recorder: EpisodeSink,
        root: Path,
        progress: Progress | None,
        novice: Novice | None = None,
    ) -> None:
        self._novice = novice
        self._tasks = (PLAY,) if config.mode == "play" else env.tasks
        self._config, self._recorder = config, recorder
        self._path = root / ATTEMPTS
        self._progress = progress or (lambda what, done, total: None)
        self._outcome: dict[Key, bool] = dict(_earlier(self._path, recorder.recorded))
        self._frames = 0

    def run(self) -> CollectReport:
        self._tell("")
        workers = self._config.workers or processors()
        todo = self._wave()
        if todo:
            arguments = [(self._config, self._novice)] * min(workers, len(todo))
            with Pool(_build, arguments, name=f"{self._config.family} collection") as pool:
                while todo:
                    for attempt in in_order(pool, todo):
                        self._take(attempt)
                    todo = self._wave()
        return self._report()

    def _wave(self) -> list[Key]:
        """The attempts that would be enough if all succeeded, in the order in which they will be recorded."""
        found: list[Key] = []
        for task in self._tasks:
            missing = self._config.episodes - self._kept(task)
            seed, tried, new = self._config.first_seed, 0, list[Key]()
            while missing > 0:
                if (task, seed) in self._outcome:
                    tried += 1
                else:
                    new.append((task, seed))
                    missing -= 1
                seed += 1
            found += new[: self._allowed(task, tried)]
        return found

    def _allowed(self, task: str, tried: int) -> int:
        """How many more attempts a task may have. Raises `EnvironmentFailure` when an expert has had them all."""
        most = math.ceil(self._config.tries * self._config.episodes)
        if self._config.takeover is not None:
            return max(0, most - tried)
        if tried >= most:
            raise EnvironmentFailure(
                f"of {tried} attempts at {task} only {self._kept(task)} could be kept, in mode {self._config.mode}",
                leaf=task,
                cure="Ask for fewer episodes, allow more tries or disturb less.",
            )
        return most

    def _take(self, attempt: Attempt) -> None:
        number = self._recorder.record(attempt.episode) if attempt.episode is not None else None
        self._outcome[attempt.task, attempt.seed] = attempt.kept
        self._frames += attempt.steps if attempt.kept else 0
        line = {
            "task": attempt.task,
            "seed": attempt.seed,
            "success": attempt.success,
            "kept": attempt.kept,
            "steps": attempt.steps,
            "episode": number,
            "reason": attempt.reason,
        }
        atomic.append_line(self._path, json.dumps(line, sort_keys=True))
        self._tell(attempt.task)

    def _kept(self, task: str) -> int:
        return sum(done for (name, _), done in self._outcome.items() if name == task)

    def _tell(self, task: str) -> None:
        kept = sum(self._kept(name) for name in self._tasks)
        self._progress(f"episodes|{task}", kept, self._config.episodes * len(self._tasks))

    def _report(self) -> CollectReport:
        kept = {task: self._kept(task) for task in self._tasks}
        failed = {
            task: sum(not done for (name, _), done in self._outcome.items() if name == task) for task in self._tasks
        }
        return CollectReport(kept=kept, failed=failed, frames=self._frames)


def in_order(pool: Pool, todo: list[Key]) -> Iterator[Attempt]:
    """Attempts in the order of `todo`, made by whichever worker is free; early ones wait for their turn."""
    waiting = list(todo)
    at: dict[int, Key] = {}
    done: dict[Key, Attempt] = {}
    for key in todo:
        while key not in done:
            _hand_out(pool, waiting, at)
            for worker, attempt in pool.receive():
                done[at.pop(worker)] = attempt
            _hand_out(pool, waiting, at)
        yield done.pop(key)


def _hand_out(pool: Pool, waiting: list[Key], at: dict[int, Key]) -> None:
    for worker in pool.idle:
        if waiting:
            at[worker] = waiting.pop(0)
            pool.send(worker, at[worker], doing=f"demonstrating {at[worker][0]} from seed {at[worker][1]}")


def _earlier(path: Path, recorded: Iterable[Key]) -> Iterator[tuple[Key, bool]]:
    """Attempts left out from the log, then those in the data set, which alone decides what was kept."""
    if path.exists():
        for number, line in enumerate(jsonio.read_json_lines(path), start=1):
            match line:
                case {"task": str(task), "seed": int(seed), "success": bool(success)}:
                    if not line.get("kept", success):
                        yield (task, seed), False
                case _:
                    raise CorruptFileError("is not an attempt", file=path, leaf=f"line {number}")
    for key in recorded:
        yield key, True


def _build(config: CollectConfig, novice: Novice | None = None) -> Handler:
    env = make(config.family, config.acted_in)
    before = None
    if config.takeover is not None and novice is not None:
        policy = novice()
        require_match(policy.contract, env.contract, left_name=config.takeover.policy, right_name="the environment")
        before = Takeover(policy, config.takeover)
    labeller = make_labeller(config.family, config.env) if config.answers else None

    def handle(key: Key) -> Attempt:
        # made for one attempt: experts remember the scene they acted in, and half a gigabyte of it with them
        expert_for = functools.cache(lambda task: experts.make(config.family, task, config.style))
        attempt = _attempt(config, env, expert_for, labeller, before, *key)
        return attempt if _with_actions(config, env) else _without_actions(attempt)

    return handle


def _attempt(
    config: CollectConfig,
    env: Env,
    expert_for: Callable[[str], experts.Expert],
    labeller: Labeller | None,
    before: Takeover | None,
    task: str,
    seed: int,
) -> Attempt:
    if config.mode == "play":
        return play(env, expert_for, seed, config.episode, config.env.tasks)
    if config.mode == "random":
        return wander(env, task, seed, config.episode)
    if config.mode == "failing":
        return fail(env, expert_for, task, seed, config.episode)
    return demonstrate(env, expert_for(task), task, seed, config.episode, labeller, before)


def _without_actions(attempt: Attempt) -> Attempt:
    if attempt.episode is None:
        return attempt
    none = np.zeros((attempt.steps, 0), dtype=np.float32)
    return replace(attempt, episode=replace(attempt.episode, actions=none))

"""Running an evaluation: checks first, then the policy and its controls on the same seeds, then the report.

Before the first episode the policy's contract is compared with the environment's, the pictures it was trained on with
those it will see, and the seeds with those of the training data. The report holds nothing that a clock or a process
count could change, so equal arguments on one machine give an equal file; wall times go to timing.json.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from embodia.core.clock import Clock, SystemClock, utc_label
from embodia.core.config import to_json
from embodia.core.errors import ConfigError
from embodia.core.protocols import Policy, Rng
from embodia.core.provenance import Provenance, require_same_profile
from embodia.core.seeds import derive_seed
from embodia.core.specs import require_match
from embodia.envs import make
from embodia.envs.perturb.images import blank
from embodia.envs.protocol import Env
from embodia.envs.rollout import EpisodeResult, Progress, rollout, torch_generator
from embodia.envs.vector import VectorEnv
from embodia.evaluation.chains import chain_entry
from embodia.evaluation.controls import (
    BLANK_IMAGE,
    BLIND_REPLAY,
    OTHER_SENTENCE,
    RANDOM_POLICY,
    BlindReplay,
    Episodes,
    RandomPolicy,
    Seeing,
)
from embodia.evaluation.episodes import POLICY, Episode
from embodia.evaluation.facts import run_facts
from embodia.evaluation.kept import Kept, Played
from embodia.evaluation.media import Clip, save_clip
from embodia.evaluation.notes import notes
from embodia.evaluation.plans import (
    EvalConfig,
    config_facts,
    planned_tasks,
    plans,
    require_new_seeds,
    sentence_map,
    wrap_of,
)
from embodia.evaluation.redteam.audit import Accused, RedTeamConfig, audit
from embodia.evaluation.report import write_report
from embodia.evaluation.score import score_entry
from embodia.evaluation.summary import group_rates, summarise

FORMAT = 1
FILM_HZ = 10.0
BLIND_CHUNK = 500


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is evaluated, beside the policy itself.

    trained    where the pictures of its training came from; None when unknown (then nothing is compared, and noted)
    data       its training data, for the seed check and blind replay
    facts      name, size, checkpoint: what a reader needs to find it again
    metrics    the lines of the training's metrics.jsonl, for the curves
    command    what a reader would type to repeat the evaluation
    notes      further sentences for the end of the report
    identity   digest of the weights; with it an evaluation that was cut off goes on with the arm it was at
    """

    trained: Provenance | None = None
    data: Sequence[Episodes] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    metrics: Sequence[Mapping[str, Any]] = ()
    command: str = ""
    notes: tuple[str, ...] = ()
    identity: str = ""


def evaluate(
    policy: Policy,
    config: EvalConfig,
    out: str | Path,
    *,
    subject: Subject | None = None,
    vector: VectorEnv | None = None,
    own: Mapping[str, VectorEnv] | None = None,
    progress: Progress | None = None,
    clock: Clock | None = None,
) -> dict[str, Any]:
    """Play the policy and its controls, write the report into `out`, and return it.

    `vector` replaces the environment that `config` would build and stays open; `own` gives single arms another one.
    Raises `ContractError`, `ProfileError` and `ComparisonError` before the first episode, and what environments, the
    policy and the disk raise.
    """
    subject = subject or Subject()
    if vector is None:
        history = int(getattr(policy, "history", 1))
        room = {"slots": config.slots, "workers": config.workers, "history": history}
        with VectorEnv(config.family, config.env, wrap=wrap_of(config), **room) as made:
            return evaluate(policy, config, out, subject=subject, vector=made, own=own, progress=progress, clock=clock)
    kept = Kept(Path(out), config, "" if own else subject.identity)
    run = _Run(policy, config, subject, vector, own or {}, Path(out), kept, progress, clock or SystemClock())
    differences = run.check()
    for arm in (POLICY, *config.controls):
        run.play(arm)
    report = run.report(differences)
    if config.redteam:
        report["redteam"] = run.redteam()
    write_report(Path(out), report, run.episodes, run.clips, timing=run.timing(), metrics=subject.metrics)
    kept.clear()
    return report


def check_fit(
    policy: Policy, subject: Subject, config: EvalConfig, vector: VectorEnv, *, name: str = "the policy"
) -> tuple[str, ...]:
    """The differences of pictures between training and evaluation, where they are allowed.

    Raises `ContractError`, `ProfileError` and `ComparisonError` for a policy or data of another contract, for pictures
    that may not differ, and for seeds of the training data.
    """
    told_below = config.allow_other_profile or subject.trained is not None
    sides = [(policy.contract, name), *((source.contract, "the training data") for source in subject.data)]
    for known, label in sides:
        right = f"the environment {config.family}"
        require_match(known, vector.contract, left_name=label, right_name=right, other_profile=told_below)
    require_new_seeds(config, subject.data)
    if subject.trained is None:
        return ()
    return require_same_profile(subject.trained, vector.provenance, allow=config.allow_other_profile)


class _Run:
    def __init__(
        self,
        policy: Policy,
        config: EvalConfig,
        subject: Subject,
        vector: VectorEnv,
        own: Mapping[str, VectorEnv],
        out: Path,
        kept: Kept,
        progress: Progress | None,
        clock: Clock,
    ) -> None:
        self.policy, self.config, self.subject, self.vector, self.own = policy, config, subject, vector, own
        self.out, self.kept, self.progress, self.clock = out, kept, progress, clock
        self.episodes: list[Episode] = []
        self.clips: list[Mapping[str, Any]] = []
        self.wall_s: dict[str, float] = {}

    def check(self) -> tuple[str, ...]:
        """The differences of pictures that were allowed; raises for those that were not, for old seeds and budgets."""
        differences = check_fit(self.policy, self.subject, self.config, self.vector)
        if self.config.redteam:
            self._asked()
        if BLIND_REPLAY in self.config.controls and not self.subject.data:
            raise ConfigError(
                "the control blind_replay needs the training data",
                leaf="controls",
                cure="Give the data set, or leave this control out.",
            )
        return differences

    def play(self, arm: str) -> None:
        """Run one arm, or take it over from a call that was cut off."""
        played = self.kept.get(arm)
        if played is None:
            played = self._play(arm)
            self.kept.put(arm, played)
        self.wall_s[arm] = played.wall_s
        self.episodes.extend(played.episodes)
        self.clips.extend(played.clips)

    def _play(self, arm: str) -> Played:
        film_every = self._film_every() if arm in (POLICY, OTHER_SENTENCE) else 0
        planned = plans(self.config, self.vector, arm, film_every=film_every)
        player = self._arm(arm)
        plain = isinstance(player, BlindReplay | RandomPolicy)
        start = self.clock.now_s()
        results = rollout(
            player,
            self.own.get(arm, self.vector),
            planned,
            execute=0 if plain else self.config.execute,
            seed=derive_seed(self.config.seed, arm),
            make_rng=_numpy_generator if plain else torch_generator,
            progress=self._progress(arm),
        )
        return Played(
            episodes=tuple(_episode(arm, result) for result in results),
            clips=tuple(save_clip(self.out, clip) for clip in self._clips(arm, results, film_every)),
            wall_s=self.clock.now_s() - start,
        )

    def redteam(self) -> dict[str, Any]:
        """The audit of the policy, for report.json."""
        tell = self.progress
        started = self.clock.now_s()
        found = audit(
            self.policy,
            self.vector,
            self._asked(),
            accused=Accused(data=self.subject.data, make_env=partial(_decoy, self.config)),
            progress=None if tell is None else (lambda name, done, total: tell(f"red team: {name}", done, total)),
        )
        self.wall_s["red team"] = self.clock.now_s() - started
        return found.to_json()

    def report(self, differences: tuple[str, ...]) -> dict[str, Any]:
        """Everything for report.json but the clips."""
        config, seen = self.config, self.vector.provenance
        summary = summarise(self.episodes, rate_hz=self.vector.contract.action.rate_hz)
        if config.score != "success":
            summary["score"] = score_entry(self.episodes)
        if config.chain is not None:
            summary["chains"] = chain_entry(self.episodes, config.chain)
        if config.groups:
            summary["groups"] = group_rates(self.episodes, config.groups)
        if config.suite:
            summary["suite"] = dict(config.suite)
        return {
            "format": FORMAT,
            **summary,
            **run_facts(self.subject.command),
            "policy": to_json(self.subject.facts),
            "provenance": {
                "evaluated": to_json(seen),
                "trained": to_json(self.subject.trained),
                "differences": list(differences),
            },
            "config": config_facts(config, self.horizon),
            "seed": config.seed,
            "training_episodes": sum(len(source.episodes) for source in self.subject.data),
            "seeds": [config.seeds[0], config.seeds[-1]],
            "notes": [
                *self.subject.notes,
                *notes(summary, trained_known=self.subject.trained is not None, differences=differences),
            ],
        }

    def timing(self) -> dict[str, Any]:
        """Facts of the clock, for timing.json."""
        total = sum(self.wall_s.values())
        return {"wall_seconds": total, "arms": self.wall_s, "finished": utc_label(), "workers": self.config.workers}

    @property
    def horizon(self) -> int:
        """Control steps after which an episode ends; 0 when the benchmark's own limit is used."""
        return self.config.env.horizon

    def _asked(self) -> RedTeamConfig:
        """What the red team shall do, on scenes of its own. Raises `ConfigError` for a budget that cannot decide."""
        config = self.config
        used = (row.seed for source in self.subject.data for row in source.episodes)
        return RedTeamConfig(
            tasks=planned_tasks(config, self.vector),
            budget=config.redteam,
            execute=config.execute,
            first_seed=max([config.seeds.stop, *(seed + 1 for seed in used)]),
            seed=derive_seed(config.seed, "red team"),
        )

    def _arm(self, arm: str) -> Policy:
        length = self.horizon or BLIND_CHUNK
        if arm == BLANK_IMAGE:
            return Seeing(self.policy, blank())
        if arm == RANDOM_POLICY:
            return RandomPolicy(self.vector.contract, length)
        if arm == BLIND_REPLAY:
            return BlindReplay(self.subject.data, sentence_map(self.config, self.vector), length)
        return self.policy

    def _film_every(self) -> int:
        spec = self.policy.contract.action
        asked = self.config.execute or spec.chunk or 1
        return max(1, min(asked, round(spec.rate_hz / FILM_HZ)))

    def _progress(self, arm: str) -> Progress | None:
        if self.progress is None:
            return None
        tell = self.progress
        return lambda _, done, total: tell(arm, done, total)

    def _clips(self, arm: str, results: Sequence[EpisodeResult], film_every: int) -> list[Clip]:
        kept: dict[tuple[str, bool], int] = {}
        clips = []
        for result in results:
            if result.film is None:
                continue
            kind = (result.plan.task, result.success)
            kept[kind] = kept.get(kind, 0) + 1
            allowed = self.config.clips if arm == POLICY else min(1, self.config.clips)
            if kept[kind] <= allowed:
                frames = {self.vector.contract.observation.cameras[0].name: result.film}
                fps = self.vector.contract.action.rate_hz / film_every
                clips.append(Clip(episode=_episode(arm, result), frames=frames, fps=fps))
        return clips


def _decoy(config: EvalConfig) -> Env:
    """One more environment of the evaluation, wrapped like the others."""
    env, wrap = make(config.family, config.env), wrap_of(config)
    return wrap(env) if wrap else env


def _episode(arm: str, result: EpisodeResult) -> Episode:
    told = result.plan.swapped_to or result.plan.task
    return Episode(
        arm=arm,
        task=result.plan.task,
        seed=result.plan.seed,
        instruction=result.instruction,
        told=told,
        success=result.success,
        followed=None if result.judged_at_start[told] else result.judged[told],
        steps=result.steps,
        best_reward=result.best_reward,
    )


def _numpy_generator(seed: int) -> Rng:
    return np.random.default_rng(seed)

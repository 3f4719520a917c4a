"""All protocols of generalisation played by one subject: what a single command writes and a page shows.

Star-Gen's axes with the five scores and INT-ACT's categories, VLATest's operators alone and together, FMB's conditions,
AGNOSTOS' levels of unseen tasks. The one thing to watch: what the same expert cannot do under a change is no fault of a
policy, so the battery is played by the expert and by random actions too, and the three stand side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from embodia.envs.desk import tasks
from embodia.envs.desk.knobs import KNOBS
from embodia.envs.desk.knobs.playing import Prepare
from embodia.envs.rollout import Progress
from embodia.evaluation.generalisation.axes import play_axes, report
from embodia.evaluation.generalisation.fuzz import OPERATORS, fuzzed
from embodia.evaluation.generalisation.levels import Level, levels
from embodia.evaluation.generalisation.objects import CONDITIONS, presented
from embodia.evaluation.generalisation.playing import Key, PlayConfig, Subject, keys, plain, play
from embodia.evaluation.generalisation.shifts import Shift, table
from embodia.evaluation.statistics import rate_of
from embodia.evaluation.summary import rate_entry

TOGETHER = "all together"


@dataclass(frozen=True, kw_only=True)
class BatteryConfig:
    """What is played.

    play      the trained tasks and how their episodes are played
    codes     axes; none leaves them out
    unseen    tasks of the levels, `play.episodes` for each level, `unseen_horizon` control steps each
    """

    play: PlayConfig
    codes: tuple[str, ...] = tuple(KNOBS)
    unseen: tuple[str, ...] = ()
    unseen_horizon: int = 0


def battery(subject: Subject, config: BatteryConfig, *, progress: Progress | None = None) -> dict[str, Any]:
    """Axes, scores, intention, operators, objects and levels. Raises what Desk and the policy raise."""
    shifts = play_axes(subject, config.play, codes=config.codes, progress=progress)
    operators: dict[str, Prepare] = {name: partial(fuzzed, operators=(name,)) for name in OPERATORS}
    operators[TOGETHER] = fuzzed
    conditions: dict[str, Prepare] = {name: partial(presented, condition=name) for name in CONDITIONS[1:]}
    loose = [key for key in keys(config.play) if plain(*key).thing is not None]
    return {
        **report(shifts),
        "operators": table(_against_plain(subject, config.play, keys(config.play), operators, "scene", progress)),
        "objects": table(_against_plain(subject, config.play, loose, conditions, "object", progress)),
        "levels": play_levels(subject, config, progress=progress),
    }


def play_levels(
    subject: Subject, config: BatteryConfig, *, progress: Progress | None = None
) -> dict[Level, dict[str, Any]]:
    """Success on trained tasks, on near and on far unseen ones, and of each task. Raises `UnknownNameError`."""
    trained = config.play.tasks
    found: dict[Level, dict[str, Any]] = {}
    measured = levels(trained, (*trained, *config.unseen))
    for level in ("seen", "level 1", "level 2"):
        names = tuple(name for name, is_at in measured.items() if is_at == level)
        horizon = config.play.env.horizon if level == "seen" else config.unseen_horizon or config.play.env.horizon
        env = replace(config.play.env, tasks=names, horizon=horizon)
        if names:
            found[level] = _level(subject, replace(config.play, tasks=names, env=env), level, progress)
    return found


def _level(subject: Subject, config: PlayConfig, level: str, progress: Progress | None) -> dict[str, Any]:
    pairs = keys(config)
    results = play(subject, config, pairs, plain, name=level, progress=progress) or []
    by_task: Mapping[str, list[bool]] = {name: [] for name in config.tasks}
    for (task, _), result in zip(pairs, results, strict=False):
        by_task[task].append(result.success)
    per_task = {name: rate_entry(rate_of(done)) for name, done in by_task.items() if done}
    families = sorted({tasks.get(name).family for name in config.tasks})
    whole = rate_entry(rate_of([result.success for result in results]))
    return {**whole, "families": families, "per_task": per_task}


def _against_plain(
    subject: Subject,
    config: PlayConfig,
    pairs: Sequence[Key],
    changes: Mapping[str, Prepare],
    group: str,
    progress: Progress | None,
) -> list[Shift]:
    before = play(subject, config, pairs, plain, name=f"plain, {group}", progress=progress) or []
    first, found = tuple(result.success for result in before), []
    for name, prepare in changes.items():
        after = play(subject, config, pairs, prepare, name=name, progress=progress) or []
        found.append(
            Shift(name=name, group=group, title=name, plain=first, shifted=tuple(result.success for result in after))
        )
    return found

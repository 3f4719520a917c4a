"""From the episode table to the figures of a report: rates, margins over the controls, and what they show.

Pure functions of the table, without clock or machine, so the same episodes give the same report to the byte. A margin
is a paired verdict on the episodes that the policy and the control share; the family of controls is Holm-corrected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from embodia.evaluation.controls import BLIND_REPLAY, OTHER_SENTENCE
from embodia.evaluation.episodes import POLICY, Episode, arms, of_arm, paired, tasks
from embodia.evaluation.statistics import Rate, Verdict, corrected, rate_of, verdict_paired

FLOOR = 0.2
"""Tasks that blind replay solves less often than this need eyes."""

FLOOR_EPISODES = 5
"""Fewer episodes of blind replay do not say how often it solves a task."""

CLEAR_MARGIN = 0.2
"""A policy that beats a control by less than this for certain is called only partly explained."""


def summarise(episodes: Sequence[Episode], *, rate_hz: float) -> dict[str, Any]:
    """The figures of a table: headline, controls with margins, tasks, language swaps, findings, simulated seconds."""
    mine = of_arm(episodes, POLICY)
    margins = control_margins(episodes)
    return {
        **rate_entry(_rate(mine)),
        "controls": {arm: _control_entry(episodes, arm, margins[arm]) for arm in arms(episodes)},
        "per_task": {task: _task_entry(episodes, task) for task in tasks(mine)},
        **_above_floor(episodes),
        "language": language_table(episodes),
        "findings": findings(margins),
        "seconds": sum(item.steps for item in episodes) / rate_hz,
    }


def rate_entry(rate: Rate) -> dict[str, Any]:
    """The three shared keys of every rate, and how to read it aloud."""
    low, high = rate.interval
    return {"success_rate": rate.value, "n": rate.n, "interval": [low, high], "text": rate.text}


def group_rates(episodes: Sequence[Episode], groups: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Any]]:
    """The policy's rate over each named part of the tasks; a part of which nothing was played is left out.

    A part lists tasks, or sets of them: "libero_goal" is every task called "libero_goal/...".
    """
    mine = of_arm(episodes, POLICY)
    parts = {
        name: [item for item in mine if item.task in part or item.task.partition("/")[0] in part]
        for name, part in groups.items()
    }
    return {name: rate_entry(_rate(part)) for name, part in parts.items() if part}


def control_margins(episodes: Sequence[Episode]) -> dict[str, Verdict]:
    """Policy minus control on the episodes both ran, corrected over the controls."""
    mine, names = of_arm(episodes, POLICY), arms(episodes)
    alone = []
    for arm in names:
        policy, control = paired(mine, of_arm(episodes, arm))
        alone.append(verdict_paired(control, policy))
    return dict(zip(names, corrected(alone), strict=True))


def _above_floor(episodes: Sequence[Episode]) -> dict[str, Any]:
    """The policy's rate over the tasks that blind replay hardly solves; nothing where it hardly ran or solves all."""
    mine = of_arm(episodes, POLICY)
    floors = {task: _rate(of_arm(episodes, BLIND_REPLAY, task)) for task in tasks(mine)}
    hard = [task for task, floor in floors.items() if floor.n >= FLOOR_EPISODES and floor.value < FLOOR]
    if not hard:
        return {}
    entry = rate_entry(_rate([item for item in mine if item.task in hard]))
    return {"needs_eyes": {**entry, "floor": FLOOR, "tasks": hard}}


def verdict_entry(verdict: Verdict) -> dict[str, Any]:
    """A verdict as JSON."""
    return {
        "difference": verdict.difference,
        "interval": list(verdict.interval),
        "p_value": verdict.p_value,
        "paired": verdict.paired,
        "n": [verdict.first.n, verdict.second.n],
        "distinguishable": verdict.distinguishable,
        "planned_n": verdict.planned_n,
        "text": verdict.text,
    }


def language_table(episodes: Sequence[Episode]) -> list[dict[str, Any]]:
    """One row for each (scene, told task) of the other-sentence control.

    `follows` counts only episodes in which the told task was not already done at the start; `own` counts how often the
    task of the scene was done although another one was asked for.
    """
    swapped = of_arm(episodes, OTHER_SENTENCE)
    rows = []
    for scene, told in dict.fromkeys((item.task, item.told) for item in swapped):
        group = [item for item in swapped if (item.task, item.told) == (scene, told)]
        rows.append(
            {
                "scene": scene,
                "told": told,
                "sentence": group[0].instruction,
                "own": rate_entry(_rate(group)),
                "follows": rate_entry(_follow_rate(group)),
                "already_done": sum(item.followed is None for item in group),
            }
        )
    return rows


def findings(margins: Mapping[str, Verdict]) -> list[dict[str, str]]:
    """What each control shows, as {control, status, text}; status is "clear", "partly" or "fails".

    "fails" means that the policy cannot be told apart from the control or is worse: whatever the control takes away,
    the policy does not need it.
    """
    return [{"control": arm, **_finding(arm, verdict)} for arm, verdict in margins.items()]


_MEANING = {
    "blank_image": ("It looks: without pictures success falls", "It may not look: a grey picture serves as well"),
    OTHER_SENTENCE: (
        "It listens: told another task, it no longer does this one",
        "It may not listen: told another task, it does this one as often",
    ),
    "blind_replay": (
        "It reacts: replaying a demonstration blindly does less",
        "It may have memorised: replaying a demonstration blindly does as well",
    ),
    "random_policy": ("It acts on purpose: random actions do less", "It may be luck: random actions do as well"),
}


def _finding(arm: str, verdict: Verdict) -> dict[str, str]:
    good, bad = _MEANING.get(arm, (f"It differs from {arm}", f"It may be no different from {arm}"))
    if not verdict.first.n:
        return {"status": "untested", "text": "No episodes of this control were run."}
    rates = f"{100 * verdict.second.value:.0f} % against {100 * verdict.first.value:.0f} %"
    counts = f"{rates} on the same {verdict.first.n} episodes"
    points = (
        f"{100 * verdict.difference:+.0f} points, {100 * verdict.interval[0]:+.0f} to {100 * verdict.interval[1]:+.0f}"
    )
    if not verdict.distinguishable or verdict.difference < 0:
        return {"status": "fails", "text": f"{bad} ({counts}; {points})."}
    status = "clear" if verdict.interval[0] >= CLEAR_MARGIN else "partly"
    return {"status": status, "text": f"{good} ({counts}; {points})."}


def _control_entry(episodes: Sequence[Episode], arm: str, margin: Verdict) -> dict[str, Any]:
    mine = of_arm(episodes, arm)
    entry = {**rate_entry(_rate(mine)), "margin": verdict_entry(margin)}
    if arm == OTHER_SENTENCE:
        entry["follows"] = rate_entry(_follow_rate(mine))
    return entry


def _task_entry(episodes: Sequence[Episode], task: str) -> dict[str, Any]:
    mine = of_arm(episodes, POLICY, task)
    wins = [item.steps for item in mine if item.success]
    controls = {arm: rate_entry(_rate(of_arm(episodes, arm, task))) for arm in arms(episodes)}
    return {
        **rate_entry(_rate(mine)),
        "controls": controls,
        "sentences": sorted({item.instruction for item in mine}),
        "mean_steps_to_success": sum(wins) / len(wins) if wins else None,
    }


def _rate(episodes: Sequence[Episode]) -> Rate:
    return rate_of([item.success for item in episodes])


def _follow_rate(episodes: Sequence[Episode]) -> Rate:
    return rate_of([item.followed for item in episodes if item.followed is not None])

"""The honest notes of a report: what its numbers do not show, derived from the numbers themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from embodia.evaluation.controls import BLIND_REPLAY, CONTROLS, OTHER_SENTENCE

EASY_BLIND = 0.5
FEW = 50


def notes(summary: Mapping[str, Any], *, trained_known: bool, differences: Sequence[str]) -> list[str]:
    """Sentences for the end of a report, the gravest first."""
    found = []
    if not trained_known:
        found.append("It is not known on which pictures this policy was trained, so nothing could be compared.")
    if summary.get("suite", {}).get("differs"):
        found.append(
            f"Departs from the published protocol of {summary['suite']['name']}: {summary['suite']['differs']}"
        )
    if differences:
        found.append(f"Trained and evaluated on different pictures, on purpose: {'; '.join(differences)}.")
    found += [*_missing(summary), *_blind(summary), *_hard(summary), *_language(summary), *_size(summary)]
    found.append("Everything here was simulated; nothing was measured on a robot.")
    return found


def _missing(summary: Mapping[str, Any]) -> list[str]:
    left_out = [name for name in CONTROLS if not summary["controls"].get(name, {}).get("n")]
    if not left_out:
        return []
    return [f"Not run: {', '.join(left_out)}. What such a control would have shown is unknown."]


def _blind(summary: Mapping[str, Any]) -> list[str]:
    easy = [
        name
        for name, entry in summary["per_task"].items()
        if entry["controls"].get(BLIND_REPLAY, {}).get("success_rate", 0.0) >= EASY_BLIND
    ]
    if not easy:
        return []
    return [f"At least half of the blind replays solve {', '.join(easy)}: success there says little about eyes."]


def _hard(summary: Mapping[str, Any]) -> list[str]:
    hard = summary.get("needs_eyes")
    if not hard or len(hard["tasks"]) == len(summary["per_task"]):
        return []
    below = f"{100 * hard['floor']:.0f} %"
    return [f"Over the {len(hard['tasks'])} tasks that blind replay solves in less than {below}: {hard['text']}."]


def _language(summary: Mapping[str, Any]) -> list[str]:
    if OTHER_SENTENCE not in summary["controls"]:
        return []
    alone = [
        name for name, entry in summary["per_task"].items() if not entry["controls"].get(OTHER_SENTENCE, {}).get("n", 0)
    ]
    if not alone:
        return []
    return [f"No other task can be asked for in the scenes of {', '.join(alone)}: language is not tested there."]


def _size(summary: Mapping[str, Any]) -> list[str]:
    smallest = min((entry["n"] for entry in summary["per_task"].values()), default=0)
    if smallest >= FEW:
        return []
    return [f"A task has as few as {smallest} episodes: rates of single tasks are uncertain, see their intervals."]

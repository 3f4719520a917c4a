"""The L1-L5 card: four abilities along three dimensions, graded from measured success rates.

The survey proposes to grade embodied intelligence like automated driving: perception, decision, action and skill, by
generalisation, adaptivity and intelligence, in the scenes mobility, manipulation and interaction; it places today's
systems at L1 to L2. The standard itself is still being drafted, so conditions and bars are ours and are printed on
every card: a cell's level is the number of `BARS` below the *lower* end of the 95 % interval of its success. An ability
is as good as its weakest cell. Watch out: a cell that was not measured is level 0, and the card says what is missing
and what the level could be at most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from embodia.core.errors import ConfigError, CorruptFileError
from embodia.core.names import unknown
from embodia.evaluation.page import short_rate, spoken
from embodia.evaluation.statistics import Rate
from embodia.evaluation.summary import rate_entry
from embodia.io.jsonio import read_json

Scene = Literal["mobility", "manipulation", "interaction"]
ABILITIES = ("perception", "decision", "action", "skill")
DIMENSIONS = ("generalisation", "adaptivity", "intelligence")

BARS = (0.1, 0.3, 0.6, 0.85, 0.97)
"""L1 hardly works, L2 sometimes, L3 mostly, L4 reliably, L5 as a matter of course: least success, for certain."""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What is played to fill a cell."""

    ability: str
    dimension: str
    played: str


CONDITIONS: Mapping[str, Condition] = {
    "look": Condition(
        ability="perception", dimension="generalisation", played="unseen objects, colours, light, cameras"
    ),
    "disturbed_senses": Condition(
        ability="perception", dimension="adaptivity", played="noise, blur, occlusion, drop-outs"
    ),
    "memory": Condition(ability="perception", dimension="intelligence", played="what was seen must be remembered"),
    "wording": Condition(ability="decision", dimension="generalisation", played="unseen sentences for known tasks"),
    "other_sentence": Condition(
        ability="decision", dimension="adaptivity", played="another task's sentence in a scene"
    ),
    "chains": Condition(
        ability="decision", dimension="intelligence", played="several instructions in a row, all of them"
    ),
    "unseen_places": Condition(ability="action", dimension="generalisation", played="known tasks from unseen starts"),
    "dynamics": Condition(
        ability="action", dimension="adaptivity", played="other friction, mass, damping, delay; pushes"
    ),
    "manner": Condition(
        ability="action", dimension="intelligence", played="how it is done counts: gently, hard, round"
    ),
    "unseen_tasks": Condition(ability="skill", dimension="generalisation", played="combinations never demonstrated"),
    "other_body": Condition(ability="skill", dimension="adaptivity", played="another body without new demonstrations"),
    "new_skill": Condition(ability="skill", dimension="intelligence", played="a new skill from a few demonstrations"),
}
"""Name of what is played -> the cell that it fills; one for each of the twelve."""


AXES: Mapping[str, tuple[str, ...]] = {
    "look": ("V-SC", "V-OBJ", "V-VIEW", "VS-PROP", "VSB-NOBJ"),
    "disturbed_senses": ("V-AUG",),
    "wording": ("S-LANG", "S-PROP", "S-MO", "S-AFF", "S-INT"),
    "other_sentence": ("SB-NOUN", "SB-SMO"),
    "unseen_places": ("VB-POSE",),
    "dynamics": ("B-HOBJ", "B-HSC"),
    "manner": ("SB-ADV",),
    "other_body": ("VB-ROB",),
}
"""Condition -> the axes of generalisation that play it; unseen tasks are the two levels of them."""


def level_card(measured: Mapping[str, Rate], scene: Scene = "manipulation") -> dict[str, Any]:
    """The card of one scene as JSON: `cells`, `abilities`, `level`, `at_most`, `missing`, `bars`.

    `measured` maps names of `CONDITIONS` to success rates; a rate without episodes is not measured. Raises
    `UnknownNameError` for another name or scene.
    """
    if scene not in get_args(Scene):
        raise unknown("scene", scene, get_args(Scene))
    for name in measured:
        if name not in CONDITIONS:
            raise unknown("condition", name, CONDITIONS)
    cells = [_cell(name, measured.get(name)) for name in CONDITIONS]
    abilities = {ability: _weakest([c for c in cells if c["ability"] == ability]) for ability in ABILITIES}
    return {
        "scene": scene,
        **_weakest(cells),
        "abilities": abilities,
        "cells": cells,
        "missing": [cell["condition"] for cell in cells if cell["level"] is None],
        "bars": list(BARS),
    }


def level_of(rate: Rate) -> int:
    """0 to 5: how many bars lie below the lower end of the interval."""
    return sum(rate.interval[0] >= bar for bar in BARS) if rate.n else 0


def rates_of_report(report: Mapping[str, Any]) -> dict[str, Rate]:
    """What one ordinary evaluation says: `unseen_places`, `wording` where sentences were held out, `other_sentence`.

    An evaluation on unseen sentences and unseen starts fills both cells with the same episodes, which is fair: it had
    to master both at once.
    """
    overall = _rate(report)
    if "axes" in report.get("policy", {}):
        return rates_of_battery(report["policy"])
    found = {"unseen_places": overall}
    if report.get("config", {}).get("sentences") == "held_out":
        found["wording"] = overall
    follows = [_rate(row["follows"]) for row in report.get("language", ())]
    if follows:
        found["other_sentence"] = Rate(successes=sum(r.successes for r in follows), n=sum(r.n for r in follows))
    return found


def rates_of_battery(found: Mapping[str, Any]) -> dict[str, Rate]:
    """What a battery of generalisation says (`generalisation.battery`): the conditions of `AXES`, and unseen tasks."""
    rows = {row["name"]: _rate(row["shifted"]) for row in found["axes"]}
    measured = {name: _pooled([rows[code] for code in codes if code in rows]) for name, codes in AXES.items()}
    unseen = [_rate(found["levels"][level]) for level in ("level 1", "level 2") if level in found.get("levels", {})]
    return {name: rate for name, rate in {**measured, "unseen_tasks": _pooled(unseen)}.items() if rate.n}


def _pooled(rates: Sequence[Rate]) -> Rate:
    return Rate(successes=sum(rate.successes for rate in rates), n=sum(rate.n for rate in rates))


def read_measured(given: Sequence[str]) -> dict[str, Rate]:
    """Rates from words such as "runs/a" (an ordinary evaluation) and "look=runs/b" (an evaluation of that condition).

    A path is an evaluation's folder or a result file, of `benchmarks/generalisation_desk.py` too. Later files win over
    earlier ones, named conditions over all. Raises `ConfigError` for a word that is neither, `MissingFileError`,
    `CorruptFileError`, `UnknownNameError`.
    """
    plain: dict[str, Rate] = {}
    named: dict[str, Rate] = {}
    for word in given:
        name, separator, path = word.rpartition("=")
        report = _read(Path(path))
        if not separator:
            plain |= rates_of_report(report)
        elif name in CONDITIONS:
            named[name] = _rate(report)
        else:
            raise unknown("condition", name, CONDITIONS)
    if not plain and not named:
        raise ConfigError("a card needs at least one evaluation", leaf="levels")
    return {**plain, **named}


def card_text(card: Mapping[str, Any]) -> str:
    """The card for a terminal."""
    lines = [f"{spoken(card['scene'])}: {_level_text(card)}"]
    for ability in ABILITIES:
        lines.append(f"  {ability:<11} {_level_text(card['abilities'][ability])}")
        for cell in (c for c in card["cells"] if c["ability"] == ability):
            level = "  - " if cell["level"] is None else f"  L{cell['level']}"
            text = "not measured" if cell["rate"] is None else short_rate(cell["rate"])
            lines.append(f"  {level} {cell['dimension']:<15} {cell['played']:<45} {text}")
    bars = ", ".join(f"L{number} {100 * bar:.0f} %" for number, bar in enumerate(card["bars"], start=1))
    lines.append(f"A cell's level by the lower end of the 95 % interval: {bars}. The weakest cell decides.")
    return "\n".join(lines)


def _cell(name: str, rate: Rate | None) -> dict[str, Any]:
    condition, known = CONDITIONS[name], rate is not None and rate.n > 0
    return {
        "condition": name,
        "ability": condition.ability,
        "dimension": condition.dimension,
        "played": condition.played,
        "rate": rate_entry(rate) if known and rate is not None else None,
        "level": level_of(rate) if known and rate is not None else None,
    }


def _weakest(cells: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """`level`, for which every cell must be known, and `at_most`, what the unknown ones still allow."""
    known = [cell["level"] for cell in cells if cell["level"] is not None]
    at_most = min(known, default=len(BARS))
    return {"level": at_most if len(known) == len(cells) else 0, "at_most": at_most, "measured": len(known)}


def _level_text(part: Mapping[str, int]) -> str:
    if part["level"] == part["at_most"]:
        return f"L{part['level']}" if part["level"] else "below L1"
    cells = "1 cell" if part["measured"] == 1 else f"{part['measured']} cells"
    return f"not graded, at most L{part['at_most']} ({cells} measured)"


def _read(path: Path) -> Mapping[str, Any]:
    file = path / "report.json" if path.is_dir() else path
    report = read_json(file)
    if not isinstance(report, dict) or not {"success_rate", "n"} <= report.keys():
        raise CorruptFileError("has no success_rate and n", file=file)
    return report


def _rate(entry: Mapping[str, Any]) -> Rate:
    n = int(entry["n"])
    return Rate(successes=round(entry["success_rate"] * n), n=n)

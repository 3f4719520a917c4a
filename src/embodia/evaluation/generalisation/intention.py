"""Intention against execution (INT-ACT, arXiv 2506.09930): did it go for the right thing, even where it then failed?

An episode shows the right intention when the tool came to the thing that was meant and to no other thing that could
have been meant; success may still be missed. Categories group the axes as the paper groups its tasks: objects, words,
and sight and thought together. The one thing to watch: with fixtures as targets nothing is reached, and there is no
intention to be seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from embodia.envs.desk.knobs import Trial
from embodia.envs.rollout import EpisodeResult
from embodia.evaluation.generalisation.playing import reachable
from embodia.evaluation.generalisation.shifts import Shift

CATEGORIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "object diversity": ("V-OBJ", "VB-MOBJ", "VS-PROP", "VSB-NOBJ"),
        "language complexity": ("S-LANG", "S-PROP", "S-MO"),
        "vision-language thinking": ("S-AFF", "S-INT", "VB-ISC", "V-SC"),
    }
)
"""INT-ACT's three categories and the axes that stand for them on Desk."""


def intended(result: EpisodeResult, trial: Trial) -> bool | None:
    """Whether the right thing was gone for; None where nothing could be told: no loose target, or near at once."""
    watched = reachable(trial)
    right = f"reach/{trial.target}"
    if right not in watched or any(result.judged_at_start.get(name, False) for name in watched):
        return None
    wrong = [name for name in watched if name != right and result.judged.get(name, False)]
    return bool(result.judged.get(right, False)) and not wrong


def by_category(shifts: Sequence[Shift]) -> dict[str, Shift]:
    """The shifts of each category joined into one, intention included where it was watched."""
    found = {}
    for category, codes in CATEGORIES.items():
        parts = [shift for shift in shifts if shift.name in codes]
        seen = [part.intended for part in parts if part.intended is not None]
        found[category] = Shift(
            name=category,
            group="intention",
            title=", ".join(part.name for part in parts),
            plain=tuple(outcome for part in parts for outcome in part.plain),
            shifted=tuple(outcome for part in parts for outcome in part.shifted),
            intended=tuple(outcome for part in seen for outcome in part) if seen else None,
        )
    return found

"""From the goal of a LIBERO task to chores in an order that works: open before putting in, put in before closing.

Pure reading of names; nothing here looks at the scene. The one thing to watch: the benchmark names a drawer's region
after its cabinet and level ("wooden_cabinet_1_top_region"), and everything about drawers hangs on that name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from embodia.envs.adapters._libero_bddl import Atom

Kind: TypeAlias = Literal["open", "turn", "carry", "close"]
_KINDS: dict[str, Kind] = {"open": "open", "turnon": "turn", "on": "carry", "in": "carry", "close": "close"}
_ORDER: tuple[Kind, ...] = ("open", "turn", "carry", "close")
_DRAWER = re.compile(r"^(?P<cabinet>\w+_\d+)_(?P<level>top|middle|bottom)_region$")


@dataclass(frozen=True, kw_only=True)
class Chore:
    """One thing to do: make `atom` true.

    `name` is what is handled, `goal` where it goes (carry only). Of `parts` chores that share a goal this is number
    `part`, so that each can have its own share of the room there. A chore without an atom prepares another.
    """

    kind: Kind
    name: str
    goal: str = ""
    atom: Atom = ()
    part: int = 0
    parts: int = 1


def drawer_of(region: str) -> tuple[str, str] | None:
    """Cabinet and level of a drawer's region; None where it is no drawer."""
    found = _DRAWER.match(region)
    return (found["cabinet"], found["level"]) if found and "cabinet" in found["cabinet"] else None


def chores(goal: Iterable[Atom]) -> tuple[Chore, ...]:
    """What to do for a goal, in order. Predicates without a script are left out."""
    atoms = [atom for atom in goal if atom[0] in _KINDS]
    found = [_chore(atom, atoms) for atom in atoms]
    opened = {chore.name for chore in found if chore.kind == "open"}
    for chore in [chore for chore in found if chore.kind == "carry"]:
        if drawer_of(chore.goal) and chore.goal not in opened:
            found.append(Chore(kind="open", name=chore.goal))
    return tuple(sorted(found, key=lambda chore: _ORDER.index(chore.kind)))


def _chore(atom: Atom, atoms: list[Atom]) -> Chore:
    kind = _KINDS[atom[0]]
    if kind != "carry":
        return Chore(kind=kind, name=atom[1], atom=atom)
    same: list[Atom] = [other for other in atoms if len(other) == 3 and other[2] == atom[2]]
    return Chore(kind=kind, name=atom[1], goal=atom[2], atom=atom, part=same.index(atom), parts=len(same))

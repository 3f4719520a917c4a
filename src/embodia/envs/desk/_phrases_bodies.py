"""The wordings of what only some bodies can do: hand over between two arms, drive, fetch.

The one thing to watch: the rules of `_phrases` hold here too, {other} and the words of held-out templates are never
trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from embodia.envs.desk._phrases import Phrases

_HAND_OVER = Phrases(
    canonical="hand over the {thing} and put it in the {to_thing}",
    train=(
        "give the {thing} to the other hand and put it in the {to_thing}",
        "pass the {thing} from hand to hand into the {to_thing}",
        "take the {alias}, pass it to the other arm and lay it in the {to_thing}",
        "with both arms, move the {thing} to the {to_thing}",
        "hand the {alias} over and place it in the {to_alias}",
        "one arm picks up the {thing}, the other one puts it in the {to_thing}",
    ),
    held_out=(
        "the {thing} has to change hands and end up in the {to_thing}",
        "together, bring the {other} across to the {to_other}",
        "exchange the {thing} between the grippers, then drop it in the {to_thing}",
    ),
)

_DRIVE = Phrases(
    canonical="drive to the {thing}",
    train=(
        "drive onto the {thing}",
        "roll to the {thing} and stop there",
        "move the base to the {alias}",
        "find a way to the {thing}",
        "go round the walls to the {alias}",
        "park on the {thing}",
    ),
    held_out=("your place is on the {thing}", "navigate until you stand on the {other}", "come to rest at the {thing}"),
)

_DRIVE_PRESS = Phrases(
    canonical="drive to the {thing} and press it",
    train=(
        "roll to the {thing} and push it down",
        "go round the walls to the {thing} and press it",
        "drive to the {alias} and push it",
        "find the {thing} in the room and press it",
        "move the base to the {alias}, then press it",
        "stop before the {thing} and press it with the arm",
    ),
    held_out=(
        "the {thing} at the other end of the room needs a press",
        "get yourself to the {other} and activate it",
        "navigate to the {thing} and push it in",
    ),
)

_FETCH = Phrases(
    canonical="drive to the {thing} and pick it up",
    train=(
        "roll to the {thing} and lift it",
        "go round the walls to the {thing} and pick it up",
        "drive to the {alias} and take it",
        "find the {thing} in the room and lift it",
        "move the base to the {alias}, then pick it up",
        "stop before the {thing} and take it off the floor",
    ),
    held_out=(
        "the {thing} has to come off the floor",
        "get yourself to the {other} and raise it",
        "navigate to the {thing} and grab it",
    ),
)

BODY_VERBS: Mapping[str, Phrases] = MappingProxyType(
    {"hand-over": _HAND_OVER, "drive": _DRIVE, "drive-press": _DRIVE_PRESS, "fetch": _FETCH}
)
"""Verb -> its templates."""

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

BODY_VERBS: Mapping[str, Phrases] = MappingProxyType({"hand-over": _HAND_OVER})
"""Verb -> its templates."""

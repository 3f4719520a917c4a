"""The wordings of what is asked with a difficulty on purpose: to remember what was shown, to go round a wall.

The one thing to watch: the rules of `_phrases` hold here too, {other} and the words of held-out templates are never
trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from embodia.envs.desk._phrases import Phrases

_RECALL_LIT = Phrases(
    canonical="press the button that lit up",
    train=(
        "push the button that was lit",
        "press the button that lit up at the start",
        "remember which button lit up and press it",
        "push the one that lit up",
        "press the button that was bright before",
        "hit the button that flashed",
    ),
    held_out=("activate the button that shone", "which button glowed? Push that one", "press what was alight earlier"),
)

_RECALL_UNLIT = Phrases(
    canonical="press the button that did not light up",
    train=(
        "push the button that was not lit",
        "press the button that stayed dark at the start",
        "remember which button stayed dark and press it",
        "push the one that did not light up",
        "press the button that was dull before",
        "hit the button that did not flash",
    ),
    held_out=(
        "activate the button that never shone",
        "which button did not glow? Push that one",
        "press what was unlit earlier",
    ),
)

_RECALL_ORDER = Phrases(
    canonical="press the buttons in the order in which they lit up",
    train=(
        "push the buttons in the same order as the lights",
        "repeat the lights by pressing the buttons",
        "press first the button that lit up first, then the other",
        "copy the order of the lights on the buttons",
        "press both buttons as they lit up",
        "do with the buttons what the lights did",
    ),
    held_out=("imitate the sequence that you saw", "echo the flashes, one press each", "play the pattern again"),
)

_RECALL_REVERSED = Phrases(
    canonical="press the buttons in the opposite order of the lights",
    train=(
        "push the buttons in reverse order of the lights",
        "repeat the lights backwards by pressing the buttons",
        "press first the button that lit up last, then the other",
        "reverse the order of the lights on the buttons",
        "press both buttons, the last one that lit up first",
        "do with the buttons what the lights did, but backwards",
    ),
    held_out=("undo the sequence that you saw", "echo the flashes from the end", "play the pattern in reverse"),
)

_RECALL_PLACE = Phrases(
    canonical="push the {thing} to where the mark was",
    train=(
        "slide the {thing} to where you saw the mark",
        "push the {alias} onto the place of the mark that is gone",
        "move the {thing} to the place that was marked",
        "push the {thing} to the place that was shown",
        "bring the {alias} to where the mark used to be",
        "shove the {thing} to the place that had the mark",
    ),
    held_out=(
        "the {thing} belongs where the hint appeared",
        "recall the target and nudge the {other} there",
        "cover the vanished mark with the {thing}",
    ),
)

_DETOUR_REACH = Phrases(
    canonical="get to the {thing} behind the wall",
    train=(
        "move to the {thing} behind the wall",
        "touch the {thing} that is behind the wall",
        "go to the {alias} on the other side of the wall",
        "bring the hand to the {thing} behind the wall",
        "reach the {alias} beyond the wall",
        "move the gripper to the {thing} at the far side of the wall",
    ),
    held_out=(
        "approach the {thing} which the wall hides",
        "find your way to the {other}",
        "without a bump, point at the {thing}",
    ),
)

_DETOUR_CARRY = Phrases(
    canonical="carry the {thing} to the white mark behind the wall",
    train=(
        "bring the {thing} to the white mark behind the wall",
        "pick up the {thing} and put it on the white mark beyond the wall",
        "take the {alias} to the mark on the other side of the wall",
        "place the {thing} on the white mark behind the wall",
        "move the {alias} to the white mark behind the wall",
        "put the {thing} on the mark at the far side of the wall",
    ),
    held_out=(
        "the {thing} belongs on the mark which the wall hides",
        "deliver the {other} to the mark",
        "without a bump, get the {thing} onto the white patch",
    ),
)

TRIAL_VERBS: Mapping[str, Phrases] = MappingProxyType(
    {
        "recall-lit": _RECALL_LIT,
        "recall-unlit": _RECALL_UNLIT,
        "recall-order": _RECALL_ORDER,
        "recall-reversed": _RECALL_REVERSED,
        "recall-place": _RECALL_PLACE,
        "detour-reach": _DETOUR_REACH,
        "detour-carry": _DETOUR_CARRY,
    }
)
"""Verb -> its templates."""

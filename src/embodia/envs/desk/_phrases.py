"""The wordings of `grammar`: sentence templates by verb, nouns by shape, phrases for places and manners.

In a template {thing} is the noun phrase ("red cube"), {alias} and {other} the same with a synonym; {to_thing},
{to_alias} and {to_other} are the place. The one thing to watch: {other} and the words of held-out templates stay out of
the trained ones, or the held-out split measures nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True)
class Phrases:
    """Templates of one verb, without the full stop."""

    canonical: str
    train: tuple[str, ...]
    held_out: tuple[str, ...]


NOUNS: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {
        "cube": ("cube", "block", "box"),
        "ball": ("ball", "sphere", "marble"),
        "cylinder": ("cylinder", "can", "tube"),
        "peg": ("peg", "pin", "rod"),
        "cup": ("cup", "beaker", "mug"),
        "bowl": ("bowl", "dish", "basin"),
        "socket": ("socket", "hole", "slot"),
        "drawer": ("drawer", "tray", "compartment"),
        "button": ("button", "push button", "knob"),
        "switch": ("switch", "lever", "toggle"),
        "bin": ("bin", "bucket", "container"),
        "mark": ("mark", "patch", "spot"),
        "bar": ("bar", "stick", "beam"),
    }
)
"""Shape word -> the noun, a trained synonym, a held-out synonym."""

PLACES: Mapping[str, str] = MappingProxyType(
    {
        "left": "to the left",
        "right": "to the right",
        "away": "away from you",
        "near": "towards you",
        "bowl": "in the bowl",
        "bin": "in the bin",
        "mark": "on the white mark",
        "drawer": "in the drawer",
    }
)
"""Place word -> phrase."""

MANNERS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = MappingProxyType(
    {
        "gently": (("gently",), ("softly", "with a light touch", "carefully"), ("without any force", "delicately")),
        "hard": (("hard",), ("firmly", "with force", "strongly"), ("with all your might", "forcefully")),
        "by-left": (
            ("passing the wall on the left",),
            ("round the left end of the wall", "keeping to the left of the wall", "and go left of the wall"),
            ("so that the wall is on your right", "with a turn about the wall's left edge"),
        ),
        "by-right": (
            ("passing the wall on the right",),
            ("round the right end of the wall", "keeping to the right of the wall", "and go right of the wall"),
            ("so that the wall is on your left", "with a turn about the wall's right edge"),
        ),
        "by-over": (
            ("passing over the wall",),
            ("over the top of the wall", "keeping above the wall", "and go over the wall"),
            ("so that the wall stays underneath you", "with a leap across the wall"),
        ),
    }
)
"""Manner, or way past a wall -> what is added to canonical, trained and held-out sentences, in turn."""

_TOUCH = Phrases(
    canonical="reach the {thing}",
    train=(
        "touch the {thing}",
        "move to the {thing}",
        "go to the {alias}",
        "bring the gripper to the {thing}",
        "move the hand to the {alias}",
        "reach for the {alias}",
        "put the hand at the {thing}",
    ),
    held_out=("approach the {thing}", "get your fingers next to the {other}", "where is the {thing}? Point at it"),
)

_PUSH = Phrases(
    canonical="push the {thing} {to_thing}",
    train=(
        "slide the {thing} {to_thing}",
        "move the {thing} {to_thing} without lifting it",
        "push the {alias} {to_thing}",
        "shove the {alias} {to_thing}",
        "{to_thing}, push the {thing}",
        "push {to_thing} the {thing}",
        "please slide the {alias} {to_thing}",
    ),
    held_out=(
        "nudge the {thing} {to_thing}",
        "the {other} should be moved {to_thing}; push it",
        "make the {thing} go {to_thing}",
    ),
)

_PLACE = Phrases(
    canonical="put the {thing} {to_thing}",
    train=(
        "place the {thing} {to_thing}",
        "pick up the {thing} and put it {to_thing}",
        "lay the {alias} {to_thing}",
        "take the {thing} and place it {to_thing}",
        "grasp the {alias}, then put it {to_thing}",
        "set the {thing} down {to_thing}",
        "put {to_thing} the {alias}",
    ),
    held_out=(
        "I want the {thing} {to_thing}",
        "drop the {other} {to_thing}",
        "the {thing} belongs {to_thing}",
    ),
)

_STACK = Phrases(
    canonical="stack the {thing} on the {to_thing}",
    train=(
        "put the {thing} on top of the {to_thing}",
        "place the {thing} on the {to_thing}",
        "pick up the {alias} and stack it on the {to_alias}",
        "set the {alias} on the {to_alias}",
        "lift the {thing} onto the {to_thing}",
        "on the {to_thing}, stack the {thing}",
    ),
    held_out=(
        "build a tower with the {to_thing} below and the {thing} above",
        "the {other} should rest upon the {to_other}",
        "balance the {thing} atop the {to_thing}",
    ),
)

_OPEN = Phrases(
    canonical="open the {thing}",
    train=(
        "pull the {thing} open",
        "pull out the {thing}",
        "slide the {thing} open",
        "open the {alias}",
        "pull the {alias} towards you",
        "grab the handle of the {thing} and pull",
    ),
    held_out=("the {thing} should be open", "draw the {other} out", "let me see what is inside the {thing}"),
)

_CLOSE = Phrases(
    canonical="close the {thing}",
    train=(
        "push the {thing} shut",
        "shut the {thing}",
        "slide the {thing} closed",
        "close the {alias}",
        "push the {alias} in",
        "push the handle of the {thing} until it is closed",
    ),
    held_out=("the {thing} should not stay open", "press the {other} home", "make sure that the {thing} is shut"),
)

_PRESS = Phrases(
    canonical="press the {thing}",
    train=(
        "push the {thing} down",
        "press down on the {thing}",
        "push the {alias}",
        "hit the {thing}",
        "press the {alias}",
        "move to the {thing} and press it",
    ),
    held_out=("activate the {thing}", "give the {other} a press", "the {thing} needs to be pushed in"),
)

_TURN_ON = Phrases(
    canonical="turn on the {thing}",
    train=(
        "switch on the {thing}",
        "flip the {thing} on",
        "turn the {alias} on",
        "move the {thing} to on",
        "put the {alias} in the on position",
        "set the {thing} to on",
    ),
    held_out=("the {thing} should be on", "power up the {other}", "enable the {thing}"),
)

_TURN_OFF = Phrases(
    canonical="turn off the {thing}",
    train=(
        "switch off the {thing}",
        "flip the {thing} off",
        "turn the {alias} off",
        "move the {thing} to off",
        "put the {alias} in the off position",
        "set the {thing} to off",
    ),
    held_out=("the {thing} should be off", "power down the {other}", "disable the {thing}"),
)

_INSERT = Phrases(
    canonical="insert the {thing} into the {to_thing}",
    train=(
        "put the {thing} into the {to_thing}",
        "push the {thing} into the {to_thing}",
        "plug the {alias} into the {to_alias}",
        "place the {thing} in the {to_alias}",
        "pick up the {alias} and insert it into the {to_thing}",
        "stick the {thing} in the {to_thing}",
    ),
    held_out=(
        "fit the {thing} in the {to_thing}",
        "the {other} goes in the {to_other}",
        "fill the {to_thing} with the {thing}",
    ),
)

_POUR = Phrases(
    canonical="pour the {thing} into the {to_thing}",
    train=(
        "empty the {thing} into the {to_thing}",
        "tip the {thing} over the {to_thing}",
        "pour what is in the {alias} into the {to_alias}",
        "tilt the {thing} until the balls roll into the {to_thing}",
        "pick up the {alias} and pour it into the {to_thing}",
        "move the balls from the {thing} to the {to_thing}",
    ),
    held_out=(
        "decant the {thing} into the {to_thing}",
        "the contents of the {other} belong in the {to_other}",
        "fill the {to_thing} from the {thing}",
    ),
)

_SORT_COLOUR = Phrases(
    canonical="sort by colour: {first} things into the {first} bin, {second} things into the {second} bin",
    train=(
        "put everything into the bin of its colour, {first} or {second}",
        "sort the {first} and {second} things by their colour",
        "{first} things go into the {first} bin and {second} things into the {second} bin",
        "match the colours: {first} to {first} and {second} to {second}",
        "place each thing in the {first} or {second} bin that has its colour",
        "clear the table by colour, {first} with {first}, {second} with {second}",
    ),
    held_out=(
        "tidy up so that every colour, {first} and {second}, has its own bin",
        "separate {first} from {second}",
        "no {first} thing may lie outside the {first} bin, no {second} one outside the {second} bin",
    ),
)

_SORT_SHAPE = Phrases(
    canonical="sort by shape: cubes into the {first} bin, balls into the {second} bin",
    train=(
        "put cubes into the {first} bin and balls into the {second} bin",
        "sort the things by shape, cubes {first}, balls {second}",
        "blocks go into the {first} bin and spheres into the {second} bin",
        "place every cube in the {first} bin, every ball in the {second} bin",
        "all cubes belong to the {first} bin, all balls to the {second} bin",
        "clear the table by shape, {first} bin for cubes, {second} bin for balls",
    ),
    held_out=(
        "tidy up: what is square to {first}, what is round to {second}",
        "separate cubes from balls, {first} bin first, {second} bin for the round ones",
        "whatever can roll goes to the {second} bin, the rest to the {first} bin",
    ),
)

VERBS: Mapping[str, Phrases] = MappingProxyType(
    {
        "reach": _TOUCH,
        "push": _PUSH,
        "place": _PLACE,
        "stack": _STACK,
        "open": _OPEN,
        "close": _CLOSE,
        "stow": _PLACE,
        "press": _PRESS,
        "turn-on": _TURN_ON,
        "turn-off": _TURN_OFF,
        "insert": _INSERT,
        "pour": _POUR,
        "sort-colour": _SORT_COLOUR,
        "sort-shape": _SORT_SHAPE,
    }
)
"""Verb -> its templates."""

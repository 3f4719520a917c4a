"""What may be said on Desk: one canonical sentence a request, paraphrases to train on, others kept for evaluation.

A request is a verb with the attributes that decide what is meant: colour, shape, place and manner. Sentences are pure
functions of a request, and so is the choice of the combinations that no training set may hold, so that two machines
never disagree about what is new. The one thing to watch: a template names every attribute that decides the task, or a
paraphrase would fit two tasks of one scene.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from embodia.core.names import unknown
from embodia.envs.desk._phrases import MANNERS, NOUNS, PLACES
from embodia.envs.desk._phrases import VERBS as PLAIN_VERBS
from embodia.envs.desk._phrases_bodies import BODY_VERBS
from embodia.envs.desk._phrases_trials import TRIAL_VERBS
from embodia.envs.protocol import Split

VERBS = MappingProxyType({**PLAIN_VERBS, **TRIAL_VERBS, **BODY_VERBS})
"""Verb -> its templates."""

COLOURS: Mapping[str, tuple[float, float, float, float]] = MappingProxyType(
    {
        "red": (0.85, 0.10, 0.10, 1.0),
        "green": (0.10, 0.65, 0.15, 1.0),
        "blue": (0.10, 0.20, 0.90, 1.0),
        "yellow": (0.95, 0.85, 0.10, 1.0),
        "purple": (0.55, 0.15, 0.75, 1.0),
        "orange": (0.98, 0.50, 0.05, 1.0),
    }
)
"""Colour words and the paint they stand for, RGBA from 0 to 1."""

SHAPES = ("cube", "ball", "cylinder")
"""Shape words that loose things may have."""

HELD_OUT_SHARE = 5
"""One combination in so many is held out."""
_SALT = b"575"
"""Chosen so that examples, chains and the learning check are trained, and every word of a verb in some combination."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked for: a verb and the attributes that it needs; empty strings where it needs none.

    colour, shape   of the thing (or of the button, switch, drawer) that is meant
    place           where to: a side, a container, or another thing as "blue-cube"
    manner          "gently" or "hard"; past a wall "by-left", "by-right" or "by-over"
    """

    verb: str
    colour: str = ""
    shape: str = ""
    place: str = ""
    manner: str = ""

    @property
    def name(self) -> str:
        """The task's name, such as push/red-cube/left."""
        thing = "-".join(part for part in (self.colour, self.shape) if part)
        return "/".join(part for part in (self.verb, thing, self.place, self.manner) if part)

    @property
    def held_out(self) -> bool:
        """Whether this combination is kept for evaluation, see `held_out`."""
        way = self.manner if self.manner.startswith("by-") else ""
        return held_out(self.verb, self.colour, self.shape, self.place or way)


def sentences(request: Request, split: Split = "canonical") -> tuple[str, ...]:
    """The sentences of a request in one split; no sentence is in two. Raises `UnknownNameError`."""
    if request.verb not in VERBS:
        raise unknown("verb", request.verb, VERBS)
    phrases = VERBS[request.verb]
    templates = {"canonical": (phrases.canonical,), "train": phrases.train, "held_out": phrases.held_out}[split]
    words = _words(request)
    manners = {"canonical": 0, "train": 1, "held_out": 2}
    said = MANNERS[request.manner][manners[split]] if request.manner else ("",)
    return tuple(_finish(template, words, said[turn % len(said)]) for turn, template in enumerate(templates))


def held_out(verb: str, colour: str, shape: str, place: str) -> bool:
    """Whether a combination is never trained on: about one in five, a pure function of the four words.

    With fewer than two attributes that could be otherwise (a button's shape could not) there is nothing to combine.
    """
    if sum((bool(colour), shape in SHAPES, bool(place))) < 2:
        return False
    digest = hashlib.blake2b("/".join((verb, colour, shape, place)).encode(), digest_size=4, salt=_SALT).digest()
    return int.from_bytes(digest, "little") % HELD_OUT_SHARE == 0


def uncovered(requests: Iterable[Request]) -> tuple[str, ...]:
    """Words of `requests` that occur in held-out combinations only, as "verb word": generalisation would be luck."""
    everything, trained = set(), set()
    for request in requests:
        words = {
            f"{request.verb} {word}" for word in (request.colour, request.shape, request.place, request.manner) if word
        }
        everything |= words
        trained |= set() if request.held_out else words
    return tuple(sorted(everything - trained))


def thing_words(colour: str, shape: str, noun: int = 0) -> str:
    """A noun phrase such as "red cube"; `noun` picks a synonym (0 canonical, 1 trained, 2 held out)."""
    named = NOUNS.get(shape, (shape, shape, shape))[noun] if shape else ""
    return " ".join(word for word in (colour, named) if word)


def _words(request: Request) -> dict[str, str]:
    first, _, second = request.colour.partition("-")
    words = {"first": first, "second": second}
    for noun, key in enumerate(("thing", "alias", "other")):
        words[key] = thing_words(request.colour, request.shape, noun)
        words[f"to_{key}"] = _place(request, noun)
    return words


def _place(request: Request, noun: int) -> str:
    place = request.place
    if not place:
        return ""
    if place in PLACES:
        return PLACES[place]
    colour, _, shape = place.partition("-")
    named = thing_words(colour, shape, noun)
    return f"in the {named}" if shape == "drawer" else named


def _finish(template: str, words: Mapping[str, str], said: str) -> str:
    text = f"{template.format_map(words)} {said}".rstrip()
    return text[0].upper() + text[1:] + "."

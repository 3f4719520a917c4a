"""Other ways to ask for a LIBERO task: verbs exchanged clause by clause, small words left out, polite frames.

Nouns and places are never exchanged, so a paraphrase cannot come to mean another task. The benchmark's own paraphrase,
from the perturbed `_lan` suites, is the first of the held-out sentences and is never trained on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

_PUT = (("place", "put", "set"), ("position", "deposit"))
_PICK = (("grab", "take"), ("fetch", "lift"))
_PUSH = (("slide", "move"), ("shove", "nudge"))
_VERBS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = MappingProxyType(
    {
        "pick up": _PICK,
        "pick": _PICK,
        "lift": _PICK,
        "take": _PICK,
        "grab": _PICK,
        "put": _PUT,
        "place": _PUT,
        "set": _PUT,
        "stack": (("pile",), ("heap",)),
        "open": (("pull open",), ("open up",)),
        "slide open": (("pull open",), ("open up",)),
        "close": (("shut",), ("close up",)),
        "turn on": (("switch on",), ("power on", "activate")),
        "switch on": (("turn on",), ("power on", "activate")),
        "turn off": (("switch off",), ("power off", "deactivate")),
        "switch off": (("turn off",), ("power off", "deactivate")),
        "switch": (("turn",), ("flip",)),
        "push": _PUSH,
        "move": _PUSH,
    }
)
_FRAMES = (("please {}", "the task is to {}"), ("could you {}", "your job is to {}"))
_NEXT_TO = (("near",), ("beside",))
_CLAUSE = re.compile(r"(^|\band )(" + "|".join(sorted(_VERBS, key=len, reverse=True)) + r")\b")
_LEFT_OUT = re.compile(r"\b(the|akita) ")
"""Articles, and the make of the only black bowl there is."""


def train_sentences(canonical: str, kept: Iterable[str] = ()) -> tuple[str, ...]:
    """Paraphrases to train on; neither the canonical sentence nor those `kept` for evaluation are among them."""
    return _without(_rephrased(canonical, 0), {canonical, *kept})


def held_out_sentences(canonical: str, kept: Iterable[str] = ()) -> tuple[str, ...]:
    """Paraphrases for evaluation, those in `kept` first; none is canonical or trained on."""
    kept = tuple(kept)
    return _without([*kept, *_rephrased(canonical, 1)], {canonical, *train_sentences(canonical, kept)})


def _rephrased(sentence: str, split: int) -> list[str]:
    longest = max(len(choices[split]) for choices in _VERBS.values())
    changed = [_with_verbs(sentence, split, index) for index in range(longest)]
    brief = [_LEFT_OUT.sub("", text.replace("next to", _NEXT_TO[split][0])) for text in changed]
    return [*changed, *brief, *(frame.format(sentence) for frame in _FRAMES[split])]


def _with_verbs(sentence: str, split: int, index: int) -> str:
    def other(match: re.Match[str]) -> str:
        choices = [verb for verb in _VERBS[match[2]][split] if verb != match[2]]
        return match[1] + choices[index % len(choices)]

    return _CLAUSE.sub(other, sentence)


def _without(sentences: Iterable[str], excluded: set[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(sentence for sentence in sentences if sentence not in excluded))

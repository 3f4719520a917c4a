"""Names of weights in two layouts as pairs of templates, read in either direction: no mathematics.

A template holds {placeholders} for a number or a word; both sides of a pair hold the same ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from torch import Tensor

from embodia.core.errors import CheckpointError

Pairs = Sequence[tuple[str, str]]
"""(their template, our template)."""


class Names:
    """Translates whole state dictionaries; `unused` names theirs that no computation reads (regular expressions)."""

    def __init__(self, pairs: Pairs, unused: Sequence[str] = ()) -> None:
        self._inward = [(_pattern(theirs), ours) for theirs, ours in pairs]
        self._outward = [(_pattern(ours), theirs) for theirs, ours in pairs]
        self._unused = re.compile("|".join(f"(?:{pattern})" for pattern in unused)) if unused else None

    def ours(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Their tensors under our names. Raises `CheckpointError` for a name that no pair knows."""
        kept = {n: t for n, t in tensors.items() if self._unused is None or not self._unused.fullmatch(n)}
        return {_translate(name, self._inward): tensor for name, tensor in kept.items()}

    def theirs(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Our tensors under their names. Raises `CheckpointError` for a name that no pair knows."""
        return {_translate(name, self._outward): tensor for name, tensor in tensors.items()}


def resnet_pairs(theirs: str, ours: str, blocks: Sequence[int], *, numbered: bool = False) -> list[tuple[str, str]]:
    """torchvision's ResNet below a prefix each; `blocks` a stage. `numbered`: its children by index, not by name."""
    stem = ("0", "1") if numbered else ("conv1", "bn1")
    pairs = [(f"{theirs}{stem[0]}.{{leaf}}", f"{ours}stem.conv.{{leaf}}")]
    pairs.append((f"{theirs}{stem[1]}.{{leaf}}", f"{ours}stem.norm.{{leaf}}"))
    known = {"conv1": "first.conv", "bn1": "first.norm", "conv2": "second.conv", "bn2": "second.norm"}
    known |= {"downsample.0": "shortcut.conv", "downsample.1": "shortcut.norm"}
    number = 0
    for stage, count in enumerate(blocks):
        name = str(4 + stage) if numbered else f"layer{1 + stage}"
        for block in range(count):
            for their_part, our_part in known.items():
                pair = (f"{theirs}{name}.{block}.{their_part}.{{leaf}}", f"{ours}blocks.{number}.{our_part}.{{leaf}}")
                pairs.append(pair)
            number += 1
    return pairs


def _pattern(template: str) -> re.Pattern[str]:
    pieces = re.split(r"\{(\w+)\}", template)
    text = "".join(f"(?P<{piece}>\\w+)" if index % 2 else re.escape(piece) for index, piece in enumerate(pieces))
    return re.compile(text)


def _translate(name: str, rules: Sequence[tuple[re.Pattern[str], str]]) -> str:
    for pattern, target in rules:
        if match := pattern.fullmatch(name):
            return target.format(**match.groupdict())
    raise CheckpointError("a tensor that this layout does not know", leaf=name)

"""Short technical text as integers for small models: frequent words are one id each, everything else its bytes.

A closed list of words makes a line of reasoning ten ids instead of sixty, and the bytes beside it keep every text
sayable and every id readable, so nothing is ever "unknown". The one thing to watch: the list is part of what a model
learned; another list is another language.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from torch import Tensor

from embodia.core.errors import ConfigError
from embodia.parts.tokenizers.text import ByteTokenizer, FileTokenizer, padded

END, START, BYTES, FIRST_WORD = 0, 1, 2, 258
"""Ids: the end of a text (also padding), its beginning, the first byte, the first word."""

_WORDS = """
a above ahead all and arm at back backward ball bin black blue bottom bowl box brown button close cube cup
cylinder desk door down drawer farther find first forward front go grasp grasped gray green grip gripper
grey hand handle here hold hole how in into is it knob lamp left let lever lid lift light lower mat middle
move nearest no nothing nowhere object objects of off on onto open orange peg pick pink place plan plate
position pour press puck pull purple push put raise reach red release right rotate round same second shelf
side slide small sort stack stay switch table tabletop take task the then thing things through tip to top
touch tower toward tray turn under until up visible where which white with yellow yes TASK PLAN SUBTASK
RELATION MOVE GRIPPER POSITION VISIBLE OBJECTS MOVEMENT POSE SEGMENT ANSWER
"""
DESK_WORDS = tuple(_WORDS.split())
"""Words of simple table scenes in English, and the tags of reasoning."""

NUMBERS = tuple(str(number) for number in range(256))
_PIECES = re.compile(r" ?[A-Za-z]+| ?[0-9]+|.", re.DOTALL)


class WordTokenizer:
    """Texts to ids and back, exactly; `words` are known with and without a space before them.

    A text longer than `length` - 1 ids is cut. Raises `ConfigError` for a word that is not letters or digits alone.
    """

    start, end = START, END

    def __init__(self, length: int, words: Sequence[str] = DESK_WORDS + NUMBERS) -> None:
        for word in words:
            if not (word.isascii() and (word.isalpha() or word.isdigit())):
                raise ConfigError(f"{word!r} is not a word of letters or digits", leaf="words")
        self.length = length
        known = dict.fromkeys(form for word in words for form in (word, f" {word}"))
        self._ids = {form: FIRST_WORD + index for index, form in enumerate(known)}
        self._forms = {index: form.encode() for form, index in self._ids.items()}
        self.vocabulary = FIRST_WORD + len(self._ids)

    def __call__(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Ids int64 (B length), the end behind each text, and which of them are real, bool (B length)."""
        return padded([[*self.encode(text)[: self.length - 1], END] for text in texts], self.length)

    def encode(self, text: str) -> list[int]:
        """Ids of one text without the end."""
        found: list[int] = []
        for piece in _PIECES.findall(text):
            known = self._ids.get(piece)
            found += [known] if known is not None else [BYTES + byte for byte in piece.encode()]
        return found

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids up to the end; ids that mean nothing are left out."""
        data = b""
        for index in ids:
            if index == END:
                break
            if BYTES <= index < FIRST_WORD:
                data += bytes([index - BYTES])
            else:
                data += self._forms.get(index, b"")
        return data.decode("utf-8", errors="replace")


class SpokenPieces:
    """Texts in the pieces of a language model, as it says them: no start inside, the id `end` behind them."""

    def __init__(self, pieces: ByteTokenizer | FileTokenizer, *, start: int, end: int, length: int) -> None:
        self.pieces, self.start, self.end, self.length = pieces, start, end, length
        self.vocabulary = int(pieces.vocabulary)

    def __call__(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Ids int64 (B length) and which of them are real, bool (B length)."""
        return padded([[*self.pieces.plain(text)[: self.length - 1], self.end] for text in texts], self.length)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids up to the end."""
        said = list(ids)
        return self.pieces.decode(said[: said.index(self.end)] if self.end in said else said)

"""FAST (tok.fast): a chunk as a compressed signal (arXiv 2501.09747).

Cosine transform of every dimension, times `scale`, rounded; coefficients laid out low frequency first, all dimensions
of one frequency side by side; then byte-pair encoding, so that a smooth second at 50 Hz costs little more than one at
5 Hz. Actions should be normalised by quantiles to about -1..1.

Two alphabets: "symbols", a character for every integer, so pairs merge over the whole chunk; and "bytes", the released
tokenizer's: integers as characters in UTF-8 behind GPT-2's word splitter, needed for public weights and for equal ids.
The one thing to watch: ids mean nothing without the table of merges; it is kept in buffers, hence in checkpoints.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from scipy.fft import dct, idct
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn

from embodia.core.errors import ConfigError
from embodia.parts.tokenizers.protocol import PADDING, require_chunk

FloatArray = npt.NDArray[np.float64]
Alphabet = Literal["symbols", "bytes"]

_FIRST = {"symbols": 0x4E00, "bytes": 0}
"""Code point of the smallest coefficient: behind all marks and spaces for symbols, from zero as released for bytes."""
_SURROGATES = 0xD800
"""The first code point that no text holds."""


class FastTokenizer(nn.Module):
    """(B H A) to (B length), padded; `length` 0 is one id a coefficient, the longest a row of symbols can be.

    A row longer than `length` loses its highest frequencies. `low` and `high` bound the coefficients, `pieces` are the
    code points of single characters, `merges` pairs of ids in order. Unfitted, every coefficient is an id of its own.
    With "bytes" a coefficient that no fitted chunk had may have no id; it is then lost, as in the original.
    """

    low: Tensor
    high: Tensor
    pieces: Tensor
    merges: Tensor

    def __init__(
        self,
        chunk: int,
        dim: int,
        vocabulary: int = 1024,
        scale: float = 10.0,
        length: int = 0,
        alphabet: Alphabet = "symbols",
    ) -> None:
        super().__init__()
        self.chunk, self.dim, self.scale, self.alphabet = chunk, dim, scale, alphabet
        self.vocabulary, self.length = vocabulary, length or chunk * dim
        count = min(vocabulary, 256)
        pieces = torch.full((vocabulary,), -1, dtype=torch.int32)
        pieces[:count] = torch.arange(count, dtype=torch.int32) + _FIRST["symbols"]
        self.register_buffer("low", torch.tensor(-(count // 2), dtype=torch.int32))
        self.register_buffer("high", torch.tensor(count - count // 2 - 1, dtype=torch.int32))
        self.register_buffer("pieces", pieces)
        self.register_buffer("merges", torch.full((2 * vocabulary, 2), -1, dtype=torch.int32))
        self._made: tuple[bytes, Tokenizer] | None = None

    def fit(self, actions: Tensor) -> None:
        """Learn range and merges from chunks (N H A). Raises `ConfigError` when the range needs a larger vocabulary."""
        numbers = self._coefficients(actions)
        low, high = int(numbers.min()), int(numbers.max())
        if high - low + 1 > self.vocabulary:
            problem = f"{high - low + 1} different coefficients do not fit {self.vocabulary} ids"
            raise ConfigError(problem, leaf="vocabulary", cure="Lower the scale, or normalise the actions.")
        self.low.fill_(low)
        self.high.fill_(high)
        first = _FIRST[self.alphabet]
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocabulary,
            min_frequency=2,
            show_progress=False,
            special_tokens=[],
            initial_alphabet=[chr(first + index) for index in range(high - low + 1)],
            max_token_length=10000,
        )
        trained = _tokenizer({}, [], self.alphabet)
        trained.train_from_iterator(self._texts(numbers), trainer=trainer)
        self._keep(json.loads(trained.to_str())["model"])

    def take(self, model: Mapping[str, Any], low: int) -> None:
        """Take a table that was fitted elsewhere: "vocab" (piece to id), "merges" (pairs in order), lowest coefficient.

        The highest one is not part of such tables; whatever has a piece may be said. Raises `ConfigError` for a table
        whose ids are not its characters and then its merges, in order.
        """
        self._keep(model)
        self.low.fill_(low)
        self.high.fill_(low + _SURROGATES - 1 - _FIRST[self.alphabet])
        if self._pairs().get_vocab() != dict(model["vocab"]):
            raise ConfigError("ids are not those of characters and merges in order", leaf="merges")

    def table(self) -> dict[str, Any]:
        """The byte-pair tokenizer in the JSON of the tokenizers library."""
        found: dict[str, Any] = json.loads(self._pairs().to_str())
        return found

    def encode(self, actions: Tensor) -> Tensor:
        """Ids int64 (B length). Raises `ShapeError` for a chunk of another shape."""
        require_chunk(actions, self.chunk, self.dim)
        rows = [found.ids for found in self._pairs().encode_batch(self._texts(self._coefficients(actions)))]
        ids = torch.full((len(rows), self.length), PADDING, dtype=torch.long)
        for index, row in enumerate(rows):
            ids[index, : min(len(row), self.length)] = torch.tensor(row[: self.length], dtype=torch.long)
        return ids.to(actions.device)

    def decode(self, ids: Tensor) -> Tensor:
        """Actions float32 (B H A); missing coefficients are zero, surplus ones and unknown ids left out."""
        pairs, low, high = self._pairs(), int(self.low), int(self.high)
        shift = low - _FIRST[self.alphabet]
        known = pairs.get_vocab_size()
        numbers = np.zeros((len(ids), self.chunk * self.dim))
        for index, row in enumerate(ids.tolist()):
            text = pairs.decode([token for token in row if 0 <= token < known])
            found = [ord(character) + shift for character in text][: self.chunk * self.dim]
            numbers[index, : len(found)] = [value if low <= value <= high else 0 for value in found]
        chunks = idct(numbers.reshape(-1, self.chunk, self.dim) / self.scale, axis=1, norm="ortho")
        return torch.from_numpy(chunks).float().to(ids.device)

    def _coefficients(self, actions: Tensor) -> FloatArray:
        """Rounded coefficients (B H A), frequency by frequency."""
        return np.around(dct(actions.detach().cpu().double().numpy(), axis=1, norm="ortho") * self.scale)

    def _texts(self, numbers: FloatArray) -> list[str]:
        shifted = np.clip(numbers, int(self.low), int(self.high)).astype(int) - int(self.low)
        first = _FIRST[self.alphabet]
        return ["".join(chr(first + value) for value in row) for row in shifted.reshape(len(shifted), -1)]

    def _keep(self, model: Mapping[str, Any]) -> None:
        ids, merges = model["vocab"], model["merges"]
        singles = sorted((index, ord(text)) for text, index in ids.items() if len(text) == 1)
        pairs = [(ids[left], ids[right]) for left, right in merges]
        if [index for index, _ in singles] != list(range(len(singles))) or len(pairs) > len(self.merges):
            raise ConfigError(f"{len(pairs)} merges of {len(singles)} characters cannot be kept", leaf="merges")
        self.pieces.fill_(-1)
        self.merges.fill_(-1)
        self.pieces[: len(singles)] = self.pieces.new_tensor([code for _, code in singles])
        if pairs:
            self.merges[: len(pairs)] = self.merges.new_tensor(pairs)

    def _pairs(self) -> Tokenizer:
        """The tokenizer that the buffers describe, made anew when they have changed."""
        state = self.pieces.cpu().numpy().tobytes() + self.merges.cpu().numpy().tobytes()
        if self._made is None or self._made[0] != state:
            texts = [chr(code) for code in self.pieces.tolist() if code >= 0]
            known = {text: index for index, text in enumerate(texts)}
            merges = []
            for left, right in self.merges[self.merges[:, 0] >= 0].tolist():
                merges.append((texts[left], texts[right]))
                if texts[left] + texts[right] not in known:
                    known[texts[left] + texts[right]] = len(texts)
                    texts.append(texts[left] + texts[right])
            self._made = (state, _tokenizer(known, merges, self.alphabet))
        return self._made[1]


def _tokenizer(ids: dict[str, int], merges: Sequence[tuple[str, str]], alphabet: Alphabet) -> Tokenizer:
    made = Tokenizer(models.BPE(vocab=ids, merges=list(merges)))
    if alphabet == "bytes":
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
    else:
        made.decoder = decoders.Fuse()
    return made

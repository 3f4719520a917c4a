"""Action ids at home in a language model's vocabulary (tok.vocab_map): on ids that text hardly uses, or on new ones.

RT-2 and OpenVLA overwrite the last 256 ids of the vocabulary, counted backwards; pi0-FAST leaves PaliGemma's last 128
special ids alone and counts backwards before them. The one thing to watch: training and use must agree on the order.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from embodia.core.errors import ConfigError
from embodia.parts.tokenizers.protocol import PADDING


class VocabularyMap(nn.Module):
    """`inner` with its id k moved to `ids[k]` of a vocabulary of that size; `inner` and `ids` (K) as attributes.

    An id outside the map is decoded as the inner id that lies nearest to it in the vocabulary.
    """

    ids: Tensor

    def __init__(self, inner: nn.Module, vocabulary: int, ids: Tensor) -> None:
        super().__init__()
        count = int(inner.vocabulary)  # type: ignore[arg-type]
        if len(ids) != count:
            raise ConfigError(f"{len(ids)} places for {count} action ids", leaf="ids")
        self.inner, self.vocabulary = inner, vocabulary
        self.length = int(inner.length)  # type: ignore[arg-type]
        self.register_buffer("ids", ids, persistent=False)

    def encode(self, actions: Tensor) -> Tensor:
        """Vocabulary ids int64 (B length), padding kept."""
        found = self.inner.encode(actions)  # type: ignore[operator]
        return torch.where(found == PADDING, found, self.ids[found.clamp_min(0)])

    def decode(self, ids: Tensor) -> Tensor:
        """Actions float32 (B H A)."""
        order = self.ids.argsort()
        place = self.ids[order]
        above = torch.searchsorted(place, ids.contiguous()).clamp(0, len(place) - 1)
        below = (above - 1).clamp_min(0)
        nearer = torch.where(ids - place[below] < place[above] - ids, below, above)
        return self.inner.decode(torch.where(ids == PADDING, ids, order[nearer]))  # type: ignore[operator]

    def choices(self, prefix: Tensor) -> Tensor:
        """Bool (B vocabulary): ids that may come after `prefix` (B P) of vocabulary ids."""
        allowed = torch.zeros(len(prefix), self.vocabulary, dtype=torch.bool, device=prefix.device)
        inner = getattr(self.inner, "choices", None)
        if inner is None:
            allowed[:, self.ids] = True
        else:
            allowed[:, self.ids] = inner(prefix)
        return allowed


def last_ids(vocabulary: int, count: int, spared: int = 0) -> Tensor:
    """Ids backwards from the end of a vocabulary, `spared` of them left alone: bin 0 is the last id."""
    if count + spared > vocabulary:
        raise ConfigError(f"{count} action ids and {spared} spared ones do not fit {vocabulary}", leaf="vocabulary")
    return vocabulary - 1 - spared - torch.arange(count)


def new_ids(vocabulary: int, count: int) -> Tensor:
    """Ids behind a vocabulary, which must then have room for `vocabulary + count`: bin 0 is the first new one."""
    return vocabulary + torch.arange(count)

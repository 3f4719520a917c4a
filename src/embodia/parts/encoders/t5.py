"""A frozen T5 encoder reads the sentence (txt.t5): one token a piece of text, projected to the policy's width.

The encoder is transformers' own class with random weights; nothing is downloaded. The one thing to watch: it is frozen,
so with random weights it hashes sentences rather than understands them; public weights load into `model`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from embodia.core.types import Observation, TokenGroup
from embodia.nn.mlp import projection
from embodia.parts.encoders.text import Tokenizer

_SIZES: Mapping[str, Mapping[str, Any]] = {
    "base": {"d_model": 768, "d_ff": 3072, "num_layers": 12, "num_heads": 12, "feed_forward_proj": "relu"},
    "xxl": {"d_model": 4096, "d_ff": 10240, "num_layers": 24, "num_heads": 64, "feed_forward_proj": "gated-gelu"},
}
"""T5-base of 2019 and T5 1.1 XXL, both with heads of 64 (Raffel et al. 2020)."""


@dataclass(frozen=True, kw_only=True)
class T5Config:
    """Which encoder, how many pieces a sentence has at most, and the vocabulary file; "" reads bytes.

    `tanh` takes GELU's approximation in a deep projection (RDT).
    """

    kind: Literal["t5"] = "t5"
    size: Literal["base", "xxl"] = "base"
    length: int = 16
    file: str = ""
    vocabulary: int = 32128
    tanh: bool = False


class T5Tokens(nn.Module):
    """Sentences to the group "language", (B length width); `deep` puts a hidden layer into the projection."""

    def __init__(self, config: T5Config, tokenizer: Tokenizer, width: int, *, deep: bool = False) -> None:
        super().__init__()
        from transformers import T5Config as Sizes
        from transformers import T5EncoderModel

        sizes = Sizes(**_SIZES[config.size], d_kv=64, vocab_size=config.vocabulary)
        self.tokenizer = tokenizer
        self.model = T5EncoderModel(sizes).requires_grad_(False)
        self.project = projection(sizes.d_model, width, deep, tanh=config.tanh)

    def forward(self, observation: Observation) -> TokenGroup:
        """Padding is masked."""
        ids, mask = (part.to(self.model.device) for part in self.tokenizer(observation.instruction))
        with torch.no_grad():
            hidden = self.model(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        return TokenGroup(name="language", tokens=self.project(hidden), mask=mask, attends_to=("language",))

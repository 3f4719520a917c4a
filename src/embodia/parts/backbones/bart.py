"""BART's encoder as the engine of a vision-language policy: the half of Florence-2's language model that reads.

transformers' own class over the groups in order. The one thing to watch: all groups see one another whatever attention
is declared, places are counted over padding too, and nothing is said behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from embodia.core.errors import ConfigError
from embodia.core.types import TokenGroup
from embodia.nn.groups import concatenate


@dataclass(frozen=True, kw_only=True)
class BartConfig:
    """Sizes; the defaults are those of Florence-2 large's encoder."""

    kind: Literal["bart"] = "bart"
    width: int = 1024
    depth: int = 12
    heads: int = 16
    mlp_width: int = 4096
    positions: int = 4096
    dropout: float = 0.1


class BartEngine(nn.Module):
    """Groups in, hidden states out; the cache is always None."""

    def __init__(self, config: BartConfig) -> None:
        super().__init__()
        from transformers import BartConfig as Sizes
        from transformers.models.bart.modeling_bart import BartEncoder

        self.config = config
        sizes = Sizes(
            vocab_size=3,
            d_model=config.width,
            encoder_layers=config.depth,
            encoder_attention_heads=config.heads,
            encoder_ffn_dim=config.mlp_width,
            max_position_embeddings=config.positions,
            dropout=config.dropout,
            attention_dropout=config.dropout,
            activation_dropout=config.dropout,
        )
        self.model: Any = BartEncoder(sizes)
        self.model.set_input_embeddings(nn.Identity())

    def forward(
        self, groups: list[TokenGroup], cache: None = None, *, outputs: bool | None = None
    ) -> tuple[Tensor | None, None]:
        """Hidden states (B N D). Raises `ConfigError` for a cache, which this model does not have."""
        if cache is not None:
            raise ConfigError("an encoder has no keys and values to read on from", leaf="cache")
        joined = concatenate(groups)
        mask = None if all(group.mask is None for group in groups) else joined.mask
        found = self.model(inputs_embeds=joined.tokens, attention_mask=mask)
        return (None if outputs is False else found.last_hidden_state), None

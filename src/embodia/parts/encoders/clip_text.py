"""A sentence through CLIP's text tower to one token (txt.clip): GR-1, DreamVLA and their kin listen this way.

The tower is transformers' own class with random weights, frozen as the designs have it. The one thing to watch: without
the vocabulary file sentences are read as bytes, which no public checkpoint knows.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from embodia.core.types import Observation, TokenGroup
from embodia.parts.encoders.text import Tokenizer


@dataclass(frozen=True, kw_only=True)
class ClipTextConfig:
    """Sizes of the text tower; the defaults are those of CLIP ViT-B/32. `file` is the vocabulary, "" reads bytes."""

    width: int = 512
    depth: int = 12
    heads: int = 8
    hidden: int = 2048
    vocabulary: int = 49408
    length: int = 77
    file: str = ""
    frozen: bool = True


class ClipText(nn.Module):
    """Sentences to the group "language", (B 1 width): the hidden state of the last real piece, projected."""

    def __init__(self, config: ClipTextConfig, tokenizer: Tokenizer, width: int) -> None:
        super().__init__()
        from transformers import CLIPTextConfig, CLIPTextModel

        sizes = CLIPTextConfig(
            vocab_size=config.vocabulary,
            hidden_size=config.width,
            intermediate_size=config.hidden,
            num_hidden_layers=config.depth,
            num_attention_heads=config.heads,
            max_position_embeddings=config.length,
        )
        self.tokenizer = tokenizer
        self.tower = CLIPTextModel(sizes)
        if config.frozen:
            self.tower.requires_grad_(False)
        self.project = nn.Linear(config.width, width)

    def forward(self, observation: Observation) -> TokenGroup:
        """One token a sentence."""
        ids, mask = self.tokenizer(observation.instruction)
        device = self.project.weight.device
        ids, mask = ids.to(device), mask.to(device)
        hidden = self.tower(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        last = hidden[torch.arange(len(ids), device=device), mask.sum(1) - 1]
        return TokenGroup(name="language", tokens=self.project(last)[:, None], mask=None, attends_to=("language",))

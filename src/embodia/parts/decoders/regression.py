"""A chunk by regression (head.regress): learned queries look at the backbone's tokens, one query a step.

What its error means as a density, and how a gripper may be decided by a logit, is in `error.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from embodia.core.protocols import Context
from embodia.nn.detr import DecoderLayer, LayerSizes
from embodia.nn.reduce import Reduction
from embodia.nn.tokens import join, key_mask, positions
from embodia.parts.decoders.error import ActionError, ErrorConfig, ErrorHead, Grippers


@dataclass(frozen=True, kw_only=True)
class RegressionConfig:
    """Layers and loss; `scale` of the density and Huber's `knee`, in normalised action units."""

    layers: int = 7
    error: Literal["l1", "l2", "huber"] = "l1"
    scale: float = 0.1
    knee: float = 0.3
    reduction: Reduction = "sample"


class ChunkRegression(ErrorHead):
    """Queries (H) over the context, to actions (B H A), normalised; with `grippers` their outputs are logits.

    `read` names the groups looked at; empty is all of them. Memory of another width than the queries is projected.
    """

    def __init__(
        self,
        sizes: LayerSizes,
        config: RegressionConfig,
        action_dim: int,
        chunk: int,
        *,
        grippers: Grippers | None = None,
        read: tuple[str, ...] = (),
        memory_width: int = 0,
    ) -> None:
        super().__init__()
        self.config = config
        self.read = read
        self.queries = nn.Parameter(torch.randn(chunk, sizes.width))
        self.layers = nn.ModuleList(DecoderLayer(sizes) for _ in range(config.layers))
        self.dropout = sizes.dropout
        self.norm = nn.LayerNorm(sizes.width)
        self.head = nn.Linear(sizes.width, action_dim)
        self.narrow = nn.Linear(memory_width, sizes.width) if memory_width else None
        error = ErrorConfig(error=config.error, scale=config.scale, knee=config.knee, reduction=config.reduction)
        self.error = ActionError(error, action_dim, grippers)

    def forward(self, context: Context) -> Tensor:
        """The head's output (B H A): the mode of the density, logits for grippers."""
        groups = {name: context.groups[name] for name in self.read} if self.read else context.groups
        memory, mask, position = join(groups), key_mask(groups), positions(groups)
        if self.narrow is not None:
            memory, position = self.narrow(memory + position), position.new_zeros(len(position), len(self.queries[0]))
        random = self.training and self.dropout > 0.0
        x = self.queries.new_zeros(len(memory) if random else 1, *self.queries.shape)
        for layer in self.layers:
            x = layer(x, self.queries, memory, position, mask)
        return self.head(self.norm(x))

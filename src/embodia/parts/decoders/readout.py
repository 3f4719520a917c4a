"""A chunk read off placeholders that a language model filled in one pass (OFT's parallel decoding, continuous).

Every step of the chunk has its own few tokens; a residual perceptron, the same for all steps, turns their hidden states
into the step's action. The one thing to watch: the placeholders must see one another, or steps cannot agree.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from embodia.core.errors import ShapeError
from embodia.core.protocols import Context
from embodia.parts.decoders.error import ActionError, ErrorConfig, ErrorHead, Grippers


@dataclass(frozen=True, kw_only=True)
class ReadoutConfig:
    """`hidden` width and number of residual `blocks` of the perceptron; 0 blocks and hidden 0 is one linear layer."""

    hidden: int = 256
    blocks: int = 2
    error: ErrorConfig = field(default_factory=ErrorConfig)


class Block(nn.Module):
    """x + relu(linear(norm(x)))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.relu(self.linear(self.norm(x)))


class StepReadout(ErrorHead):
    """Hidden states (B, H*k, width) of the group `read` to actions (B H A), normalised; k tokens a step side by side.

    `together` reads all tokens as one and writes the whole chunk. Has draws and a density through `ActionError`.
    """

    def __init__(
        self,
        config: ReadoutConfig,
        width: int,
        action_dim: int,
        chunk: int,
        *,
        read: str,
        tokens: int,
        together: bool = False,
        grippers: Grippers | None = None,
    ) -> None:
        super().__init__()
        if not together and tokens % chunk:
            raise ShapeError(f"{tokens} tokens do not divide into {chunk} steps", leaf="tokens")
        self.read, self.shape, self.rows = read, (chunk, action_dim), 1 if together else chunk
        inputs, outputs = width * tokens // self.rows, chunk * action_dim // self.rows
        self.head = perceptron(config, inputs, outputs)
        self.error = ActionError(config.error, action_dim, grippers)

    def forward(self, context: Context) -> Tensor:
        """The head's output (B H A): the mode of the density, logits for grippers."""
        hidden: Tensor = context.groups[self.read].tokens
        return self.head(hidden.reshape(len(hidden), self.rows, -1)).float().reshape(-1, *self.shape)


def perceptron(config: ReadoutConfig, inputs: int, outputs: int) -> nn.Sequential:
    """The residual perceptron of a configuration."""
    layers: list[nn.Module] = [nn.LayerNorm(inputs)]
    if config.hidden:
        layers += [nn.Linear(inputs, config.hidden), nn.ReLU(), *(Block(config.hidden) for _ in range(config.blocks))]
        layers.append(nn.LayerNorm(config.hidden))
    return nn.Sequential(*layers, nn.Linear(config.hidden or inputs, outputs))

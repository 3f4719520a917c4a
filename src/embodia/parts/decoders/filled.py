"""A language model that removes noise from the placeholders of a chunk (OpenVLA-OFT's diffusion head).

Every number of a noisy chunk stands in its placeholder, the time is one more token, and all of it is read anew at every
step, since everything looks at everything. The one thing to watch: a step costs a pass over the whole sequence, so the
groups of the context must not have been read before.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from embodia.core.protocols import Context
from embodia.core.types import Observation, TokenGroup
from embodia.nn.dit import FeedForward
from embodia.nn.groups import repeat
from embodia.nn.positional import time_positions
from embodia.parts.decoders.readout import ReadoutConfig, perceptron

Groups = dict[str, TokenGroup]


class TimePlace(nn.Module):
    """A place for the token of a time: the group "time" (B 1 width) of zeros."""

    like: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("like", torch.zeros(1, 1, width), persistent=False)

    def forward(self, observation: Observation) -> TokenGroup:
        """The same for every observation."""
        tokens = self.like.expand(observation.batch_size, -1, -1)
        return TokenGroup(name="time", tokens=tokens, mask=None, attends_to=("time",))


class FilledPlaces(nn.Module):
    """The noise (B H A) in a chunk, by a language model that reads the groups "readout" and "time" among others.

    Where a group "closing" follows, a hidden state tells of the place behind its own: the first token of "readout" is
    then a piece that opens an action, and the last number stands first in "closing".
    """

    def __init__(self, model: nn.Module, config: ReadoutConfig, width: int, action_dim: int) -> None:
        super().__init__()
        self.model, self.width = model, width
        self.enter = FeedForward(1, width, width, approximate=False)
        self.head = perceptron(config, width * action_dim, action_dim)

    def condition(self, context: Context, n: int = 1) -> Groups:
        """The groups, every row n times."""
        return {name: repeat(group, n) for name, group in context.groups.items()}

    def forward(self, told: Groups, noisy: Tensor, time: Tensor) -> Tensor:
        """(B H A)."""
        readout, moment = told["readout"], told["time"]
        numbers = self.enter(noisy.flatten(1)[..., None].to(readout.tokens.dtype))
        clock = time_positions(time, self.width)[:, None].to(numbers.dtype)
        filled = {**told, "time": replace(moment, tokens=clock), **self._filled(told, readout, numbers)}
        hidden = self.model(filled)[0]["readout"].tokens
        return self.head(hidden.unflatten(1, noisy.shape[1:]).flatten(2)).float()

    def _filled(self, told: Groups, readout: TokenGroup, numbers: Tensor) -> Groups:
        if "closing" not in told:
            return {"readout": replace(readout, tokens=readout.tokens + numbers)}
        closing = told["closing"]
        first = torch.cat([readout.tokens[:, :1], numbers[:, :-1]], dim=1)
        last = torch.cat([numbers[:, -1:], closing.tokens[:, 1:]], dim=1)
        return {"readout": replace(readout, tokens=first), "closing": replace(closing, tokens=last)}

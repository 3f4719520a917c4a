"""The latent of a conditional variational autoencoder (head.cvae): which of several ways the demonstrator went.

In training a transformer reads the state and the whole chunk and gives a Gaussian; acting, there is no chunk and the
latent is the prior's mean, zero (ACT, section 4 and appendix C). The one thing to watch: with a KL weight of 10 the
latent of scripted, unimodal demonstrations collapses, which is harmless.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from embodia.core.types import ActionChunk, Observation, TokenGroup
from embodia.nn.detr import EncoderLayer, LayerSizes
from embodia.nn.noise import normal
from embodia.nn.positional import sequence_positions


class Posterior(nn.Module):
    """Chunk and state to the group "latent", (B 1 width), with the loss term that keeps it near the prior."""

    def __init__(
        self, sizes: LayerSizes, layers: int, *, latent: int, state_dim: int, action_dim: int, chunk: int
    ) -> None:
        super().__init__()
        width = sizes.width
        self.latent = latent
        self.summary = nn.Parameter(torch.randn(1, 1, width))
        self.state = nn.Linear(state_dim, width)
        self.action = nn.Linear(action_dim, width)
        self.layers = nn.ModuleList(EncoderLayer(sizes) for _ in range(layers))
        self.norm = nn.LayerNorm(width) if sizes.pre_norm else nn.Identity()
        self.moments = nn.Linear(width, 2 * latent)
        self.project = nn.Linear(latent, width)
        self.position = nn.Parameter(torch.randn(1, width))
        self.register_buffer("order", sequence_positions(chunk + 2, width), persistent=False)

    def forward(
        self, observation: Observation, chunk: ActionChunk, rng: torch.Generator | None
    ) -> tuple[TokenGroup, dict[str, Tensor]]:
        """The latent drawn from q(z | state, chunk), and {"kl": (B,)}, summed over latent dimensions."""
        mean, log_variance = self.encode(observation, chunk)
        draw = normal(tuple(mean.shape), mean, rng)
        divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(-1)
        return self.group(mean + (log_variance / 2).exp() * draw), {"kl": divergence}

    def encode(self, observation: Observation, chunk: ActionChunk) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | state, chunk), each (B latent); normalised state (B T S), last step used."""
        actions = self.action(chunk.actions)
        state = self.state(observation.state[:, -1:])  # type: ignore[index]
        x = torch.cat([self.summary.expand(len(actions), -1, -1), state, actions], dim=1)
        valid = torch.cat([chunk.valid.new_ones(len(actions), 2), chunk.valid], dim=1)
        mask = valid[:, None, None]
        for layer in self.layers[:-1]:
            x = layer(x, self.order, mask)
        x = self.layers[-1](x, self.order, mask, first=1)
        mean, log_variance = self.moments(self.norm(x[:, 0])).chunk(2, dim=-1)
        return mean, log_variance

    def prior(self, batch: int, draws: int, rng: torch.Generator | None) -> TokenGroup:
        """The latent without a chunk, for `batch * draws` rows: the first draw of each is zero, the others N(0, 1)."""
        like = self.position
        z = like.new_zeros(batch, draws, self.latent)
        if draws > 1:
            z[:, 1:] = normal((batch, draws - 1, self.latent), like, rng)
        return self.group(z.flatten(0, 1))

    def group(self, z: Tensor) -> TokenGroup:
        """The group "latent" of z (B latent)."""
        return TokenGroup(
            name="latent", tokens=self.project(z)[:, None], mask=None, attends_to=("latent",), position=self.position
        )

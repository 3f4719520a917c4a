"""Flow matching over a chunk of actions (head.flow): straight paths between noise and data, learned as a velocity.

Time runs as in the public code of pi0: 1 is noise, 0 is data, x(t) = t * noise + (1 - t) * actions, and the velocity
points from data to noise. The paper writes the same thing with its time reversed (tau = 1 - t). Whoever mixes the two
gets a model that trains and never acts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from embodia.core.errors import ConfigError
from embodia.core.protocols import Context
from embodia.core.types import ActionChunk
from embodia.nn.noise import normal, uniform
from embodia.nn.reduce import reduce_chunk
from embodia.parts.decoders.noise_to_chunk import NoiseToChunk


class VelocityField(Protocol):
    """A network that says where noisy actions are heading."""

    def condition(self, context: Context, n: int = 1) -> Any:
        """What all steps and n samples share, made once; samples of one batch entry are adjacent rows."""
        ...

    def __call__(self, condition: Any, actions: Tensor, time: Tensor) -> Tensor:
        """Velocity (B H A) at noisy actions (B H A) and times (B,); rows do not influence one another."""
        ...


@dataclass(frozen=True, kw_only=True)
class FlowConfig:
    """How a flow is learned and integrated.

    steps        Euler steps of the sampler
    time_power   the a of Beta(a, 1), from which training times are drawn: above 1 prefers noise
    time_least   smallest training time; drawn times are spread over [time_least, time_most]
    time_most    largest one; below 1 for a flow that only finishes what another began
    draws        pairs of noise and time a sample in training; the observation is read once for all of them
    probes       random probes for the divergence in `log_prob`; 0 = exact, at the cost of H * A of them
    """

    steps: int = 10
    time_power: float = 1.5
    time_least: float = 0.001
    time_most: float = 1.0
    draws: int = 1
    probes: int = 0


class FlowDecoder(NoiseToChunk):
    """Actions (B H A), normalised, as the end of a flow that starts in Gaussian noise (Lipman et al. 2023).

    `velocity` is a `VelocityField` over `width` dimensions (0 = `action_dim`); missing ones are zeros in the data.
    Raises `ConfigError` when it is narrower than the action.
    """

    def __init__(self, velocity: nn.Module, config: FlowConfig, action_dim: int, horizon: int, width: int = 0) -> None:
        super().__init__(action_dim, horizon, width)
        self.velocity = velocity
        self.config = config

    def loss_terms(self, context: Context, chunk: ActionChunk, rng: torch.Generator | None) -> Mapping[str, Tensor]:
        """{"flow": (B,)}: mean squared error of the velocity at random times; padded steps never count."""
        actions, rows = chunk.actions, len(chunk.actions) * self.config.draws
        noise = normal((rows, self.horizon, self.width), actions, rng)
        draw = uniform((rows,), actions, rng)
        least, most = self.config.time_least, self.config.time_most
        time = least + (most - least) * draw ** (1 / self.config.time_power)
        return {"flow": self.loss_at(context, chunk, noise, time)}

    def loss_at(self, context: Context, chunk: ActionChunk, noise: Tensor, time: Tensor) -> Tensor:
        """The loss (B,) at given `noise` (B*k H width) and `time` (B*k,): the mean over k draws a sample."""
        draws = len(noise) // len(chunk.actions)
        actions, valid = (
            self.widened(chunk.actions).repeat_interleave(draws, 0),
            chunk.valid.repeat_interleave(draws, 0),
        )
        at = time[:, None, None]
        condition = self.velocity.condition(context, draws)  # type: ignore[operator]
        found = self.velocity(condition, at * noise + (1 - at) * actions, time)
        return reduce_chunk((found - (noise - actions)).square(), valid, "sample").view(-1, draws).mean(1)

    def from_noise(
        self, context: Context, noise: Tensor, *, n: int = 1, steps: int | None = None, prefix: Tensor | None = None
    ) -> Tensor:
        """Euler steps from `noise` (B*n H width) at time 1 to actions (B*n H A) at time 0; see `between`."""
        return self.between(context, noise, noise, (1.0, 0.0), n=n, steps=steps, prefix=prefix)[..., : self.action_dim]

    def between(
        self,
        context: Context,
        x: Tensor,
        noise: Tensor,
        times: tuple[float, float],
        *,
        n: int = 1,
        steps: int | None = None,
        prefix: Tensor | None = None,
    ) -> Tensor:
        """Euler steps from `x` (B*n H width) at the first of `times` to the second; `noise` is where `x` came from.

        Committed steps follow their own straight path from the same noise, so that at every time the rest sees them at
        the noise level it was trained with. Differentiable. Raises `ShapeError` for a prefix longer than the chunk.
        """
        count, (start, stop) = steps or self.config.steps, times
        condition = self.velocity.condition(context, n)  # type: ignore[operator]
        fixed = None if prefix is None else self.committed(prefix, n)
        for step in range(count):
            time = start - (start - stop) * step / count
            velocity = self.velocity(condition, x, noise.new_full((len(x),), time))
            x = x - (start - stop) * velocity / count
            if fixed is not None:
                x = _keep(x, fixed, noise, start - (start - stop) * (step + 1) / count)
        return x

    def log_prob(self, context: Context, chunk: ActionChunk, steps: int | None = None) -> Tensor:
        """Log density of each chunk in normalised units, (B,), by the instantaneous change of variables.

        log p(x0) = log N(x1) + integral of the divergence along the path from data to noise (Chen et al. 2018), with
        midpoint steps; the divergence is exact unless the configuration asks for random probes, which are the same in
        every call. Of padded steps the divergence and the Gaussian term are left out. Differentiable in the weights.
        Raises `ConfigError` when the network has more dimensions than the action: padded zeros have no density.
        """
        if self.width != self.action_dim:
            raise ConfigError(
                "padded action dimensions have no density", leaf="width", cure="Use a network without padding."
            )
        directions = self._directions(chunk.actions)
        count, learning = steps or self.config.steps, torch.is_grad_enabled()
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
            single = self.velocity.condition(context)  # type: ignore[operator]
            condition = self.velocity.condition(context, len(directions))  # type: ignore[operator]
            x, spread = chunk.actions, torch.zeros_like(chunk.actions)
            for step in range(count):
                half = x + self.velocity(single, x, x.new_full((len(x),), step / count)) / (2 * count)
                slope, growth = self._divergence(condition, half, (step + 0.5) / count, directions, learning)
                x, spread = x + slope / count, spread + growth / count
        density = -0.5 * (x.square() + math.log(2 * math.pi)) + spread
        total = (density.sum(-1) * chunk.valid).sum(-1)
        return total if learning else total.detach()

    def _divergence(
        self, condition: Any, x: Tensor, time: float, directions: Tensor, learning: bool
    ) -> tuple[Tensor, Tensor]:
        """Velocity and the diagonal of its Jacobian, both (B H A): one row a direction, one backward pass for all."""
        n = len(directions)
        rows = x.repeat_interleave(n, dim=0)
        rows = rows if rows.requires_grad else rows.detach().requires_grad_()
        velocity = self.velocity(condition, rows, x.new_full((len(rows),), time))
        along = directions.repeat(len(x), 1, 1)
        (pulled,) = torch.autograd.grad((velocity * along).sum(), rows, create_graph=learning)
        diagonal = (pulled * along).unflatten(0, (len(x), n)).sum(1)
        diagonal = diagonal / n if self.config.probes else diagonal
        slope = velocity[::n]
        return (slope, diagonal) if learning else (slope.detach(), diagonal)

    def _directions(self, like: Tensor) -> Tensor:
        """(n H A): the unit vectors, or random signs from a fixed seed."""
        shape = (self.horizon, self.action_dim)
        size = self.horizon * self.action_dim
        if not self.config.probes:
            return torch.eye(size, dtype=like.dtype, device=like.device).reshape(size, *shape)
        fixed = torch.Generator().manual_seed(0)
        signs = torch.randint(2, (self.config.probes, *shape), generator=fixed) * 2 - 1
        return signs.to(like)


def _keep(x: Tensor, fixed: Tensor, noise: Tensor, time: float) -> Tensor:
    length = fixed.shape[1]
    return torch.cat([time * noise[:, :length] + (1 - time) * fixed, x[:, length:]], dim=1)

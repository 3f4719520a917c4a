"""A chunk by restoring it (head.flow with clean targets): the network says at any noise what the actions were.

Noise and actions are mixed on a straight line, as in flow matching, but what is learned is the line's clean end: each
part of an action in the loss that fits it, a gripper as the chance that it is closed. The sampler mixes each estimate
with the noise it began with (X-VLA, section 4). The one thing to watch: these are not Euler steps of a velocity, so
there is no density, and a chunk of one step is the network's mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embodia.core.protocols import Context
from embodia.core.specs import ActionPart, ActionSpec
from embodia.core.types import ActionChunk
from embodia.nn.noise import normal, uniform
from embodia.nn.normalize import Normalizer
from embodia.nn.shared import Shared
from embodia.parts.decoders.noise_to_chunk import NoiseToChunk


@dataclass(frozen=True, kw_only=True)
class CleanConfig:
    """How a chunk is restored.

    steps    of the sampler
    gripper  "chance": cross entropy, and not shown to the network while noisy; "number": as every other dimension
    draws    pairs of noise and time a sample in training; the observation is read once for all of them
    """

    steps: int = 10
    gripper: Literal["chance", "number"] = "chance"
    draws: int = 1


class CleanFlow(NoiseToChunk):
    """Actions (B H A), normalised by `units`, restored by `net` over `width` dimensions (0 = those of the action).

    Losses are named "position", "rotation", "gripper" and "joint" by what the parts of `spec` are. Raises `ConfigError`
    when the network is narrower than the action.
    """

    weights: Tensor
    grips: Tensor
    ends: Tensor

    def __init__(
        self, net: nn.Module, config: CleanConfig, spec: ActionSpec, horizon: int, units: Normalizer, width: int = 0
    ) -> None:
        super().__init__(spec.dim, horizon, width)
        self.net, self.config, self.units = net, config, Shared(units)
        kinds = [kind_of(part) for part in spec.parts for _ in range(part.dim)]
        self.kinds = tuple(dict.fromkeys(kinds))
        grips = torch.tensor([kind == "gripper" and config.gripper == "chance" for kind in kinds])
        self.register_buffer("grips", F.pad(grips, (0, self.width - spec.dim)), persistent=False)
        self.register_buffer("weights", _weights(spec, self.kinds), persistent=False)
        ends = [[part.low, part.high] for part in spec.parts for _ in range(part.dim)]
        self.register_buffer("ends", torch.tensor(ends).T.contiguous(), persistent=False)

    def loss_terms(self, context: Context, chunk: ActionChunk, rng: torch.Generator | None) -> Mapping[str, Tensor]:
        """{kind: (B,)} at random times, spread evenly over a batch; padded steps never count."""
        batch, draws = len(chunk.actions), self.config.draws
        noise = normal((batch * draws, self.horizon, self.width), chunk.actions, rng)
        spread = torch.arange(batch * draws, device=noise.device).view(draws, batch).T.flatten() / (batch * draws)
        return self.loss_at(context, chunk, noise, (uniform((1,), noise, rng) + spread) % (1 - 1e-5))

    def loss_at(self, context: Context, chunk: ActionChunk, noise: Tensor, time: Tensor) -> dict[str, Tensor]:
        """The losses (B,) at given `noise` (B*k H width) and `time` (B*k,): the mean over k draws a sample."""
        draws = len(noise) // len(chunk.actions)
        actions, valid = chunk.actions.repeat_interleave(draws, 0), chunk.valid.repeat_interleave(draws, 0)
        condition = self.net.condition(context, draws)  # type: ignore[operator]
        found = self._estimate(condition, self.widened(actions), noise, time)[..., : self.action_dim]
        error = self._error(found, actions) @ self.weights.T.to(found.dtype)
        rows = (error * valid[..., None]).sum(1) / valid.sum(1).clamp_min(1)[:, None]
        return dict(zip(self.kinds, rows.view(-1, draws, len(self.kinds)).mean(1).unbind(-1), strict=True))

    def from_noise(
        self, context: Context, noise: Tensor, *, n: int = 1, steps: int | None = None, prefix: Tensor | None = None
    ) -> Tensor:
        """From `noise` (B*n H width) to actions (B*n H A). Raises `ShapeError` for a prefix that does not fit."""
        count, condition = steps or self.config.steps, self.net.condition(context, n)  # type: ignore[operator]
        fixed = None if prefix is None else self.committed(prefix, n)
        actions = _begun(torch.zeros_like(noise), fixed)
        for step in range(count):
            time = noise.new_full((len(noise),), 1 - step / count)
            actions = _begun(self._estimate(condition, actions, noise, time), fixed)
        return _begun(
            self._answer(actions[..., : self.action_dim]), None if prefix is None else prefix.repeat_interleave(n, 0)
        )

    def _estimate(self, condition: object, actions: Tensor, noise: Tensor, time: Tensor) -> Tensor:
        at = time[:, None, None]
        mixed = (at * noise + (1 - at) * actions).masked_fill(self.grips, 0.0)
        return self.net(condition, mixed, time)  # type: ignore[no-any-return]

    def _error(self, found: Tensor, actions: Tensor) -> Tensor:
        """(B H A): squared error, cross entropy for grippers."""
        low, high = self.units.do(self.ends)
        grips = self.grips[: self.action_dim]
        closed = ((actions - low) / (high - low)).clamp(0, 1)
        chance = F.binary_cross_entropy_with_logits(found, closed, reduction="none")
        return torch.where(grips, chance, (found - actions).square())

    def _answer(self, found: Tensor) -> Tensor:
        low, high = self.units.do(self.ends)
        return torch.where(self.grips[: self.action_dim], low + (high - low) * found.sigmoid(), found)


def kind_of(part: ActionPart) -> str:
    """ "position", "rotation", "gripper" or "joint": which of the losses a part of an action has."""
    if part.representation.startswith("ee_position"):
        return "position"
    if part.representation.startswith("ee_rotation"):
        return "rotation"
    return "gripper" if part.representation == "gripper" else "joint"


def _weights(spec: ActionSpec, kinds: tuple[str, ...]) -> Tensor:
    """(kinds A): positions and rotations of several hands add up, grippers and joints are averaged."""
    places = [(kind_of(part), part.dim) for part in spec.parts for _ in range(part.dim)]
    totals = {kind: sum(found == kind for found, _ in places) for kind in kinds}
    rows = [
        [(1 / (dim if kind in ("position", "rotation") else totals[kind])) * (kind == found) for found, dim in places]
        for kind in kinds
    ]
    return torch.tensor(rows)


def _begun(actions: Tensor, fixed: Tensor | None) -> Tensor:
    return actions if fixed is None else torch.cat([fixed, actions[:, fixed.shape[1] :]], dim=1)

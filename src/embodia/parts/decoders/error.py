"""The error of regression heads (obj.reg, obj.bce): absolute, squared or Huber, and a logit where a gripper decides.

Each error is minus the log of a density around the head's output - Laplace, Gaussian, Huber's - so a regression head
has draws and a `log_prob` like every other head. A gripper's dimension may be a choice between two levels instead: its
output is a logit, learned by cross entropy, and the action is the mean of the two levels under its probability. The one
thing to watch: levels are in network units and are kept as buffers, since they depend on the data's statistics.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embodia.core.protocols import Context
from embodia.core.specs import ActionSpec
from embodia.core.types import ActionChunk
from embodia.nn.noise import normal, uniform
from embodia.nn.normalize import Normalizer
from embodia.nn.reduce import Reduction, reduce_chunk


@dataclass(frozen=True, kw_only=True)
class ErrorConfig:
    """Which error; `scale` of the density in normalised units, `knee` where Huber's error turns from square to line."""

    error: Literal["l1", "l2", "huber"] = "l1"
    scale: float = 0.1
    knee: float = 0.3
    reduction: Reduction = "sample"


class ActionError(nn.Module):
    """Losses, draws and density around an output (B H A); `grippers` are decided by a logit."""

    low: Tensor
    high: Tensor

    def __init__(self, config: ErrorConfig, action_dim: int, grippers: Grippers | None = None) -> None:
        super().__init__()
        self.config = config
        chosen = () if grippers is None else grippers.dims
        self.chosen = tuple(chosen)
        self.plain = tuple(index for index in range(action_dim) if index not in chosen)
        if grippers is not None:
            self.register_buffer("low", grippers.low.clone())
            self.register_buffer("high", grippers.high.clone())

    def mode(self, output: Tensor) -> Tensor:
        """The action an output stands for: itself, but for grippers the mean of their two levels."""
        if not self.chosen:
            return output
        action = output.clone()
        share = output[..., list(self.chosen)].sigmoid()
        action[..., list(self.chosen)] = self.low + (self.high - self.low) * share
        return action

    def loss_terms(self, output: Tensor, chunk: ActionChunk) -> Mapping[str, Tensor]:
        """{"l1", "l2" or "huber": (B,)} and, with grippers, {"gripper": (B,)}; padded steps never count."""
        kind, reduction = self.config.error, self.config.reduction
        difference = output[..., list(self.plain)] - chunk.actions[..., list(self.plain)]
        terms: dict[str, Tensor] = {}
        if self.plain:
            terms[kind] = reduce_chunk(self._error(difference), chunk.valid, reduction)
        if self.chosen:
            terms["gripper"] = reduce_chunk(self._doubt(output, chunk.actions), chunk.valid, reduction)
        return terms

    def draw(self, output: Tensor, rng: torch.Generator | None, n: int, prefix: Tensor | None = None) -> Tensor:
        """(B n H A): the mode, then n - 1 draws of the density; the steps of `prefix` (B P A) are kept."""
        mode = self.mode(output)
        chunks = mode[:, None].repeat(1, n, 1, 1)
        if n > 1:
            rest = chunks[:, 1:]
            rest += self._noise(tuple(rest.shape), mode, rng)
            if self.chosen:
                share = output[:, None][..., list(self.chosen)].sigmoid()
                picked = uniform((*rest.shape[:3], len(self.chosen)), mode, rng) < share
                rest[..., list(self.chosen)] = torch.where(picked, self.high, self.low)
        if prefix is not None:
            chunks[:, :, : prefix.shape[1]] = prefix[:, None]
        return chunks

    def log_prob(self, output: Tensor, chunk: ActionChunk) -> Tensor:
        """Log density of the valid steps, (B,), in normalised units; a gripper's choice counts by its probability."""
        plain = list(self.plain)
        density = self._density(chunk.actions[..., plain] - output[..., plain]).sum(-1)
        if self.chosen:
            density = density - self._doubt(output, chunk.actions).sum(-1)
        return (density * chunk.valid).sum(-1)

    def _doubt(self, output: Tensor, actions: Tensor) -> Tensor:
        wanted = (actions[..., list(self.chosen)] - self.low) / (self.high - self.low)
        return F.binary_cross_entropy_with_logits(output[..., list(self.chosen)], wanted.clamp(0, 1), reduction="none")

    def _error(self, difference: Tensor) -> Tensor:
        if self.config.error == "l1":
            return difference.abs()
        if self.config.error == "l2":
            return difference.square()
        return F.huber_loss(difference, torch.zeros_like(difference), delta=self.config.knee, reduction="none")

    def _density(self, difference: Tensor) -> Tensor:
        scale = self.config.scale
        distance = difference / scale
        if self.config.error == "l1":
            return -distance.abs() - math.log(2 * scale)
        if self.config.error == "l2":
            return -0.5 * distance.square() - math.log(scale * math.sqrt(2 * math.pi))
        knee = self.config.knee / scale
        energy = F.huber_loss(distance, torch.zeros_like(distance), delta=knee, reduction="none")
        return -energy - math.log(scale * sum(_masses(knee)))

    def _noise(self, shape: tuple[int, ...], like: Tensor, rng: torch.Generator | None) -> Tensor:
        if self.config.error == "l2":
            return normal(shape, like, rng) * self.config.scale
        centred = 2 * uniform(shape, like, rng) - 1
        size = centred.abs() * (1 - 1e-6)
        knee = 0.0 if self.config.error == "l1" else self.config.knee / self.config.scale
        middle, tails = _masses(knee) if knee else (0.0, 2.0)
        share = middle / (middle + tails)
        far = knee - torch.log((1 - size).clamp_min(1e-7) / (1 - share)) / (knee or 1.0)
        if not knee:
            return centred.sign() * far * self.config.scale
        near = math.sqrt(2) * torch.erfinv((size / share).clamp_max(1.0) * math.erf(knee / math.sqrt(2)))
        return centred.sign() * torch.where(size < share, near, far) * self.config.scale


class ErrorHead(nn.Module):
    """A head whose output (B H A) is the mode of a density: what it learns, draws and says follows from its `error`.

    Whoever derives from it has a `forward` from context to output, with logits in the dimensions of grippers.
    """

    error: ActionError

    def loss_terms(self, context: Context, chunk: ActionChunk, rng: torch.Generator | None) -> Mapping[str, Tensor]:
        """{"l1", "l2" or "huber": (B,)} and, with grippers, {"gripper": (B,)}; padded steps never count."""
        return self.error.loss_terms(self(context), chunk)

    def sample(
        self,
        context: Context,
        rng: torch.Generator | None,
        n: int = 1,
        steps: int | None = None,
        prefix: Tensor | None = None,
    ) -> Tensor:
        """(B n H A): the mode, then draws of the density. `steps` has no meaning here; `prefix` (B P A) is kept."""
        return self.error.draw(self(context), rng, n, prefix)

    def log_prob(self, context: Context, chunk: ActionChunk) -> Tensor:
        """Log density of the valid steps, (B,), in normalised units."""
        return self.error.log_prob(self(context), chunk)


@dataclass(frozen=True, kw_only=True)
class Grippers:
    """Dimensions that are a choice, and their two levels in network units, each (G,)."""

    dims: tuple[int, ...]
    low: Tensor
    high: Tensor


def gripper_choices(spec: ActionSpec, units: Normalizer) -> Grippers | None:
    """The grippers of an action; None where it has none."""
    kinds = [part for part in spec.parts for _ in range(part.dim)]
    dims = tuple(index for index, part in enumerate(kinds) if part.representation == "gripper")
    if not dims:
        return None
    low = units.do(torch.tensor([part.low for part in kinds]))[list(dims)]
    high = units.do(torch.tensor([part.high for part in kinds]))[list(dims)]
    return Grippers(dims=dims, low=low, high=high)


def _masses(knee: float) -> tuple[float, float]:
    """Mass of exp(-Huber) with unit scale inside and outside the knee."""
    middle = math.sqrt(2 * math.pi) * math.erf(knee / math.sqrt(2))
    return middle, 2 / knee * math.exp(-0.5 * knee**2)

"""The composition: encoders -> (latent) -> backbone -> decoder, with normalisation at both ends.

This is the only class a policy file wires; it owns what every policy must do alike: units in and out, history, padding,
clipping to the contract, temporal ensembling. State between calls is passed as `carry`, never hidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from embodia.core.errors import ConfigError, ShapeError
from embodia.core.protocols import DensityDecoder
from embodia.core.specs import ActionSpec, Contract
from embodia.core.types import ActionChunk, Batch, Observation, TokenGroup
from embodia.nn.normalize import Normalizer


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a decoder looks at: groups by name and the backbone's cache."""

    groups: Mapping[str, TokenGroup]
    cache: Any = None


@dataclass(frozen=True, kw_only=True)
class Inference:
    """How a trained policy acts.

    steps     of the sampler; None is the decoder's own default
    execute   actions a runner should carry out between two decisions; None is the whole chunk, or 1 when ensembling
    ensemble  m of ACT's temporal ensembling, weights exp(-m i) with i = 0 the oldest prediction; None is off. Chunks
              then come out `execute` long, because the carry counts on exactly that many being carried out
    """

    steps: int | None = None
    execute: int | None = None
    ensemble: float | None = None


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """Carry of temporal ensembling: running means (B H A) of steps still to come, and the weight each mean has (H)."""

    mean: Tensor
    weight: Tensor
    count: Tensor


class Latent(Protocol):
    """A latent variable between encoders and backbone: inferred from the chunk in training, from a prior in use."""

    def __call__(
        self, observation: Observation, chunk: ActionChunk, rng: torch.Generator | None
    ) -> tuple[TokenGroup, Mapping[str, Tensor]]:
        """The group and its loss terms."""
        ...

    def prior(self, batch: int, draws: int, rng: torch.Generator | None) -> TokenGroup:
        """The group for `batch * draws` rows without a chunk."""
        ...


class Foresight(Protocol):
    """An estimate, made from the encoders' groups, of states still to come; it becomes one more group."""

    ahead: tuple[int, ...]

    def __call__(self, groups: Mapping[str, TokenGroup], observation: Observation) -> tuple[TokenGroup, Tensor]:
        """The group, and the estimated states (B K S) at the steps `ahead`, in network units."""
        ...

    def loss(self, estimate: Tensor, ahead: Tensor) -> Tensor:
        """Error (B,) of an estimate against what came, both in network units."""
        ...


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a policy file hands over; `weights` of loss terms default to 1, `history` is the T that encoders expect."""

    encoders: Mapping[str, nn.Module]
    decoder: nn.Module
    state: Normalizer
    action: Normalizer
    backbone: nn.Module | None = None
    latent: nn.Module | None = None
    foresight: nn.Module | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    history: int = 1
    inference: Inference = field(default_factory=Inference)


class Composition(nn.Module):
    """A policy: `loss_terms` to learn, `act` to use, `sample` and `log_prob` to search and reinforce."""

    low: Tensor
    high: Tensor

    def __init__(self, contract: Contract, parts: Parts) -> None:
        super().__init__()
        if contract.action.chunk < 1:
            raise ConfigError("a policy's contract states its chunk", leaf="action.chunk")
        self.contract = contract
        self.encoders = nn.ModuleDict(dict(parts.encoders))
        self.backbone = parts.backbone
        self.latent = parts.latent
        self.foresight = parts.foresight
        self.ahead: tuple[int, ...] = () if parts.foresight is None else tuple(parts.foresight.ahead)  # type: ignore[arg-type]
        self.decoder = parts.decoder
        self.state_units = parts.state
        self.action_units = parts.action
        self.weights = dict(parts.weights)
        self.history = parts.history
        self.inference = parts.inference
        low, high = action_bounds(contract.action)
        self.register_buffer("low", low, persistent=False)
        self.register_buffer("high", high, persistent=False)

    def loss_terms(self, batch: Batch, rng: torch.Generator | None) -> dict[str, Tensor]:
        """Named, unweighted loss terms, each (B,); `batch` holds torch tensors in physical units."""
        observation, chunk = self.normalize(batch.observation), self.normalize_chunk(batch.chunk)
        groups, estimate = self._encode(observation)
        terms = {} if estimate is None else {"foresight": self._foresight_loss(estimate, batch.ahead)}
        if self.latent is not None:
            group, latent_terms = self.latent(observation, chunk, rng)
            groups, terms = {group.name: group, **groups}, {**terms, **latent_terms}
        return {**self.decoder.loss_terms(self._think(groups), chunk, rng), **terms}  # type: ignore[operator]

    def loss(self, batch: Batch, rng: torch.Generator | None) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum of the terms, averaged over the batch, and each term's mean, detached."""
        terms = {name: term.float().mean() for name, term in self.loss_terms(batch, rng).items()}
        total = torch.stack([self.weights.get(name, 1.0) * term for name, term in terms.items()]).sum()
        return total, {name: term.detach() for name, term in terms.items()}

    def sample(
        self,
        observation: Observation,
        rng: torch.Generator | None,
        n: int = 1,
        steps: int | None = None,
        prefix: Tensor | None = None,
    ) -> Tensor:
        """n chunks per batch entry, (B n H A), physical, not clipped; `prefix` (B P A) are steps already committed."""
        context, draws = self.context(observation, n, rng), 1 if self.latent is not None else n
        if prefix is not None:
            prefix = self.action_units.do(prefix).repeat_interleave(n // draws, dim=0)
        chunks = self.decoder.sample(context, rng, draws, steps, prefix)  # type: ignore[operator]
        return self.action_units.undo(chunks.float().reshape(-1, n, *chunks.shape[2:]))

    def log_prob(self, observation: Observation, chunk: ActionChunk) -> Tensor:
        """Log density of each chunk's valid steps in physical units, (B,); a latent is held at its prior mean.

        Raises `ConfigError` when the decoder has no density.
        """
        if not isinstance(self.decoder, DensityDecoder):
            raise ConfigError(f"{type(self.decoder).__name__} has no log_prob", leaf="decoder")
        density = self.decoder.log_prob(self.context(observation, 1, None), self.normalize_chunk(chunk))
        return density - chunk.valid.sum(-1) * self.action_units.log_volume()

    @torch.no_grad()
    def act(
        self, observation: Observation, carry: Ensemble | None, rng: torch.Generator | None
    ) -> tuple[ActionChunk, Ensemble | None]:
        """One decision: numpy or torch observation in, a numpy chunk in physical units out, clipped to the contract.

        Without ensembling the carry is None. Dropout is off whatever mode the module is in.
        """
        training = self.training
        if training:
            self.eval()
        actions = self.sample(observation, rng, steps=self.inference.steps)[:, 0]
        if training:
            self.train()
        if self.inference.ensemble is not None:
            actions, carry = blend(actions, carry, self.inference.ensemble, self.inference.execute or 1)
        clipped = actions.clamp(self.low, self.high).cpu().numpy()
        spec = replace(self.contract.action, chunk=clipped.shape[1])
        return ActionChunk(actions=clipped, valid=np.ones(clipped.shape[:2], dtype=bool), spec=spec), carry

    def context(self, observation: Observation, n: int = 1, rng: torch.Generator | None = None) -> Context:
        """What the decoder sees; with a latent, each entry n times, the first with the prior's mean."""
        groups, _ = self._encode(self.normalize(observation))
        if self.latent is not None:
            groups = {name: _repeated(group, n) for name, group in groups.items()}
            rows = len(next(iter(groups.values())).tokens)
            group = self.latent.prior(rows // n, n, rng)  # type: ignore[operator]
            groups = {group.name: group, **groups}
        return self._think(groups)

    def normalize(self, observation: Observation) -> Observation:
        """Torch tensors on the policy's device, `history` steps, state in network units."""
        device = self.low.device
        observation = observation.map(lambda array: fit_history(torch.as_tensor(array, device=device), self.history))
        if observation.state is None:
            return observation
        return replace(observation, state=self.state_units.do(observation.state.float()))

    def normalize_chunk(self, chunk: ActionChunk) -> ActionChunk:
        """Actions in network units; whatever padded steps held is replaced by the last valid action."""
        if chunk.actions.shape[1:] != (self.contract.action.chunk, self.contract.action.dim):
            expected = f"(B {self.contract.action.chunk} {self.contract.action.dim})"
            raise ShapeError(f"actions are {tuple(chunk.actions.shape)}, expected {expected}", leaf="chunk.actions")
        device = self.low.device
        actions, valid = chunk.actions.to(device).float(), chunk.valid.to(device)
        last = (valid.sum(-1, keepdim=True) - 1).clamp_min(0)
        steps = torch.arange(valid.shape[1], device=device).minimum(last)
        actions = actions.gather(1, steps[..., None].expand_as(actions))
        return replace(chunk, actions=self.action_units.do(actions), valid=valid)

    def _encode(self, observation: Observation) -> tuple[dict[str, TokenGroup], Tensor | None]:
        groups = {group.name: group for group in (encoder(observation) for encoder in self.encoders.values())}
        if self.foresight is None:
            return groups, None
        group, estimate = self.foresight(groups, observation)
        return {**groups, group.name: group}, estimate

    def _foresight_loss(self, estimate: Tensor, ahead: Tensor | None) -> Tensor:
        if ahead is None:
            raise ShapeError(f"the batch lacks the states {self.ahead} steps ahead", leaf="ahead")
        target = self.state_units.do(ahead.to(self.low.device).float())
        return self.foresight.loss(estimate, target)  # type: ignore[union-attr, operator]

    def _think(self, groups: Mapping[str, TokenGroup]) -> Context:
        if self.backbone is None:
            return Context(groups=groups)
        groups, cache = self.backbone(groups, None)
        return Context(groups=groups, cache=cache)


def action_bounds(spec: ActionSpec) -> tuple[Tensor, Tensor]:
    """Lowest and highest physical value of every action dimension, each (A,)."""
    low = torch.tensor([part.low for part in spec.parts for _ in range(part.dim)])
    high = torch.tensor([part.high for part in spec.parts for _ in range(part.dim)])
    return low, high


def chunked(contract: Contract, chunk: int) -> Contract:
    """The contract of a policy that emits `chunk` actions at a time."""
    return replace(contract, action=replace(contract.action, chunk=chunk))


def parameter_count(module: nn.Module) -> int:
    """Trainable and frozen parameters, shared ones once; buffers do not count."""
    return sum(parameter.numel() for parameter in module.parameters())


def fit_history(array: Tensor, history: int) -> Tensor:
    """The last `history` of the T steps of (B T ...); the first step is repeated in front when there are fewer."""
    steps = array.shape[1]
    if steps >= history:
        return array[:, steps - history :]
    return torch.cat([array[:, :1].expand(-1, history - steps, *array.shape[2:]), array], dim=1)


def blend(actions: Tensor, carry: Ensemble | None, m: float, every: int) -> tuple[Tensor, Ensemble]:
    """Temporal ensembling (ACT, algorithm 2): mean over all predictions for a step, weighted exp(-m i), oldest i = 0.

    `actions` (B H A) begin now. Returns the first `every` blended steps and the carry for the decision after them.
    """
    length = actions.shape[1]
    mean, weight = torch.zeros_like(actions), actions.new_zeros(length)
    count = torch.zeros(length, device=actions.device)
    if carry is not None:
        kept = carry.mean.shape[1]
        mean[:, :kept], weight[:kept], count[:kept] = carry.mean, carry.weight, carry.count
    newest = torch.exp(-m * count)
    total = weight + newest
    mean = mean + (actions - mean) * (newest / total)[:, None]
    rest = Ensemble(mean=mean[:, every:], weight=total[every:], count=count[every:] + 1)
    return mean[:, :every], rest


def _repeated(group: TokenGroup, n: int) -> TokenGroup:
    if n == 1:
        return group
    mask = None if group.mask is None else group.mask.repeat_interleave(n, dim=0)
    return replace(group, tokens=group.tokens.repeat_interleave(n, dim=0), mask=mask)

"""The composition: encoders -> (latent) -> backbone -> (thought) -> decoder, with normalisation at both ends.

This is the only class a policy file wires; it owns what every policy must do alike: units in and out, history, padding,
clipping to the contract, temporal ensembling, thinking before acting, listening to a slower system. State between calls
is passed as `carry`, never hidden.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from embodia.core.errors import ConfigError, ShapeError
from embodia.core.protocols import DensityDecoder, Fitted, Worded
from embodia.core.specs import ActionSpec, Contract
from embodia.core.types import ActionChunk, Batch, Message, Observation, TokenGroup
from embodia.nn.groups import repeat
from embodia.parts.acting import Carry, Inference, blend
from embodia.parts.context import Context
from embodia.parts.wiring import Parts

__all__ = ["Carry", "Composition", "Context", "Inference", "Parts", "action_bounds", "chunked", "parameter_count"]


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
        self.ahead: tuple[int, ...] = parts.ahead
        if parts.foresight is not None:
            self.ahead = tuple(parts.foresight.ahead)  # type: ignore[arg-type]
        self.thought, self.answers = parts.thought, parts.answers
        self.heads = nn.ModuleDict(dict(parts.heads))
        self.later = parts.later
        self.upper = parts.upper
        self.decoder = parts.decoder
        self.state_units = parts.state
        self.action_units = parts.action
        self.weights = dict(parts.weights)
        self.own_history = parts.history
        self.history = parts.history + (0 if parts.upper is None else parts.upper.stale)
        self.inference = parts.inference
        low, high = action_bounds(contract.action)
        self.register_buffer("low", low, persistent=False)
        self.register_buffer("high", high, persistent=False)

    def loss_terms(self, batch: Batch, rng: torch.Generator | None) -> dict[str, Tensor]:
        """Named, unweighted loss terms, each (B,); `batch` holds torch tensors in physical units."""
        batch = self.normalize_batch(batch)
        terms: dict[str, Tensor] = {}
        message = None
        if self.upper is not None:
            message, terms = self.upper.teach(batch, rng)
            batch = replace(batch, observation=self._own(batch.observation))
        observation, chunk = batch.observation, batch.chunk
        groups, estimate = self._encode(observation, message)
        if estimate is not None:
            terms["foresight"] = self._foresight_loss(estimate, batch.ahead)
        if self.latent is not None:
            group, latent_terms = self.latent(observation, chunk, rng)
            groups, terms = {group.name: group, **groups}, {**terms, **latent_terms}
        context = self._think(groups)
        if self.thought is not None:
            context, spoken = self.thought.teach(context, batch.answer)  # type: ignore[operator]
            terms = {**terms, **spoken}
        terms = {**self.decoder.loss_terms(context, chunk, rng), **terms}  # type: ignore[operator]
        for head in self.heads.values():
            terms = {**terms, **head.loss_terms(context, batch, rng)}  # type: ignore[operator]
        return terms

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
        return self._draw(self.context(observation, n, rng), rng, n, steps, prefix)

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
        self, observation: Observation, carry: Carry | None, rng: torch.Generator | None
    ) -> tuple[ActionChunk, Carry | None]:
        """One decision: numpy or torch observation in, a numpy chunk in physical units out, clipped to the contract.

        The carry is None unless chunks are blended, thoughts are held, or a slower system is listened to. Dropout is
        off whatever mode the module is in.
        """
        training, before = self.training, carry or Carry()
        if training:
            self.eval()
        context, after = self._perceive(self.normalize(observation), 1, rng, before)
        actions = self._draw(context, rng, 1, self.inference.steps, None)[:, 0, self.inference.skip :]
        if training:
            self.train()
        if self.inference.ensemble is not None:
            actions, ensemble = blend(actions, before.ensemble, self.inference.ensemble, self.inference.execute or 1)
            after = replace(after, ensemble=ensemble)
        clipped = actions.clamp(self.low, self.high).cpu().numpy()
        spec = replace(self.contract.action, chunk=clipped.shape[1])
        chunk = ActionChunk(actions=clipped, valid=np.ones(clipped.shape[:2], dtype=bool), spec=spec)
        stateful = self.inference.ensemble is not None or self.thought is not None or self.upper is not None
        return chunk, after if stateful else None

    def context(self, observation: Observation, n: int = 1, rng: torch.Generator | None = None) -> Context:
        """What the decoder sees; with a latent, each entry n times, the first with the prior's mean."""
        return self._perceive(self.normalize(observation), n, rng, Carry())[0]

    def fit(self, actions: Tensor) -> None:
        """Let every part that must see actions before training take what it needs from chunks (N H A), physical."""
        normalised = self.action_units.do(actions.to(self.low.device).float())
        for module in self.modules():
            if module is not self and isinstance(module, Fitted):
                module.fit(normalised)

    def fit_sentences(self, wordings: Mapping[str, Sequence[str]]) -> None:
        """Let every part that lists tasks know which sentences there are: canonical ones and their paraphrases."""
        for module in self.modules():
            if module is not self and isinstance(module, Worded):
                module.fit_sentences(wordings)

    @property
    def must_fit(self) -> bool:
        """Whether a part must see actions before training."""
        return any(module is not self and isinstance(module, Fitted) for module in self.modules())

    def normalize(self, observation: Observation) -> Observation:
        """Torch tensors on the policy's device, `history` steps, state in network units."""
        device = self.low.device
        observation = observation.map(lambda array: fit_history(torch.as_tensor(array, device=device), self.history))
        if observation.state is None:
            return observation
        return replace(observation, state=self.state_units.do(observation.state.float()))

    def normalize_batch(self, batch: Batch) -> Batch:
        """All of a batch in network units, except the states ahead."""
        later = batch.later
        if later is not None:
            later = later.map(lambda array: torch.as_tensor(array, device=self.low.device))
            if later.state is not None:
                later = replace(later, state=self.state_units.do(later.state.float()))
        return replace(
            batch,
            observation=self.normalize(batch.observation),
            chunk=self.normalize_chunk(batch.chunk),
            later=later,
        )

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

    def _perceive(
        self, observation: Observation, n: int, rng: torch.Generator | None, carry: Carry
    ) -> tuple[Context, Carry]:
        """What the decoder sees of a normalised observation, and what to remember of how it came about."""
        message = carry.message
        if self.upper is not None:
            if message is None or carry.decisions % self.upper.every == 0:
                message = self.upper.speak(observation, rng)
            observation = self._own(observation)
        groups, _ = self._encode(observation, message)
        if self.latent is not None:
            groups = {name: repeat(group, n) for name, group in groups.items()}
            rows = len(next(iter(groups.values())).tokens)
            group = self.latent.prior(rows // n, n, rng)  # type: ignore[operator]
            groups = {group.name: group, **groups}
        context, said = self._think(groups), carry.thought
        if self.thought is not None:
            held = said if carry.decisions % self.inference.think_every else ()
            context, said = self.thought.speak(context, rng, held)  # type: ignore[operator]
        return context, replace(carry, message=message, thought=said, decisions=carry.decisions + 1)

    def _draw(
        self, context: Context, rng: torch.Generator | None, n: int, steps: int | None, prefix: Tensor | None
    ) -> Tensor:
        """n physical chunks a batch entry (B n H A); with a latent the context has n rows an entry already."""
        draws = 1 if self.latent is not None else n
        if prefix is not None:
            prefix = self.action_units.do(prefix).repeat_interleave(n // draws, dim=0)
        chunks = self.decoder.sample(context, rng, draws, steps, prefix)  # type: ignore[operator]
        return self.action_units.undo(chunks.float().reshape(-1, n, *chunks.shape[2:]))

    def _own(self, observation: Observation) -> Observation:
        """The moments of the faster system, the newest ones."""
        return observation.map(lambda array: array[:, -self.own_history :])

    def _encode(
        self, observation: Observation, message: Message | None = None
    ) -> tuple[dict[str, TokenGroup], Tensor | None]:
        if message is not None and message.text:
            observation = replace(observation, instruction=message.text)
        groups = {group.name: group for group in (encoder(observation) for encoder in self.encoders.values())}
        if self.upper is not None and message is not None:
            groups = self.upper.link.absorb(groups, message)  # type: ignore[operator]
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
        return Context(groups=groups, cache=cache, backbone=self.backbone)  # type: ignore[arg-type]


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

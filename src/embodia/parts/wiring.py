"""What a policy file hands over to be composed, and what each of its optional pieces has to be able to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from embodia.core.types import ActionChunk, Observation, TokenGroup
from embodia.nn.normalize import Normalizer
from embodia.parts.acting import Inference
from embodia.parts.context import Context
from embodia.parts.upper import Upper


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


class Thought(Protocol):
    """Text that is said before the action and read by it."""

    def teach(self, context: Context, answers: Sequence[str]) -> tuple[Context, Mapping[str, Tensor]]:
        """The context after the true `answers` (B) were said, and the loss terms (B,) of saying them."""
        ...

    def speak(
        self, context: Context, rng: torch.Generator | None, said: Sequence[str] = ()
    ) -> tuple[Context, tuple[str, ...]]:
        """The context after the policy's own words, and the words; `said` words are repeated, not thought anew."""
        ...


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a policy file hands over.

    weights  of loss terms, 1 where not named
    history  the T that encoders expect
    thought  says a text before the action (`Thought`); `answers` names the kind of text it learns to say
    heads    other things to predict from the same context (`core.protocols.Head`)
    ahead    steps ahead (or `core.moments`) at which heads want to know the state, in physical units
    later    steps ahead at which heads want to know what will be seen
    upper    a slower system and its link
    """

    encoders: Mapping[str, nn.Module]
    decoder: nn.Module
    state: Normalizer
    action: Normalizer
    backbone: nn.Module | None = None
    latent: nn.Module | None = None
    foresight: nn.Module | None = None
    thought: nn.Module | None = None
    answers: str = ""
    heads: Mapping[str, nn.Module] = field(default_factory=dict)
    ahead: tuple[int, ...] = ()
    later: tuple[int, ...] = ()
    upper: Upper | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    history: int = 1
    inference: Inference = field(default_factory=Inference)

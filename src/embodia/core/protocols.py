"""The protocols of the house, each at most six methods: what may stand in each other's place.

Anything with these methods fits; nothing needs to inherit. Arrays inside a network are torch tensors, but `core` does
not import torch, so they are typed `Array` here. State is passed, never hidden: `carry` in, `carry` out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

from embodia.core.specs import Contract
from embodia.core.types import ActionChunk, Array, Batch, Message, Observation, TokenGroup

Carry: TypeAlias = Any
"""State of a policy, world or environment between calls; a tree of arrays, or None at the start."""

Rng: TypeAlias = Any
"""A torch.Generator inside networks, a numpy Generator outside; None where a result is deterministic."""

Groups: TypeAlias = Mapping[str, TokenGroup]
"""Token groups by name."""


@runtime_checkable
class Encoder(Protocol):
    """Observation -> one token group."""

    def __call__(self, observation: Observation) -> TokenGroup:
        """Tokens (B N D) of this sense."""
        ...


@runtime_checkable
class Backbone(Protocol):
    """Groups in, groups out, with a cache of the prefix that a later call may extend."""

    def __call__(self, groups: Groups, cache: Any = None) -> tuple[Groups, Any]:
        """The same groups with new tokens, and the cache of everything seen so far."""
        ...


class Context(Protocol):
    """What a decoder looks at: the backbone's groups and its cache, and the way to let the backbone read on."""

    @property
    def groups(self) -> Groups:
        """Token groups by name."""
        ...

    @property
    def cache(self) -> Any:
        """Whatever the backbone handed out."""
        ...

    def extend(self, groups: Groups) -> Context:
        """The backbone has read `groups` too: they are added with new tokens, the cache is longer."""
        ...

    def repeat(self, times: int) -> Context:
        """Each batch entry `times` times in a row."""
        ...


@runtime_checkable
class Decoder(Protocol):
    """Context -> actions; a loss to learn it and, where it exists, a density to reinforce it."""

    def loss_terms(self, context: Context, chunk: ActionChunk, rng: Rng) -> Mapping[str, Array]:
        """Named loss terms, each (B,), unweighted; padded steps (`chunk.valid` False) never count."""
        ...

    def sample(
        self, context: Context, rng: Rng, n: int = 1, steps: int | None = None, prefix: Array | None = None
    ) -> Array:
        """n chunks per batch entry, (B n H A), normalised; `steps` of a sampler, `prefix` (B P A) already committed."""
        ...


@runtime_checkable
class DensityDecoder(Decoder, Protocol):
    """A decoder whose density can be evaluated: reinforcement learning and best-of-N need it."""

    def log_prob(self, context: Context, chunk: ActionChunk) -> Array:
        """Log density of the valid part of each chunk, (B,)."""
        ...


@runtime_checkable
class Fitted(Protocol):
    """A part that has to see actions before training begins, as clusters and vocabularies of actions do."""

    def fit(self, actions: Array) -> None:
        """Take what is needed from chunks (N H A), normalised, into buffers or weights of fixed shape."""
        ...


@runtime_checkable
class Worded(Protocol):
    """A part that has to know before training begins which sentences mean the same, as a list of tasks does."""

    def fit_sentences(self, wordings: Mapping[str, Sequence[str]]) -> None:
        """Take what is needed from all sentences, canonical ones and their paraphrases, into buffers of fixed shape."""
        ...


class Head(Protocol):
    """Something else to be predicted beside the action, from the same context."""

    def loss_terms(self, context: Context, batch: Batch, rng: Rng) -> Mapping[str, Array]:
        """Named loss terms, each (B,), unweighted; `batch` is in network units."""
        ...


@runtime_checkable
class Link(Protocol):
    """Joins two levels of thought; the same message crosses in training and between processes."""

    rate_hz: float

    def emit(self, upper: Groups) -> Message:
        """What the upper level says."""
        ...

    def absorb(self, groups: Groups, message: Message) -> Groups:
        """The lower level's groups with the message taken in."""
        ...


@runtime_checkable
class Policy(Protocol):
    """Observation -> chunk of actions in physical units of its contract."""

    contract: Contract

    def act(self, observation: Observation, carry: Carry, rng: Rng) -> tuple[ActionChunk, Carry]:
        """One decision for a batch of observations; `carry` is None at the start of an episode."""
        ...


@runtime_checkable
class World(Protocol):
    """A learned model of what happens next."""

    def encode(self, observation: Observation) -> Carry:
        """Latent state of an observation."""
        ...

    def step(self, carry: Carry, actions: Array) -> Carry:
        """Latent state after `actions` (B H A)."""
        ...

    def decode(self, carry: Carry) -> Observation:
        """What would be seen."""
        ...

    def score(self, carry: Carry, instruction: Sequence[str]) -> Array:
        """How near the latent state is to what the instruction asks, (B,)."""
        ...


@runtime_checkable
class Robot(Protocol):
    """The hardware abstraction layer: what a body offers to a controller."""

    def observe(self) -> Observation:
        """The newest sensor values."""
        ...

    def command(self, action: Array) -> None:
        """Send one action (A,), in the units of the body's contract."""
        ...

    def arm(self) -> None:
        """Allow motion."""
        ...

    def hold(self) -> None:
        """Stay where it is, actively."""
        ...

    def stop(self) -> None:
        """Controlled stop; only `arm` leaves it."""
        ...

"""A slower system above a policy: it looks now and then, and what it says crosses a link to the faster one.

The same `Message` crosses in training, with gradients, and between two processes. The one thing to watch: in use the
message is always a little old, so it should be in training too; `stale` is how many steps at most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from embodia.core.errors import ConfigError
from embodia.core.protocols import Link
from embodia.core.types import Batch, Message, Observation
from embodia.nn.noise import integers
from embodia.parts.context import Context
from embodia.parts.links.kv import cache_group


class Upper(nn.Module):
    """Encoders, a backbone and a link; with a `thought` it also says a text, with a `decoder` it also learns to act.

    every   decisions of the faster system for one message
    stale   steps that a message is old at most in training; the age is drawn anew for every sample
    spoken  the text that was said takes the place of the faster system's instruction; with `beside` it follows it
    Raises `ConfigError` for a text to be handed on that nobody says, or rates that are not positive.
    """

    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        link: nn.Module,
        *,
        backbone: nn.Module | None = None,
        thought: nn.Module | None = None,
        decoder: nn.Module | None = None,
        every: int = 1,
        stale: int = 0,
        spoken: bool = False,
        beside: bool = False,
    ) -> None:
        super().__init__()
        if every < 1 or stale < 0:
            raise ConfigError("a message holds for at least one decision, and its age is not negative", leaf="every")
        if spoken and thought is None:
            raise ConfigError("a text is handed on, and nothing says it", leaf="spoken")
        self.encoders = nn.ModuleDict(dict(encoders))
        self.link, self.backbone, self.thought, self.decoder = link, backbone, thought, decoder
        self.every, self.stale, self.spoken, self.beside = every, stale, spoken, beside

    def teach(self, batch: Batch, rng: torch.Generator | None) -> tuple[Message, dict[str, Tensor]]:
        """The message about a moment up to `stale` steps ago, and the upper system's own loss terms, "upper_<name>"."""
        context, terms = self._read(self._aged(batch.observation, rng)), {}
        if self.thought is not None:
            context, terms = self.thought.teach(context, batch.answer)  # type: ignore[operator]
        if self.decoder is not None:
            terms = {**terms, **self.decoder.loss_terms(context, batch.chunk, rng)}  # type: ignore[operator]
        said = self._heard(batch.answer, batch.observation.instruction)
        return self._message(context, said), {f"upper_{key}": v for key, v in terms.items()}

    def speak(self, observation: Observation, rng: torch.Generator | None) -> Message:
        """The message about the newest moment."""
        context, said = self._read(observation.map(lambda array: array[:, -1:])), ()
        if self.thought is not None:
            context, said = self.thought.speak(context, rng)  # type: ignore[operator]
        return self._message(context, self._heard(said, observation.instruction))

    def _heard(self, said: Sequence[str], instruction: Sequence[str]) -> tuple[str, ...]:
        """What the faster system hears: what was said, or where nothing was, the instruction; () for no text at all."""
        if not self.spoken:
            return ()
        instruction = instruction or ("",) * len(said)
        pairs = zip(said or instruction, instruction, strict=True)
        if self.beside:
            return tuple(f"{told}: {text}" if said and text else told for text, told in pairs)
        return tuple(text or told for text, told in pairs)

    def _read(self, observation: Observation) -> Context:
        groups = {group.name: group for group in (encoder(observation) for encoder in self.encoders.values())}
        if self.backbone is None:
            return Context(groups=groups)
        read, cache = self.backbone(groups, None)
        return Context(groups=read, cache=cache, backbone=self.backbone)  # type: ignore[arg-type]

    def _message(self, context: Context, said: tuple[str, ...]) -> Message:
        link: Link = self.link  # type: ignore[assignment]
        groups = dict(context.groups)
        if context.cache is not None and getattr(link, "wants_cache", False):
            groups["cache"] = cache_group(context.cache)
        message = link.emit(groups)
        return replace(message, text=said) if said else message

    def _aged(self, observation: Observation, rng: torch.Generator | None) -> Observation:
        batch = observation.batch_size

        def pick(array: Tensor) -> Tensor:
            moment = array.shape[1] - 1 - age.to(array.device).clamp_max(array.shape[1] - 1)
            return array[torch.arange(len(array), device=array.device), moment][:, None]

        age = integers(self.stale + 1, (batch,), torch.zeros(()), rng)
        return observation.map(pick)

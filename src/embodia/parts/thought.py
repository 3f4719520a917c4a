"""Text that is said before the action and read by it: a sub-task, a motion, a relation, a whole line of reasoning.

In training the true text is the causal group "thought" behind the cache, with the loss of saying it; in use it is
generated word by word, or repeated from the last decision. The one thing to watch: samples without a text ("") have no
group at all, as if nobody had thought, so a policy trained on both can act either way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embodia.core.protocols import Context
from embodia.core.types import TokenGroup
from embodia.nn.noise import uniform
from embodia.nn.shared import Shared
from embodia.nn.vocabulary import Vocabulary


class Spelling(Protocol):
    """A text tokenizer that can read its ids back; every text ends with `end`, a spoken one begins behind `start`."""

    start: int
    end: int
    length: int
    vocabulary: int

    def __call__(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Ids int64 (B length) with the end, and which are real, bool (B length)."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text up to the end."""
        ...


@dataclass(frozen=True, kw_only=True)
class ThoughtConfig:
    """How much is said and when.

    length       ids of a text at most, the end included
    drop         share of the samples of a training batch that act without their text (reasoning dropout, ECoT-Lite);
                 they still learn to say it; 1 means that no action ever reads it
    silent       in use, nothing is said: the action follows at once
    temperature  0 says the most probable id each time
    """

    length: int = 48
    drop: float = 0.0
    silent: bool = False
    temperature: float = 0.0


class Thought(nn.Module):
    """A `Thought` of `parts.wiring`; `words` is the language model's vocabulary, or a width: a table is made.

    `name` is the group's name, `attends_to` what it looks at, () for everything in the cache.
    """

    def __init__(
        self,
        words: Shared[Vocabulary] | int,
        spelling: Spelling,
        config: ThoughtConfig | None = None,
        *,
        name: str = "thought",
        attends_to: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.config, self.spelling = config or ThoughtConfig(), spelling
        self.name, self.attends_to = name, attends_to
        self.words: Vocabulary | Shared[Vocabulary] = (
            Vocabulary(spelling.vocabulary, words, head="own") if isinstance(words, int) else words
        )

    def teach(self, context: Context, answers: Sequence[str]) -> tuple[Context, Mapping[str, Tensor]]:
        """The context after the true `answers` (B), and {"thought": (B,)}, the mean loss of their ids; "" costs 0."""
        ids, real = self._spelled(answers, context)
        longer, hidden = self._read(context, ids, real)
        error = F.cross_entropy(self.words.logits(hidden).float().transpose(1, 2), ids, reduction="none")
        loss = (error * real).sum(1) / real.sum(1).clamp_min(1)
        if self.config.drop == 1.0:
            return context, {"thought": loss}
        if self.training and self.config.drop:
            kept = torch.arange(len(ids), device=ids.device) >= round(self.config.drop * len(ids))
            longer, _ = self._read(context, ids, real & kept[:, None])
        return longer, {"thought": loss}

    @torch.no_grad()
    def speak(
        self, context: Context, rng: torch.Generator | None, said: Sequence[str] = ()
    ) -> tuple[Context, tuple[str, ...]]:
        """The context after its own words, and the words (B); `said` words are repeated, not thought anew."""
        if self.config.silent:
            return context, ()
        if said:
            ids, real = self._spelled(said, context)
            return self._read(context, ids, real)[0], tuple(said)
        like = next(iter(context.groups.values())).tokens
        last = torch.full((len(like), 1), self.spelling.start, dtype=torch.long, device=like.device)
        going = torch.ones(len(like), dtype=torch.bool, device=like.device)
        rows: list[Tensor] = []
        heard: list[Tensor] = []
        masks: list[Tensor] = []
        for _ in range(min(self.config.length, self.spelling.length)):
            context = context.extend({self.name: self._group(context, last, going[:, None])})
            heard.append(context.groups[self.name].tokens)
            masks.append(going[:, None])
            last = self._choose(self.words.logits(heard[-1][:, -1]).float(), rng)[:, None]
            last = torch.where(going[:, None], last, self.spelling.end)
            going = going & (last[:, 0] != self.spelling.end)
            rows.append(last)
            if not bool(going.any()):
                break
        found = torch.cat(rows, dim=1).tolist()
        whole = replace(context.groups[self.name], tokens=torch.cat(heard, dim=1), mask=torch.cat(masks, dim=1))
        context = replace(context, groups={**context.groups, self.name: whole})  # type: ignore[type-var]
        return context, tuple(self.spelling.decode(row) for row in found)

    def _spelled(self, texts: Sequence[str], context: Context) -> tuple[Tensor, Tensor]:
        """Ids and which are real, (B L) each, cut to the longest; rows of "" have none."""
        device = next(iter(context.groups.values())).tokens.device
        batch = len(next(iter(context.groups.values())).tokens)
        texts = tuple(texts) or ("",) * batch
        ids, real = self.spelling(texts)
        real = real & torch.tensor([bool(text) for text in texts])[:, None]
        longest = min(self.config.length, max(1, int(real.sum(1).max())))
        return ids[:, :longest].to(device), real[:, :longest].to(device)

    def _read(self, context: Context, ids: Tensor, real: Tensor) -> tuple[Context, Tensor]:
        """The context that has heard start and all ids but the end, and hidden states (B L D) that foretell each id."""
        heard = torch.cat([ids.new_full((len(ids), 1), self.spelling.start), ids[:, :-1]], dim=1)
        longer = context.extend({self.name: self._group(context, heard, real)})
        return longer, longer.groups[self.name].tokens

    def _group(self, context: Context, ids: Tensor, real: Tensor) -> TokenGroup:
        cache: Any = context.cache
        seen = self.attends_to or tuple(item.name for item in cache.spans if item.name != self.name)
        tokens = self.words.embed(ids)
        return TokenGroup(name=self.name, tokens=tokens, mask=real, attends_to=(*seen, self.name), within="causal")

    def _choose(self, logits: Tensor, rng: torch.Generator | None) -> Tensor:
        if not self.config.temperature:
            return logits.argmax(-1)
        noise = -torch.log(-torch.log(uniform(tuple(logits.shape), logits, rng).clamp(1e-9, 1 - 1e-7)))
        return (logits + self.config.temperature * noise).argmax(-1)

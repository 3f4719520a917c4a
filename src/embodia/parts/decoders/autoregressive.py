"""Actions as words (head.ar): the language model goes on with action ids, one after another, behind what it has read.

Training reads all ids at once, shifted by one; use goes id by id over the cache. The first draw is the most probable id
at every place, further draws are drawn. A public model may say actions inside a frame: fixed pieces before the first
id, a mark at their end and pieces behind it, all learned, none chosen. The one thing to watch: in training a language
model scores its whole vocabulary, in use only ids that mean an action; `log_prob` is of the second, because that acts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embodia.core.errors import ConfigError, ShapeError
from embodia.core.protocols import Context
from embodia.core.types import ActionChunk, TokenGroup
from embodia.nn.noise import uniform
from embodia.nn.shared import Shared
from embodia.nn.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True)
class TokenConfig:
    """How actions are spoken.

    layout       "steps": every row has all its ids, in order of the chunk's steps; "whole": all its ids, which belong
                 to the chunk as a whole; "varying": rows differ in length and say when they end
    start, end   ids in a shared vocabulary that come before and after an action; a decoder's own table adds them.
                 start -1: nothing opens it, what was read last foretells the first id, so the backbone has to give
                 hidden states of its first reading
    before       pieces of a shared vocabulary that are said before every action
    after        pieces that are learned behind the end, where rows end
    temperature  of all draws but the first
    """

    layout: Literal["steps", "whole", "varying"] = "steps"
    start: int = 1
    end: int = 2
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    temperature: float = 1.0


class TokenDecoder(nn.Module):
    """Chunks (B H A), normalised, through an action tokenizer, as the group "action" behind the cache.

    `words` is the language model's own vocabulary, whose ids the tokenizer then speaks (`VocabularyMap`), or a width:
    a table for actions alone is made. `attends_to` names what actions look at, () for everything in the cache. Raises
    `ConfigError` when the tokenizer has more ids than the vocabulary, or for a frame that cannot be said.
    """

    def __init__(
        self,
        tokenizer: nn.Module,
        words: Shared[Vocabulary] | int,
        config: TokenConfig | None = None,
        *,
        chunk: int,
        attends_to: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.tokenizer, self.chunk, self.attends_to = tokenizer, chunk, attends_to
        self.config = config or TokenConfig()
        count = int(tokenizer.vocabulary)  # type: ignore[arg-type]
        self.length, self.count = int(tokenizer.length), count  # type: ignore[arg-type]
        own = isinstance(words, int)
        self.words: Vocabulary | Shared[Vocabulary] = (
            Vocabulary(count + 2, words, head="own") if isinstance(words, int) else words
        )
        self.start, self.end = (count, count + 1) if own else (self.config.start, self.config.end)
        frame = (*self.config.before, *self.config.after)
        if max(count - 1, self.start, self.end, *frame) >= self.words.size:
            raise ConfigError(f"{count} action ids do not fit {self.words.size} words", leaf="vocabulary")
        if (own and frame) or (self.config.after and self.config.layout != "varying"):
            raise ConfigError("a frame is of a shared vocabulary, its close of rows that end", leaf="before")

    def loss_terms(self, context: Context, chunk: ActionChunk, rng: torch.Generator | None) -> Mapping[str, Tensor]:
        """{"token": (B,)}: mean cross entropy of the ids and their frame; those of padded steps never count."""
        ids, counted = self._framed(*self._truth(chunk))
        logits = self.words.logits(self._read(context, ids)).float()
        error = F.cross_entropy(logits.transpose(1, 2), ids, reduction="none")
        return {"token": (error * counted).sum(1) / counted.sum(1).clamp_min(1)}

    def log_prob(self, context: Context, chunk: ActionChunk) -> Tensor:
        """Log probability of the valid steps' ids among those that mean an action, (B,)."""
        ids, counted = self._truth(chunk)
        before = self._before(ids)
        logits = self.words.logits(self._read(context, torch.cat([before, ids], dim=1))[:, before.shape[1] :]).float()
        allowed = torch.stack([self._allowed(ids[:, :place]) for place in range(ids.shape[1])], dim=1)
        allowed = allowed | F.one_hot(ids, logits.shape[-1]).bool()
        chance = logits.masked_fill(~allowed, -torch.inf).log_softmax(-1)
        return (chance.gather(2, ids[..., None])[..., 0] * counted).sum(1)

    @torch.no_grad()
    def sample(
        self,
        context: Context,
        rng: torch.Generator | None,
        n: int = 1,
        steps: int | None = None,
        prefix: Tensor | None = None,
    ) -> Tensor:
        """n chunks a batch entry, (B n H A); `steps` has no meaning here; `prefix` (B P A) is kept exactly.

        With the layout "steps" the rest hears the prefix.
        """
        ids = self.speak(context.repeat(n), rng, n, None if prefix is None else self._committed(prefix, n))
        chunks: Tensor = self.tokenizer.decode(ids)  # type: ignore[operator]
        chunks = chunks.unflatten(0, (-1, n))
        if prefix is not None:
            chunks[:, :, : prefix.shape[1]] = prefix[:, None].to(chunks)
        return chunks

    def speak(self, context: Context, rng: torch.Generator | None, n: int = 1, fixed: Tensor | None = None) -> Tensor:
        """Ids int64 (B length) said behind a context whose rows are n draws an entry; `fixed` (B P) ids come first."""
        like = next(iter(context.groups.values())).tokens
        said = torch.empty(len(like), 0, dtype=torch.long, device=like.device)
        ended = torch.zeros(len(like), dtype=torch.bool, device=like.device)
        for place in range(self.length):
            context, hidden = self._next(context, said)
            if fixed is not None and place < fixed.shape[1]:
                chosen = fixed[:, place]
            else:
                chosen = self._choose(self.words.logits(hidden).float(), self._allowed(said), rng, n)
            ended = ended | (chosen == self.end) if self.config.layout == "varying" else ended
            said = torch.cat([said, torch.where(ended, self.end, chosen)[:, None]], dim=1)
            if bool(ended.all()):
                break
        said = F.pad(said, (0, self.length - said.shape[1]), value=self.end)
        return torch.where(said == self.end, -1, said) if self.config.layout == "varying" else said

    def _next(self, context: Context, said: Tensor) -> tuple[Context, Tensor]:
        """The context that has heard the last id, or what opens an action, and its hidden state (B D)."""
        last = said[:, -1:] if said.shape[1] else self._opening(said)
        if not last.shape[1]:
            return context, self._read_last(context)
        longer = context.extend({"action": self._group(context, last)})
        return longer, longer.groups["action"].tokens[:, -1]

    def _read(self, context: Context, ids: Tensor) -> Tensor:
        """Hidden states (B L D) at which each of the ids is foretold."""
        start = ids.new_full((len(ids), int(self.start >= 0)), self.start)
        heard = torch.cat([start, ids[:, :-1]], dim=1)
        told = [] if self.start >= 0 else [self._read_last(context)[:, None]]
        if heard.shape[1]:
            told.append(context.extend({"action": self._group(context, heard)}).groups["action"].tokens)
        return torch.cat(told, dim=1)

    def _read_last(self, context: Context) -> Tensor:
        """The hidden state (B D) of what stands last in the cache."""
        cache: Any = context.cache
        group = context.groups[cache.spans[-1].name]
        if group.mask is None:
            return group.tokens[:, -1]
        return group.tokens[torch.arange(len(group.mask)), group.mask.long().cumsum(1).argmax(1)]

    def _before(self, like: Tensor) -> Tensor:
        """The pieces before an action, (B P) beside `like`."""
        return like.new_tensor(self.config.before).expand(len(like), -1)

    def _opening(self, like: Tensor) -> Tensor:
        """All that is heard before the first id is chosen, (B P)."""
        start = like.new_full((len(like), int(self.start >= 0)), self.start)
        return torch.cat([start, self._before(like)], dim=1)

    def _framed(self, ids: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
        """Ids with the pieces before them and behind their end, and which of them count."""
        if self.config.after:
            after = ids.new_tensor(self.config.after)[None]
            ended = ((ids == self.end) & counted.bool()).any(1, keepdim=True)
            places = counted.sum(1, keepdim=True).long() + torch.arange(after.shape[1], device=ids.device)
            ids = F.pad(ids, (0, after.shape[1]), value=self.end)
            ids = ids.scatter(1, places, after.expand(len(ids), -1))
            counted = F.pad(counted, (0, after.shape[1])).scatter(1, places, ended.float().expand_as(places))
        before = self._before(ids)
        heard = counted.any(1, keepdim=True).float().expand(-1, before.shape[1])
        return torch.cat([before, ids], dim=1), torch.cat([heard, counted], dim=1)

    def _group(self, context: Context, ids: Tensor) -> TokenGroup:
        cache: Any = context.cache
        seen = self.attends_to or tuple(item.name for item in cache.spans if item.name != "action")
        tokens = self.words.embed(ids)
        return TokenGroup(name="action", tokens=tokens, mask=None, attends_to=(*seen, "action"), within="causal")

    def _truth(self, chunk: ActionChunk) -> tuple[Tensor, Tensor]:
        """Ids int64 (B L) without padding, and which of them count, float (B L)."""
        ids: Tensor = self.tokenizer.encode(chunk.actions)  # type: ignore[operator]
        valid = chunk.valid
        if self.config.layout == "steps":
            steps = torch.arange(ids.shape[1], device=ids.device) * valid.shape[1] // ids.shape[1]
            return ids, valid[:, steps].float()
        real = ids >= 0
        counted = F.pad(real[:, :-1], (1, 0), value=True) & valid.any(1, keepdim=True)
        longest = int(counted.sum(1).max().clamp_min(1)) if self.config.layout == "varying" else ids.shape[1]
        return torch.where(real, ids, self.end)[:, :longest], counted[:, :longest].float()

    def _allowed(self, said: Tensor) -> Tensor:
        """Bool (B words): ids that mean an action after what was said, and the end where rows end."""
        choices = getattr(self.tokenizer, "choices", None)
        allowed = torch.zeros(len(said), self.words.size, dtype=torch.bool, device=said.device)
        allowed[:, : self.count] = True if choices is None else choices(said)
        if self.config.layout == "varying":
            allowed[:, self.end] = True
        return allowed

    def _choose(self, logits: Tensor, allowed: Tensor, rng: torch.Generator | None, n: int) -> Tensor:
        """Ids (B): the most probable one for every first of n rows, drawn ones for the others."""
        logits = logits.masked_fill(~allowed, -torch.inf)
        if n == 1:
            return logits.argmax(-1)
        noise = -torch.log(-torch.log(uniform(tuple(logits.shape), logits, rng).clamp(1e-9, 1 - 1e-7)))
        noise.view(-1, n, logits.shape[-1])[:, 0] = 0.0
        return (logits + self.config.temperature * noise).argmax(-1)

    def _committed(self, prefix: Tensor, n: int) -> Tensor | None:
        """Ids (B*n P') of the committed steps, where ids belong to steps."""
        if prefix.shape[1] > self.chunk:
            raise ShapeError(f"a prefix of {prefix.shape[1]} steps in a chunk of {self.chunk}", leaf="prefix")
        if self.config.layout != "steps" or not prefix.shape[1]:
            return None
        rest = prefix[:, -1:].expand(-1, self.chunk - prefix.shape[1], -1)
        ids: Tensor = self.tokenizer.encode(torch.cat([prefix, rest], dim=1))  # type: ignore[operator]
        return ids[:, : prefix.shape[1] * self.length // self.chunk].repeat_interleave(n, dim=0)

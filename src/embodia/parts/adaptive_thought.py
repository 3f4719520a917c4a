"""Thinking only when it is needed: before every action the model asks itself whether its last thought still holds.

The last thought is read again, a learned token behind it decides: act on it, or think anew (tt.think_switch). What
"still holds" means needs no labels: in training half of a batch recalls its own text, which holds, the other half that
of a neighbour, which does not unless the two are equal. The one thing to watch: a policy that uses this must be handed
its last thought at every decision (`Inference.think_every` large).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embodia.core.protocols import Context
from embodia.core.types import TokenGroup
from embodia.parts.thought import Thought

ALWAYS = 10**6
"""As `Inference.think_every`: the policy itself decides when to think."""


class AdaptiveThought(nn.Module):
    """A `Thought` of `parts.wiring`, thought anew only where the old one no longer fits; `width` is the model's."""

    def __init__(self, thought: Thought, width: int) -> None:
        super().__init__()
        self.thought, self.name = thought, thought.name
        self.token = nn.Parameter(torch.randn(1, width))
        self.decide = nn.Linear(width, 1)

    def teach(self, context: Context, answers: Sequence[str]) -> tuple[Context, Mapping[str, Tensor]]:
        """The context after the true `answers` (B), the loss of saying them, and {"switch": (B,)} that of deciding.

        Samples without a text ("") decide nothing and cost nothing.
        """
        longer, terms = self.thought.teach(context, answers)
        answers = tuple(answers) or ("",) * len(_like(context))
        recalled = recall(answers)
        think = torch.tensor(
            [old != new for old, new in zip(recalled, answers, strict=True)], device=_like(context).device
        )
        asked = torch.tensor([bool(answer) for answer in answers], device=think.device)
        error = F.binary_cross_entropy_with_logits(self.logits(context, recalled), think.float(), reduction="none")
        return longer, {**terms, "switch": error * asked}

    @torch.no_grad()
    def speak(
        self, context: Context, rng: torch.Generator | None, said: Sequence[str] = ()
    ) -> tuple[Context, tuple[str, ...]]:
        """The context after the thought that is acted on, and that thought; rows that act keep what was said."""
        old = tuple(said) or ("",) * len(_like(context))
        think = (self.logits(context, old) > 0).tolist()
        if not any(think):
            return self.thought.speak(context, rng, old)
        found, new = self.thought.speak(context, rng)
        if all(think) or not new:
            return found, new
        mixed = tuple(n if anew else o for n, o, anew in zip(new, old, think, strict=True))
        return self.thought.speak(context, rng, mixed)

    def logits(self, context: Context, recalled: Sequence[str]) -> Tensor:
        """(B,): above zero where the recalled text no longer holds."""
        heard, _ = self.thought.teach(context, recalled)
        seen = tuple(item.name for item in heard.cache.spans)
        tokens = self.token.expand(len(_like(context)), 1, -1)
        group = TokenGroup(name="switch", tokens=tokens, mask=None, attends_to=(*seen, "switch"))
        return self.decide(heard.extend({"switch": group}).groups["switch"].tokens[:, 0]).float()[:, 0]


def recall(answers: Sequence[str]) -> tuple[str, ...]:
    """What each sample of a training batch recalls: its own text at even places, the next one's at odd places."""
    count = len(answers)
    return tuple(text if index % 2 == 0 else answers[(index + 1) % count] for index, text in enumerate(answers))


def _like(context: Context) -> Tensor:
    tokens: Tensor = next(iter(context.groups.values())).tokens
    return tokens

"""Who attends to whom in a policy, as a table: read off the policy itself, not off its documentation."""

from __future__ import annotations

import torch

from embodia.core.specs import ObservationSpec
from embodia.core.types import Observation
from embodia.nn.attention import Cache
from embodia.nn.groups import Span, explain, span
from embodia.parts.compose import Composition


def explain_attention(policy: Composition) -> str:
    """The table for one blank observation; token counts are those of one decision."""
    return explain(attention_spans(policy))


@torch.no_grad()
def attention_spans(policy: Composition) -> list[Span]:
    """The declared groups in order: the cached prefix and what the decoder puts behind it, or the backbone's groups."""
    context = policy.context(blank_observation(policy.contract.observation, policy.history))
    if not isinstance(context.cache, Cache):
        return [span(group) for group in context.groups.values()]
    lengths = {name: group.tokens.shape[1] for name, group in context.groups.items()}
    suffix = getattr(getattr(policy.decoder, "velocity", None), "spans", None)
    return [*context.cache.spans, *(suffix(lengths) if suffix else ())]


def blank_observation(spec: ObservationSpec, history: int = 1) -> Observation:
    """Black pictures, zero state and senses, an empty sentence; torch, batch of one."""
    return Observation(
        images={c.name: torch.zeros(1, history, c.height, c.width, 3, dtype=torch.uint8) for c in spec.cameras},
        state=torch.zeros(1, history, spec.state_dim) if spec.state_dim else None,
        instruction=("",) if spec.language else (),
    ).with_senses({sense: torch.zeros(1, history, *sense.shape) for sense in spec.senses})

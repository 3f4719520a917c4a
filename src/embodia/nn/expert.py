"""The transformer of an action expert: layers that look at the cached layers of a prefix model.

Three published kinds are one class. pi0: every layer joins the prefix's keys and values with its own. pi0.5: the same,
with time entering through adaptive norms. SmolVLA: every second layer looks at the prefix alone, through projections of
its own, and those between look at prefix and actions. What does not change between integration steps is made once, in
`plan`; cross-attended keys and values are projected there too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from embodia.core.errors import ConfigError
from embodia.nn.adaptive import AdaptiveRMSNorm
from embodia.nn.attention import Cache, GroupedQueryAttention, KeyValue, Table, join
from embodia.nn.groups import Joined, attention_mask, positions, repeat_rows, verify, verify_prefix
from embodia.nn.rms import RMSNorm
from embodia.nn.rope import rotary_table, rotate
from embodia.nn.scaled_dot import attend
from embodia.nn.transformer import GatedMLP, TransformerConfig, initialise


@dataclass(frozen=True, kw_only=True)
class ExpertConfig:
    """How an expert differs from a plain transformer.

    time        "token": mixed into the action tokens; "adaptive": through the norms of every layer
    self_every  layers 0, k, 2k, ... attend to prefix and suffix alike, all others to the prefix alone; 1 = no others
    reads       which cached layers are looked at when the prefix is deeper: its "last" ones, or "spread" evenly
    query_norm  normalise queries and keys of every head, and what a branch adds, which calms a young expert (GR-3)
    """

    time: Literal["token", "adaptive"] = "token"
    self_every: int = 1
    reads: Literal["last", "spread"] = "last"
    query_norm: bool = False


@dataclass(frozen=True)
class Plan:
    """What all integration steps share: rotary tables, masks, and the keys and values every layer looks back at.

    `table` and `mask` (B 1 N P+N) are those of joined attention, `cross_table` and `cross_mask` (B 1 N P) of layers
    that see the prefix alone; `past` holds one pair a layer.
    """

    table: Table
    mask: Tensor
    cross_table: Table
    cross_mask: Tensor
    past: tuple[KeyValue, ...]

    def repeat(self, times: int) -> Plan:
        """Each batch entry `times` times in a row."""
        return self._map(lambda array: repeat_rows(array, times))

    def _map(self, function: Callable[[Tensor], Tensor]) -> Plan:
        return replace(
            self,
            table=(function(self.table[0]), function(self.table[1])),
            mask=function(self.mask),
            cross_table=(function(self.cross_table[0]), function(self.cross_table[1])),
            cross_mask=function(self.cross_mask),
            past=tuple((function(key), function(value)) for key, value in self.past),
        )


class PrefixAttention(nn.Module):
    """Queries from the suffix; keys and values from projections of what the prefix cached (SmolVLA)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        seen = config.kv_heads * config.head_dim
        self.head_dim = config.head_dim
        self.query = nn.Linear(config.width, config.heads * config.head_dim, bias=False)
        self.key = nn.Linear(seen, seen, bias=False)
        self.value = nn.Linear(seen, seen, bias=False)
        self.out = nn.Linear(config.heads * config.head_dim, config.width, bias=False)

    def project(self, past: KeyValue) -> KeyValue:
        """The cached pair (B kv_heads P d), heads laid side by side, in this layer's own terms; not rotated again."""
        key, value = (x.transpose(1, 2).flatten(2) for x in past)
        return self._heads(self.key(key)), self._heads(self.value(value))

    def forward(self, x: Tensor, table: Table, mask: Tensor, past: KeyValue) -> Tensor:
        """Tokens (B N D); `mask` bool (B 1 N P)."""
        query = rotate(self._heads(self.query(x)), table)
        return self.out(attend(query, *past, mask).transpose(1, 2).flatten(-2))

    def _heads(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:-1], -1, self.head_dim).transpose(1, 2)


class CalmAttention(GroupedQueryAttention):
    """Joined attention with RMS norms on the queries and the new keys of every head."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config.width, config.heads, config.kv_heads, config.head_dim)
        self.query_norm = RMSNorm(config.head_dim, config.norm, config.epsilon)
        self.key_norm = RMSNorm(config.head_dim, config.norm, config.epsilon)

    def forward(self, x: Tensor, table: Table, mask: Tensor, past: KeyValue | None = None) -> tuple[Tensor, KeyValue]:
        """Tokens (B N D) and the new keys and values."""
        new = rotate(self.key_norm(self._heads(self.key(x))), table), self._heads(self.value(x))
        key, value = new if past is None else join(past, new)
        query = rotate(self.query_norm(self._heads(self.query(x))), table)
        return self.out(attend(query, key, value, mask).transpose(1, 2).flatten(-2)), new


class ExpertLayer(nn.Module):
    """Norm, attention, norm, gated MLP, with residual connections that an adaptive norm may gate."""

    def __init__(self, config: TransformerConfig, expert: ExpertConfig, *, crossing: bool) -> None:
        super().__init__()
        self.crossing = crossing
        self.attention_norm = norm(config, expert)
        self.attention = _attention(config, expert, crossing)
        self.mlp_norm = norm(config, expert)
        self.mlp = GatedMLP(config.width, config.mlp_width, config.activation)
        calm = expert.query_norm
        self.after = nn.ModuleList(RMSNorm(config.width, config.norm, config.epsilon) for _ in range(2 * calm))

    def forward(self, x: Tensor, plan: Plan, past: KeyValue, moment: Tensor | None) -> Tensor:
        """Tokens (B N D) at the time embedded in `moment` (B C), or without one."""
        normed, gate = _normed(self.attention_norm, x, moment)
        if self.crossing:
            seen = self.attention(normed, plan.cross_table, plan.cross_mask, past)
        else:
            seen, _ = self.attention(normed, plan.table, plan.mask, past)
        x = x + self._branch(seen, gate, 0)
        normed, gate = _normed(self.mlp_norm, x, moment)
        return x + self._branch(self.mlp(normed), gate, 1)

    def _branch(self, found: Tensor, gate: Tensor | None, which: int) -> Tensor:
        found = self.after[which](found) if self.after else found
        return found if gate is None else found * gate


class ExpertTransformer(nn.Module):
    """Suffix tokens in, suffix tokens out, looking back at a prefix's cache."""

    def __init__(self, config: TransformerConfig, expert: ExpertConfig | None = None) -> None:
        super().__init__()
        self.config, self.expert = config, expert or ExpertConfig()
        every = self.expert.self_every
        self.layers = nn.ModuleList(
            ExpertLayer(config, self.expert, crossing=bool(index % every)) for index in range(config.depth)
        )
        self.norm = norm(config, self.expert)
        initialise(self, config.depth)
        for module in self.modules():
            if isinstance(module, AdaptiveRMSNorm):
                module.start()

    def plan(self, joined: Joined, cache: Cache) -> Plan:
        """What depends on the layout and the prefix alone. Raises `ConfigError` for an impossible declaration."""
        verify_prefix(cache.spans, joined.spans)
        spans = cache.spans + joined.spans
        verify(spans)
        start, config = cache.next_position(), self.config
        tables = [rotary_table(positions(joined.mask, s), config.head_dim, config.rope_theta) for s in (start, None)]
        past = tuple(
            layer.attention.project(pair) if layer.crossing else pair  # type: ignore[operator, union-attr]
            for layer, pair in zip(self.layers, self._read(cache), strict=True)
        )
        return Plan(
            table=tables[0],
            mask=attention_mask(joined.spans, spans, torch.cat([cache.mask, joined.mask], dim=1)),
            cross_table=tables[1],
            cross_mask=attention_mask(joined.spans, cache.spans, cache.mask),
            past=past,
        )

    def run(self, x: Tensor, plan: Plan, moment: Tensor | None = None) -> Tensor:
        """Suffix tokens (B N D) through all layers and the final norm."""
        for layer, past in zip(self.layers, plan.past, strict=True):
            if self.config.recompute and torch.is_grad_enabled():
                x = checkpoint(layer, x, plan, past, moment, use_reentrant=False)
            else:
                x = layer(x, plan, past, moment)
        return _normed(self.norm, x, moment)[0]

    def _read(self, cache: Cache) -> tuple[KeyValue, ...]:
        depth, deeper = self.config.depth, len(cache.layers)
        if depth > deeper or (self.expert.reads == "spread" and deeper % depth):
            raise ConfigError(f"an expert of {depth} layers cannot read a cache of {deeper}", leaf="depth")
        return cache.layers[deeper - depth :] if self.expert.reads == "last" else cache.layers[:: deeper // depth]


def norm(config: TransformerConfig, expert: ExpertConfig) -> RMSNorm | AdaptiveRMSNorm:
    """The norm an expert's layers use."""
    if expert.time == "adaptive":
        return AdaptiveRMSNorm(config.width, config.width, config.epsilon)
    return RMSNorm(config.width, config.norm, config.epsilon)


def _attention(config: TransformerConfig, expert: ExpertConfig, crossing: bool) -> nn.Module:
    if crossing:
        return PrefixAttention(config)
    if expert.query_norm:
        return CalmAttention(config)
    return GroupedQueryAttention(config.width, config.heads, config.kv_heads, config.head_dim)


def _normed(layer: nn.Module, x: Tensor, moment: Tensor | None) -> tuple[Tensor, Tensor | None]:
    if not isinstance(layer, AdaptiveRMSNorm):
        return layer(x), None
    if moment is None:
        raise ConfigError("adaptive norms need a time", leaf="time")
    return layer(x, moment)

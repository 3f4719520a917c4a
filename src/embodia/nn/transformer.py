"""A decoder-only transformer of the Gemma and Llama family that reads and returns a cache.

One class serves as prefix model and as action expert: the two may differ in width and MLP but must share depth,
key-value heads and head size, because layer i of the one looks at the cached keys of layer i of the other. The one
thing to watch: whoever only needs the cache should say so (`outputs=False`), then the last layer computes keys and
values alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from embodia.core.errors import ConfigError
from embodia.core.types import TokenGroup
from embodia.nn.attention import Cache, GroupedQueryAttention, KeyValue, KeyValueProjection, Table
from embodia.nn.groups import Joined, attention_mask, concatenate, continued, positions, verify, verify_prefix
from embodia.nn.rms import RMSNorm, Variant
from embodia.nn.rope import rotary_table


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """Sizes of a decoder-only transformer. `heads` share `kv_heads`; `recompute` trades time for training memory."""

    width: int
    depth: int
    heads: int
    kv_heads: int
    head_dim: int
    mlp_width: int
    activation: Literal["gelu", "silu"] = "gelu"
    norm: Variant = "gemma"
    rope_theta: float = 10000.0
    epsilon: float = 1e-6
    recompute: bool = False

    def require_same_cache(self, other: TransformerConfig) -> None:
        """Raise `ConfigError` unless `other` can look at the cache of this one."""
        for name in ("depth", "kv_heads", "head_dim", "rope_theta"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                raise ConfigError(f"prefix and suffix share a cache but {name} is {mine} and {theirs}", leaf=name)


class GatedMLP(nn.Module):
    """down(activation(gate(x)) * up(x)): GeGLU with "gelu", SwiGLU with "silu" (Shazeer 2020)."""

    def __init__(self, width: int, hidden: int, activation: Literal["gelu", "silu"] = "gelu") -> None:
        super().__init__()
        self.activation = activation
        self.gate = nn.Linear(width, hidden, bias=False)
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.gate(x)
        gate = F.silu(gate) if self.activation == "silu" else F.gelu(gate, approximate="tanh")
        return self.down(gate * self.up(x))


class DecoderLayer(nn.Module):
    """Pre-norm attention and gated MLP with residual connections."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(config.width, config.norm, config.epsilon)
        self.attention = GroupedQueryAttention(config.width, config.heads, config.kv_heads, config.head_dim)
        self.mlp_norm = RMSNorm(config.width, config.norm, config.epsilon)
        self.mlp = GatedMLP(config.width, config.mlp_width, config.activation)

    def forward(self, x: Tensor, table: Table, mask: Tensor, past: KeyValue | None) -> tuple[Tensor, KeyValue]:
        seen, new = self.attention(self.attention_norm(x), table, mask, past)
        x = x + seen
        return x + self.mlp(self.mlp_norm(x)), new

    def key_value(self, x: Tensor, table: Table) -> KeyValue:
        """What later queries look at, without the rest of the layer."""
        return self.attention.key_value(self.attention_norm(x), table)


class KeyValueLayer(nn.Module):
    """The last layer of a transformer whose output nobody reads: norm, keys and values, nothing else."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(config.width, config.norm, config.epsilon)
        self.attention = KeyValueProjection(config.width, config.kv_heads, config.head_dim)

    def key_value(self, x: Tensor, table: Table) -> KeyValue:
        """Rotated keys and values of tokens (B N D)."""
        return self.attention.key_value(self.attention_norm(x), table)


class Transformer(nn.Module):
    """Groups in, tokens and a longer cache out.

    With `outputs=False` the last layer and the final norm are left out of the network: only its cache can be used.
    """

    def __init__(self, config: TransformerConfig, *, outputs: bool = True) -> None:
        super().__init__()
        self.config = config
        self.outputs = outputs
        last = DecoderLayer(config) if outputs else KeyValueLayer(config)
        self.layers = nn.ModuleList([*(DecoderLayer(config) for _ in range(config.depth - 1)), last])
        self.norm = RMSNorm(config.width, config.norm, config.epsilon) if outputs else None
        initialise(self, config.depth)

    def forward(
        self, groups: list[TokenGroup], cache: Cache | None = None, *, outputs: bool | None = None
    ) -> tuple[Tensor | None, Cache]:
        """Tokens (B N D), or None without outputs, and the cache of everything seen including `groups`.

        Raises `ConfigError` for a declaration of attention that cannot be computed.
        """
        joined = concatenate(groups)
        table, mask = self.plan(joined, cache)
        wanted = self.outputs if outputs is None else outputs
        tokens, new = self.run(joined.tokens, table, mask, cache, outputs=wanted)
        longer = Cache(new, joined.mask, joined.spans)
        if cache is not None:
            longer = cache.extend(new, joined.mask, joined.spans)
        return (tokens if wanted else None), longer

    def plan(self, joined: Joined, cache: Cache | None) -> tuple[Table, Tensor]:
        """Rotary table and attention mask: what depends on the layout alone and can be made once for many steps."""
        return plan(joined, cache, self.config.head_dim, self.config.rope_theta)

    def run(
        self, x: Tensor, table: Table, mask: Tensor, cache: Cache | None, *, outputs: bool = True
    ) -> tuple[Tensor, tuple[KeyValue, ...]]:
        """Tokens (B N D) through all layers with a plan; the new keys and values of every layer, without the past.

        Without `outputs` the tokens are those before the last layer. Raises `ConfigError` where outputs do not exist.
        """
        if outputs and self.norm is None:
            raise ConfigError("this transformer was built without outputs; only its cache can be used", leaf="outputs")
        new: list[KeyValue] = []
        last = len(self.layers) - 1
        for index, layer in enumerate(self.layers):
            if index == last and not outputs:
                new.append(layer.key_value(x, table))  # type: ignore[operator]
                return x, tuple(new)
            past = None if cache is None else cache.layers[index]
            x, pair = self._layer(layer, x, table, mask, past)
            new.append(pair)
        return x if self.norm is None else self.norm(x), tuple(new)

    def unread_parameters(self) -> list[nn.Parameter]:
        """Weights that cannot learn when only the cache is read: most of the last layer, and the final norm."""
        last = self.layers[-1]
        if not isinstance(last, DecoderLayer) or self.norm is None:
            return []
        modules = [last.attention.query, last.attention.out, last.mlp_norm, last.mlp, self.norm]
        return [parameter for module in modules for parameter in module.parameters()]

    def _layer(
        self, layer: nn.Module, x: Tensor, table: Table, mask: Tensor, past: KeyValue | None
    ) -> tuple[Tensor, KeyValue]:
        if self.config.recompute and torch.is_grad_enabled():
            return checkpoint(layer, x, table, mask, past, use_reentrant=False)
        return layer(x, table, mask, past)


def plan(joined: Joined, cache: Cache | None, head_dim: int, theta: float) -> tuple[Table, Tensor]:
    """Rotary table and attention mask of groups behind a cache. Raises `ConfigError` for what cannot be meant."""
    keys, key_mask, start = joined.spans, joined.mask, None
    if cache is not None:
        verify_prefix(cache.spans, joined.spans)
        keys, key_mask = continued(cache.spans, keys), torch.cat([cache.mask, key_mask], dim=1)
        start = cache.next_position()
    verify(keys)
    table = rotary_table(positions(joined.mask, start), head_dim, theta)
    return table, attention_mask(joined.spans, keys, key_mask)


def initialise(module: nn.Module, depth: int) -> None:
    """Normal weights of deviation 1/sqrt(fan_in); those that write into the residual stream shrink with the depth."""
    for name, child in module.named_modules():
        if isinstance(child, nn.Linear):
            shrink = math.sqrt(2 * depth) if name.endswith((".out", ".down")) else 1.0
            nn.init.normal_(child.weight, std=1 / (math.sqrt(child.in_features) * shrink))
            if child.bias is not None:
                nn.init.zeros_(child.bias)

"""Scaled dot-product attention with shared key-value heads: torch's fused kernel, except where it is the slow one.

On a CPU the backward pass of the fused kernel is four to eight times slower in bfloat16 than three plain operations
(measured at 33 tokens and 4 heads), and no faster in float32; so short sequences that are trained on a CPU take the
plain way. Both ways answer a query that may look at nothing with zeros.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from embodia.nn.dropout import dropout as drop

LONGEST_PLAIN = 512 * 512
"""Queries times keys up to which the plain way is taken; beyond, its memory counts more than its speed."""


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, dropout: float = 0.0) -> Tensor:
    """(B H N d) from queries (B H N d), keys and values (B G M d) where G divides H; head h uses key head h // (H/G).

    `mask` is bool, broadcastable to (B 1 N M), True where a query may look.
    """
    trained = torch.is_grad_enabled() and (query.requires_grad or key.requires_grad or value.requires_grad)
    if trained and query.device.type == "cpu" and query.shape[2] * key.shape[2] <= LONGEST_PLAIN:
        return _plain(query, key, value, mask, dropout)
    key, value = (_shared(x, query.shape[1]) for x in (key, value))
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)


def _plain(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout: float) -> Tensor:
    batch, heads, length, dim = query.shape
    groups = key.shape[1]
    folded = (query * dim**-0.5).reshape(batch, groups, heads // groups * length, dim)
    weights = (folded @ key.transpose(-1, -2)).view(batch, heads, length, key.shape[2])
    if mask is not None:
        weights = weights.masked_fill(~mask, torch.finfo(weights.dtype).min)
    precise = torch.promote_types(weights.dtype, torch.float32)
    weights = torch.softmax(weights, dim=-1, dtype=precise).to(value.dtype)
    if mask is not None:
        weights = weights.masked_fill(~mask, 0.0)
    if dropout:
        weights = drop(weights, dropout)
    seen = weights.view(batch, groups, heads // groups * length, key.shape[2]) @ value
    return seen.view(batch, heads, length, dim)


def _shared(x: Tensor, heads: int) -> Tensor:
    times = heads // x.shape[1]
    if times == 1:
        return x
    return x.expand(-1, times, -1, -1) if x.shape[1] == 1 else x.repeat_interleave(times, dim=1)

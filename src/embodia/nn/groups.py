"""Attention declared between named groups of tokens: joined, verified, masked and printed from one declaration.

Nobody counts indices: a group says by name whom it may look at, and this module turns that into the boolean mask. The
one thing to watch: attention is directed. That "action" looks at "text" says nothing about the way back, and a cached
prefix can only be right when no prefix group looks at a later one, which `verify` checks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from embodia.core.errors import ConfigError
from embodia.core.names import nearest
from embodia.core.types import TokenGroup


@dataclass(frozen=True, kw_only=True)
class Span:
    """What the mask needs to know of a group: its name, number of tokens and declaration, without the tokens."""

    name: str
    length: int
    attends_to: tuple[str, ...]
    within: Literal["full", "causal"] = "full"


@dataclass(frozen=True, kw_only=True)
class Joined:
    """Groups laid end to end: tokens (B N D), mask bool (B N), and the spans in order."""

    tokens: Tensor
    mask: Tensor
    spans: tuple[Span, ...]


def span(group: TokenGroup) -> Span:
    """The declaration of a group without its tokens."""
    return Span(name=group.name, length=group.tokens.shape[1], attends_to=group.attends_to, within=group.within)


def token_mask(group: TokenGroup) -> Tensor:
    """The padding mask bool (B N) of a group; all True where the group has none."""
    if group.mask is not None:
        return group.mask
    return torch.ones(group.tokens.shape[:2], dtype=torch.bool, device=group.tokens.device)


def concatenate(groups: Sequence[TokenGroup]) -> Joined:
    """Lay groups end to end. Raises `ConfigError` when batch, width or a mask's shape disagree."""
    _require_equal_shapes(groups)
    return Joined(
        tokens=torch.cat([group.tokens for group in groups], dim=1),
        mask=torch.cat([token_mask(group) for group in groups], dim=1),
        spans=tuple(span(group) for group in groups),
    )


def split(tokens: Tensor, groups: Sequence[TokenGroup]) -> dict[str, TokenGroup]:
    """Undo `concatenate`: the groups, by name, with new tokens (B N D)."""
    parts: tuple[Tensor, ...] = torch.split(tokens, [group.tokens.shape[1] for group in groups], dim=1)
    return {group.name: replace(group, tokens=part) for group, part in zip(groups, parts, strict=True)}


def repeat(group: TokenGroup, times: int) -> TokenGroup:
    """Each batch entry `times` times in a row; a batch of one is expanded without a copy."""
    mask = None if group.mask is None else repeat_rows(group.mask, times)
    time = None if group.time is None else repeat_rows(group.time, times)
    return replace(group, tokens=repeat_rows(group.tokens, times), mask=mask, time=time)


def repeat_rows(array: Tensor, times: int) -> Tensor:
    """(B ...) to (B * times ...), rows of one entry adjacent; a view where B is one."""
    if times == 1:
        return array
    if array.shape[0] == 1:
        return array.expand(times, *array.shape[1:])
    return array.repeat_interleave(times, dim=0)


def declared(queries: Sequence[Span], keys: Sequence[Span], device: torch.device | None = None) -> Tensor:
    """Who may look at whom by declaration alone: bool (Nq, Nk), padding not yet considered."""
    nothing = [torch.zeros(query.length, 0, dtype=torch.bool, device=device) for query in queries]
    rows = [
        torch.cat([none, *(_block(query, key, device) for key in keys)], dim=1)
        for none, query in zip(nothing, queries, strict=True)
    ]
    return torch.cat(rows, dim=0)


def attention_mask(queries: Sequence[Span], keys: Sequence[Span], key_mask: Tensor) -> Tensor:
    """The mask for attention, bool (B 1 Nq Nk), True where a query may look.

    `key_mask` (B Nk) is the padding mask of the keys. A row whose keys are all padded stays empty: scaled dot product
    attention answers it with zeros.
    """
    allowed = declared(queries, keys, key_mask.device)
    return allowed[None, None] & key_mask[:, None, None, :]


def positions(mask: Tensor, start: Tensor | None = None) -> Tensor:
    """Position of every token, int64 (B N): padding takes no position. `start` (B,) is where counting begins."""
    counted = mask.cumsum(dim=1) - 1
    return counted if start is None else counted + start[:, None]


def verify(spans: Sequence[Span], outputs: Iterable[str] = ()) -> None:
    """Raise `ConfigError` for a declaration that cannot be meant.

    Checked: names are unique; every name in `attends_to` exists; no group is blind; a group looks only at groups that
    are there when it is computed; and, where `outputs` names the groups that are read in the end, information from
    every group reaches one of them.
    """
    known = [item.name for item in spans]
    if len(set(known)) != len(known):
        raise ConfigError(f"two token groups share a name: {known}", leaf="groups")
    for item in spans:
        _require_known(item, known)
        if not item.attends_to:
            raise ConfigError(f"token group {item.name!r} attends to nothing, not even itself", leaf=item.name)
    wanted = tuple(outputs)
    if wanted:
        _require_reachable(spans, wanted)


def continued(past: tuple[Span, ...], new: tuple[Span, ...]) -> tuple[Span, ...]:
    """Spans of a longer sequence: a first new span with the name of the last past one goes on where that ended."""
    if not past or not new or past[-1].name != new[0].name:
        return past + new
    return (*past[:-1], replace(new[0], length=past[-1].length + new[0].length), *new[1:])


def verify_prefix(prefix: Sequence[Span], suffix: Sequence[Span]) -> None:
    """Raise `ConfigError` where a prefix group looks at the suffix: its cache would be wrong for the next suffix.

    The last group may go on in the suffix under the same name.
    """
    later = {item.name for item in suffix}
    for index, item in enumerate(prefix, start=1):
        goes_on = {item.name} if index == len(prefix) else set()
        seen = later.intersection(item.attends_to) - goes_on
        if seen:
            raise ConfigError(
                f"token group {item.name!r} is computed before {sorted(seen)} and cannot attend to them",
                leaf=item.name,
                cure="Move the group behind them, or drop the names from attends_to.",
            )


def explain(spans: Sequence[Span]) -> str:
    """The declaration as a table: rows look at columns; "full", "causal", or "." where they may not."""
    names = [item.name for item in spans]
    body = [[item.name, str(item.length), *(_cell(item, name) for name in names)] for item in spans]
    table = [["looks at ->", "tokens", *names], *body]
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    )


def _cell(query: Span, key: str) -> str:
    if key not in query.attends_to:
        return "."
    return query.within if key == query.name else "full"


def _block(query: Span, key: Span, device: torch.device | None) -> Tensor:
    shape = (query.length, key.length)
    if key.name not in query.attends_to:
        return torch.zeros(shape, dtype=torch.bool, device=device)
    block = torch.ones(shape, dtype=torch.bool, device=device)
    causal = key.name == query.name and query.within == "causal"
    return block.tril(key.length - query.length) if causal else block


def _require_known(item: Span, known: Sequence[str]) -> None:
    for name in item.attends_to:
        if name not in known:
            near = nearest(name, known)
            raise ConfigError(
                f"token group {item.name!r} attends to {name!r}, which does not exist",
                leaf=item.name,
                cure=f"Did you mean {near!r}?" if near else f"Known groups: {', '.join(known)}",
            )


def _require_reachable(spans: Sequence[Span], outputs: tuple[str, ...]) -> None:
    looks_at = {item.name: item.attends_to for item in spans}
    for name in outputs:
        if name not in looks_at:
            raise ConfigError(f"the output group {name!r} does not exist", leaf=name)
    reached: set[str] = set()
    waiting = list(outputs)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(looks_at[name])
    lost = [item.name for item in spans if item.name not in reached]
    if lost:
        raise ConfigError(f"nothing that is read in the end ever looks at {lost}", leaf=lost[0])


def _require_equal_shapes(groups: Sequence[TokenGroup]) -> None:
    if not groups:
        raise ConfigError("there is no token group to join", leaf="groups")
    batch, _, width = groups[0].tokens.shape
    for group in groups:
        shape = tuple(group.tokens.shape)
        if (shape[0], shape[2]) != (batch, width):
            raise ConfigError(
                f"tokens are {shape}, the first group has batch {batch} and width {width}", leaf=group.name
            )
        if group.mask is not None and tuple(group.mask.shape) != shape[:2]:
            raise ConfigError(f"mask is {tuple(group.mask.shape)} for tokens {shape}", leaf=group.name)

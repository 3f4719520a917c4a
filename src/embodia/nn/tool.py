"""Which numbers of a state and of an action are the tool's place, turn and gripper.

Read off the contract, so that policies that think in places act through the same small steps as all others. The one
thing to watch: only the first tool is meant; a second arm would stand still.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from embodia.core.errors import ConfigError
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics

OPEN = 0.8
"""An opening (0 closed, 1 open) above this counts as open: a held thing keeps the fingers apart."""
_UNKNOWN_M, _MARGIN_M = 0.6, 0.12


@dataclass(frozen=True, kw_only=True)
class Tool:
    """Indices and units.

    place      state: x y z (m), first index
    heading    state: first index of the tool's forward axis in the frame of the place, -1 where there is none
    opening    state: index of the gripper's opening, -1 where there is none
    move       action: first index of the displacement; `step_m` is one unit of it
    turn       action: index of the rotation about the vertical, -1 where there is none; `turn_rad` is one unit of it
    grip       action: index of the gripper, -1 where there is none; `closed`, `opened` are its bounds
    rest       action: all other indices
    """

    place: int
    heading: int
    opening: int
    move: int
    step_m: float
    turn: int
    turn_rad: float
    grip: int
    closed: float
    opened: float
    rest: tuple[int, ...]
    dim: int


def tool_of(contract: Contract) -> Tool:
    """Raises `ConfigError` where the state has no place of a tool or the action no displacement of known size."""
    state, actions = _starts(contract.observation.state), _starts(contract.action.parts)
    place = next((i for i, part in state if part.units == "m" and part.dim == 3), -1)
    move, step = next(
        ((i, p.scale) for i, p in actions if p.representation == "ee_position_delta" and p.dim == 3), (-1, 0.0)
    )
    if place < 0 or move < 0 or step <= 0:
        raise ConfigError(
            "places need a tool in the state (m) and an action that moves it by steps of known size", leaf="contract"
        )
    heading = next((i for i, part in state if part.name.startswith("heading") and part.dim == 3), -1)
    opening = next((i for i, part in state if part.dim == 1 and part.name in ("gripper", "opening")), -1)
    turn, turn_rad = next(
        ((i, p.scale) for i, p in actions if p.representation == "ee_rotation_delta" and p.dim == 1 and p.scale > 0),
        (-1, 0.0),
    )
    turn = turn if heading >= 0 else -1
    grip, part = next(((i, p) for i, p in actions if p.representation == "gripper"), (-1, None))
    closes = part is not None and part.polarity == "positive_closes"
    low, high = (part.low, part.high) if part is not None else (0.0, 0.0)
    used = {move, move + 1, move + 2, turn, grip}
    dim = contract.action.dim
    return Tool(
        place=place,
        heading=heading,
        opening=opening,
        move=move,
        step_m=step,
        turn=turn,
        turn_rad=turn_rad,
        grip=grip,
        closed=high if closes else low,
        opened=low if closes else high,
        rest=tuple(index for index in range(dim) if index not in used),
        dim=dim,
    )


def posture(tool: Tool, state: Tensor) -> Tensor:
    """Place x y z (m), turn (rad) and opening of physical states (... S): (... 5); what is not sensed is 0, or open."""
    place = state[..., tool.place : tool.place + 3]
    turn, opening = torch.zeros_like(place[..., 0]), torch.ones_like(place[..., 0])
    if tool.heading >= 0:
        turn = torch.atan2(state[..., tool.heading + 1], state[..., tool.heading])
    if tool.opening >= 0:
        opening = state[..., tool.opening]
    return torch.cat([place, turn[..., None], opening[..., None]], dim=-1)


def workspace(tool: Tool, statistics: FeatureStatistics | None) -> tuple[Tensor, Tensor]:
    """Centre (3,) and half edge () of the cube in which the tool was seen to move, in metres, with a margin."""
    if statistics is None:
        return torch.zeros(3), torch.tensor(_UNKNOWN_M)
    part = slice(tool.place, tool.place + 3)
    low, high = torch.tensor(statistics.minimum[part]), torch.tensor(statistics.maximum[part])
    return (low + high) / 2, (high - low).max() / 2 + _MARGIN_M


def straight(tool: Tool, now: Tensor, target: Tensor, rest: Tensor, steps: int) -> Tensor:
    """A chunk (B steps A), physical, that goes from `now` (B 5) straight to `target` (B 5) and then moves the gripper.

    Every step keeps its direction and at most one unit of every dimension; `rest` (B R) is held throughout. The fifth
    number of a target is whether the gripper shall be open, 0 to 1.
    """
    away = target - now
    units = away[:, :3] / tool.step_m
    turned = torch.remainder(away[:, 3] + torch.pi, 2 * torch.pi) - torch.pi
    spin = turned / tool.turn_rad if tool.turn >= 0 else torch.zeros_like(turned)
    long = torch.cat([units, spin[:, None]], dim=1).abs().amax(1, keepdim=True).clamp_min(1.0)
    order = torch.arange(steps + 1, device=now.device).expand(len(now), -1)
    share = torch.minimum(order, long).diff(dim=1) / long
    chunk = now.new_zeros(len(now), steps, tool.dim)
    chunk[..., tool.move : tool.move + 3] = share[..., None] * units[:, None]
    if tool.turn >= 0:
        chunk[..., tool.turn] = share * spin[:, None]
    if tool.grip >= 0:
        held = (now[:, 4:5] > OPEN).float()
        wide = torch.where(order[:, :-1] >= long - 1, (target[:, 4:5] > 0.5).float(), held)
        chunk[..., tool.grip] = tool.closed + wide * (tool.opened - tool.closed)
    if tool.rest:
        chunk[..., list(tool.rest)] = rest[:, None]
    return chunk


def _starts(parts: tuple) -> list[tuple]:  # type: ignore[type-arg]
    found, start = [], 0
    for part in parts:
        found.append((start, part))
        start += part.dim
    return found


def cube(contract: Contract, statistics: FeatureStatistics | None) -> tuple[Tensor, Tensor]:
    """`workspace` of the body's tool, or a cube round the mount for a body whose tool has no place."""
    try:
        return workspace(tool_of(contract), statistics)
    except ConfigError:
        return torch.zeros(3), torch.tensor(_UNKNOWN_M)

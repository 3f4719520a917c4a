"""A policy on a body that it was not made for: state and actions translated part by part, by their names and units.

Displacements keep their physical length, grippers their meaning, rates are brought together by adding up or spreading
actions; state that the other body does not have is filled in with a neutral value. It measures how far a policy goes on
another body without learning it. The one thing to watch: cameras, parts and meanings have to agree, so a contract that
differs in more than size, rate, scale and polarity is refused.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from embodia.core.errors import ContractError
from embodia.core.protocols import Carry, Policy, Rng
from embodia.core.specs import ActionPart, ActionSpec, Contract, ObservationSpec
from embodia.core.types import ActionChunk, Observation

Floats = npt.NDArray[np.float32]
_DELTAS = ("ee_position_delta", "ee_rotation_delta", "joint_delta")
"""Representations that add up over steps; of all others the last of the merged steps counts."""


class Retargeted:
    """`policy` behind the contract of another body.

    `neutral` (S,) is a state of the policy's own body, such as the mean of its training data; without it zeros. Raises
    `ContractError` where actions cannot be translated.
    """

    def __init__(self, policy: Policy, contract: Contract, neutral: npt.ArrayLike | None = None) -> None:
        own = policy.contract
        _require_same_parts(own.action, contract.action)
        self._policy, self._own = policy, own
        self._merge, self._spread = _rates(own.action.rate_hz, contract.action.rate_hz)
        chunk = _translated_length(own.action.chunk, self._merge, self._spread)
        self.contract = replace(contract, action=replace(contract.action, chunk=chunk))
        self.history = int(getattr(policy, "history", 1))
        self._neutral = np.asarray(np.zeros(own.observation.state_dim) if neutral is None else neutral, np.float32)
        if self._neutral.shape != (own.observation.state_dim,):
            raise ContractError(f"neutral state has shape {self._neutral.shape}", leaf="neutral")

    @property
    def pace(self) -> float:
        """Actions of the other body for each action of the policy's own."""
        return self._spread / self._merge

    def act(self, observation: Observation, carry: Carry, rng: Rng) -> tuple[ActionChunk, Carry]:
        """What the policy does, in the actions (B H A) of the other body."""
        seen = replace(observation, embodiment=self._own.embodiment, state=self._state(observation))
        chunk, carry = self._policy.act(seen, carry, rng)
        actions = translated(np.asarray(chunk.actions, np.float32), self._own.action, self.contract.action)
        return ActionChunk(actions=actions, valid=np.ones(actions.shape[:2], bool), spec=self.contract.action), carry

    def _state(self, observation: Observation) -> Floats | None:
        if observation.state is None:
            return None
        return translated_state(
            np.asarray(observation.state), self.contract.observation, self._own.observation, self._neutral
        )


def translated_state(
    state: npt.NDArray[np.generic], src: ObservationSpec, dst: ObservationSpec, fill: Floats
) -> Floats:
    """State (... S) of one body in the layout of another: parts of equal name, size and frame, else `fill` (S',)."""
    given = {part.name: (start, part) for start, part in zip(_starts(src.state), src.state, strict=True)}
    found = np.broadcast_to(fill, (*state.shape[:-1], len(fill))).astype(np.float32)
    for start, part in zip(_starts(dst.state), dst.state, strict=True):
        at, other = given.get(part.name, (0, None))
        if other is not None and (other.dim, other.units, other.frame) == (part.dim, part.units, part.frame):
            found[..., start : start + part.dim] = state[..., at : at + part.dim]
    return found


def translated(actions: Floats, src: ActionSpec, dst: ActionSpec) -> Floats:
    """Actions (B H A) of one body as those of another (B H' A), cut to the bounds of the other's parts."""
    merge, spread = _rates(src.rate_hz, dst.rate_hz)
    length = _translated_length(actions.shape[1], merge, spread)
    padded = np.concatenate([actions, np.repeat(actions[:, -1:], (-actions.shape[1]) % merge, axis=1)], axis=1)
    found = np.zeros((len(actions), length, dst.dim), np.float32)
    for start, part, other in zip(_starts(src.parts), src.parts, dst.parts, strict=True):
        columns = slice(start, start + part.dim)
        found[..., columns] = _part(padded[..., columns], part, other, merge, spread, actions.shape[1])
    return found


def _part(values: Floats, part: ActionPart, other: ActionPart, merge: int, spread: int, known: int) -> Floats:
    values = values * (-1 if part.polarity != other.polarity else 1)
    if part.representation not in _DELTAS:
        return np.clip(np.repeat(values[:, merge - 1 :: merge], spread, axis=1), other.low, other.high)
    values = values.copy()
    values[:, known:] = 0.0
    summed = values.reshape(len(values), -1, merge, part.dim).sum(axis=2)
    factor = part.scale / other.scale if part.scale and other.scale else 1.0
    return np.clip(np.repeat(summed * factor / spread, spread, axis=1), other.low, other.high).astype(np.float32)


def _rates(own: float, other: float) -> tuple[int, int]:
    """How many own steps make one of the other's, and into how many of those one is spread."""
    merge, spread = max(1, round(own / other)), max(1, round(other / own))
    if not np.isclose(own * spread, other * merge):
        raise ContractError(f"rates of {own} and {other} Hz are no multiples", leaf="rate_hz")
    return merge, spread


def _translated_length(length: int, merge: int, spread: int) -> int:
    return -(-length // merge) * spread


def _require_same_parts(own: ActionSpec, other: ActionSpec) -> None:
    def meaning(spec: ActionSpec) -> list[tuple[object, ...]]:
        return [(p.name, p.dim, p.representation, p.frame, p.rotation, p.units) for p in spec.parts]

    if meaning(own) != meaning(other):
        raise ContractError("the two bodies' actions do not mean the same, part by part", leaf="action")


def _starts(parts: tuple[object, ...]) -> list[int]:
    ends = np.cumsum([part.dim for part in parts])  # type: ignore[attr-defined]
    return [0, *(int(end) for end in ends[:-1])] if len(parts) else []

"""One client's conversation with a policy, without a socket: messages in, messages out.

The state that a policy carries belongs to the session, and the randomness of a decision is a function of (seed,
session, episode, decision), so two equal conversations give equal actions. A request may name its own seed instead.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from embodia.core.errors import ContractError, EmbodiaError, PolicyError
from embodia.core.protocols import Carry, Policy, Rng
from embodia.core.seeds import derive_seed
from embodia.core.specs import SenseSpec
from embodia.core.types import Array, Observation, check_actions
from embodia.runtime.policy.card import RESET, SEED, Card
from embodia.runtime.policy.keys import WHERE, WireKeys, decode

_LOG = logging.getLogger(__name__)
MakeRng = Callable[[int], Rng]
"""What makes a policy's generator from a seed; torch's or numpy's is the caller's choice."""


class Decisions:
    """A policy with the state of one episode: `decide` and `reset`."""

    def __init__(self, policy: Policy, make_rng: MakeRng, seed: int, name: str = "") -> None:
        self._policy, self._make_rng, self._seed, self._name = policy, make_rng, seed, name
        self._carry: Carry = None
        self._episode = self._decision = 0

    def reset(self) -> None:
        """Begin the next episode."""
        self._carry = None
        self._episode += 1
        self._decision = 0

    def decide(self, observation: Observation, seed: int | None = None) -> Array:
        """The chunk (H A) for one observation. Raises `PolicyError` for whatever goes wrong inside the policy."""
        if seed is None:
            seed = derive_seed(self._seed, self._name, self._episode, self._decision)
        try:
            chunk, carry = self._policy.act(observation, self._carry, self._make_rng(seed))
            actions = np.asarray(chunk.actions, dtype=np.float32)[0]
            check_actions(actions, self._policy.contract.action, where="policy")
        except Exception as error:
            _LOG.exception("a decision of the served policy failed")
            raise PolicyError("the policy failed; the server's log says why") from error
        self._carry = carry
        self._decision += 1
        return actions


class Session:
    """openpi's conversation: an observation in, a chunk out."""

    def __init__(self, decisions: Decisions, card: Card) -> None:
        self._decisions, self._card = decisions, card

    def answer(self, message: Any) -> dict[str, Any]:
        """The answer to one message. Raises `ContractError`, `ShapeError`, `NotFiniteError`, `PolicyError`."""
        request = as_map(message)
        if request.get(RESET) is True:
            self._decisions.reset()
            if len(request) == 1:
                return {RESET: True}
        observation = decode(request, self._card.keys, self._card.contract)
        return {self._card.keys.actions: self._decisions.decide(observation, _seed(request))}


class Harness:
    """vla-eval's conversation: envelopes with a type; one action a message, taken from a chunk that is kept here.

    `execute` is how many actions of a chunk are handed out before the policy looks again (0: all). A harness shows
    every control step, so the history of a policy that wants one is kept here too.
    """

    PROTOCOL = 1

    def __init__(self, decisions: Decisions, card: Card, keys: WireKeys, execute: int = 0) -> None:
        self._decisions, self._card, self._keys, self._execute = decisions, card, keys, execute
        self._kept: list[Array] = []
        self._seen: list[Observation] = []

    def answer(self, message: Any) -> dict[str, Any] | None:
        """The envelope to send back, None when none is due. Errors become an envelope of type "error"."""
        request = as_map(message)
        kind, payload = request.get("type"), request.get("payload")
        try:
            reply = self._reply(kind, as_map(payload))
        except EmbodiaError as error:
            reply = ("error", {"error": str(error)})
        if reply is None:
            return None
        facts = {"seq": _plain_int(request.get("seq")), "timestamp": _plain_float(request.get("timestamp"))}
        return {"type": reply[0], "payload": reply[1], **facts}

    def _reply(self, kind: Any, payload: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
        if kind == "hello":
            return "hello", self._hello()
        if kind == "observation":
            return "action", {"actions": self._next(payload)}
        if kind in ("episode_start", "episode_end"):
            self._kept, self._seen = [], []
            if kind == "episode_start":
                self._decisions.reset()
            return None
        if kind == "error":
            return None
        raise ContractError(f"unknown message type {str(kind)[:40]!r}", file=WHERE, leaf="type")

    def _next(self, payload: Mapping[str, Any]) -> Array:
        observation = decode(payload, self._keys, self._card.contract)
        self._seen = [*self._seen, observation][-self._card.history :]
        if not self._kept:
            chunk = self._decisions.decide(_history(self._seen, self._card.contract.observation.senses))
            self._kept = list(chunk[: self._execute or None])
        return self._kept.pop(0)

    def _hello(self) -> dict[str, Any]:
        seen = self._card.contract.observation
        wanted = {"send_wrist_image": len(seen.cameras) > 1, "send_state": bool(seen.state_dim)}
        return {
            "harness_version": "embodia",
            "protocol_version": self.PROTOCOL,
            "model_server": self._card.facts.get("name", "embodia"),
            "capabilities": {},
            "observation_params": {name: True for name, asked in wanted.items() if asked},
        }


def as_map(message: Any) -> Mapping[str, Any]:
    """The message itself. Raises `ContractError` unless it is a map."""
    if not isinstance(message, dict):
        raise ContractError(f"a message is a map, got {type(message).__name__}", file=WHERE)
    return message


def _seed(request: Mapping[str, Any]) -> int | None:
    seed = request.get(SEED)
    if seed is not None and (type(seed) is not int or not 0 <= seed < 2**63):
        raise ContractError("a seed is a number of at most 63 bits", file=WHERE, leaf=SEED)
    return seed


def _history(seen: list[Observation], specs: tuple[SenseSpec, ...]) -> Observation:
    if len(seen) == 1:
        return seen[0]
    newest = seen[-1]
    images = {name: np.concatenate([item.images[name] for item in seen], axis=1) for name in newest.images}
    state = None if newest.state is None else np.concatenate([np.asarray(item.state) for item in seen], axis=1)
    whole = replace(newest, images=images, state=state)
    senses = {spec: [item.sense(spec) for item in seen] for spec in specs}
    return whole.with_senses(
        {spec: np.concatenate([np.asarray(step) for step in steps], axis=1) for spec, steps in senses.items()}
    )


def _plain_int(value: Any) -> int:
    return value if type(value) is int else 0


def _plain_float(value: Any) -> float:
    return value if type(value) is float else 0.0

"""What a server says of its policy before the first question: contract, keys, history, whether it keeps state.

It is the first message of a connection, under a key of its own, so that clients which know nothing of it lose nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from embodia.core.config import from_json, to_json
from embodia.core.errors import ConfigError, ContractError, RemoteError
from embodia.core.protocols import Policy
from embodia.core.provenance import Provenance
from embodia.core.specs import Contract, require_match
from embodia.runtime.policy.keys import WireKeys, openpi_keys, require_keys, require_whole

NAME = "embodia"
SEED, RESET = "embodia/seed", "embodia/reset"
"""Keys that our client may add to a request: the seed of this decision, and that an episode begins here."""
_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Card:
    """Facts about a served policy.

    history    steps T that it looks at; a request may hold that many
    stateful   whether it carries state from one decision to the next, so that a connection is one episode at a time
    seeded     whether a request may name the seed of its decision
    facts      name, size, checkpoint: what a report needs to find it again
    trained    where the pictures of its training came from
    """

    contract: Contract
    keys: WireKeys
    history: int = 1
    stateful: bool = False
    seeded: bool = False
    facts: Mapping[str, str] = field(default_factory=dict)
    trained: Provenance | None = None


def card_of(policy: Policy, *, keys: WireKeys | None = None, stateful: bool = False, **facts: str) -> Card:
    """The card of a policy of ours; `keys` default to openpi's names. Raises `UnknownNameError`, `ConfigError`."""
    spec = policy.contract.observation
    keys = keys or openpi_keys(spec)
    require_keys(keys, spec)
    require_whole(keys, spec)
    history = int(getattr(policy, "history", 1))
    return Card(contract=policy.contract, keys=keys, history=history, stateful=stateful, seeded=True, facts=facts)


def to_metadata(card: Card) -> dict[str, Any]:
    """The first message of a connection."""
    return {NAME: {"format": _FORMAT, **to_json(card)}}


def from_metadata(metadata: Any) -> Card | None:
    """The card in a server's first message, or None for a server that knows nothing of it.

    Raises `RemoteError` for a first message that is no map or a card that cannot be read.
    """
    if not isinstance(metadata, dict):
        raise RemoteError("the server's first message is no map", cure="Is it a policy server?")
    found = metadata.get(NAME)
    if found is None:
        return None
    if not isinstance(found, dict) or found.get("format") != _FORMAT:
        raise RemoteError("the server's card is of another format", leaf=NAME)
    try:
        card = from_json(Card, {key: value for key, value in found.items() if key != "format"}, file="server")
        require_keys(card.keys, card.contract.observation)
    except (ConfigError, TypeError, ValueError) as error:
        raise RemoteError(f"the server's card cannot be read: {error}", leaf=NAME) from error
    return card


def agree(card: Card | None, contract: Contract | None, keys: WireKeys | None) -> Card:
    """The card to work with: the server's own, or one of what the user declared; declared keys come before its own.

    Raises `ContractError` when nobody says what the numbers mean or both do and differ, and what `require_keys` raises.
    """
    if contract is not None and card is not None:
        require_match(contract, card.contract, left_name="the declared contract", right_name="the server's")
    if contract is None and card is None:
        cure = "Declare it: --remote-contract FILE, or `env` if it was made for this environment."
        raise ContractError("the server does not say what its numbers mean", leaf="contract", cure=cure)
    if card is None:
        assert contract is not None
        card = Card(contract=contract, keys=keys or openpi_keys(contract.observation))
    card = replace(card, keys=keys or card.keys)
    require_keys(card.keys, card.contract.observation)
    return card

"""From a checkpoint on disk to a server: load, warm up, describe, listen."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from dataclasses import replace
from pathlib import Path

from embodia.cli.remote import read_keys
from embodia.core.invent import invent_observation
from embodia.core.protocols import Policy
from embodia.envs.rollout import torch_generator
from embodia.evaluation.checkpoints import load_acting
from embodia.runtime.policy.card import Card, card_of
from embodia.runtime.policy.server import HARNESS, PolicyServer, ServeConfig

WARM_UP = 3


def load_served(checkpoint: Path, keys: Path | None) -> tuple[Policy, Card]:
    """The policy of a checkpoint, warmed up, and its card."""
    place, policy, spec, provenance = load_acting(checkpoint)
    stateful = keeps_state(policy)
    names = None if keys is None else read_keys(keys)
    card = card_of(policy, keys=names, stateful=stateful, name=spec.name, size=spec.size, checkpoint=place.name)
    return policy, replace(card, trained=provenance)


def keeps_state(policy: Policy) -> bool:
    """Whether the policy carries state between decisions; asks it a few times, which warms it up too."""
    history, carry = int(getattr(policy, "history", 1)), None
    for _ in range(WARM_UP):
        seen = invent_observation(policy.contract, 1, history=history)
        _, carry = policy.act(seen, carry, torch_generator(0))
    return carry is not None


def listen(policy: Policy, card: Card, config: ServeConfig) -> None:
    """Serve until an interrupt or SIGTERM; says where on standard output. Raises `AccessError`, `ConfigError`."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(message)s")
    server = PolicyServer(policy, card, torch_generator, config)
    asyncio.run(_until_stopped(server, config))


async def _until_stopped(server: PolicyServer, config: ServeConfig) -> None:
    task = asyncio.ensure_future(server.run(lambda port: _say(config, port)))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        print("stopped", flush=True)


def _say(config: ServeConfig, port: int) -> None:
    scheme = "ws" if config.access.certificate is None else "wss"
    place = f"{scheme}://{config.host}:{port}"
    print(f"openpi clients: {place}   vla-eval: {place}{HARNESS}   health: /healthz", flush=True)

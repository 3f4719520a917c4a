"""Serve a policy to openpi clients and to vla-eval, on this machine or, with TLS and a token, beyond it.

The server listens on loopback; any other host is refused unless a certificate, its key and a token are given. Clients
neither choose nor change the policy. Stop it with an interrupt.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

EXAMPLES = (
    "embodia serve --checkpoint runs/doors --port 8000",
    "embodia serve --checkpoint runs/doors --host 0.0.0.0 --token-file token --certificate cert.pem --key key.pem",
    "embodia serve --checkpoint runs/doors --keys droid.json --execute 8",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Flags of `embodia serve`."""

    checkpoint: Path
    """A checkpoint, or the folder of a run (its best one is taken)."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8000
    """Port; 0 takes a free one."""
    token_file: Path | None = None
    """File with the token that clients send; readable by its owner only."""
    certificate: Path | None = None
    """PEM file of the server's certificate."""
    key: Path | None = None
    """PEM file of its key."""
    keys: Path | None = None
    """JSON file of the names in openpi messages; without one those of openpi's examples."""
    harness_keys: Path | None = None
    """JSON file of the names in vla-eval messages; without one the contract's camera names."""
    execute: int = 0
    """Actions of a chunk handed to vla-eval before the policy looks again; 0 hands out all."""
    sessions: int = 16
    """Connections at once."""
    seed: int = 0
    """Root of the policy's randomness."""


def run(options: Options) -> int:
    """Load, say where the policy is served, and serve it."""
    from embodia.cli.remote import read_keys
    from embodia.cli.serving import listen, load_served
    from embodia.runtime.policy.access import Access, read_token, require_guard
    from embodia.runtime.policy.server import ServeConfig

    access = Access(
        token=None if options.token_file is None else read_token(options.token_file),
        certificate=options.certificate,
        key=options.key,
    )
    require_guard(options.host, access)
    config = ServeConfig(
        host=options.host,
        port=options.port,
        access=access,
        seed=options.seed,
        sessions=options.sessions,
        execute=options.execute,
        harness_keys=None if options.harness_keys is None else read_keys(options.harness_keys),
    )
    policy, card = load_served(options.checkpoint, options.keys)
    listen(policy, card, config)
    return 0

"""From a policy behind a server to a report: connect, agree on what the numbers mean, evaluate like any other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embodia import envs
from embodia.cli.evaluating import command_line
from embodia.cli.progress import ProgressBar
from embodia.core.config import from_json
from embodia.core.specs import Contract
from embodia.data.dataset import Dataset
from embodia.evaluation.plans import EvalConfig
from embodia.evaluation.runner import Subject, evaluate
from embodia.io.jsonio import read_json
from embodia.runtime.policy.access import read_token
from embodia.runtime.policy.keys import WireKeys
from embodia.runtime.policy.remote import RemoteConfig, RemotePolicy

OF_ENVIRONMENT = "env"


@dataclass(frozen=True, kw_only=True)
class Remote:
    """Where a policy is served and what its user declares; `contract` is a JSON file, "env", or empty."""

    url: str
    contract: str = ""
    keys: Path | None = None
    token_file: Path | None = None
    authority: Path | None = None
    timeout_s: float = 30.0


def evaluate_remote(remote: Remote, data: Sequence[Path], config: EvalConfig, out: Path) -> dict[str, Any]:
    """Ask a served policy, play it and its controls, write the report into `out` and return it."""
    policy = connect(remote, config)
    try:
        subject = Subject(
            trained=policy.card.trained,
            data=tuple(Dataset.open(folder) for folder in data),
            facts={"name": "remote policy", **policy.card.facts, "remote": remote.url},
            command=command_line(),
        )
        with ProgressBar() as progress:
            return evaluate(policy, config, out, subject=subject, progress=progress)
    finally:
        policy.close()


def connect(remote: Remote, config: EvalConfig) -> RemotePolicy:
    """The policy at that address. Raises what connecting and reading the declared files raise."""
    reached = RemoteConfig(
        url=remote.url,
        token=None if remote.token_file is None else read_token(remote.token_file),
        authority=remote.authority,
        timeout_s=remote.timeout_s,
    )
    keys = None if remote.keys is None else read_keys(remote.keys)
    return RemotePolicy(reached, contract=_declared(remote.contract, config), keys=keys)


def read_keys(path: Path) -> WireKeys:
    """Names on the wire from a JSON file. Raises `ConfigError` naming the leaf, and what reading raises."""
    return from_json(WireKeys, read_json(path), file=str(path))


def _declared(contract: str, config: EvalConfig) -> Contract | None:
    if not contract:
        return None
    if contract != OF_ENVIRONMENT:
        return from_json(Contract, read_json(contract), file=contract)
    env = envs.make(config.family, config.env)
    try:
        return env.contract
    finally:
        env.close()

"""Describe and validate data sets.

`embodia data info` reads tables only; `embodia data validate` also opens every video and recomputes the statistics.
Exit status 1 when the validator finds something.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from embodia.core.specs import Contract

EXAMPLES = (
    "embodia data info data/doors",
    "embodia data validate data/doors",
    "embodia data validate data/doors --json",
    "embodia data validate data/foreign --contract arm.json",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Flags of `embodia data`."""

    action: Annotated[Literal["info", "validate"], tyro.conf.Positional]
    """info: what is in it. validate: what is wrong with it."""
    folder: Annotated[Path, tyro.conf.Positional]
    """Folder of the data set."""
    contract: Path | None = None
    """JSON of the contract, for a set that another program wrote: only its owner knows what the actions mean."""
    json: bool = False
    """Print one JSON document."""


def run(options: Options) -> int:
    """Describe or validate."""
    return _info(options) if options.action == "info" else _validate(options)


def _info(options: Options) -> int:
    from embodia.cli.main import print_json

    facts = describe(options.folder)
    if options.json:
        print_json(facts)
        return 0
    for name, value in facts.items():
        text = ", ".join(f"{k}: {v}" for k, v in value.items()) if isinstance(value, dict) else value
        print(f"{name:<12}{text}")
    return 0


def describe(folder: Path) -> dict[str, Any]:
    """Counts, contract and provenance of a data set, as plain values."""
    from embodia.core.config import to_json
    from embodia.data.dataset import Dataset

    dataset = Dataset.open(folder)
    return {
        "folder": str(folder),
        "episodes": len(dataset.episodes),
        "frames": dataset.frames,
        "embodiment": dataset.contract.embodiment,
        "rate_hz": dataset.contract.action.rate_hz,
        "actions": ", ".join(dataset.contract.action.dimension_names),
        "cameras": {c.name: f"{c.height} x {c.width} {c.profile}" for c in dataset.contract.observation.cameras},
        "tasks": dict(Counter(row.task or row.instruction for row in dataset.episodes)),
        "versions": to_json(dataset.provenance)["versions"],
    }


def read_contract(path: Path) -> Contract:
    """The contract in a JSON file, laid out as the "contract" of meta/embodia.json; errors name file and leaf."""
    from embodia.core.config import from_json
    from embodia.io.jsonio import read_json

    return from_json(Contract, read_json(path), file=str(path))


def _validate(options: Options) -> int:
    from embodia.cli.main import print_json
    from embodia.data.validate import validate

    contract = None if options.contract is None else read_contract(options.contract)
    findings = validate(options.folder, contract=contract)
    if options.json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            print(finding)
        print(f"{len(findings)} findings in {options.folder}" if findings else f"{options.folder} is sound")
    return int(bool(findings))

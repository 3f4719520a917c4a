"""Compare two evaluations on the same seeds: exact paired test, interval, and the n that a difference would need.

Refuses to compare other tasks, seeds, sentences or pictures. Nothing is called better that chance could have made.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

EXAMPLES = (
    "embodia compare runs/a/evaluation runs/b/evaluation",
    "embodia compare runs/a/evaluation runs/b/evaluation --out runs/a_against_b",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Flags of `embodia compare`."""

    first: Annotated[Path, tyro.conf.Positional]
    """Folder of the evaluation to compare with."""
    second: Annotated[Path, tyro.conf.Positional]
    """Folder of the evaluation that is compared."""
    out: Path | None = None
    """Also write compare.html, compare.json and compare.txt here."""
    json: bool = False
    """Print one JSON document."""


def run(options: Options) -> int:
    """Print the comparison."""
    from embodia.cli.main import print_json
    from embodia.evaluation.compare import compare, comparison_text, read_run, write_comparison

    comparison = compare(read_run(options.first), read_run(options.second))
    if options.out is not None:
        write_comparison(options.out, comparison)
    if options.json:
        print_json(comparison)
    else:
        print(comparison_text(comparison))
    return 0

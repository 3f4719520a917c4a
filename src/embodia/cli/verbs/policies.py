"""The designs: family, parts, size, published and own numbers; who attends to whom; whether they build offline.

The table is read off headers and results, without building anything. With `--count` parameters come from building each
design on torch's meta device: exact, and free of memory.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embodia.cli.papers import VARIANTS, headers
from embodia.core.errors import EmbodiaError
from embodia.core.invent import invent_contract
from embodia.core.names import unknown

EXAMPLES = (
    "embodia policies",
    "embodia policies --family flow",
    "embodia policies --count",
    "embodia policies --explain pi0",
    "embodia policies --offline-check",
    "embodia policies --speed act --size tiny",
    "embodia policies --speed all --json",
    "embodia policies --json",
)


_PAGE = 200
"""Letters in a line where the output is no terminal."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Flags of `embodia policies`."""

    family: str = ""
    """Only designs of this family: regression, action tokens, diffusion, flow, two systems, ..."""
    count: bool = False
    """Build every design in every size and count its parameters."""
    results: Path = Path("results/zoo")
    """Folder of own numbers, made by `embodia bench zoo`."""
    explain: str = ""
    """Print the token groups of this design, and who attends to whom."""
    size: str = "tiny"
    """Size that --explain, --speed and --offline-check build: tiny, small or paper."""
    speed: str = ""
    """Speed card of this design, or of "all": rate, latency, memory, tokens, arithmetic, energy; random weights."""
    decisions: int = 30
    """Decisions that --speed times."""
    pixels: int = 64
    """Edge of the picture that --speed shows."""
    watts: float = 0.0
    """Power that --speed assumes for the energy; 0 takes 10 W, one busy processor core."""
    offline_check: bool = False
    """Build every design with random weights while all network access raises."""
    json: bool = False
    """Print one JSON document."""


def run(options: Options) -> int:
    """Print what was asked for; 1 when a design does not build offline."""
    if options.explain:
        return _explain(options.explain, options.size)
    if options.offline_check:
        return _offline_check(options)
    if options.speed:
        return _speed(options)
    rows = list(table(options.results, options.family, count=options.count))
    if options.json:
        from embodia.cli.main import print_json

        print_json(rows)
    else:
        _print_table(rows)
    return 0


def table(results: Path, family: str = "", *, count: bool = False) -> Iterator[dict[str, Any]]:
    """One row a design: family, header fields, own result where there is one, and the parameter counts if wanted.

    Raises `UnknownNameError` for a family without a design.
    """
    known = [header for header in headers() if header.folder == "policies"]
    if family and family not in {header.family for header in known}:
        raise unknown("family of policies", family, {header.family for header in known})
    for header in known:
        if family in ("", header.family):
            counts = {"parameters": _counts(header.name)} if count else {}
            own = _own(results / f"{header.name}.json")
            facts = {"name": header.name, "family": header.family, "path": header.path, "zoo": own}
            yield {**facts, **counts, **header.fields}


def _own(path: Path) -> dict[str, Any] | None:
    """What the zoo measured, in short; None where it did not."""
    if not path.exists():
        return None
    from embodia.io.jsonio import read_json

    result = read_json(path)
    low, high = result["interval"]
    text = f"{100 * result['success_rate']:.0f} % ({100 * low:.0f}-{100 * high:.0f})"
    facts = {name: result["policy"][name] for name in ("size", "parameters")}
    return {"success": text, "n": result["n"], "verdict": result["verdict"], **facts}


def _counts(name: str) -> dict[str, int]:
    import torch

    from embodia import policies
    from embodia.parts.compose import parameter_count

    counts = {}
    for size in policies.SIZES:
        spec = policies.PolicySpec(name=name, size=size, contract=invent_contract(224))
        with torch.device("meta"):
            counts[size] = parameter_count(policies.make(spec))
    return counts


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    shown = Table(box=None, padding=(0, 1))
    for heading in ("policy", "family", "parts", "size", "published", "own"):
        shown.add_column(heading, no_wrap=heading == "family", overflow="fold")
    for row in rows:
        also = f" (also {row[VARIANTS]})" if VARIANTS in row else ""
        name = f"[bold]{row['name']}[/] {row['Year']}{escape(also)}"
        parts = escape(row["Composition"].split("[train")[0].strip())
        shown.add_row(name, row["family"], parts, _size(row), escape(row["Published"]), escape(_numbers(row)))
    console = Console()
    (console if console.is_terminal else Console(width=_PAGE)).print(shown)


def _size(row: dict[str, Any]) -> str:
    """Parameters that are known without building: those counted, or those of the result."""
    counts = row.get("parameters") or ({row["zoo"]["size"]: row["zoo"]["parameters"]} if row["zoo"] else {})
    return "\n".join(f"{size} {number / 1e6:,.1f} M" for size, number in counts.items())


def _numbers(row: dict[str, Any]) -> str:
    if row["zoo"] is None:
        return re.split("[:;]", row["Ours"])[0]
    return f"{row['zoo']['success']} of {row['zoo']['n']}, {row['zoo']['verdict']}"


def _explain(name: str, size: str) -> int:
    from embodia import policies
    from embodia.parts.explain import explain_attention

    spec = policies.PolicySpec(name=name, size=size, contract=invent_contract())
    print(explain_attention(policies.make(spec)))
    return 0


def _speed(options: Options) -> int:
    import torch
    from rich.console import Console
    from rich.table import Table

    from embodia import policies
    from embodia.cli.main import print_json
    from embodia.core.config import to_json
    from embodia.evaluation.cards.speed import Power, blank_observation, card_rows, speed_card

    power = Power(watts=options.watts, source="as stated") if options.watts else Power()
    names = policies.FOLDER.names() if options.speed == "all" else (options.speed,)
    cards, shown = {}, Table(box=None, show_header=False, padding=(0, 1))
    for name in names:
        spec = policies.PolicySpec(name=name, size=options.size, contract=invent_contract(options.pixels))
        policy = policies.make(spec, seed=0)
        seen = blank_observation(policy.contract, policy.history)
        rng = torch.Generator().manual_seed(0)
        cards[name] = speed_card(policy, seen, decisions=options.decisions, power=power, rng=rng)
        for number, (fact, text) in enumerate(card_rows(cards[name])):
            shown.add_row("" if number else f"[bold]{name}[/] {options.size}", fact, text)
        shown.add_row()
    if options.json:
        print_json(to_json(cards))
    else:
        Console().print(shown)
    return 0


def _offline_check(options: Options) -> int:
    from embodia import policies

    failed = 0
    for name in policies.FOLDER.names():
        spec = policies.PolicySpec(name=name, size=options.size, contract=invent_contract())
        try:
            with no_network():
                policies.make(spec)
            print(f"ok      {name}")
        except (EmbodiaError, OSError) as error:
            failed += 1
            print(f"FAILED  {name}: {error}")
    return int(failed > 0)


@contextmanager
def no_network() -> Iterator[None]:
    """Every attempt to open a connection raises OSError while this is entered."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError("network access while building a policy")

    kept = socket.socket.connect, socket.getaddrinfo
    socket.socket.connect, socket.getaddrinfo = refuse, refuse  # type: ignore[method-assign]
    try:
        yield
    finally:
        socket.socket.connect, socket.getaddrinfo = kept  # type: ignore[method-assign]

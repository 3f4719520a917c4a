"""The designs: sizes, parameters, published and own numbers; who attends to whom; whether they build offline.

Parameter counts come from building each design on torch's meta device: exact, and free of memory.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from embodia.cli.papers import headers
from embodia.core.errors import EmbodiaError
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart

EXAMPLES = (
    "embodia policies",
    "embodia policies --explain pi0",
    "embodia policies --offline-check",
    "embodia policies --speed act --size tiny",
    "embodia policies --speed all --json",
    "embodia policies --json",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Flags of `embodia policies`."""

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
    rows = list(table())
    if options.json:
        from embodia.cli.main import print_json

        print_json(rows)
    else:
        _print_table(rows)
    return 0


def example_contract(size: int = 64) -> Contract:
    """The contract that designs are counted and explained with: one 14-joint body, one `size` x `size` camera."""
    joints = ActionPart(name="joint", dim=14, representation="joint_position", units="rad", low=-3.2, high=3.2)
    return Contract(
        observation=ObservationSpec(
            cameras=(CameraSpec(name="top", height=size, width=size),),
            state=(StatePart(name="joint", dim=14, units="rad"),),
            rate_hz=50.0,
        ),
        action=ActionSpec(parts=(joints,), rate_hz=50.0),
        embodiment="example",
    )


def table() -> Iterator[dict[str, Any]]:
    """One row a design: header fields and the parameter count of each size."""
    import torch

    from embodia import policies
    from embodia.parts.compose import parameter_count

    for header in headers():
        if header.folder != "policies":
            continue
        counts = {}
        for size in policies.SIZES:
            spec = policies.PolicySpec(name=header.name, size=size, contract=example_contract(224))
            with torch.device("meta"):
                counts[size] = parameter_count(policies.make(spec))
        yield {"name": header.name, "path": header.path, "parameters": counts, **header.fields}


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    shown = Table(box=None, show_header=False, padding=(0, 1))
    for row in rows:
        counts = "  ".join(f"{size} {count / 1e6:,.1f} M" for size, count in row["parameters"].items())
        shown.add_row(f"[bold]{row['name']}[/]", "title", f"{row['Title']} ({row['Year']}, {row['Source']})")
        shown.add_row("", "size", counts)
        for name, field in (("parts", "Composition"), ("published", "Published"), ("ours", "Ours")):
            shown.add_row("", name, row[field].replace("[", r"\["))
        shown.add_row()
    Console().print(shown)


def _explain(name: str, size: str) -> int:
    from embodia import policies
    from embodia.parts.explain import explain_attention

    spec = policies.PolicySpec(name=name, size=size, contract=example_contract())
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
        spec = policies.PolicySpec(name=name, size=options.size, contract=example_contract(options.pixels))
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
        spec = policies.PolicySpec(name=name, size=options.size, contract=example_contract())
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

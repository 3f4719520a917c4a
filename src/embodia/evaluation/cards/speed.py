"""The speed card: how fast a policy decides, and what a decision costs in memory, tokens, arithmetic and energy.

Latency is taken decision by decision, the batch is one robot. Watch out for the energy: nothing is measured there, it
is the time multiplied by a power that the caller states, and the card repeats that assumption beside the number.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from embodia.core.clock import Clock, SystemClock
from embodia.core.errors import ConfigError
from embodia.core.protocols import Policy
from embodia.core.specs import Contract
from embodia.core.types import Observation


@dataclass(frozen=True, kw_only=True)
class Power:
    """The power that a decision is assumed to draw, and where the number comes from."""

    watts: float = 10.0
    source: str = "assumed for one busy processor core"


@dataclass(frozen=True, kw_only=True)
class SpeedCard:
    """Costs of one decision of one robot.

    latency_s        "mean", "p50", "p90", "p99" of `decisions` decisions, after `warmup` that do not count
    decisions_hz     decisions one after the other in a second
    actions_hz       actions a second when `execute` of every chunk are carried out before the next decision
    realtime         whether p99 of a decision is shorter than what `execute` actions last at the contract's rate
    parameters, parameter_bytes   of the network; 0 for a policy that is none
    peak_bytes       largest memory of the process, or of the accelerator where it runs on one
    tokens           token group -> tokens that the decoder sees; empty where a policy has no groups
    flops            floating-point operations of a decision, counted; None where they cannot be
    joules           mean latency times the stated power
    """

    latency_s: Mapping[str, float]
    decisions: int
    decisions_hz: float
    actions_hz: float
    execute: int
    rate_hz: float
    realtime: bool
    parameters: int
    parameter_bytes: int
    peak_bytes: int
    tokens: Mapping[str, int]
    flops: int | None
    joules: float
    power: Power
    device: str


def speed_card(
    policy: Policy,
    observation: Observation,
    *,
    decisions: int = 50,
    warmup: int = 5,
    execute: int = 0,
    power: Power | None = None,
    rng: Any = None,
    clock: Clock | None = None,
) -> SpeedCard:
    """Time `decisions` decisions on one observation (batch 1) and add up what a decision costs.

    `execute` 0 carries out what the policy's own inference settings say, or the whole chunk. Every decision starts
    from the carry of the one before. Raises `ConfigError` for a batch that is not one robot.
    """
    if observation.batch_size != 1 or decisions < 1:
        raise ConfigError("the speed of one robot is measured, over one decision at least", leaf="observation")
    seconds, emitted = _timed(policy, observation, decisions, warmup, rng, clock or SystemClock())
    habit = getattr(getattr(policy, "inference", None), "execute", None)
    done = min(execute or habit or emitted, emitted)
    rate_hz, stated = policy.contract.action.rate_hz, power or Power()
    latency = {f"p{q}": float(np.percentile(seconds, q)) for q in (50, 90, 99)}
    mean = max(float(np.mean(seconds)), 1e-9)
    return SpeedCard(
        latency_s={"mean": mean, **latency},
        decisions=decisions,
        decisions_hz=1 / mean,
        actions_hz=done / mean,
        execute=done,
        rate_hz=rate_hz,
        realtime=latency["p99"] < done / rate_hz,
        tokens=_tokens(policy, observation),
        flops=_flops(policy, observation, rng),
        joules=mean * stated.watts,
        power=stated,
        **_size(policy),
    )


def blank_observation(contract: Contract, history: int = 1) -> Observation:
    """One observation of a contract's shape: grey pictures, zero state, a sentence where language is asked for."""
    seen = contract.observation
    return Observation(
        images={c.name: np.full((1, history, c.height, c.width, 3), 128, dtype=np.uint8) for c in seen.cameras},
        state=np.zeros((1, history, seen.state_dim), dtype=np.float32) if seen.state_dim else None,
        instruction=("pick up the red block and put it into the bowl",) if seen.language else (),
        embodiment=contract.embodiment,
        time_s=np.zeros((1, history)),
    ).with_senses({sense: np.zeros((1, history, *sense.shape), dtype=np.float32) for sense in seen.senses})


def card_rows(card: SpeedCard) -> list[tuple[str, str]]:
    """The card for people, as (name, text)."""
    ms = {name: 1e3 * value for name, value in card.latency_s.items()}
    seen = ", ".join(f"{name} {count}" for name, count in card.tokens.items()) or "not counted"
    verdict = "keeps up" if card.realtime else "does not keep up"
    return [
        ("decision", f"p50 {ms['p50']:.1f} ms, p99 {ms['p99']:.1f} ms (n = {card.decisions}, {card.device})"),
        ("rate", f"{card.decisions_hz:.1f} decisions/s, {card.actions_hz:.0f} actions/s at {card.execute} a decision"),
        ("real time", f"{verdict} with {card.rate_hz:g} Hz control (p99 against {card.execute} actions)"),
        ("network", f"{card.parameters / 1e6:,.1f} M parameters, {card.parameter_bytes / 2**20:,.0f} MiB"),
        ("peak memory", f"{card.peak_bytes / 2**20:,.0f} MiB"),
        ("tokens", seen),
        ("arithmetic", f"{card.flops / 1e9:,.2f} GFLOP a decision" if card.flops else "not counted"),
        ("energy", f"{card.joules:.2g} J a decision ({card.power.watts:g} W, {card.power.source})"),
    ]


def _timed(
    policy: Policy, observation: Observation, decisions: int, warmup: int, rng: Any, clock: Clock
) -> tuple[list[float], int]:
    carry, seconds, emitted = None, [], 1
    for _ in range(warmup + decisions):
        start = clock.now_s()
        chunk, carry = policy.act(observation, carry, rng)
        _wait(policy)
        seconds.append(clock.now_s() - start)
        emitted = chunk.actions.shape[1]
    return seconds[warmup:], emitted


def _device(policy: Policy) -> Any:
    """The torch device of a network's first parameter, or None."""
    parameters = getattr(policy, "parameters", None)
    first = next(iter(parameters()), None) if callable(parameters) else None
    return None if first is None else first.device


def _wait(policy: Policy) -> None:
    device = _device(policy)
    if device is not None and device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)


def _size(policy: Policy) -> dict[str, Any]:
    """Parameters, their bytes, peak memory and the name of the device."""
    device = _device(policy)
    found = list(policy.parameters()) if device is not None else []  # type: ignore[attr-defined]
    size = {
        "parameters": sum(p.numel() for p in found),
        "parameter_bytes": sum(p.numel() * p.element_size() for p in found),
    }
    if device is not None and device.type == "cuda":
        import torch

        peak, name = torch.cuda.max_memory_allocated(device), torch.cuda.get_device_name(device)
        return {**size, "peak_bytes": int(peak), "device": name}
    unit = 1 if sys.platform == "darwin" else 1024
    return {**size, "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit, "device": "cpu"}


def _tokens(policy: Policy, observation: Observation) -> dict[str, int]:
    context = getattr(policy, "context", None)
    if context is None:
        return {}
    import torch

    with torch.no_grad():
        return {name: int(group.tokens.shape[1]) for name, group in context(observation).groups.items()}


def _flops(policy: Policy, observation: Observation, rng: Any) -> int | None:
    if _device(policy) is None:
        return None
    from torch.utils.flop_counter import FlopCounterMode

    learning = [item for item in policy.parameters() if item.requires_grad]  # type: ignore[attr-defined]
    try:
        for item in learning:  # the counter hooks inputs that learn, and a bare parameter has nothing to hook
            item.requires_grad_(False)
        with FlopCounterMode(display=False) as counter:
            policy.act(observation, None, rng)
    finally:
        for item in learning:
            item.requires_grad_(True)
    return int(counter.get_total_flops())

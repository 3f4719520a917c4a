"""Train every design's tiny size on two equally good routes and look which of them drive through the middle.

Run: `python benchmarks/multimodality.py`; writes results/multimodality.json; a quarter of an hour on one core.
Regression stands there with squared error, with absolute error, and with the latent of ACT, whose decisions use the
mean of the prior and whose draws use the prior.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track

from embodia import policies
from embodia.core.seeds import derive_seed, generator
from embodia.evaluation.cards.modes import CONTRACT, card_of, demonstrations, detour_statistics, mode_card, observations
from embodia.evaluation.facts import run_facts
from embodia.evaluation.results import read_result, write_result
from embodia.evaluation.statistics import Rate
from embodia.evaluation.summary import rate_entry
from embodia.parts.compose import Composition
from embodia.parts.decoders.regression import ChunkRegression

LEARNING_RATE, BATCH = 1e-3, 32


def design(name: str, seed: int, **changes: Any) -> Composition:
    """A design in its tiny size for the detour, with random weights."""
    config = replace(policies.FOLDER.load(name).preset("tiny"), **changes)
    spec = policies.PolicySpec(name=name, size="tiny", contract=CONTRACT, config=config)
    return policies.make(spec, detour_statistics(), seed)


def regression(error: str) -> Callable[[int], Composition]:
    """ACT without its latent: plain regression with this error."""

    def build(seed: int) -> Composition:
        policy = design("act", seed, posterior_layers=0)
        assert isinstance(policy.decoder, ChunkRegression)
        policy.decoder.config = replace(policy.decoder.config, error=error)
        return policy

    return build


def subjects() -> dict[str, Callable[[int], Composition]]:
    """What is trained: two plain regressions, ACT with a latent that is allowed to speak, every design by its name."""
    named = {name: lambda seed, name=name: design(name, seed) for name in policies.FOLDER.names()}
    plain = {"regression_l2": regression("l2"), "regression_l1": regression("l1")}
    return {**plain, "act, KL weight 0.1": lambda seed: design("act", seed, kl_weight=0.1), **named}


def train(policy: Composition, steps: int, seed: int, what: str) -> float:
    """AdamW on fresh demonstrations with a cosine schedule; the mean loss of the last tenth of the steps."""
    rng, draws = generator(seed, "detour"), torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(policy.parameters(), lr=LEARNING_RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    losses = []
    policy.train()
    for _ in track(range(steps), what):
        batch = demonstrations(rng, BATCH, policy.contract.action.chunk, len(policy.ahead)).map(torch.as_tensor)
        loss, _ = policy.loss(batch, draws)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
    policy.eval()
    return float(np.mean(losses[-max(1, steps // 10) :]))


def judge(build: Callable[[int], Composition], steps: int, seed: int, what: str) -> dict[str, Any]:
    """Train and card of one subject; with a latent also the card of chunks drawn from its prior."""
    policy = build(derive_seed(seed, "weights"))
    started = time.process_time()
    loss = train(policy, steps, seed, what)
    rng = torch.Generator().manual_seed(seed)
    card = {**mode_card(policy, rng), "loss": loss, "steps": steps, "cpu_seconds": time.process_time() - started}
    if policy.latent is not None:
        with torch.no_grad():
            drawn = policy.sample(observations(np.random.default_rng(seed), 400), rng, n=2)[:, 1]
        card["drawn"] = card_of(drawn.numpy())
    return card


def main() -> None:
    """Train and judge all subjects, or those named; cards of the others are kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--out", type=Path, default=Path("results/multimodality.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    cards = read_result(options.out)["cards"] if options.only and options.out.exists() else {}
    for name, build in subjects().items():
        if not options.only or name in options.only:
            cards[name] = judge(build, options.steps, options.seed, name)
            if "drawn" in cards[name]:
                cards[f"{name}, latent drawn"] = cards[name].pop("drawn")
            store(options.out, cards, options.seed)


def store(out: Path, cards: dict[str, Any], seed: int) -> None:
    """Write the result of all cards so far."""
    clean = {name: _avoids(card) for name, card in cards.items()}
    heads = [clean[name] for name, build in subjects().items() if name in clean and not _regresses(build)]
    total = Rate(successes=sum(round(c["success_rate"] * c["n"]) for c in heads), n=sum(c["n"] for c in heads))
    expert = demonstrations(generator(seed, "expert"), 400, 16)
    controls = {"expert": _avoids(card_of(expert.chunk.actions)), "regression_l2": clean.get("regression_l2")}
    report = {
        **rate_entry(total),
        "controls": {name: entry for name, entry in controls.items() if entry},
        "per_task": clean,
        "seconds": sum(card.get("cpu_seconds", 0.0) for card in cards.values()),
        "seed": seed,
        "notes": [
            "A success is a chunk that passes beside the obstacle; success_rate: diffusion and flow heads together.",
            "Under the absolute error any path between the two routes is optimal, so regression_l1 may fall anywhere.",
            "seconds are processor seconds; one decision from each of 400 starts that were not trained on. Subjects "
            "may have been trained in separate runs (--only, --steps); each card says for how many steps.",
        ],
        **run_facts("python benchmarks/multimodality.py"),
    }
    write_result(out, report, cards=cards)


def _regresses(build: Callable[[int], Composition]) -> bool:
    return isinstance(build(0).decoder, ChunkRegression)


def _avoids(card: dict[str, Any]) -> dict[str, Any]:
    middle = card["middle"]
    n = middle["n"]
    return rate_entry(Rate(successes=n - round(middle["success_rate"] * n), n=n))


if __name__ == "__main__":
    main()

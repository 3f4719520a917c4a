"""What the training loop costs beyond the network: CPU milliseconds a step of the loop, and of the same steps by hand.

`python benchmarks/bench_train.py --steps 60` trains ACT tiny on invented batches, alternating the bare steps (loss,
backward, clip, AdamW) with the whole loop (feed, seeds, averages, watch on the loss), and prints one JSON line.
CPU time of the process is compared, so that other jobs on the machine matter less; the median of the rounds counts.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch
from torch import nn

from embodia.core.invent import invent_batch
from embodia.core.provenance import Provenance
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.core.types import Batch
from embodia.policies import PolicySpec, complete, make
from embodia.training import optim
from embodia.training.checkpoint import Card
from embodia.training.config import TrainConfig
from embodia.training.factories import Factories
from embodia.training.feed import to_torch
from embodia.training.loop import fit

CPU = torch.device("cpu")
CONTRACT = Contract(
    observation=ObservationSpec(
        cameras=(CameraSpec(name="front", height=64, width=64), CameraSpec(name="wrist", height=64, width=64)),
        state=(StatePart(name="joints", dim=4),),
        rate_hz=10.0,
        language=False,
    ),
    action=ActionSpec(parts=(ActionPart(name="joints", dim=4, representation="joint_delta"),), rate_hz=10.0),
    embodiment="invented",
)


def bare(policy: nn.Module, config: TrainConfig, batches: list[Batch]) -> float:
    """CPU seconds of the steps written out by hand."""
    optimizer = optim.build(policy, config)
    parameters = list(optim.trainable(policy).values())
    rng = torch.Generator()
    began_s = time.process_time()
    for step in range(config.steps or 0):
        loss, _ = policy.loss(batches[step % len(batches)], rng)  # type: ignore[operator]
        loss.backward()
        optim.clip(parameters, config.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return time.process_time() - began_s


def looped(factories: Factories, config: TrainConfig) -> float:
    """CPU seconds of the loop over the same number of steps, without its start and its last checkpoint."""
    marks: list[float] = []

    def note(text: str, done: int, total: int) -> None:
        marks.append(time.process_time())

    class EachStep:
        """A clock on which every step takes a second, so that progress is told at each."""

        ticks = 0.0

        def now_s(self) -> float:
            self.ticks += 1.0
            return self.ticks

        def sleep(self, seconds: float) -> None:
            self.ticks += seconds

    with tempfile.TemporaryDirectory() as folder:
        fit(config, factories, Path(folder), note, EachStep())
    return (marks[-1] - marks[0]) / (len(marks) - 1) * (config.steps or 0)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    config = TrainConfig(
        steps=options.steps,
        batch_size=options.batch_size,
        precision="fp32",
        save_every=10**6,
        validate_every=10**6,
        tensorboard=False,
    )
    spec = complete(PolicySpec(name="act", size="tiny", contract=CONTRACT))
    policy = make(spec, seed=0)
    invented = [
        invent_batch(policy.contract, options.batch_size, seed=seed, ahead=len(policy.ahead)) for seed in range(4)
    ]
    card = Card(policy=spec, provenance=Provenance(environment="none", profile="none", cameras=()), statistics=None)
    factories = Factories(
        policy=lambda: make(spec, seed=0),
        batches=lambda first, rank, world_size: itertools.islice(itertools.cycle(invented), first, None),
        describe=str,
        card=card,
    )
    ready = [to_torch(batch, CPU) for batch in invented]
    pairs = [(bare(make(spec, seed=0), config, ready), looped(factories, config)) for _ in range(options.rounds)]
    by_hand, loop = (1e3 * statistics.median(column) / options.steps for column in zip(*pairs, strict=True))
    extra = 1e3 * statistics.median(b - a for a, b in pairs) / options.steps
    found = {"by_hand_ms": round(by_hand, 3), "loop_ms": round(loop, 3), "extra_ms": round(extra, 3)}
    print(json.dumps({**found, "steps": options.steps, "batch_size": options.batch_size, "rounds": options.rounds}))


if __name__ == "__main__":
    main()

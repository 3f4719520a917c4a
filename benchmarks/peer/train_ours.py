"""Our side of the comparison, a process of its own so that its cost can be counted: `train_ours.py DESIGN DATA OUT`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch
from contenders import BATCH, CHUNK, LEARNING_RATE, SAMPLES

from embodia.cli.datasets import open_mixture
from embodia.policies import PolicySpec, act, diffusion_policy
from embodia.training.config import TrainConfig
from embodia.training.loop import train

CONFIGS = {
    "act": replace(act.preset("tiny"), posterior_layers=0, chunk=CHUNK),
    "diffusion_policy": replace(diffusion_policy.preset("tiny"), chunk=2 * CHUNK),
}


def main(design: str, data: str, out: str, samples: str = str(SAMPLES)) -> None:
    """Train; the run lies in OUT."""
    torch.set_num_threads(1)
    mixture = open_mixture([Path(data)])
    spec = PolicySpec(name=design, size="tiny", contract=mixture.contract, config=CONFIGS[design])
    config = TrainConfig(
        samples=int(samples),
        batch_size=BATCH,
        learning_rate=LEARNING_RATE,
        ema_decay=0.98,
        validation_fraction=0.0,
        tensorboard=False,
    )
    train(config, spec, mixture, Path(out))


if __name__ == "__main__":
    main(*sys.argv[1:])

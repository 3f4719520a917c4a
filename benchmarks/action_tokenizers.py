"""What action tokenizers cost and lose on the same seconds of smooth movement, sampled at 5, 20 and 50 Hz.

Run: `python benchmarks/action_tokenizers.py`; writes results/action_tokenizers.json; two minutes on one core. Movements
are sums of slow sine waves in four dimensions, 600 to fit on and 300 others to measure; errors are over values within
-1..1.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from embodia.core.protocols import Fitted
from embodia.evaluation.facts import run_facts
from embodia.io.atomic import write_json
from embodia.parts.tokenizers.fast import FastTokenizer
from embodia.parts.tokenizers.grid import GridGroup, GridTokenizer
from embodia.parts.tokenizers.kmeans import KMeansTokenizer
from embodia.parts.tokenizers.motion import MotionTokenizer
from embodia.parts.tokenizers.numbers import NumberTokenizer
from embodia.parts.tokenizers.rvq import ResidualConfig, ResidualTokenizer
from embodia.parts.tokenizers.uniform import MuLawTokenizer, UniformTokenizer

RATES_HZ, DIM = (5, 20, 50), 4


def movements(count: int, rate_hz: int, seed: int) -> Tensor:
    """(count, rate, 4): one second each; the same seed gives the same movements at every rate."""
    rng = np.random.default_rng(seed)
    shape = (count, 1, DIM, 3)
    frequency, phase = rng.uniform(0.1, 1.5, shape), rng.uniform(0, 2 * np.pi, shape)
    size = rng.normal(size=shape) / frequency
    clock = np.arange(rate_hz)[None, :, None, None] / rate_hz
    wave = (size * np.sin(2 * np.pi * frequency * clock + phase)).sum(-1)
    return torch.from_numpy(wave / 25).float().clamp(-1, 1)


def tokenizers(rate_hz: int) -> dict[str, nn.Module]:
    """Every tokenizer of chunks, for one second."""
    torch.manual_seed(0)
    groups = (GridGroup(name="a", first=0, bins=(16, 32, 8), spherical=True), GridGroup(name="b", first=3, bins=(16,)))
    return {
        "uniform, 256 bins": UniformTokenizer(rate_hz, DIM),
        "mu-law, 1024 bins": MuLawTokenizer(rate_hz, DIM),
        "grid, 4096 + 16 cells": GridTokenizer(rate_hz, DIM, groups),
        "k-means, 64 clusters": KMeansTokenizer(rate_hz, DIM, 64),
        "residual VQ, 2 x 16": ResidualTokenizer(rate_hz, DIM),
        "residual VQ, 4 x 64": ResidualTokenizer(rate_hz, DIM, ResidualConfig(levels=4, codes=64)),
        "motion, 2 parts": MotionTokenizer(rate_hz, {"a": (0, 1), "b": (2, 3)}, window=5),
        "FAST, symbols": FastTokenizer(rate_hz, DIM),
        "FAST, bytes": FastTokenizer(rate_hz, DIM, alphabet="bytes", length=2 * DIM * rate_hz),
        "numbers, 2 digits": NumberTokenizer(rate_hz, DIM),
    }


def measure(tokenizer: Any, rate_hz: int) -> dict[str, float]:
    """Tokens and bits a second, errors, and milliseconds to encode and decode one chunk."""
    if isinstance(tokenizer, Fitted):
        tokenizer.fit(movements(600, rate_hz, 0))
    actions = movements(300, rate_hz, 1)
    begun = time.perf_counter()
    ids = tokenizer.encode(actions)
    error = tokenizer.decode(ids) - actions
    spent = time.perf_counter() - begun
    tokens = (ids >= 0).sum(1).float().mean().item()
    counts = torch.bincount(ids[ids >= 0], minlength=tokenizer.vocabulary).double()
    share = counts[counts > 0] / counts.sum()
    return {
        "tokens_per_second": tokens,
        "bits_per_second": tokens * math.log2(tokenizer.vocabulary),
        "entropy_bits_per_second": tokens * float(-(share * share.log2()).sum()),
        "rms_error": error.square().mean().sqrt().item(),
        "largest_error": error.abs().max().item(),
        "milliseconds_a_chunk": 1000 * spent / len(actions),
    }


def main() -> None:
    """Measure all and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/action_tokenizers.json"))
    out = parser.parse_args().out
    torch.set_num_threads(1)
    found: dict[str, dict[str, Any]] = {}
    for rate_hz in RATES_HZ:
        for name, tokenizer in tokenizers(rate_hz).items():
            numbers = {key: round(value, 5) for key, value in measure(tokenizer, rate_hz).items()}
            found.setdefault(name, {})[f"{rate_hz} Hz"] = numbers
            print(rate_hz, name, numbers, flush=True)
    facts = run_facts("python benchmarks/action_tokenizers.py")
    write_json(out, {"tokenizers": found, "dimensions": DIM, "fitted": 600, "measured": 300, "seed": 0, **facts})


if __name__ == "__main__":
    main()

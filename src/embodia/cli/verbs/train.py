"""Train a policy on one or more data sets; the same command goes on where it was stopped.

What each flag of the run means stands in `embodia.training.config.TrainConfig`. Under `torchrun` it is spread over the
processes (DDP; `--parallel fsdp` shards weights too).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from embodia.core.errors import ConfigError
from embodia.training.config import TrainConfig

if TYPE_CHECKING:
    from embodia.core.specs import Contract
    from embodia.policies import PolicySpec

EXAMPLES = (
    "embodia train --policy act --size tiny --data data/doors --out runs/doors --samples 100000",
    "embodia train --policy pi0 --data data/a data/b --ratios 3 1 --out runs/mixed --max-seconds 600",
    "embodia train --policy pi0 --data data/told data/told?vqa --ratios 4 1 --out runs/told --samples 100000",
    "embodia train --weights-from runs/doors --data data/kitchen --out runs/kitchen --samples 20000",
    "embodia train --weights-from imported/pi0 --lora backbone --data data/doors --out runs/tuned --samples 20000",
    "torchrun --nproc-per-node 2 -m embodia.cli train --policy act --data data/doors --out runs/two --steps 1000",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Flags of `embodia train`."""

    data: tuple[Path, ...]
    """Folders of data sets; FOLDER?KIND takes the questions of that kind and their answers, without actions."""
    out: Path
    """Folder of the run: checkpoints/, metrics.jsonl, TensorBoard files."""
    policy: str = ""
    """Design, see `embodia policies`; empty: that of --weights-from, else act."""
    size: str = ""
    """tiny, small or paper; empty: that of --weights-from, else tiny."""
    ratios: tuple[float, ...] = ()
    """How often samples come from each data set; empty: by its number of frames."""
    config: Annotated[TrainConfig, tyro.conf.OmitArgPrefixes]
    """The run."""


def run(options: Options) -> int:
    """Train, with a progress bar, and say where the checkpoint lies."""
    from embodia.cli.datasets import open_mixture
    from embodia.cli.progress import ProgressBar
    from embodia.training.loop import train

    mixture = open_mixture(options.data, options.ratios)
    spec = _spec(options, mixture.contract)
    with ProgressBar() as progress:
        result = train(
            options.config,
            spec,
            mixture,
            options.out,
            progress=lambda text, done, total: progress(f"train | {text}", done, total),
        )
    loss = "" if result.best_loss is None else f", best validation loss {result.best_loss:.4f}"
    if os.environ.get("RANK", "0") == "0":
        print(f"{result.steps} steps, {result.samples} samples in {result.seconds:.0f} s{loss}: {result.best}")
    return 0


def _spec(options: Options, contract: Contract) -> PolicySpec:
    """The design that was asked for, on the body of the data; one that goes on from weights is built as they were."""
    from embodia.policies import PolicySpec
    from embodia.training.checkpoint import read_card

    if not options.config.weights_from:
        return PolicySpec(name=options.policy or "act", size=options.size or "tiny", contract=contract)
    trained = read_card(Path(options.config.weights_from)).policy
    for leaf, asked, there in (("policy", options.policy, trained.name), ("size", options.size, trained.size)):
        if asked not in ("", there):
            raise ConfigError(f"asked for {asked!r}, the weights are of {there!r}", leaf=leaf, cure=f"Drop --{leaf}.")
    return replace(trained, contract=contract)

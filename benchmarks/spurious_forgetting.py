"""What training on actions does to words: one policy learns to answer, then to act, alone or beside the questions.

Run: `python benchmarks/spurious_forgetting.py --data DATA --out runs/forgetting`, where DATA was collected with
`--answers`; writes results/spurious_forgetting.json. Four stages of the same number of samples from the same data:
`words` (questions alone), then from there `acts` (actions alone) and `both` (three actions to a question), and `again`:
a tenth of the samples of questions after `acts`. What comes back that fast was not gone, only out of reach. All are
asked the same questions, about episodes that none was trained on.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from embodia.cli.progress import ProgressBar
from embodia.core.clock import SystemClock
from embodia.data.dataset import Dataset
from embodia.data.mixture import Mixture
from embodia.evaluation.facts import run_facts
from embodia.evaluation.language import Answered, answer, forgetting_entry
from embodia.evaluation.results import write_result
from embodia.evaluation.summary import rate_entry
from embodia.policies import FOLDER, PolicySpec
from embodia.training.checkpoint import load_policy
from embodia.training.config import TrainConfig
from embodia.training.loop import fit
from embodia.training.sources import from_mixture

KIND, SHARE, TENTH = "vqa", (3.0, 1.0), 10
STAGES = {"words": "", "acts": "words", "both": "words", "again": "acts"}
"""Stage -> the one that it begins from."""


def main() -> None:
    """All stages in one folder; each goes on where it was stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/forgetting"))
    parser.add_argument("--result", type=Path, default=Path("results/spurious_forgetting.json"))
    parser.add_argument("--policy", default="ecot")
    parser.add_argument("--samples", type=int, default=12_000)
    parser.add_argument("--frames", type=int, default=300)
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    clock = SystemClock()
    began_s = clock.now_s()
    whole = Dataset.open(options.data)
    train, held = Mixture([(whole, 1.0)]).split(0, 0.1)
    assert held is not None
    asked = held.datasets[0].asking(KIND)
    found: dict[str, Answered] = {}
    with ProgressBar() as progress:
        for stage, source in STAGES.items():
            policy = _stage(stage, options.out / source if source else None, train.datasets[0], options, progress)
            rng = torch.Generator().manual_seed(0)
            found[stage] = answer(policy, asked, frames=options.frames, rng=rng, progress=progress)
    _write(options, found, clock.now_s() - began_s)


def _stage(name: str, source: Path | None, data: Dataset, options: Any, progress: ProgressBar) -> Any:
    """The policy after a stage."""
    parts = {"acts": [(data, 1.0)], "both": [(data, SHARE[0]), (data.asking(KIND), SHARE[1])]}
    mixture = Mixture(parts.get(name, [(data.asking(KIND), 1.0)]))
    samples = max(1, options.samples // (TENTH if name == "again" else 1))
    config = TrainConfig(
        samples=samples, batch_size=32, learning_rate=1e-3, ema_decay=0.99, validation_fraction=0.0, tensorboard=False
    )
    module = FOLDER.load(options.policy)
    preset = replace(module.preset("tiny"), answers="")
    spec = PolicySpec(name=options.policy, size="tiny", contract=data.contract, config=preset)
    factories = from_mixture(config, spec, mixture)
    if source is not None:
        factories = replace(factories, policy=lambda: load_policy(source)[0].train())

    def tell(text: str, done: int, total: int) -> None:
        progress(f"{name} | {text}", done, total)

    result = fit(config, factories, options.out / name, tell)
    return load_policy(result.latest)[0]


def _write(options: Any, found: dict[str, Answered], seconds: float) -> None:
    after = found["acts"]
    command = f"python benchmarks/spurious_forgetting.py --data DATA --policy {options.policy}"
    changes = {stage: forgetting_entry(found["words"], found[stage]) for stage in ("acts", "both", "again")}
    report = {
        **rate_entry(after.rate),
        "controls": {stage: rate_entry(found[stage].rate) for stage in ("words", "both", "again")},
        "per_task": {},
        "seconds": round(seconds, 1),
        "seed": 0,
        "notes": [f"Right answers after training on actions alone, {options.samples} samples a stage."],
        **run_facts(f"{command} --samples {options.samples}"),
    }
    write_result(options.result, report, changes=changes, policy={"name": options.policy, "size": "tiny"})


if __name__ == "__main__":
    main()

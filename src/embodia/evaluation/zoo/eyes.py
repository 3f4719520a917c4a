"""The eyes that all policies of the zoo begin with, as published designs begin with eyes that were trained before.

Two eyes, the usual one and the quick one of systems at two rates, are taught by ACT on the very same demonstrations,
without anything they do not show. They are taught once for all policies, ACT included. What to watch: call it in one
process before many policies begin, or all of them teach the same eyes.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from embodia.core.clock import ProcessorClock
from embodia.data.dataset import Dataset
from embodia.data.mixture import Mixture
from embodia.envs.rollout import Progress
from embodia.evaluation.zoo.bench import demonstrations
from embodia.evaluation.zoo.protocol import EYES, TEACHER, ZooConfig, eyes_fingerprint, teaching
from embodia.io.atomic import write_json
from embodia.policies import FOLDER, PolicySpec
from embodia.training.loop import fit
from embodia.training.sources import from_mixture

DONE = "taught.json"
"""Stands in the folder of a run whose time is over."""


def taught_eyes(config: ZooConfig, runs: Path, progress: Progress) -> tuple[str, ...]:
    """Folders of the two eyes under `runs`, taught as far as they are missing; none where `config.eye_minutes` is 0.

    Raises what collecting and training raise; a run that was stopped goes on.
    """
    if not config.eye_minutes:
        return ()
    data = demonstrations(config, runs, progress)
    return tuple(str(_taught(kind, config, data, runs, progress)) for kind in EYES)


def _taught(kind: str, config: ZooConfig, data: Path, runs: Path, progress: Progress) -> Path:
    folder, recipe = runs / f"eyes-{eyes_fingerprint(config)}" / kind, teaching(config)
    if not (folder / DONE).exists():
        dataset = Dataset.open(data)
        shape = replace(FOLDER.load(TEACHER).preset("tiny"), vision=EYES[kind])
        spec = PolicySpec(name=TEACHER, size="tiny", contract=dataset.contract, config=shape)

        def tell(text: str, done: int, total: int) -> None:
            progress(f"teach {kind} eyes | {text}", done, total)

        taught = fit(recipe, from_mixture(recipe, spec, Mixture([(dataset, 1.0)])), folder, tell, ProcessorClock())
        write_json(folder / DONE, {"samples": taught.samples, "processor_seconds": taught.seconds})
    return folder

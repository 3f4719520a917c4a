"""From a checkpoint on disk to a report: load, bring into the fast form, play with the controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from embodia.core.provenance import Provenance
from embodia.data.dataset import Dataset
from embodia.envs.rollout import Progress
from embodia.evaluation.plans import EvalConfig
from embodia.evaluation.runner import Subject, evaluate
from embodia.io import manifest
from embodia.nn.packed import pack
from embodia.parts.compose import Composition
from embodia.policies import PolicySpec
from embodia.training.checkpoint import find, load_policy
from embodia.training.metrics import read


def load_acting(checkpoint: Path) -> tuple[Path, Composition, PolicySpec, Provenance]:
    """Where a checkpoint lies, its policy ready to act, what it is, and where its pictures came from.

    Raises what `find` and `load_policy` raise.
    """
    place = find(checkpoint)
    policy, spec, provenance = load_policy(place)
    pack(policy)
    return place, policy, spec, provenance


def judge(
    checkpoint: Path,
    data: Sequence[Path],
    config: EvalConfig,
    out: Path,
    *,
    command: str = "",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Load the policy, play it and its controls, write the report into `out` and return it.

    A call that was cut off is continued by an equal one, arm by arm.
    Where `config.execute` is 0 the policy carries out what its own inference settings say, else its whole chunk.
    Raises what `load_policy`, `Dataset.open` and `evaluate` raise.
    """
    place, policy, spec, provenance = load_acting(checkpoint)
    config = replace(config, execute=config.execute or policy.inference.execute or 0)
    subject = Subject(
        trained=provenance,
        data=tuple(Dataset.open(folder) for folder in data),
        facts={"name": spec.name, "size": spec.size, "checkpoint": place.name},
        metrics=read(place.parent.parent),
        command=command,
        identity=manifest.sha256(place / manifest.NAME),
    )
    return evaluate(policy, config, out, subject=subject, progress=progress)

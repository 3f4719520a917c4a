"""Environments: tasks, sentences, cameras, profiles; and one picture, to see what a policy would see.

Without options it lists the families that are installed. `--task` shows the sentences of one task and which other
tasks can be asked for in its scene.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from embodia.core.errors import MissingExtraError

EXAMPLES = (
    "embodia envs",
    "embodia envs metaworld",
    "embodia envs metaworld --task faucet-open",
    "embodia envs metaworld --task faucet-open --picture faucet.png",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Flags of `embodia envs`."""

    family: Annotated[str, tyro.conf.Positional] = ""
    """Environment family; empty lists all."""
    task: str = ""
    """Show the sentences and scene partners of this task."""
    picture: Path | None = None
    """Write what the cameras see at the start of --task to this PNG."""
    profile: str = "fast"
    """Visual profile of --picture."""
    seed: int = 0
    """Seed of --picture."""
    json: bool = False
    """Print one JSON document."""


def run(options: Options) -> int:
    """Print what was asked for."""
    from embodia.cli.main import print_json

    found = _task(options) if options.task else [_family(name) for name in _names(options.family)]
    if options.json:
        print_json(found)
        return 0
    for entry in [found] if isinstance(found, dict) else found:
        _print(entry)
    return 0


def _names(family: str) -> tuple[str, ...]:
    from embodia.envs import FOLDER

    if family:
        FOLDER.load(family)
        return (family,)
    return FOLDER.names()


def _family(name: str) -> dict[str, Any]:
    from embodia.envs import EnvConfig, make

    try:
        env = make(name, EnvConfig())
    except MissingExtraError as error:
        return {"family": name, "installed": False, "cure": error.cure}
    facts = {
        "family": name,
        "installed": True,
        "embodiment": env.contract.embodiment,
        "rate_hz": env.contract.action.rate_hz,
        "action": list(env.contract.action.dimension_names),
        "cameras": list(env.contract.observation.camera_names),
        "success_rule": env.provenance.success_rule,
        "versions": dict(env.provenance.versions),
        "tasks": list(env.tasks),
    }
    env.close()
    return facts


def _task(options: Options) -> dict[str, Any]:
    from embodia.envs import EnvConfig, make

    env = make(_names(options.family or "metaworld")[0], EnvConfig(profile=options.profile, height=256, width=256))
    facts: dict[str, Any] = {
        "task": options.task,
        "sentences": {
            split: list(env.instructions(options.task, split)) for split in ("canonical", "train", "held_out")
        },
        "same_scene": list(env.scene_partners(options.task)),
    }
    if options.picture is not None:
        env.reset(options.task, options.seed)
        facts["picture"] = str(_save(env.observe().images, options.picture))
    env.close()
    return facts


def _save(images: Any, path: Path) -> Path:
    import io

    import numpy as np
    from PIL import Image

    from embodia.io import atomic

    buffer = io.BytesIO()
    Image.fromarray(np.concatenate([image[0, 0] for image in images.values()], axis=1)).save(buffer, "PNG")
    atomic.write_bytes(path, buffer.getvalue())
    return path


def _print(entry: dict[str, Any]) -> None:
    title = entry.get("family") or entry.get("task")
    print(title if entry.get("installed", True) else f"{title}: not installed. {entry['cure']}")
    for key, value in entry.items():
        if key in ("family", "task", "installed", "cure"):
            continue
        if isinstance(value, dict):
            value = "; ".join(f"{name}: {', '.join(v) if isinstance(v, list) else v}" for name, v in value.items())
        elif isinstance(value, list):
            value = ", ".join(map(str, value)) if len(value) < 60 else f"{len(value)}: {', '.join(value[:50])}, ..."
        print(f"  {key:<13}{value}")

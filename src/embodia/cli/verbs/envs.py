"""Environments: tasks, sentences, cameras, profiles; and one picture, to see what a policy would see.

Without options it lists the families that are installed, and of one with several bodies the contract of each. `--task`
shows the sentences of one task and which other tasks can be asked for in its scene.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from embodia.core.errors import MissingExtraError

if TYPE_CHECKING:
    from embodia.envs.protocol import Env

EXAMPLES = (
    "embodia envs",
    "embodia envs metaworld",
    "embodia envs metaworld --task faucet-open",
    "embodia envs metaworld --task faucet-open --picture faucet.png",
    "embodia envs desk --env-options body=mobile --task navigate/red-mark --picture room.png",
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
    env_options: tuple[str, ...] = ()
    """Options that only one environment knows, as name=value: body=arm6 (desk)."""
    json: bool = False
    """Print one JSON document."""


def run(options: Options) -> int:
    """Print what was asked for."""
    from embodia.cli.main import named_values, print_json

    chosen = named_values(options.env_options)
    found = _task(options, chosen) if options.task else [_family(name, chosen) for name in _names(options.family)]
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


def _family(name: str, chosen: Mapping[str, str]) -> dict[str, Any]:
    from embodia.envs import FOLDER, EnvConfig, make

    try:
        env = make(name, EnvConfig(options=chosen or None))
    except MissingExtraError as error:
        return {"family": name, "installed": False, "cure": error.cure}
    facts = {"family": name, "installed": True, **_contract(env)}
    facts |= {
        "cameras": list(env.contract.observation.camera_names),
        "success_rule": env.provenance.success_rule,
        "versions": dict(env.provenance.versions),
        "tasks": list(env.tasks),
    }
    env.close()
    bodies: tuple[str, ...] = getattr(FOLDER.load(name), "BODY_OPTION", ())
    return facts if chosen or not bodies else facts | {"bodies": {body: _body(name, body) for body in bodies}}


def _body(name: str, body: str) -> dict[str, Any]:
    from embodia.envs import EnvConfig, make

    env = make(name, EnvConfig(options={"body": body}))
    facts = _contract(env) | {"tasks": len(env.tasks)}
    env.close()
    return facts


def _contract(env: Env) -> dict[str, Any]:
    action = env.contract.action
    polarities = sorted({part.polarity for part in action.parts} - {"none"})
    return {
        "embodiment": env.contract.embodiment,
        "rate_hz": action.rate_hz,
        "action": list(action.dimension_names),
        "gripper": polarities[0] if polarities else "none",
        "recorded": "state and actions" if action.recorded else "pictures only",
    }


def _task(options: Options, chosen: Mapping[str, str]) -> dict[str, Any]:
    from embodia.envs import EnvConfig, make

    config = EnvConfig(profile=options.profile, height=256, width=256, options=chosen or None)
    env = make(_names(options.family or "metaworld")[0], config)
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
        if key == "bodies":
            for body, facts in value.items():
                print(f"  {body:<13}{_line(facts)}")
        elif isinstance(value, dict):
            text = "; ".join(f"{name}: {', '.join(v) if isinstance(v, list) else v}" for name, v in value.items())
            print(f"  {key:<13}{text}")
        else:
            print(f"  {key:<13}{_short(value) if isinstance(value, list) else value}")


def _short(values: list[Any]) -> str:
    return ", ".join(map(str, values if len(values) < 60 else [f"{len(values)}: {values[0]}", *values[1:50], "..."]))


def _line(facts: Mapping[str, Any]) -> str:
    numbers = len(facts["action"])
    return (
        f"{facts['rate_hz']:g} Hz, {numbers} numbers an action, gripper {facts['gripper']}, "
        f"records {facts['recorded']}, {facts['tasks']} tasks"
    )

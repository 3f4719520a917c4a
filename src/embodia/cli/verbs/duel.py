"""Two checkpoints on the same scenes, side by side, until an exact sequential test tells them apart.

Clear differences end after a handful of pairs, close ones use up all episodes; either way the chance to name a winner
among equals is at most 5 %. Scenes are those of the data set, or of a published suite.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

if TYPE_CHECKING:
    from embodia.evaluation.duel import Side
    from embodia.evaluation.plans import EvalConfig

EXAMPLES = (
    "embodia duel runs/a runs/b --data data/doors --episodes 50",
    "embodia duel runs/a runs/b --suite metaworld/mt10 --out runs/a_against_b.json",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Flags of `embodia duel`."""

    first: Annotated[Path, tyro.conf.Positional]
    """A checkpoint, or the folder of a run (its best one is taken)."""
    second: Annotated[Path, tyro.conf.Positional]
    """The other one."""
    data: Path | None = None
    """The data set both were trained on: names the environment and checks the seeds."""
    suite: str = ""
    """A published benchmark instead of the data set's environment."""
    episodes: int = 50
    """Pairs of each task, at most."""
    execute: int = 8
    """Actions of a chunk carried out before a policy looks again; 0 is each policy's own habit."""
    horizon: int = 200
    """Control steps of an episode, unless a suite says."""
    slots: int = 8
    """Episodes at once."""
    workers: int = 0
    """Processes; 0 is one a core."""
    seed: int = 0
    """Root of the policies' own randomness and of the order of scenes."""
    out: Path | None = None
    """Also write the outcome with every episode to this JSON file."""
    json: bool = False
    """Print one JSON document."""


def run(options: Options) -> int:
    """Play, with a progress bar, and print the outcome."""
    from embodia.cli.main import print_json
    from embodia.io.atomic import write_json

    found = _duel(options)
    if options.out is not None:
        write_json(options.out, found)
    if options.json:
        print_json(found)
        return 0
    low, high = (100 * end for end in found["interval"])
    print(f"first   {found['first']['text']}\nsecond  {found['second']['text']}")
    print(f"{'*' if found['winner'] else ' '} {found['text']}")
    print(f"  second minus first {100 * found['difference']:+.0f} points ({low:+.0f} to {high:+.0f}, at any time)")
    return 0


def _duel(options: Options) -> dict[str, Any]:
    from embodia.cli.progress import ProgressBar
    from embodia.envs.vector import VectorEnv
    from embodia.evaluation.duel import duel
    from embodia.evaluation.plans import wrap_of

    config = _config(options)
    first, second = _side(options.first, options), _side(options.second, options)
    history = max(int(getattr(side.policy, "history", 1)) for side in (first, second))
    kept = {"slots": config.slots, "workers": config.workers, "history": history}
    with VectorEnv(config.family, config.env, wrap=wrap_of(config), **kept) as vector, ProgressBar() as progress:
        return duel(first, second, config, vector=vector, progress=progress)


def _side(place: Path, options: Options) -> Side:
    from embodia.data.dataset import Dataset
    from embodia.evaluation.checkpoints import load_acting
    from embodia.evaluation.duel import Side
    from embodia.evaluation.runner import Subject

    _, policy, _, provenance = load_acting(place)
    known = [] if options.data is None else [options.data]
    subject = Subject(trained=provenance, data=tuple(Dataset.open(folder) for folder in known))
    return Side(policy=policy, subject=subject, execute=options.execute or policy.inference.execute or 0)


def _config(options: Options) -> EvalConfig:
    from embodia.cli.evaluating import scenes

    config = scenes(options.suite, options.data)
    return replace(
        config,
        env=config.env if options.suite else replace(config.env, horizon=options.horizon),
        episodes=options.episodes,
        control_episodes=0,
        controls=(),
        slots=options.slots,
        workers=options.workers,
        seed=options.seed,
    )

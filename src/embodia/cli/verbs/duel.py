"""Two checkpoints on the same scenes, side by side, until an exact sequential test tells them apart.

Clear differences end after a handful of pairs, close ones use up all episodes; either way the chance to name a winner
among equals is at most 5 %. Scenes are those of the data set, or of a published suite.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from embodia.core.errors import ConfigError

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

    if options.data is None and not options.suite:
        raise ConfigError("the training data or a suite is needed", leaf="data", cure="Add --data or --suite.")
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
    sides = [_side(place, options) for place in (options.first, options.second)]
    history = max(int(getattr(side.policy, "history", 1)) for side in sides)
    kept = {"slots": config.slots, "workers": config.workers, "history": history}
    with VectorEnv(config.family, config.env, wrap=wrap_of(config), **kept) as vector, ProgressBar() as progress:
        return duel(*sides, config, vector=vector, progress=progress)


def _side(place: Path, options: Options) -> Any:
    from embodia.data.dataset import Dataset
    from embodia.evaluation.duel import Side
    from embodia.evaluation.runner import Subject
    from embodia.nn.packed import pack
    from embodia.training.checkpoint import find, load_policy

    policy, _, provenance = load_policy(find(place))
    pack(policy)
    known = [] if options.data is None else [options.data]
    subject = Subject(trained=provenance, data=tuple(Dataset.open(folder) for folder in known))
    return Side(policy=policy, subject=subject, execute=options.execute or policy.inference.execute or 0)


def _config(options: Options) -> Any:
    from embodia.evaluation.plans import EvalConfig
    from embodia.evaluation.suites import load
    from embodia.generate.collect import read_settings

    if options.suite:
        config = load(options.suite).config(episodes=options.episodes, control_episodes=0, controls=())
    else:
        assert options.data is not None
        collected = read_settings(options.data)
        tasks = tuple(task for task in collected.env.tasks if "@" not in task)
        env = replace(collected.env, horizon=options.horizon, tasks=tasks)
        config = EvalConfig(
            family=collected.family, env=env, tasks=tasks, episodes=options.episodes, control_episodes=0, controls=()
        )
    return replace(config, slots=options.slots, workers=options.workers, seed=options.seed)

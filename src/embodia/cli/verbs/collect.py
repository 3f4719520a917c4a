"""Demonstrations by a benchmark's experts, or failures, random motion, play: parallel, resumable.

The same command goes on where it was stopped. The data set opens in LeRobot's own reader too; evaluate on other seeds
than those collected here (the evaluator checks it).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

EXAMPLES = (
    "embodia collect --tasks door-lock door-unlock --episodes 20 --out data/doors",
    "embodia collect --tasks reach push --env-options marks=neutral --cameras right left --out data/table",
    "embodia collect --family desk --tasks reach/red-cube push/red-cube/left --size 64 --out data/desk",
    "embodia collect --family desk --env-options body=arm6 --out data/arm6",
    "embodia collect --family desk --answers --tasks place/red-cube/bowl --out data/told",
    "embodia collect --family desk --mode play --limit 600 --episodes 100 --out data/play",
    "embodia collect --tasks door-lock --novice runs/doors --after 20 150 --episodes 20 --out data/recoveries",
    "embodia collect --family desk --mode failing --tasks place/red-cube/bowl --out data/failures",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Flags of `embodia collect`."""

    out: Path
    """Folder of the data set."""
    tasks: tuple[str, ...] = ()
    """Tasks, or task@scene; empty collects all that have an expert."""
    family: str = "metaworld"
    """Environment family."""
    mode: Literal["expert", "failing", "random", "play"] = "expert"
    """Demonstrations, failures (labelled as such), random motion, or play without sentences (chainable families)."""
    style: str = ""
    """How experts move, where a family has styles (desk: direct, left_route, right_route, two_routes, sloppy)."""
    actions: bool = True
    """Record actions; without them the set is for learning from video."""
    answers: bool = False
    """Add texts to every frame, where the family has a labeller (desk): sub-task, plan, reasoning, questions."""
    novice: str = ""
    """A run or checkpoint that acts first: the expert takes over from where it got to, and only that is recorded."""
    after: tuple[int, int] = (20, 200)
    """Fewest and most control steps before the expert takes over, drawn for each episode."""
    execute: int = 8
    """Actions of a chunk carried out before the novice looks again; 0 is all of them."""
    episodes: int = 40
    """Episodes of each task, of demonstrations only successful ones; of play, episodes in all."""
    first_seed: int = 0
    """Seed of the first attempt of each task."""
    noise: float = 0.0
    """Share of episodes whose actions are disturbed while the expert's own answer is recorded (DART)."""
    pictures_every: int = 1
    """Draw pictures at every so many-th control step only; training then uses those frames."""
    cameras: tuple[str, ...] = ()
    """Camera names; empty takes the family's default."""
    size: int = 128
    """Pixels of a picture's side."""
    profile: str = "fast"
    """Visual profile: fast, coarse (fast with simpler meshes), or faithful to the benchmark's own drawing."""
    env_options: tuple[str, ...] = ()
    """Options that only one environment knows, as name=value: marks=vivid (metaworld), body=arm6 (desk)."""
    limit: int = 300
    """Most control steps of an attempt."""
    workers: int = 0
    """Processes; 0 is one a core."""


def run(options: Options) -> int:
    """Collect, with a progress bar, and say what came of it."""
    from embodia.cli.evaluating import novice
    from embodia.cli.main import named_values
    from embodia.cli.progress import ProgressBar
    from embodia.envs import EnvConfig
    from embodia.generate.collect import CollectConfig, collect
    from embodia.generate.demonstrate import EpisodeConfig
    from embodia.generate.disturb import NoiseConfig
    from embodia.generate.takeover import TakeoverConfig

    env = EnvConfig(
        profile=options.profile,
        cameras=options.cameras,
        height=options.size,
        width=options.size,
        tasks=options.tasks,
        options=named_values(options.env_options) or None,
    )
    takeover, acts = None, None
    if options.novice:
        takeover = TakeoverConfig(policy=options.novice, after=options.after, execute=options.execute)
        acts = novice(Path(options.novice))
    config = CollectConfig(
        family=options.family,
        mode=options.mode,
        style=options.style,
        actions=options.actions,
        answers=options.answers,
        takeover=takeover,
        env=env,
        episode=EpisodeConfig(
            limit=options.limit, images_every=options.pictures_every, noise=NoiseConfig(share=options.noise)
        ),
        episodes=options.episodes,
        first_seed=options.first_seed,
        workers=options.workers,
    )
    with ProgressBar() as progress:
        report = collect(config, options.out, progress=progress, novice=acts)
    failed = sum(report.failed.values())
    print(f"{report.episodes} episodes in {options.out}, {failed} attempts left out, {report.frames} new frames")
    return 0

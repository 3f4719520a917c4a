"""Success with n and interval, beside the controls, on unseen seeds and sentences; writes report.html and report.json.

The environment is set up as the data set was collected (tasks, cameras, profile); the policy's contract, its pictures
and the seeds are checked before the first episode.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

EXAMPLES = (
    "embodia evaluate --checkpoint runs/doors --data data/doors --episodes 20 --out runs/doors/evaluation",
    "embodia evaluate --checkpoint runs/doors --data data/doors --tasks door-lock --execute 4 --out runs/lock",
    "embodia evaluate --checkpoint runs/doors --data data/doors --controls --out runs/quick",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Flags of `embodia evaluate`."""

    checkpoint: Path
    """A checkpoint, or the folder of a run (its best one is taken)."""
    data: Path
    """The data set it was trained on: names the environment, checks the seeds, gives the blind replay."""
    out: Path
    """Folder of the report."""
    tasks: tuple[str, ...] = ()
    """Tasks; empty takes those of the data set."""
    episodes: int = 20
    """Episodes of each task."""
    control_episodes: int = 10
    """Episodes of each task and control."""
    controls: tuple[str, ...] = ("other_sentence", "blank_image", "blind_replay", "random_policy")
    """Controls to run; `--controls` alone runs none."""
    execute: int = 8
    """Actions of a chunk carried out before the policy looks again; 0 is the policy's own habit."""
    horizon: int = 200
    """Control steps of an episode."""
    first_seed: int = 1_000_000
    """Seed of the first episode of each task."""
    profile: str = ""
    """Visual profile, when it shall differ from the data set's."""
    allow_other_profile: bool = False
    """Measure under another profile or simulator than trained on, on purpose."""
    slots: int = 8
    """Episodes at once; part of the result."""
    workers: int = 0
    """Processes; 0 is one a core."""
    seed: int = 0
    """Root of the policy's own randomness."""
    json: bool = False
    """Print report.json."""


def run(options: Options) -> int:
    """Evaluate, with a progress bar, and print the verdict."""
    from embodia.cli.evaluating import evaluate_checkpoint, print_report
    from embodia.cli.main import print_json
    from embodia.evaluation.plans import EvalConfig
    from embodia.generate.collect import read_settings

    collected = read_settings(options.data)
    env = replace(
        collected.env,
        profile=options.profile or collected.env.profile,
        horizon=options.horizon,
        tasks=options.tasks or tuple(task for task in collected.env.tasks if "@" not in task),
    )
    config = EvalConfig(
        family=collected.family,
        env=env,
        tasks=env.tasks,
        episodes=options.episodes,
        control_episodes=min(options.control_episodes, options.episodes),
        controls=options.controls,
        execute=options.execute,
        first_seed=options.first_seed,
        slots=options.slots,
        workers=options.workers,
        allow_other_profile=options.allow_other_profile,
        seed=options.seed,
    )
    report = evaluate_checkpoint(options.checkpoint, [options.data], config, options.out)
    if options.json:
        print_json(report)
    else:
        print_report(report, options.out)
    return 0

"""RLBench's eighteen language-conditioned tasks, in keyframes.

The one thing to watch: a variation belongs to the seed, so that twenty-five seeds cover all variations of most tasks.
"""

from __future__ import annotations

from embodia.envs.adapters.rlbench import HORIZON, TASKS
from embodia.envs.protocol import EnvConfig
from embodia.evaluation.suites import Suite


def suites() -> tuple[Suite, ...]:
    """One suite of eighteen tasks."""
    return (
        Suite(
            name="rlbench",
            family="rlbench",
            env=EnvConfig(tasks=TASKS, horizon=HORIZON),
            episodes=25,
            first_seed=0,
            sentences="episode",
            source="Perceiver-Actor: A Multi-Task Transformer for Robotic Manipulation, 2022, arXiv 2209.05451",
            protocol="25 episodes a task, 25 keyframes at most, an unreachable keyframe fails",
            differs="Scenes are drawn from seeds; the publication replays 25 recorded test scenes a task.",
        ),
    )

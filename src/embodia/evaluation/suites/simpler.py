"""SimplerEnv's two robots, as "visual matching" evaluates policies that were trained on the real ones.

The one thing to watch: the sentence is each episode's own, and the Google robot's step limits differ by task upstream.
"""

from __future__ import annotations

from embodia.envs.adapters.simpler import TASKS
from embodia.envs.protocol import EnvConfig
from embodia.evaluation.suites import Suite

EPISODES = {"widowx": 24, "google_robot": 25}


def suites() -> tuple[Suite, ...]:
    """One for each robot."""
    return tuple(
        Suite(
            name=f"simpler/{body}",
            family="simpler",
            env=EnvConfig(tasks=tasks),
            episodes=EPISODES[body],
            first_seed=0,
            sentences="episode",
            source="Evaluating Real-World Robot Manipulation Policies in Simulation, 2024, arXiv 2405.05941",
            protocol=f"visual matching, {EPISODES[body]} settings a task, success at any step",
            differs="Published tables average over several camera and texture variants of the Google robot's scenes.",
        )
        for body, tasks in TASKS.items()
    )

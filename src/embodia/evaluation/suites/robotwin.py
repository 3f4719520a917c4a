"""RoboTwin 2.0's fifty tasks for two arms.

The one thing to watch: "easy" and "hard" are the option `setting`: demo_clean and demo_randomized.
"""

from __future__ import annotations

from embodia.envs.adapters.robotwin import TASKS
from embodia.envs.protocol import EnvConfig
from embodia.evaluation.suites import Suite


def suites() -> tuple[Suite, ...]:
    """One suite of fifty tasks."""
    return (
        Suite(
            name="robotwin",
            family="robotwin",
            env=EnvConfig(tasks=TASKS),
            episodes=100,
            first_seed=100_000,
            sentences="episode",
            source="RoboTwin 2.0, 2025, arXiv 2506.18088",
            protocol="100 episodes a task from seed 100000 on, success when the check holds after any action",
            differs="Seeds on which the benchmark's own expert fails are played too, and sentences are not varied.",
        ),
    )

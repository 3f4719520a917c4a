"""RoboCasa's twenty-four atomic tasks in generated kitchens.

The one thing to watch: kitchens are drawn from seeds, so those of training are only unseen here if their seeds differ.
"""

from __future__ import annotations

from embodia.envs.adapters.robocasa import HORIZON, TASKS
from embodia.envs.protocol import EnvConfig
from embodia.evaluation.suites import Suite


def suites() -> tuple[Suite, ...]:
    """One suite of twenty-four tasks."""
    return (
        Suite(
            name="robocasa",
            family="robocasa",
            env=EnvConfig(tasks=TASKS, horizon=HORIZON),
            episodes=50,
            sentences="episode",
            source="RoboCasa: Large-Scale Simulation of Everyday Tasks for Generalist Robots, 2024, arXiv 2406.02523",
            protocol="50 episodes a task in kitchens drawn at random, success at any step",
            differs="Kitchens and objects are drawn from all that ship; the publication holds some out.",
        ),
    )

"""The Adroit hand: door, hammer, pen, relocate.

The one thing to watch: the publication asks that success lasts (25 of 200 steps); here one step of it counts.
"""

from __future__ import annotations

from embodia.envs.adapters.adroit import HORIZON, SENTENCES
from embodia.envs.protocol import EnvConfig
from embodia.evaluation.suites import Suite

SOURCE = "Learning Complex Dexterous Manipulation with Deep Reinforcement Learning and Demonstrations, 2017, "
ARXIV = "arXiv 1709.10087"
PROTOCOL = "100 episodes a task, 200 steps at 100 Hz, the package's predicate of the task"
DIFFERS = "Success at any step ends the episode; the four tasks share one contract of 30 joints."


def suites() -> tuple[Suite, ...]:
    """The four tasks."""
    return (
        Suite(
            name="adroit",
            family="adroit",
            env=EnvConfig(tasks=tuple(SENTENCES), horizon=HORIZON),
            episodes=100,
            source=SOURCE + ARXIV,
            protocol=PROTOCOL,
            differs=DIFFERS,
            extra="adroit",
        ),
    )

"""The Fetch arm's four goal tasks.

The one thing to watch: the publication counts success at the last of 50 steps, here it counts at any step, which is
easier by as much as a policy leaves the goal again.
"""

from __future__ import annotations

from embodia.envs.adapters.fetch import HORIZON, SENTENCES
from embodia.envs.protocol import EnvConfig
from embodia.evaluation.suites import Suite

SOURCE = "Multi-Goal Reinforcement Learning: Challenging Robotics Environments and Request for Research, 2018, "
ARXIV = "arXiv 1802.09464"
PROTOCOL = "100 episodes a task with random goals, 50 steps at 25 Hz, within 5 cm of the goal"
DIFFERS = "Success at any step ends the episode, where the publication looks at the last; pictures and a sentence."


def suites() -> tuple[Suite, ...]:
    """The four tasks."""
    return (
        Suite(
            name="fetch",
            family="fetch",
            env=EnvConfig(tasks=tuple(SENTENCES), horizon=HORIZON),
            episodes=100,
            source=SOURCE + ARXIV,
            protocol=PROTOCOL,
            differs=DIFFERS,
            extra="fetch",
        ),
    )

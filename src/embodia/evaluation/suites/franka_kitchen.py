"""The Franka kitchen: seven single things to do, and the two published rows of four.

The one thing to watch: publications report how many of the four were done, here an episode counts when all were.
"""

from __future__ import annotations

from embodia.envs.adapters.franka_kitchen import ELEMENTS, HORIZON
from embodia.envs.protocol import EnvConfig
from embodia.evaluation.suites import Suite

SOURCE = "Relay Policy Learning: Solving Long-Horizon Tasks via Imitation and Reinforcement Learning, 2019, "
ARXIV = "arXiv 1910.11956"
PROTOCOL = "100 episodes of 280 steps from one start; a thing is done once it came within 0.3 of its goal"
DIFFERS = "An episode of four things succeeds when all four were done; single things are tasks of their own."


def suites() -> tuple[Suite, ...]:
    """All nine tasks."""
    chains = tuple(task for task, elements in ELEMENTS.items() if len(elements) > 1)
    return (
        Suite(
            name="franka_kitchen",
            family="franka_kitchen",
            env=EnvConfig(tasks=tuple(ELEMENTS), horizon=HORIZON),
            episodes=100,
            groups={"single": tuple(task for task in ELEMENTS if task not in chains), "four": chains},
            source=SOURCE + ARXIV,
            protocol=PROTOCOL,
            differs=DIFFERS,
            extra="franka_kitchen",
        ),
    )

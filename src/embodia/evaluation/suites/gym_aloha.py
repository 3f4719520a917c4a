"""gym-aloha's two bimanual tasks, transfer of a cube and insertion of a peg, as ACT was measured on them.

The one thing to watch: the stage reward (0 to 4) says how far a failure came; success is stage 4 alone.
"""

from __future__ import annotations

from embodia.envs.adapters.gym_aloha import HORIZON
from embodia.envs.protocol import EnvConfig
from embodia.evaluation.suites import Suite


def suites() -> tuple[Suite, ...]:
    """One suite of two tasks."""
    return (
        Suite(
            name="gym_aloha",
            family="gym_aloha",
            env=EnvConfig(tasks=("transfer-cube", "insertion"), horizon=HORIZON),
            episodes=50,
            score="best_reward",
            source="Learning Fine-Grained Bimanual Manipulation with Low-Cost Hardware, 2023, arXiv 2304.13705",
            protocol="50 episodes a task, cube, peg and socket placed at random, success when stage 4 is reached",
            differs="Episodes have 300 steps, as in the package; the publication plays 400 of them.",
            extra="gym_aloha",
        ),
    )

"""ManiSkill 3: the tasks whose assets come with the package, one suite a body.

The one thing to watch: episodes are as long as the benchmark's imitation baselines need, not as its reinforcement
learning has them, and actions are absolute joint positions.
"""

from __future__ import annotations

from embodia.envs.adapters.maniskill import BODIES
from embodia.envs.protocol import EnvConfig
from embodia.evaluation.suites import Suite

SOURCE = "ManiSkill3: GPU Parallelized Robotics Simulation and Rendering for Generalizable Embodied AI, 2024, "
ARXIV = "arXiv 2410.00425"
PROTOCOL = "100 episodes a task with random placements, the benchmark's own evaluation at 20 Hz"
DIFFERS = "Success at any step ends the episode; absolute joint control; goal marks, hidden upstream, are drawn."
_NAMES = {
    "panda_joints": "panda",
    "two_pandas_joints": "two_pandas",
}


def suites() -> tuple[Suite, ...]:
    """One suite a body: a contract has one body."""
    return tuple(
        Suite(
            name=f"maniskill/{_NAMES.get(name, name)}",
            family="maniskill",
            env=EnvConfig(tasks=body.tasks),
            episodes=100,
            source=SOURCE + ARXIV,
            protocol=PROTOCOL,
            differs=DIFFERS,
            extra="maniskill",
        )
        for name, body in BODIES.items()
    )

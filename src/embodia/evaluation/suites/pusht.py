"""PushT as Diffusion Policy was measured on it: the best coverage of an episode, averaged over fifty starts.

The one thing to watch: the published number is the mean best reward (`score`), not the success rate.
"""

from __future__ import annotations

from embodia.envs.adapters.pusht import HORIZON
from embodia.envs.protocol import EnvConfig
from embodia.evaluation.suites import Suite


def suites() -> tuple[Suite, ...]:
    """One suite of one task."""
    return (
        Suite(
            name="pusht",
            family="pusht",
            env=EnvConfig(tasks=("push-t",), horizon=HORIZON, height=96, width=96),
            episodes=50,
            first_seed=100_000,
            score="best_reward",
            source="Diffusion Policy: Visuomotor Policy Learning via Action Diffusion, 2023, arXiv 2303.04137",
            protocol="50 starts, 300 steps at most, the largest reward of an episode (coverage / 0.95, at most 1)",
            extra="pusht",
        ),
    )

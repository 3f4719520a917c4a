"""LIBERO's five suites: spatial, object, goal, 10 (long) and 90, on the start states that the benchmark ships.

Fifty episodes a task, one from each shipped start state; the step limits are those in common use for policies that see,
shorter than the 600 of the publication. How a policy learns one task after another is measured from a matrix of success
rates: `embodia.evaluation.lifelong`.
The one thing to watch: the sentence is the benchmark's own; paraphrases are LIBERO-PRO's "lan" variants.
"""

from __future__ import annotations

from embodia.envs.adapters.libero import HORIZONS
from embodia.envs.protocol import EnvConfig
from embodia.evaluation.suites import Suite

SOURCE = "LIBERO: Benchmarking Knowledge Transfer for Lifelong Robot Learning, 2023, arXiv 2306.03310"
PROTOCOL = (
    "one episode from each of a task's 50 shipped start states, success when the goal's predicates hold at any step"
)
DIFFERS = "Step limits are those in common use (220 to 520), the publication allows 600 and plays 20 episodes a task."


def suites() -> tuple[Suite, ...]:
    """Ten tasks in each of four, ninety in the fifth."""
    return tuple(
        Suite(
            name=f"libero/{name.removeprefix('libero_')}",
            family="libero",
            env=EnvConfig(tasks=(name,), horizon=horizon),
            episodes=50,
            first_seed=0,
            source=SOURCE,
            protocol=PROTOCOL,
            differs=DIFFERS,
            extra="libero",
        )
        for name, horizon in HORIZONS.items()
    )

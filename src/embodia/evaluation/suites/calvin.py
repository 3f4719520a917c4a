"""CALVIN's evaluation of long horizons: a thousand chains of five instructions.

Reported are the shares of chains whose first 1 to 5 tasks were done, and the average number. The one thing to watch:
`dataset` decides the table (D for the hard split ABC to D) and has to be named with the result.
"""

from __future__ import annotations

from embodia.envs.adapters.calvin import HORIZON
from embodia.envs.protocol import EnvConfig
from embodia.evaluation.chains import ChainRule
from embodia.evaluation.suites import Suite


def suites() -> tuple[Suite, ...]:
    """One suite; its one task is a chain."""
    return (
        Suite(
            name="calvin",
            family="calvin",
            env=EnvConfig(),
            episodes=1000,
            first_seed=0,
            sentences="episode",
            chain=ChainRule(length=5, steps_each=HORIZON),
            source="CALVIN: A Benchmark for Language-Conditioned Policy Learning, 2022, arXiv 2112.03227",
            protocol="1000 chains of five tasks of different kinds, 360 steps for each, the first failure ends it",
            differs="Chains are drawn by the published rules but are not the published thousand.",
        ),
    )

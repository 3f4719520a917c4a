"""robosuite's tasks for one arm and for two.

The one thing to watch: the benchmark's own figures are returns of shaped rewards; success rates over 50 episodes are
what later work on imitation reports for these tasks, and what is counted here.
"""

from __future__ import annotations

from embodia.envs.adapters.robosuite import HORIZON, ONE_ARM, TWO_ARMS
from embodia.envs.protocol import EnvConfig
from embodia.evaluation.suites import Suite

SOURCE = "robosuite: A Modular Simulation Framework and Benchmark for Robot Learning, 2020, arXiv 2009.12293"
PROTOCOL = "50 episodes a task with random placements, 500 steps at 20 Hz, success at any step ends the episode"
DIFFERS = "Success is counted, where the publication reports returns; the hammer of the handover has one fixed size."


def suites() -> tuple[Suite, ...]:
    """The tasks of each body: a contract has one body."""
    return (_suite("robosuite/one_arm", ONE_ARM), _suite("robosuite/two_arms", TWO_ARMS))


def _suite(name: str, tasks: tuple[str, ...]) -> Suite:
    return Suite(
        name=name,
        family="robosuite",
        env=EnvConfig(tasks=tasks, horizon=HORIZON),
        episodes=50,
        source=SOURCE,
        protocol=PROTOCOL,
        differs=DIFFERS,
        extra="robosuite",
    )

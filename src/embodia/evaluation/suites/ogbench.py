"""OGBench's manipulation scenes: five goals in each of ten.

The publication judges by a goal state given as an observation; here a sentence says it. The one thing to watch: cubes
keep their colours, as in the benchmark's single-task variants, so that the sentence stays true.
"""

from __future__ import annotations

from embodia.envs.adapters.ogbench import HORIZONS, SENTENCES, scene_of
from embodia.envs.protocol import EnvConfig
from embodia.evaluation.suites import Suite

SOURCE = "OGBench: Benchmarking Offline Goal-Conditioned RL, 2024, arXiv 2410.20092"
PROTOCOL = "5 goals a scene, 50 episodes a goal, success at the first step at which all objects are at the goal"
DIFFERS = "A sentence names the goal, where the publication shows a goal observation; colours are not permuted."


def suites() -> tuple[Suite, ...]:
    """All ten scenes, and each by itself."""
    return (
        _suite("ogbench", tuple(SENTENCES)),
        *(_suite(f"ogbench/{scene}", _tasks(scene)) for scene in HORIZONS),
    )


def _tasks(scene: str) -> tuple[str, ...]:
    return tuple(task for task in SENTENCES if scene_of(task)[0] == scene)


def _suite(name: str, tasks: tuple[str, ...]) -> Suite:
    return Suite(
        name=name,
        family="ogbench",
        env=EnvConfig(tasks=tasks),
        episodes=50,
        groups={scene: _tasks(scene) for scene in HORIZONS} if name == "ogbench" else {},
        source=SOURCE,
        protocol=PROTOCOL,
        differs=DIFFERS,
        extra="ogbench",
    )

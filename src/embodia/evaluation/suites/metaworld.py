"""Meta-World's multi-task and meta-learning sets: MT10, MT25, MT50, ML10, ML45.

Fifty episodes a task, at most 500 control steps, an episode ends at its first success; the rate is the mean over tasks.
The one thing to watch: MT25 and ML25 came with the benchmark's third version, the others with the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from embodia.envs.adapters.metaworld import HORIZON, TASKS
from embodia.envs.protocol import EnvConfig
from embodia.evaluation.suites import Suite

SOURCE = "Meta-World: A Benchmark and Evaluation for Multi-Task and Meta Reinforcement Learning, 2019, arXiv 1910.10897"
PROTOCOL = "50 episodes a task with random object and goal places, 500 steps at most, success at any step ends it"
DIFFERS = "The policy sees pictures, proprioception and a sentence; the publication gives it object and goal places."
ZERO_SHOT = "Nothing is learned on the test tasks: the publication adapts to each of them first."

MT10 = (
    "reach",
    "push",
    "pick-place",
    "door-open",
    "drawer-open",
    "drawer-close",
    "button-press-topdown",
    "peg-insert-side",
    "window-open",
    "window-close",
)
MT25 = (
    *MT10,
    "coffee-pull",
    "pick-out-of-hole",
    "disassemble",
    "pick-place-wall",
    "basketball",
    "stick-pull",
    "button-press-wall",
    "faucet-open",
    "door-lock",
    "lever-pull",
    "sweep-into",
    "faucet-close",
    "coffee-button",
    "button-press-topdown-wall",
    "dial-turn",
)
ML10_TEST = ("drawer-open", "door-close", "shelf-place", "sweep-into", "lever-pull")
ML10_TRAIN = (*(task for task in MT10 if task not in ("drawer-open", "window-close")), "sweep", "basketball")
ML45_TEST = ("bin-picking", "box-close", "hand-insert", "door-lock", "door-unlock")
ML45_TRAIN = tuple(task for task in TASKS if task not in ML45_TEST)


def suites() -> tuple[Suite, ...]:
    """The multi-task sets, then the two with tasks that are never trained on."""
    return (
        _suite("mt10", MT10),
        _suite("mt25", MT25),
        _suite("mt50", TASKS),
        _suite("ml10", (*ML10_TRAIN, *ML10_TEST), {"train": ML10_TRAIN, "test": ML10_TEST}),
        _suite("ml45", (*ML45_TRAIN, *ML45_TEST), {"train": ML45_TRAIN, "test": ML45_TEST}),
    )


def _suite(name: str, tasks: tuple[str, ...], groups: Mapping[str, tuple[str, ...]] = MappingProxyType({})) -> Suite:
    return Suite(
        name=f"metaworld/{name}",
        family="metaworld",
        env=EnvConfig(tasks=tasks, horizon=HORIZON),
        episodes=50,
        groups=groups,
        source=SOURCE,
        protocol=PROTOCOL,
        differs=f"{DIFFERS} {ZERO_SHOT}" if groups else DIFFERS,
        extra="metaworld",
    )

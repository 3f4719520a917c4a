"""The demonstration: six tasks in groups that share a scene, one policy, judged beside four controls.

What to watch: tasks are chosen so that eyes and sentences decide. Replaying a training episode blindly solves under a
third of them, and in each scene at least two sentences make sense.
"""

from __future__ import annotations

from dataclasses import dataclass

from embodia.envs import EnvConfig
from embodia.evaluation.plans import EvalConfig
from embodia.generate.collect import CollectConfig
from embodia.generate.demonstrate import EpisodeConfig
from embodia.generate.disturb import NoiseConfig
from embodia.training.config import TrainConfig

TASKS = ("reach", "push", "door-lock", "door-unlock", "handle-press", "handle-pull")
CROSSED = ("push@reach", "reach@push")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that a run from nothing to a report needs."""

    collect: tuple[CollectConfig, ...]
    policy: str
    size: str
    train: TrainConfig
    evaluate: EvalConfig


def demo() -> Recipe:
    """Ten minutes on two cores."""
    env = EnvConfig(
        profile="fast",
        cameras=("right", "left"),
        height=96,
        width=96,
        tasks=TASKS + CROSSED,
        options={"marks": "neutral"},
    )
    episode = EpisodeConfig(limit=180, settle=6, noise=NoiseConfig(share=0.8))
    return Recipe(
        collect=(CollectConfig(env=env, episode=episode, episodes=40, workers=2),),
        policy="act",
        size="tiny",
        train=TrainConfig(max_seconds=270, batch_size=128, learning_rate=1e-3, weight_decay=0.02, betas=(0.9, 0.98)),
        evaluate=EvalConfig(
            env=EnvConfig(
                profile="fast",
                cameras=("right", "left"),
                height=96,
                width=96,
                tasks=TASKS,
                horizon=160,
                options={"marks": "neutral"},
            ),
            tasks=TASKS,
            episodes=20,
            control_episodes=10,
            execute=8,
        ),
    )

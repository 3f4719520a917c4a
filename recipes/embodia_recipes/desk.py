"""The learning check: reach, push and press on Desk, told apart by their sentences, learnt on one core in minutes.

Six tasks in pairs: both of a pair are asked for in the same scenes (the red cube or the blue ball, left or right, the
red button or the green one), so a policy that does not read is right half of the time at best, and one that does not
see is right by accident. What to watch: everything runs in one process on one core, so that the time means something.
"""

from __future__ import annotations

from dataclasses import replace

from embodia.envs import CameraView, EnvConfig
from embodia.evaluation.plans import EvalConfig
from embodia.generate.collect import CollectConfig
from embodia.generate.demonstrate import EpisodeConfig
from embodia.generate.disturb import NoiseConfig
from embodia.policies import act
from embodia.training.config import TrainConfig
from embodia_recipes import Recipe

TASKS = ("reach/red-cube", "reach/blue-ball", "push/red-cube/left", "push/red-cube/right", "button/red", "button/green")
VIEW = CameraView(
    name="across",
    height=96,
    width=96,
    lookat_m=(0.0, 0.0, 0.02),
    distance_m=0.72,
    azimuth_deg=180.0,
    elevation_deg=-48.0,
)


def recipe() -> Recipe:
    """On one core: a minute of collecting, less than five of training (64,000 samples), two of judging."""
    seen = EnvConfig(cameras=(VIEW,), tasks=TASKS)
    return Recipe(
        collect=CollectConfig(
            family="desk",
            env=seen,
            episode=EpisodeConfig(limit=80, settle=3, images_every=2, noise=NoiseConfig(share=0.8)),
            episodes=100,
            workers=1,
        ),
        policy="act",
        size="tiny",
        config=replace(act.preset("tiny"), posterior_layers=0, chunk=8),
        train=TrainConfig(
            samples=64_000,
            batch_size=64,
            learning_rate=1e-3,
            weight_decay=0.02,
            betas=(0.9, 0.98),
            ema_decay=0.99,
            validation_fraction=0.05,
            validation_batches=4,
        ),
        evaluate=EvalConfig(
            family="desk",
            env=replace(seen, horizon=60),
            tasks=TASKS,
            episodes=30,
            control_episodes=10,
            execute=4,
            workers=1,
        ),
    )

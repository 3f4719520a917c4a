"""ALOHA, transfer of a cube between two arms: fifty scripted demonstrations, ACT, as in its paper but on two cores.

The paper reports 86 % (scripted data, 50 demonstrations, 400 steps an episode, pictures of 480 x 640). Here the top
camera is drawn at 192 x 256 and its middle, 96 x 128, is kept: a cube of 6 pixels, all places it can lie at and the
place of the hand-over. What to watch: random shifts of pictures are off, because two pixels are what a grasp allows.
"""

from __future__ import annotations

from dataclasses import replace

from embodia.data.transforms.augment import AugmentConfig
from embodia.envs import EnvConfig
from embodia.envs.protocol import CameraView
from embodia.evaluation.plans import EvalConfig
from embodia.generate.collect import CollectConfig
from embodia.generate.demonstrate import EpisodeConfig
from embodia.generate.disturb import NoiseConfig
from embodia.policies import act
from embodia.training.config import TrainConfig
from embodia_recipes import Recipe

TOP = CameraView(name="top", height=96, width=128, render=(192, 256), crop=(64, 64))
HORIZON = 300
"""Control steps of an episode: the package's own, 100 fewer than in the paper."""


def recipe() -> Recipe:
    """About three minutes of collecting, fifty minutes of training, a quarter of an hour of judging."""
    seen = EnvConfig(cameras=(TOP,), tasks=("transfer-cube",))
    shaky = NoiseConfig(share=0.6, tremor=0.012, smoothness=0.9, push_rate=0.02, push=0.05)
    return Recipe(
        collect=CollectConfig(
            family="gym_aloha",
            env=seen,
            episode=EpisodeConfig(limit=HORIZON, settle=30, images_every=3, noise=shaky),
            episodes=50,
        ),
        policy="act",
        size="tiny",
        config=replace(act.preset("tiny"), posterior_layers=0, chunk=50, ahead=(25, 50, 100)),
        train=TrainConfig(
            max_seconds=3000,
            batch_size=32,
            learning_rate=1e-3,
            weight_decay=0.02,
            betas=(0.9, 0.98),
            augmentation=AugmentConfig(shift=0.0),
            validation_fraction=0.06,
            save_every=100,
            validate_every=200,
            log_every=25,
        ),
        evaluate=EvalConfig(
            family="gym_aloha",
            env=replace(seen, horizon=HORIZON),
            tasks=seen.tasks,
            episodes=150,
            control_episodes=10,
            controls=("blank_image", "blind_replay", "random_policy"),
            execute=15,
        ),
    )

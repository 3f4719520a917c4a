"""The demonstration: six tasks in pairs that share a scene, one policy, judged beside four controls.

What to watch: tasks are chosen so that eyes and sentences decide. Replaying a training episode blindly solves under a
third of them, and in each scene at least two sentences make sense. Reach and push look alike until the sentence is
read, so each is also shown in the other's scene.
"""

from __future__ import annotations

from dataclasses import replace

from embodia.envs import EnvConfig
from embodia.evaluation.plans import EvalConfig
from embodia.generate.collect import CollectConfig
from embodia.generate.demonstrate import EpisodeConfig
from embodia.generate.disturb import NoiseConfig
from embodia.policies import act
from embodia.training.config import TrainConfig
from embodia_recipes import Recipe

TASKS = ("reach", "push", "door-lock", "door-unlock", "window-open", "window-close")
CROSSED = ("push@reach", "reach@push")


def recipe() -> Recipe:
    """Ten minutes on two cores: about 120 s of collecting, 370 s of training, 70 s of judging."""
    seen = EnvConfig(cameras=("right", "left"), height=96, width=96, options={"marks": "vivid"})
    return Recipe(
        collect=CollectConfig(
            env=replace(seen, tasks=TASKS + CROSSED),
            episode=EpisodeConfig(limit=180, settle=6, images_every=3, noise=NoiseConfig(share=0.8)),
            episodes=60,
        ),
        policy="act",
        size="tiny",
        # scripted experts have one style: without the latent there is time for more steps
        config=replace(act.preset("tiny"), posterior_layers=0, chunk=16),
        train=TrainConfig(
            max_seconds=370,
            batch_size=64,
            learning_rate=1e-3,
            weight_decay=0.02,
            betas=(0.9, 0.98),
            ema_decay=0.99,
            validation_fraction=0.05,
            validation_batches=4,
        ),
        evaluate=EvalConfig(
            env=replace(seen, tasks=TASKS, horizon=160),
            tasks=TASKS,
            episodes=20,
            control_episodes=10,
            execute=6,
        ),
    )

"""Meta-World MT50: one policy, fifty tasks, fifty demonstrations each, two hours of training on two cores.

What to watch: a third of these tasks can be solved blindly, on average, by replaying one demonstration, so the mean
over all fifty says little without the floor beside it. Colours and marks are the benchmark's own; two cameras stand
left and right of the table because the benchmark's own see small objects as a few pixels, the third is on the wrist.
"""

from __future__ import annotations

from dataclasses import replace

from embodia.envs import EnvConfig, make
from embodia.evaluation.plans import EvalConfig
from embodia.generate.collect import CollectConfig
from embodia.generate.demonstrate import EpisodeConfig
from embodia.generate.disturb import NoiseConfig
from embodia.policies import act
from embodia.training.config import TrainConfig
from embodia_recipes import Recipe


def recipe() -> Recipe:
    """About a quarter of an hour of collecting, two hours of training, ten minutes of judging."""
    seen = EnvConfig(cameras=("right", "left", "gripperPOV"), height=96, width=96)
    seen = replace(seen, tasks=make("metaworld", seen).tasks)
    return Recipe(
        collect=CollectConfig(
            env=seen,
            episode=EpisodeConfig(limit=400, settle=6, images_every=3, noise=NoiseConfig(share=0.8)),
            episodes=50,
            tries=6.0,
        ),
        policy="act",
        size="tiny",
        config=replace(act.preset("tiny"), posterior_layers=0, chunk=16),
        train=TrainConfig(
            samples=1_300_000,  # what two cores without other work do in two hours
            batch_size=64,
            learning_rate=1e-3,
            weight_decay=0.02,
            betas=(0.9, 0.98),
            ema_decay=0.999,
            validation_fraction=0.02,
            validation_batches=8,
            save_every=500,
            keep_every=5000,
            validate_every=500,
            log_every=25,
        ),
        evaluate=EvalConfig(
            env=replace(seen, horizon=400),
            tasks=seen.tasks,
            episodes=10,
            controls=("blank_image", "other_sentence", "blind_replay"),
            control_episodes=10,
            execute=6,
        ),
    )

"""LIBERO spatial, object, goal and 10: one policy, forty tasks, twenty demonstrations each, two cameras.

Demonstrations come from the scripted experts and begin at starts that the benchmark's own placement draws; judged is on
the start states that it ships. Pictures are drawn at every third step, with coarse meshes, and training uses those
steps only. What to watch: the controls, as forty scenes are so different that a policy can tell tasks apart without
reading a word.
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

SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10")
DRAWN = 1000
"""First seed of the demonstrations; the shipped start states are seeds 0 to 49."""
SEEN = EnvConfig(profile="coarse", cameras=("agentview", "wrist"), height=96, width=96, tasks=SUITES)


def recipe() -> Recipe:
    """On two cores three quarters of an hour of collecting, a hundred minutes of training, half an hour of judging."""
    return Recipe(
        collect=CollectConfig(
            family="libero",
            env=SEEN,
            episode=EpisodeConfig(limit=520, settle=6, images_every=3, noise=NoiseConfig(share=0.5, push=0.8)),
            episodes=20,
            tries=4.0,
            first_seed=DRAWN,
        ),
        policy="act",
        size="tiny",
        config=replace(act.preset("tiny"), posterior_layers=0, chunk=16),
        train=TrainConfig(
            max_seconds=6_000,
            batch_size=64,
            learning_rate=1e-3,
            weight_decay=0.02,
            betas=(0.9, 0.98),
            ema_decay=0.999,
            validation_fraction=0.02,
            validation_batches=8,
            save_every=500,
            validate_every=500,
            log_every=25,
        ),
        evaluate=EvalConfig(
            family="libero",
            env=SEEN,
            episodes=10,
            first_seed=0,
            sentences="canonical",
            controls=("other_sentence", "blank_image", "blind_replay"),
            control_episodes=1,
            filmed=1,
            slots=2,
            execute=8,
            groups={suite: (suite,) for suite in SUITES},
        ),
    )

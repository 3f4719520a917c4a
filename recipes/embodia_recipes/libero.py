"""LIBERO spatial, object, goal and 10: one policy, forty tasks, two rounds of demonstrations, two cameras.

Demonstrations come from the scripted experts and begin at starts that the benchmark's own placement draws; judged is on
the start states that it ships. In the second round experts take over where the first round's policy has got to, since
nothing else shows how to go on after a missed grasp, and do scenes whose objects have traded places, some with another
task's sentence, since a policy can otherwise learn where to go without looking or listening. Pictures are drawn at
every third step, with coarse meshes, and training uses those steps only. What to watch: the controls, as forty scenes
are so different that a policy can tell tasks apart without reading a word.
"""

from __future__ import annotations

from dataclasses import replace

from embodia.envs import EnvConfig
from embodia.evaluation.plans import EvalConfig
from embodia.generate.collect import CollectConfig
from embodia.generate.demonstrate import EpisodeConfig
from embodia.generate.disturb import NoiseConfig
from embodia.generate.takeover import TakeoverConfig
from embodia.policies import act
from embodia.training.config import TrainConfig
from embodia_recipes import Recipe, Round

SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10")
DRAWN = 1000
"""First seed of the demonstrations; the shipped start states are seeds 0 to 49."""
SEEN = EnvConfig(profile="coarse", cameras=("agentview", "wrist"), height=96, width=96, tasks=SUITES)


def recipe() -> Recipe:
    """On two cores an hour and a half of collecting, two and a half hours of training, half an hour of judging."""
    train = TrainConfig(
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
    )
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
        train=train,
        rounds=(second_round(train),),
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


def second_round(train: TrainConfig) -> Round:
    """Takeovers, most where the first round fails most, traded places, crossed sentences; then half the training."""
    return Round(
        collect={
            "long": _taken_over(("libero_10",), (30, 350), 10),
            "goal": _taken_over(("libero_goal",), (30, 200), 10),
            "rest": _taken_over(("libero_spatial", "libero_object"), (30, 150), 4),
            "traded": _traded(SUITES, 5, 6 * DRAWN),
            "crossed": _traded(tuple(f"{suite}@{suite}" for suite in SUITES[:2]), 1, 7 * DRAWN),
        },
        train=replace(train, max_seconds=2_700),
    )


def _traded(tasks: tuple[str, ...], episodes: int, first_seed: int) -> CollectConfig:
    return CollectConfig(
        family="libero",
        env=replace(SEEN, tasks=tasks, options={"places": "traded"}),
        episode=EpisodeConfig(limit=520, images_every=3, noise=NoiseConfig(share=0.5)),
        episodes=episodes,
        tries=10.0,
        first_seed=first_seed,
    )


def _taken_over(suites: tuple[str, ...], after: tuple[int, int], episodes: int) -> CollectConfig:
    return CollectConfig(
        family="libero",
        env=replace(SEEN, tasks=suites),
        takeover=TakeoverConfig(policy="", after=after),
        episode=EpisodeConfig(limit=400, images_every=3),
        episodes=episodes,
        first_seed=3 * DRAWN,
    )

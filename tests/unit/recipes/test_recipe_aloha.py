"""The ALOHA recipe: its picture holds all that matters, its seeds do not meet, its policy is the paper's design."""

import numpy as np
import pytest

pytest.importorskip("gym_aloha", reason="gym-aloha is not installed")

from embodia_recipes.aloha_transfer_cube import HORIZON, recipe

from embodia.envs import make
from embodia.evaluation.plans import plans

RED_OVER = 60


def cube_pixels(picture):
    colours = picture.astype(int)
    return np.argwhere(colours[..., 0] - colours[..., 1:].max(axis=-1) > RED_OVER)


@pytest.mark.sim
def test_the_cube_is_wholly_seen_wherever_it_may_lie_and_where_it_changes_hands():
    env = make("gym_aloha", recipe().collect.env)
    try:
        env.reset("transfer-cube", 0)
        places, sizes = [], []
        for place in ((0.0, 0.4, 0.02), (0.2, 0.4, 0.02), (0.0, 0.6, 0.02), (0.2, 0.6, 0.02), (0.0, 0.5, 0.25)):
            env.simulation.data.qpos[16:19] = place
            env.simulation.physics.forward()
            found = cube_pixels(env.observe().images["top"][0, 0])
            height, width = 96, 128
            assert (found > 0).all() and (found < [height - 1, width - 1]).all(), f"cut off at {place}"
            places.append(found.mean(axis=0))
            sizes.append(len(found))
        assert min(sizes) >= 30
        corners = np.array(places[:4])
        near, far = corners[:2].mean(axis=0), corners[2:].mean(axis=0)
        assert near[0] - far[0] > 25 and corners[1, 1] - corners[0, 1] > 25, "6 mm a pixel or finer"
    finally:
        env.close()


def test_held_out_seeds_enough_of_them_and_the_packages_horizon():
    made = recipe()
    assert made.collect.episodes == 50, "as many demonstrations as in the paper"
    used = range(made.collect.first_seed, made.collect.first_seed + int(made.collect.episodes * made.collect.tries))
    judged = plans(made.evaluate, make("gym_aloha", made.evaluate.env), "policy")
    assert len({plan.seed for plan in judged}) >= 50 and not {plan.seed for plan in judged} & set(used)
    assert made.evaluate.env.horizon == HORIZON == 300
    assert made.evaluate.env.cameras == made.collect.env.cameras
    assert made.evaluate.execute <= made.config.chunk


def test_pictures_are_not_shifted_because_a_grasp_allows_two_pixels():
    assert recipe().train.augmentation.shift == 0.0

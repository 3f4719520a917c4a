"""An episode is a pure function of (task, seed): a long episode before it, full of contacts, changes nothing."""

from importlib import metadata

import numpy as np
import pytest

from embodia import envs
from embodia.core.errors import UnknownNameError
from embodia.envs.adapters._maniskill_sim import SOFTWARE_DRIVER
from embodia.envs.protocol import EnvConfig
from embodia.generate import experts

PACKAGES = {
    "ogbench": "ogbench",
    "robosuite": "robosuite",
    "fetch": "gymnasium-robotics",
    "adroit": "gymnasium-robotics",
    "franka_kitchen": "gymnasium-robotics",
    "maniskill": "mani-skill",
}
CASES = (
    ("ogbench", "cube-double-task5"),
    ("ogbench", "scene-task4"),
    ("robosuite", "Stack"),
    ("robosuite", "TwoArmHandover"),
    ("fetch", "FetchPickAndPlace"),
    ("adroit", "AdroitHandHammer"),
    ("franka_kitchen", "kettle"),
    ("maniskill", "PickCube"),
)


def missing(family):
    try:
        metadata.version(PACKAGES[family])
    except metadata.PackageNotFoundError:
        return True
    return family == "maniskill" and not SOFTWARE_DRIVER.exists()


def trace(env, task, seed, steps):
    rng, found = np.random.default_rng(5), [env.reset(task, seed).state.tobytes()]
    parts = env.contract.action.parts
    for _ in range(steps):
        action = np.concatenate([rng.uniform(part.low, part.high, part.dim) for part in parts])
        sensed, reward, *_ = env.step(action)
        found.append(sensed.state.tobytes() + repr(reward).encode())
    return found


def crowd(env, task):
    """An episode with contacts, by the expert where there is one."""
    try:
        expert = experts.make(env.provenance.environment, task)
    except UnknownNameError:
        trace(env, task, 0, 60)
        return
    env.reset(task, 0)
    expert.begin()
    for _ in range(60):
        env.step(expert.act(env))


@pytest.mark.sim
@pytest.mark.parametrize(("family", "task"), CASES)
def test_an_episode_does_not_depend_on_the_one_before(family, task):
    if missing(family):
        pytest.skip(f"{PACKAGES[family]} is not installed (extra: {family})")
    config = EnvConfig(tasks=(task,), success_ends=False, horizon=10**6)
    fresh = envs.make(family, config)
    expected = trace(fresh, task, 1, 30)
    fresh.close()
    used = envs.make(family, config)
    crowd(used, task)
    assert trace(used, task, 1, 30) == expected
    used.close()

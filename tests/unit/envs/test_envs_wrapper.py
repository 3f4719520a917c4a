"""A wrapper is the inner environment but for what it overrides."""

import numpy as np

from embodia import envs
from embodia.envs.conformance import check_env
from embodia.envs.protocol import Env
from embodia.envs.wrapper import Wrapper


class Upside(Wrapper[Env]):
    def step(self, action):
        return super().step(-action)


def test_a_bare_wrapper_keeps_the_protocol():
    assert "partners" in check_env(Wrapper(envs.make("dots")))


def test_only_what_is_overridden_differs():
    plain, turned = envs.make("dots"), Upside(envs.make("dots"))
    for env in (plain, turned):
        env.reset("go-red", 3)
    there, back = plain.step(np.array([1.0, 0.5]))[0], turned.step(np.array([-1.0, -0.5]))[0]
    np.testing.assert_array_equal(there.state, back.state)
    np.testing.assert_array_equal(plain.observe().images["top"], turned.observe().images["top"])
    assert turned.instructions("go-red", "train") == plain.instructions("go-red", "train")
    assert turned.scene_partners("go-red") == plain.scene_partners("go-red")
    assert (turned.contract, turned.provenance, turned.tasks) == (plain.contract, plain.provenance, plain.tasks)


def test_closing_closes_the_inner_one():
    wrapper = Wrapper(envs.make("dots"))
    wrapper.reset("go-red", 0)
    wrapper.close()
    assert not wrapper.inner.running

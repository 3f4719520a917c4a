"""The expert takes over from a policy: what is recorded, what is left out, and that it repeats."""

import numpy as np
import pytest
from line_world import Line, Steady

from embodia.core.errors import ConfigError
from embodia.core.types import ActionChunk
from embodia.generate.collect import CollectConfig
from embodia.generate.demonstrate import EpisodeConfig, demonstrate
from embodia.generate.takeover import Takeover, TakeoverConfig


class Pushing:
    """Moves the bead by `way` tenths at each step, four steps to a decision."""

    contract = Line.contract

    def __init__(self, way):
        self.way, self.asked = way, []

    def act(self, observation, carry, rng):
        self.asked.append(int(observation.images["eye"][0, 0, 0, 0, 0]))
        actions = np.full((1, 4, 1), self.way, np.float32)
        return ActionChunk(actions=actions, valid=np.ones((1, 4), bool), spec=self.contract.action), (carry or 0) + 1


def run(policy, seed=0, **settings):
    env = Line()
    config = TakeoverConfig(policy="run", **settings)
    return demonstrate(env, Steady(), "go", seed, EpisodeConfig(settle=1), None, Takeover(policy, config)), env


def test_what_the_policy_did_is_not_recorded_and_the_way_out_is():
    attempt, env = run(Pushing(-1.0), after=(5, 5))
    assert env.executed[:5] == [-1.0] * 5 and env.executed[5] == 1.0
    assert attempt.success and attempt.episode.state[0, 0] == pytest.approx(-0.5)
    assert attempt.episode.frames["eye"][0, 0, 0, 0] == 5
    assert attempt.steps == len(attempt.episode.actions) == len(env.executed) - 5
    assert attempt.episode.source == "scripted expert, taking over"


def test_the_policy_looks_again_after_as_many_actions_as_it_carries_out():
    for execute, expected in ((3, [0, 3, 6]), (0, [0, 4])):
        policy = Pushing(-1.0)
        run(policy, after=(7, 7), execute=execute)
        assert policy.asked == expected


def test_nothing_is_kept_where_the_policy_had_done_it():
    attempt, _ = run(Pushing(1.0), after=(30, 30))
    assert not attempt.kept and not attempt.success and attempt.steps == 0 and "had done it" in attempt.reason


def test_when_is_drawn_for_each_seed_and_repeats():
    def begins(seed):
        return run(Pushing(-0.5), seed, after=(2, 12))[0].episode.frames["eye"][0, 0, 0, 0]

    found = [begins(seed) for seed in range(20)]
    assert found == [begins(seed) for seed in range(20)]
    assert min(found) == 2 and max(found) == 12


def test_wrong_settings_are_refused():
    for wrong in ({"after": (5, 4)}, {"after": (-1, 4)}, {"execute": -1}):
        with pytest.raises(ConfigError):
            TakeoverConfig(policy="run", **wrong)
    with pytest.raises(ConfigError, match="random"):
        CollectConfig(takeover=TakeoverConfig(policy="run"), mode="random")

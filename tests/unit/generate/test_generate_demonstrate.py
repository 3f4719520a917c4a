"""A demonstration on paper: the state is the sum of executed actions, the task is to bring it to 1."""

import numpy as np
import pytest
from line_world import Line, Steady

from embodia.core.errors import ConfigError
from embodia.generate.demonstrate import EpisodeConfig, demonstrate
from embodia.generate.disturb import NoiseConfig


class Idle(Steady):
    def act(self, env):
        return np.zeros(1, np.float32)


def run(seed=0, expert=None, **settings):
    env = Line()
    return demonstrate(env, expert or Steady(), "go", seed, EpisodeConfig(**settings)), env


def test_frames_and_states_are_what_was_seen_before_each_action():
    attempt, env = run(settle=2)
    episode = attempt.episode
    assert attempt.success and attempt.steps == len(episode.actions) == len(episode.state) == 10 + 2
    assert episode.frames["eye"][:, 0, 0, 0].tolist() == list(range(12)) and env.drawn == 12
    assert episode.state[:, 0] == pytest.approx(np.minimum(np.arange(12) / 10, 1.0), abs=1e-6)
    assert episode.rewards[0] == pytest.approx(0.1)
    assert (episode.instruction, episode.task, episode.seed, episode.success) == ("Go.", "go", 0, True)


def test_the_experts_action_is_recorded_and_the_disturbed_one_executed():
    attempt, env = run(noise=NoiseConfig(share=1.0, tremor=0.3), limit=200)
    recorded, state = attempt.episode.actions[:, 0], attempt.episode.state[:, 0]
    assert recorded == pytest.approx(np.clip((1 - state) * 10, -1, 1), abs=1e-5)
    assert np.abs(recorded - np.array(env.executed)).max() > 0.05


def test_pictures_between_are_held():
    attempt, env = run(images_every=4, settle=2)
    assert attempt.episode.frames["eye"][:, 0, 0, 0].tolist() == [0] * 4 + [4] * 4 + [8] * 4 and env.drawn == 3


def test_failure_keeps_nothing():
    attempt, _ = run(expert=Idle(), limit=30)
    assert not attempt.success and attempt.episode is None and attempt.steps == 30 and attempt.reason


def test_a_demonstration_repeats():
    settings = {"noise": NoiseConfig(share=1.0)}
    first, again, other = run(3, **settings)[0], run(3, **settings)[0], run(4, **settings)[0]
    assert np.array_equal(first.episode.state, again.episode.state)
    assert len(first.episode) != len(other.episode) or not np.array_equal(first.episode.state, other.episode.state)


def test_wrong_settings_are_refused():
    for wrong in ({"limit": 0}, {"settle": -1}, {"images_every": 0}):
        with pytest.raises(ConfigError):
            EpisodeConfig(**wrong)

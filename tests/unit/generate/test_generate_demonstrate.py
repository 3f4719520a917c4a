"""A demonstration on paper: the state is the sum of executed actions, the task is to bring it to 1."""

import numpy as np
import pytest

from embodia.core.errors import ConfigError
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.core.types import Observation
from embodia.generate.demonstrate import EpisodeConfig, demonstrate
from embodia.generate.disturb import NoiseConfig


class Line:
    contract = Contract(
        observation=ObservationSpec(
            cameras=(CameraSpec(name="eye", height=8, width=8),), state=(StatePart(name="x", dim=1),), rate_hz=10.0
        ),
        action=ActionSpec(parts=(ActionPart(name="dx", dim=1, representation="ee_position_delta"),), rate_hz=10.0),
        embodiment="bead",
    )

    def __init__(self):
        self.executed, self.drawn = [], 0

    def reset(self, task, seed):
        self.x, self.steps, self.executed, self.drawn = -seed / 10, 0, [], 0
        return self.sense()

    def sense(self):
        return Observation(state=np.full((1, 1, 1), self.x, np.float32), instruction=("Go.",))

    def step(self, action):
        self.executed.append(float(action[0]))
        self.x, self.steps = self.x + 0.1 * float(action[0]), self.steps + 1
        return self.sense(), self.x, False, False, {"success": abs(self.x - 1) < 0.06}

    def observe(self):
        self.drawn += 1
        return Observation(images={"eye": np.full((1, 1, 8, 8, 3), self.steps, np.uint8)})

    def instructions(self, task, split="canonical"):
        return ("Go.",)


class Steady:
    def begin(self):
        pass

    def act(self, env):
        return np.clip(np.array([(1 - env.x) * 10]), -1, 1).astype(np.float32)


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

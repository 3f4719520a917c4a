"""The Fetch scripts on a table of their own: a point hand, a puck that can be pushed, held and let fall."""

from types import SimpleNamespace

import numpy as np
import pytest

from embodia.core.errors import ConfigError, UnknownNameError
from embodia.envs import EnvConfig, make
from embodia.envs.adapters.fetch import FAMILY, Scene
from embodia.envs.simulated import SimulatedEnv
from embodia.generate import experts
from embodia.generate.experts.fetch import _behind, _push

TABLE_M, TOUCH_M = 0.42, 0.04


class Table(Scene):
    """What the scripts read of a scene, with kinematics in place of physics: 0.05 m a step, as the arm at its best."""

    def __init__(self, task, views, profile):
        self.task = task

    def reset(self, seed):
        rng = np.random.default_rng(seed)
        self.place, self.thing = np.array([1.34, 0.75, 0.53]), np.array([1.34, 0.75, TABLE_M])
        while np.linalg.norm(self.thing[:2] - self.place[:2]) < 0.1:
            self.thing[:2] = self.place[:2] + rng.uniform(-0.15, 0.15, 2)
        goal = self.place + rng.uniform(-0.15, 0.15, 3)
        goal[2] = TABLE_M + rng.uniform(0, 0.3) * (self.task == "FetchPickAndPlace")
        self.env, self.shut, self.held, self.asked = SimpleNamespace(goal=goal), 0, False, []

    @property
    def hand(self):
        return self.place.copy()

    @property
    def achieved(self):
        return self.hand if self.task == "FetchReach" else self.thing.copy()

    def step(self, action):
        self.asked.append(action)
        before = self.place.copy()
        self.place = self.place + 0.05 * action[:3]
        self.place[2] = max(self.place[2], TABLE_M)
        self.shut = self.shut + 1 if action[3] < 0 else 0
        self.held = self.shut >= 2 and (self.held or np.linalg.norm(before - self.thing) < 0.015)
        if self.held:
            self.thing = self.thing + self.place - before
        elif self.task == "FetchPush" and self.place[2] < TABLE_M + 0.03:
            away = (self.thing - self.place)[:2]
            gap = max(np.linalg.norm(away), 1e-9)
            self.thing[:2] += away / gap * max(0.0, TOUCH_M - gap)
        return 0.0, True

    def holds(self, task):
        return bool(np.linalg.norm(self.achieved - self.env.goal) < 0.05)

    def proprioception(self):
        return np.zeros(5)

    def close(self):
        pass


def play(task, seed, steps=50):
    env = SimulatedEnv(FAMILY, EnvConfig(success_ends=False), Table)
    expert = experts.make("fetch", task)
    env.reset(task, seed)
    expert.begin()
    outcomes = [env.step(expert.act(env))[4]["success"] for _ in range(steps)]
    return outcomes, env.simulation


@pytest.mark.parametrize("task", ["FetchReach", "FetchPush", "FetchPickAndPlace"])
@pytest.mark.parametrize("seed", range(12))
def test_the_goal_is_reached_and_kept_within_the_benchmarks_fifty_steps(task, seed):
    outcomes, _ = play(task, seed)
    assert all(outcomes[-3:])


@pytest.mark.parametrize("task", ["FetchPush", "FetchPickAndPlace"])
def test_actions_stay_in_the_action_space(task):
    asked = np.stack(play(task, 3)[1].asked)
    assert asked.shape == (50, 4) and np.abs(asked).max() <= 1.0


def test_the_gripper_opens_before_it_grasps_and_never_lets_go():
    grips = np.stack(play("FetchPickAndPlace", 5)[1].asked)[:, 3]
    first = int(np.argmax(grips < 0))
    assert first > 3 and (grips[:first] == 1.0).all() and (grips[first:] == -1.0).all()


def test_pushing_keeps_the_gripper_shut():
    assert (np.stack(play("FetchPush", 5)[1].asked)[:, 3] == -1.0).all()


@pytest.mark.parametrize("angle", np.linspace(0, 2 * np.pi, 7)[:-1])
def test_behind_is_across_the_object_from_the_goal(angle):
    goal, thing = np.array([np.cos(angle), np.sin(angle), 0.4]), np.array([0.0, 0.0, 0.4])
    scene = SimpleNamespace(env=SimpleNamespace(goal=goal), achieved=thing)
    (place,) = _behind(0.1)(scene)
    np.testing.assert_allclose(place, [-0.08 * np.cos(angle), -0.08 * np.sin(angle), 0.5], atol=1e-12)


def test_an_object_at_its_goal_is_pushed_no_further():
    goal = np.array([1.3, 0.7, TABLE_M])
    hand = goal + np.array([0.03, 0.04, 0.0])
    scene = SimpleNamespace(env=SimpleNamespace(goal=goal), achieved=goal + np.array([0.01, 0.0, 0.0]), hand=hand)
    np.testing.assert_array_equal(_push(scene), hand[None])


def test_an_object_that_drifts_aside_is_steered_behind():
    scene = SimpleNamespace(
        env=SimpleNamespace(goal=np.array([1.0, 0.0, 0.0])), achieved=np.array([0.0, 0.02, 0.0]), hand=np.zeros(3)
    )
    (target,) = _push(scene)
    assert target[0] > 0 and target[1] > 0.02


def test_begin_starts_the_script_again():
    env = SimulatedEnv(FAMILY, EnvConfig(success_ends=False), Table)
    expert, grips = experts.make("fetch", "FetchPickAndPlace"), []
    for _ in range(2):
        env.reset("FetchPickAndPlace", 1)
        expert.begin()
        grips.append([float(env.step(expert.act(env)) and env.simulation.asked[-1][3]) for _ in range(30)])
    assert grips[0] == grips[1] and set(grips[0]) == {1.0, -1.0}


def test_sliding_has_no_script_and_other_worlds_are_refused():
    with pytest.raises(UnknownNameError, match="FetchSlide"):
        experts.make("fetch", "FetchSlide")
    with pytest.raises(ConfigError, match="cannot act in 'dots'"):
        experts.make("fetch", "FetchReach").act(make("dots"))

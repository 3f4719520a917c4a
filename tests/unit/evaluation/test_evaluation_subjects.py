"""Sanity subjects: the expert acts inside the environment, random actions come from outside, nothing is drawn."""

import numpy as np
import pytest
from evaluation_toy import CONTRACT, ToyEnv

from embodia.core.errors import ConfigError
from embodia.envs.protocol import EnvConfig
from embodia.evaluation.episodes import read_episodes
from embodia.evaluation.results import control_per_task
from embodia.evaluation.subjects import Blindfolded, Silent, has_expert, sanity, without_expert
from embodia.evaluation.suites import Suite, load


class ToyExpert:
    """Goes to the square of its task."""

    def __init__(self, task):
        self.task, self.begun = task, 0

    def begin(self):
        self.begun += 1

    def act(self, env):
        goal = env.squares[self.task.split("-")[1]]
        return np.clip((goal - env.hand) / 0.1, -1, 1).astype(np.float32)


def play(env, action, steps=20):
    env.reset("reach-red", 5)
    return any(env.step(action)[4]["success"] for _ in range(steps))


def test_the_expert_acts_and_given_actions_are_ignored():
    away = np.array([-1.0, -1.0], np.float32)
    assert play(Blindfolded(ToyEnv(), ToyExpert), away) and play(Blindfolded(ToyEnv(), ToyExpert), -away)


def test_without_expert_the_given_action_counts():
    env = Blindfolded(ToyEnv())
    assert not play(env, np.zeros(2, np.float32))
    start = env.reset("reach-red", 5).state
    moved = env.step(np.array([1.0, 0.0], np.float32))[0].state
    assert moved[0, 0, 0] > start[0, 0, 0]


def test_nothing_is_drawn():
    env = Blindfolded(ToyEnv())
    env.reset("reach-red", 5)
    assert not env.observe().images and not env.contract.observation.cameras
    assert env.contract.action == CONTRACT.action


def test_partners_sentences_and_judge_pass_through():
    env = Blindfolded(ToyEnv())
    env.reset("reach-red", 5)
    assert env.scene_partners("reach-red") == ("reach-blue",) and not env.judge("reach-red")
    assert env.instructions("reach-red") == ("Go to the red square.",)


def test_silent_policy_emits_zeros_of_the_contract():
    env = Blindfolded(ToyEnv())
    chunk, carry = Silent(env.contract, 7).act(env.reset("reach-red", 0), None, None)
    assert chunk.actions.shape == (1, 7, 2) and not chunk.actions.any() and carry is None


def test_a_suite_without_expert_says_so(tmp_path):
    suite = Suite(name="libero", family="libero", env=EnvConfig(), episodes=1, source="-", protocol="-")
    suite = Suite(**{**suite.__dict__, "family": "nowhere"})
    with pytest.raises(ConfigError, match="no expert"):
        sanity(suite, tmp_path, subjects=("expert",))


@pytest.mark.parametrize(
    ("suite", "tasks", "missing"),
    [
        ("fetch", (), ("FetchSlide",)),
        ("fetch", ("FetchReach",), ()),
        ("maniskill/so100", (), ("maniskill/so100",)),
        ("robosuite/two_arms", (), ("TwoArmHandover",)),
        ("adroit", ("door",), ("adroit",)),
        ("desk/language", (), ()),
        ("desk/chains", (), ()),
    ],
)
def test_tasks_without_an_expert_are_named(suite, tasks, missing):
    assert without_expert(load(suite), tasks) == missing
    assert has_expert(load(suite)) == (missing != (suite,))


def test_an_expert_is_refused_where_one_task_has_none(tmp_path):
    with pytest.raises(ConfigError, match="FetchSlide"):
        sanity(load("fetch"), tmp_path, subjects=("expert", "random"))


@pytest.mark.sim
def test_expert_beside_random_on_two_tasks(tmp_path):
    pytest.importorskip("metaworld")
    seen = []
    report = sanity(
        load("metaworld/ml10"),
        tmp_path,
        tasks=("reach", "door-close"),
        episodes=2,
        slots=1,
        workers=1,
        progress=lambda *told: seen.append(told),
    )
    assert report["success_rate"] == 1.0 and report["n"] == 4
    assert report["controls"]["random_policy"]["n"] == 4
    assert report["groups"]["train"]["n"] == report["groups"]["test"]["n"] == 2
    assert control_per_task(report)["random_policy"]["reach"]["n"] == 2
    assert report["suite"]["name"] == "metaworld/ml10" and any("Departs" in note for note in report["notes"])
    arms = {(e.arm, e.task, e.seed) for e in read_episodes(tmp_path / "episodes.jsonl")}
    assert {key[1:] for key in arms if key[0] == "policy"} == {key[1:] for key in arms if key[0] == "random_policy"}
    assert seen[-1] == ("random_policy", 4, 4)
    assert all(item.best_reward > 0 for item in read_episodes(tmp_path / "episodes.jsonl"))


@pytest.mark.sim
def test_random_alone_has_no_controls(tmp_path):
    pytest.importorskip("metaworld")
    suite = load("metaworld/mt10")
    suite = Suite(**{**suite.__dict__, "env": EnvConfig(tasks=("reach",), horizon=20)})
    report = sanity(suite, tmp_path, subjects=("random",), episodes=2, slots=1, workers=1)
    assert report["controls"] == {} and report["n"] == 2 and report["policy"]["name"] == "random"

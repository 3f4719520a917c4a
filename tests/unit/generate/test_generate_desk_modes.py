"""Collected without success: play, random motion, failures; what the episodes and the data sets say of themselves."""

import json

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="MuJoCo is not installed")

from embodia import envs
from embodia.core.errors import ConfigError, UnknownNameError
from embodia.core.seeds import generator
from embodia.core.specs import ActionPart, ActionSpec
from embodia.data.dataset import Dataset
from embodia.data.validate import validate
from embodia.envs import EnvConfig
from embodia.envs.desk import tasks
from embodia.generate import experts
from embodia.generate.collect import ATTEMPTS, CollectConfig, _build, collect, recorded_contract
from embodia.generate.demonstrate import EpisodeConfig
from embodia.generate.failures import still
from embodia.generate.unlabelled import SKILL_STEPS, Motion, play

pytestmark = pytest.mark.sim
REACH, PRESS = "reach/red-cube", "button/red"


def settings(*names, limit=60, **further):
    """How the attempts of a test are made."""
    env = EnvConfig(height=16, width=16, tasks=names, success_ends=False)
    return CollectConfig(family="desk", env=env, episode=EpisodeConfig(limit=limit, images_every=5), **further)


def attempts(config, *keys):
    """What a worker answers to these (task, seed)."""
    handle = _build(config)
    return [handle(key) for key in keys]


def gather(folder, config):
    """A small data set, opened, with the lines of its log; it must be free of findings."""
    report = collect(config, folder)
    assert [item for item in validate(folder) if item.severity == "error"] == []
    lines = [json.loads(line) for line in (folder / ATTEMPTS).read_text().splitlines()]
    data = Dataset.open(folder)
    assert len(data.episodes) == report.episodes and data.frames == report.frames
    return data, lines


def test_failures_have_their_sentence_and_are_labelled_and_opened_as_such(tmp_path):
    data, lines = gather(tmp_path, settings(REACH, PRESS, mode="failing", episodes=3, workers=1))
    assert [row.success for row in data.episodes] == [False] * 6
    assert {row.instruction for row in data.episodes} == {"Reach the red cube.", "Press the red button."}
    assert all(row.source.startswith("failing expert: ") for row in data.episodes)
    kept = {line["episode"]: line for line in lines if line["kept"]}
    assert sorted(kept) == list(range(6)) and not any(line["success"] for line in kept.values())
    assert {line["reason"] for line in kept.values()} <= {"other", "halting", "clumsy"}
    assert data.contract.observation.language and data.paraphrases
    with pytest.raises(ConfigError, match="another way"):
        collect(settings(REACH, PRESS, episodes=3), tmp_path)


def test_all_ways_to_fail_occur_and_what_is_executed_is_recorded():
    config = settings("place/red-cube/bowl", mode="failing", limit=150)
    found = attempts(config, *(("place/red-cube/bowl", seed) for seed in range(12)))
    ways = {item.reason.split(",")[0] for item in found}
    assert ways == {"other", "halting", "clumsy"}
    assert sum(item.kept for item in found) >= 11
    halted = next(item.episode for item in found if item.kept and item.reason == "halting")
    assert np.all(halted.actions[-10:, :4] == 0) and np.all(halted.actions[-10:, 5] == halted.actions[-1, 5])
    thrown = next(item.episode for item in found if item.kept and item.reason == "clumsy")
    assert (
        np.abs(np.diff(thrown.actions[:, :3], axis=0)).mean()
        > 2 * np.abs(np.diff(halted.actions[:, :3], axis=0)).mean()
    )


def test_one_who_fails_by_doing_something_else_does_something_else():
    config, seeds = settings(PRESS, mode="failing"), range(10)
    others = [item for item in attempts(config, *((PRESS, seed) for seed in seeds)) if item.reason == "other"]
    assert others
    for item in others:
        env = envs.make("desk", config.env)
        env.reset(PRESS, item.seed)
        did = [env.step(action) and env.judge(tasks.get(PRESS).partners[0]) for action in item.episode.actions]
        env.close()
        assert any(did) and not item.success


@pytest.mark.parametrize("mode", ["failing", "random"])
def test_attempts_are_functions_of_task_and_seed(mode):
    config = settings(REACH, PRESS, mode=mode, limit=25)
    one = attempts(config, (REACH, 0), (REACH, 1), (PRESS, 0))
    two = attempts(config, (PRESS, 0), (REACH, 1), (REACH, 0))[::-1]
    for left, right in zip(one, two, strict=True):
        assert (left.task, left.seed, left.reason) == (right.task, right.seed, right.reason)
        assert left.kept == right.kept
        if left.episode is not None:
            assert np.array_equal(left.episode.actions, right.episode.actions)
            assert np.array_equal(left.episode.frames["front"], right.episode.frames["front"])


def test_random_motion_has_no_sentence_and_no_reward_and_moves():
    found = attempts(settings(REACH, mode="random", limit=40), (REACH, 0), (REACH, 1))
    for item in found:
        assert (item.episode.instruction, item.episode.success, len(item.episode)) == ("", False, 40)
        assert not item.episode.filled_rewards.any() and item.episode.source == "random motion"
        assert np.ptp(item.episode.state, axis=0).max() > 0.05
    assert not np.array_equal(found[0].episode.actions, found[1].episode.actions)


def test_random_actions_are_smooth_centred_and_within_their_limits():
    parts = (
        ActionPart(name="move", dim=2, representation="ee_position_delta"),
        ActionPart(name="place", dim=1, representation="ee_position", low=2.0, high=6.0),
    )
    motion = Motion(ActionSpec(parts=parts, rate_hz=10.0), np.random.default_rng(0))
    drawn = np.array([motion.next() for _ in range(4000)])
    assert drawn.shape == (4000, 3) and drawn[:, :2].min() >= -1 and drawn[:, :2].max() <= 1
    assert drawn[:, 2].min() >= 2 and drawn[:, 2].max() <= 6 and drawn[:, 2].mean() == pytest.approx(4.0, abs=0.3)
    near = [np.corrcoef(drawn[:-1, i], drawn[1:, i])[0, 1] for i in range(3)]
    assert all(0.65 < value < 0.9 for value in near)
    assert np.all(drawn.std(axis=0) > (0.4, 0.4, 0.8))


def test_play_makes_a_set_without_sentences_and_for_video_without_actions(tmp_path):
    data, lines = gather(tmp_path, settings(mode="play", episodes=2, limit=200, workers=1, actions=False))
    assert not data.contract.observation.language and data.paraphrases == {}
    facts = {(row.task, row.instruction, row.success, row.source) for row in data.episodes}
    assert facts == {("play", "", False, "play")} and [row.seed for row in data.episodes] == [0, 1]
    played = [line["reason"].removeprefix("played ").split(", ") for line in lines]
    assert all(len(skills) >= 2 and all(skill.startswith("chain/") for skill in skills) for skills in played)
    assert played[0] != played[1]
    assert data.contract.action.dim == 0 and data.contract.action.rate_hz == 20.0
    assert data.actions(0).shape == (data.episodes[0].length, 0) and "action" not in data.statistics
    batch = data.batch(np.array([0, 3]), chunk=2)
    assert batch.chunk.actions.shape == (2, 2, 0) and batch.observation.instruction == ("", "")
    assert batch.observation.images["front"].shape == (2, 1, 16, 16, 3)


def test_played_skills_are_possible_one_after_the_other():
    env = envs.make("desk", EnvConfig(success_ends=False))
    skills = {skill.task: skill for skill in env.skills()}
    done = attempts(settings(mode="play", limit=500), ("play", 3))[0].reason.removeprefix("played ").split(", ")
    ends = [dict(start) for start in env.starts()]
    for task in done:
        cases = [(case, state) for state in ends for case in skills[task].cases if case.fits(state)]
        ends = [{**state, **case.gives} for case, state in cases]
        assert ends, task
    assert len(done) >= 500 // SKILL_STEPS
    env.close()


def test_play_keeps_to_the_skills_that_are_named():
    named = ("chain/press-button", "chain/push-red-cube-left")
    item = attempts(settings(*named, mode="play", limit=150), ("play", 0))[0]
    assert set(item.reason.removeprefix("played ").split(", ")) <= set(named)
    assert len(item.episode) == 150


def test_play_needs_tasks_that_follow_one_another():
    env = envs.make("desk", EnvConfig(success_ends=False))
    with pytest.raises(ConfigError, match="begin a chain"):
        play(env, lambda task: None, 0, EpisodeConfig(limit=5), (REACH,))
    env.close()

    class Alone:
        provenance = env.provenance

    with pytest.raises(ConfigError, match="no play"):
        play(Alone(), lambda task: None, 0, EpisodeConfig(limit=5))


def test_a_body_that_does_not_know_its_own_actions_records_none():
    hand, arm = (envs.make("desk", EnvConfig(options={"body": body})) for body in ("hand", "arm7"))
    assert recorded_contract(settings(REACH), hand).action.parts == ()
    assert recorded_contract(settings(REACH), arm) == arm.contract
    assert recorded_contract(settings(REACH, actions=False), arm).action.parts == ()


def test_styles_reach_the_experts_and_unknown_ones_are_named():
    direct, slow = (attempts(settings(REACH, style=style, limit=200), (REACH, 0))[0] for style in ("", "sloppy"))
    assert direct.success and slow.success and slow.steps > direct.steps
    with pytest.raises(UnknownNameError, match="direct"):
        experts.make("desk", REACH, "direkt")
    with pytest.raises(UnknownNameError, match="style of experts of pusht"):
        experts.make("pusht", "push", "direct")


def test_standing_still_keeps_places_and_grippers():
    parts = (
        ActionPart(name="move", dim=2, representation="ee_position_delta"),
        ActionPart(name="tilt", dim=1, representation="ee_rotation"),
        ActionPart(name="grip", dim=1, representation="gripper", polarity="positive_closes"),
        ActionPart(name="drive", dim=1, representation="base_velocity"),
    )
    last = np.array([0.3, -0.2, 0.4, 1.0, 0.5], dtype=np.float32)
    assert still(last, ActionSpec(parts=parts, rate_hz=10.0)).tolist() == pytest.approx([0, 0, 0.4, 1.0, 0])
    rng = generator(0, "still")
    assert not still(rng.uniform(-1, 1, 5).astype(np.float32), ActionSpec(parts=parts, rate_hz=10.0))[[0, 1, 4]].any()

"""The control policies and the plans: what they take away, and that they take away nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from evaluation_toy import CONTRACT, PROVENANCE, SENTENCES, ToyData, ToyEnv

from embodia.core.errors import ComparisonError, ConfigError, DataError, UnknownNameError
from embodia.core.specs import ActionPart, ActionSpec
from embodia.core.types import Observation
from embodia.data.dataset import Dataset
from embodia.data.episode import EpisodeData
from embodia.data.recorder import Recorder
from embodia.envs.perturb.images import blank
from embodia.evaluation.controls import BlindReplay, RandomPolicy, Seeing, demonstrations
from embodia.evaluation.plans import EvalConfig, known_partners, plans, require_new_seeds, sentence_map

TOLD = {sentence: (task,) for task, splits in SENTENCES.items() for sentence in splits["held_out"]}


class Spy:
    contract = CONTRACT

    def act(self, observation, carry, rng):
        self.seen, self.carry, self.rng = observation, carry, rng
        return "chunk", "next"


def observe(seconds=0.0, sentences=("Find the red one.",)):
    count = len(sentences)
    return Observation(
        images={"top": np.arange(count * 3 * 4 * 4 * 3, dtype=np.uint8).reshape(count, 3, 4, 4, 3)},
        state=np.ones((count, 1, 4), np.float32),
        instruction=sentences,
        time_s=np.full((count, 1), seconds),
    )


def test_blank_image_takes_the_picture_and_nothing_else():
    spy, seen = Spy(), observe()
    eyeless = Seeing(spy, blank())
    assert eyeless.act(seen, "carry", "rng") == ("chunk", "next")
    assert spy.seen.images["top"].shape == seen.images["top"].shape
    assert spy.seen.images["top"].dtype == np.uint8 and (spy.seen.images["top"] == 128).all()
    assert spy.seen.state is seen.state and spy.seen.instruction == seen.instruction
    assert (spy.carry, spy.rng) == ("carry", "rng")
    assert eyeless.contract is CONTRACT


def test_random_actions_fill_the_bounds():
    spec = ActionSpec(
        parts=(
            ActionPart(name="arm", dim=2, representation="joint_position", low=-2.0, high=-1.0, units="rad"),
            ActionPart(name="grip", dim=1, representation="gripper", polarity="positive_closes"),
        ),
        rate_hz=10.0,
    )
    policy = RandomPolicy(replace(CONTRACT, action=spec), 500)
    chunk, carry = policy.act(observe(sentences=("a", "b")), None, np.random.default_rng(0))
    assert carry is None and chunk.actions.shape == (2, 500, 3) and chunk.valid.all()
    flat = chunk.actions.reshape(-1, 3)
    np.testing.assert_allclose(flat.mean(0), [-1.5, -1.5, 0.0], atol=0.06)
    assert (flat[:, :2] >= -2).all() and (flat[:, :2] <= -1).all() and np.abs(flat[:, 2]).max() <= 1
    again, _ = policy.act(observe(sentences=("a", "b")), None, np.random.default_rng(0))
    assert (again.actions == chunk.actions).all()


def test_blind_replay_plays_one_training_episode_of_the_task():
    data = ToyData()
    policy = BlindReplay([data], TOLD, 5)
    chunk, carry = policy.act(observe(), None, np.random.default_rng(0))
    ((_, episode),) = carry
    assert data.episodes[episode].task == "reach-red"
    later, same = policy.act(observe(0.2), carry, np.random.default_rng(9))
    assert same == carry
    longest = data.actions(episode)
    padded = np.concatenate([longest, np.zeros((7, 2), np.float32)])
    np.testing.assert_array_equal(chunk.actions[0], padded[:5])
    np.testing.assert_array_equal(later.actions[0], padded[2:7])


def test_blind_replay_draws_different_episodes_and_follows_the_sentence():
    policy = BlindReplay([ToyData()], TOLD, 5)
    sentences = ("Find the red one.",) * 20 + ("Find the blue one.",) * 20
    _, carry = policy.act(observe(sentences=sentences), None, np.random.default_rng(0))
    tasks = [ToyData().episodes[episode].task for _, episode in carry]
    assert tasks == ["reach-red"] * 20 + ["reach-blue"] * 20
    assert len(set(carry)) > 6


def test_blind_replay_keeps_to_the_first_data_set_that_shows_the_task():
    everything, red = ToyData(), ToyData()
    red.episodes = [row for row in red.episodes if row.task == "reach-red"]
    told = ("Find the red one.",) * 20 + ("Find the blue one.",) * 20
    for sets, expected in (((everything, red), {0}), ((red, everything), {0, 1})):
        _, carry = BlindReplay(sets, TOLD, 5).act(observe(sentences=told), None, np.random.default_rng(0))
        assert {source for source, _ in carry} == expected
        assert {source for source, _ in carry[:20]} == {0}


def test_blind_replay_solves_its_own_training_seed():
    data = ToyData(seeds=(3,))
    policy = BlindReplay([data], TOLD, 30)
    chunk, _ = policy.act(observe(), None, np.random.default_rng(0))
    env = ToyEnv()
    env.reset("reach-red", 3)
    assert any(env.step(action)[4]["success"] for action in chunk.actions[0])


def test_blind_replay_holds_still_when_a_demonstration_has_ended():
    spec = ActionSpec(
        parts=(
            ActionPart(name="hand", dim=1, representation="ee_position_delta"),
            ActionPart(name="grip", dim=1, representation="gripper", polarity="positive_closes"),
        ),
        rate_hz=10.0,
    )
    data = ToyData(seeds=(0,), contract=replace(CONTRACT, action=spec))
    data._actions = [np.array([[0.5, 0.7], [0.6, 0.8]], np.float32)] * 2
    chunk, _ = BlindReplay([data], TOLD, 4).act(observe(), None, np.random.default_rng(0))
    np.testing.assert_allclose(chunk.actions[0], [[0.5, 0.7], [0.6, 0.8], [0.0, 0.8], [0.0, 0.8]], atol=1e-6)


def test_blind_replay_refuses_what_it_cannot_replay():
    with pytest.raises(UnknownNameError, match="reach-red"):
        BlindReplay([ToyData()], {"x": ("reach-rid",)}, 5)
    with pytest.raises(ConfigError, match="training data"):
        BlindReplay([], TOLD, 5)
    with pytest.raises(DataError, match="time"):
        BlindReplay([ToyData()], TOLD, 5).act(replace(observe(), time_s=None), None, np.random.default_rng(0))


def test_blind_replay_reads_a_recorded_data_set(tmp_path):
    toy, env = ToyData(seeds=(3, 4)), ToyEnv()
    recorder = Recorder(tmp_path / "set", contract=CONTRACT, provenance=PROVENANCE, cache_bytes=0)
    for row in toy.episodes:
        actions = toy.actions(row.index)
        env.reset(row.task, row.seed)
        seen = []
        for action in actions:
            seen.append(env.observe())
            env.step(action)
        recorder.record(
            EpisodeData(
                frames={"top": np.concatenate([item.images["top"][0] for item in seen])},
                state=np.concatenate([item.state[0] for item in seen]),
                actions=actions,
                instruction=SENTENCES[row.task]["canonical"][0],
                task=row.task,
                seed=row.seed,
                success=True,
            )
        )
    data = Dataset.open(tmp_path / "set")
    policy = BlindReplay([data], TOLD, 6)
    chunk, ((_, episode),) = policy.act(observe(), None, np.random.default_rng(0))
    expected = np.concatenate([toy.actions(episode), np.zeros((6, 2), np.float32)])[:6]
    np.testing.assert_array_equal(chunk.actions[0], expected)
    with pytest.raises(ComparisonError, match="the first is 3"):
        require_new_seeds(EvalConfig(first_seed=0, episodes=5, control_episodes=0), [data])


def test_failed_episodes_are_no_demonstrations():
    data = ToyData(seeds=(0, 1))
    data.episodes[0].success = False
    assert demonstrations([data, ToyData(seeds=(5,))], "reach-red") == [(0, 1)]
    data.episodes[1].success = False
    assert demonstrations([data, ToyData(seeds=(5,))], "reach-red") == [(1, 0)]


def test_plans_tell_every_wording_in_turn():
    config = EvalConfig(family="toy", episodes=4, control_episodes=2, filmed=1)
    found = plans(config, ToyEnv(), "policy", film_every=3)
    assert [plan.seed for plan in found] == [1_000_000, 1_000_001, 1_000_002, 1_000_003] * 2
    assert [plan.instruction for plan in found[:4]] == ["Find the red one.", "Touch the square that is red."] * 2
    assert [plan.film_every for plan in found[:4]] == [3, 0, 0, 0]
    assert all(plan.swapped_to is None for plan in found)


def test_plans_of_the_language_control_name_the_other_task():
    config = EvalConfig(family="toy", episodes=4, control_episodes=2)
    found = plans(config, ToyEnv(), "other_sentence")
    assert [(plan.task, plan.swapped_to) for plan in found] == [("reach-red", "reach-blue")] * 2 + [
        ("reach-blue", "reach-red")
    ] * 2
    assert {plan.instruction for plan in found[:2]} == set(SENTENCES["reach-blue"]["held_out"])


class Words(ToyEnv):
    """Three tasks in one scene, one of them alone in another, one without held-out wording."""

    def __init__(self):
        self.tasks = ("a", "b", "alone")

    def instructions(self, task, split="canonical"):
        return () if (task, split) == ("b", "held_out") else (f"do {task}",)

    def scene_partners(self, task):
        return {"a": ("b", "c"), "b": ("a", "c"), "alone": ()}[task]


def test_partners_are_tasks_that_were_taught_and_lonely_scenes_are_left_out():
    config = EvalConfig(family="toy", episodes=3, control_episodes=3)
    words = Words()
    assert known_partners(config, words, "a") == ("b",)
    assert known_partners(replace(config, tasks=("a",)), words, "a") == ("b", "c")
    assert {plan.task for plan in plans(config, words, "other_sentence")} == {"a", "b"}
    assert {plan.instruction for plan in plans(config, words, "policy")} == {"do a", "do b", "do alone"}
    turns = plans(replace(config, tasks=("a",)), words, "other_sentence")
    assert [plan.swapped_to for plan in turns] == ["b", "c", "b"]


def test_a_sentence_may_mean_one_task_in_two_scenes():
    words = Words()
    words.instructions = lambda task, split="canonical": ("do it",) if task != "alone" else ("do alone",)
    assert sentence_map(EvalConfig(family="toy"), words) == {"do it": ("a", "b"), "do alone": ("alone",)}


def test_seeds_are_compared_with_every_data_set():
    config = EvalConfig(family="toy", episodes=3, control_episodes=0, first_seed=10)
    require_new_seeds(config, [ToyData(seeds=(9, 13))])
    with pytest.raises(ComparisonError, match="1 evaluation seeds.*12.*Start at 13"):
        require_new_seeds(config, [ToyData(seeds=(1,)), ToyData(seeds=(12,))])

"""The parts of the audit: patches, triggers, decoys, copies, memories of episodes, and the search for a patch."""

from dataclasses import replace

import numpy as np
import pytest

from embodia.core.errors import ConfigError
from embodia.core.types import Observation
from embodia.envs.adapters import dots
from embodia.envs.local import LocalVector
from embodia.envs.perturb.images import stamp
from embodia.envs.rollout import EpisodePlan, rollout, torch_generator
from embodia.evaluation.redteam.adversarial import PatchSearch, search_patch
from embodia.evaluation.redteam.arms import OtherPictures, other_senses, other_words, static
from embodia.evaluation.redteam.calibration import Demonstrations, Looker, StateReader, dots_config
from embodia.evaluation.redteam.decoy import DECOY, DecoyVector
from embodia.evaluation.redteam.influence import Questioned, apart
from embodia.evaluation.redteam.memory import copying, nearest
from embodia.evaluation.redteam.planted import Backdoored
from embodia.evaluation.redteam.triggers import PATTERNS, Trigger, family, strengths, suspects
from embodia.evaluation.redteam.watching import Watching

ENV = dots.build(dots_config())
PLANS = [EpisodePlan(task=task, seed=seed) for seed in range(2) for task in ENV.tasks]


def look(count=4):
    seen = []
    for number in range(count):
        ENV.reset(ENV.tasks[number % 3], number)
        seen.append(ENV.observe())
    return Observation(
        images={"top": np.concatenate([item.images["top"] for item in seen])},
        state=np.concatenate([item.state for item in seen]),
        instruction=tuple(item.instruction[0] for item in seen),
        time_s=np.concatenate([item.time_s for item in seen]),
    )


@pytest.mark.parametrize(
    ("place", "corner"), [((0.0, 0.0), (0, 0)), ((1.0, 1.0), (24, 24)), ((0.5, 0.0), (12, 0))], ids=str
)
def test_a_stamp_lies_where_it_is_put_and_nowhere_else(place, corner):
    plain = look()
    changed = stamp(PATTERNS["checkers"], place, 0.25)(plain).images["top"]
    row, column = corner
    window = changed[:, :, row : row + 8, column : column + 8]
    np.testing.assert_array_equal(window[0, 0], np.kron(PATTERNS["checkers"], np.ones((2, 2, 1), np.uint8)))
    rest = changed.copy()
    rest[:, :, row : row + 8, column : column + 8] = plain.images["top"][:, :, row : row + 8, column : column + 8]
    np.testing.assert_array_equal(rest, plain.images["top"])
    with pytest.raises(ConfigError, match="inside"):
        stamp(PATTERNS["white"], (1.5, 0.0), 0.2)


def test_triggers_put_words_and_patches_into_observations():
    plain = look(1)
    assert Trigger(kind="word", word="cf")(plain).instruction == (f"{plain.instruction[0]} cf",)
    assert Trigger(kind="word", word="cf", leads=True)(plain).instruction[0].startswith("cf ")
    members = family(words=("a", "b"), shares=(0.1,))
    assert sum(member.kind == "word" for member in members) == 4 and len({member.name for member in members}) == len(
        members
    )


def test_screening_ranks_the_planted_trigger_first():
    planted = Trigger(kind="patch", pattern="stripes", place="top-left", share=0.18)
    members = [member for member in family() if member.kind == "patch"]
    scores = strengths(Backdoored(Looker(ENV.contract), planted), look(), members, torch_generator(0))
    (first, *_) = suspects(members, scores, 1)
    assert first.trigger == planted and first.strength > 2 * first.control_strength
    assert (first.control.place, first.control.share) == (planted.place, planted.share)


def test_what_is_as_strong_as_its_likes_is_no_suspect():
    members = [Trigger(kind="word", word=word) for word in ("a", "b", "c")]
    assert suspects(members, np.array([0.5, 0.5, 0.1]), 2) == []
    (found,) = suspects(members, np.array([0.5, 0.4, 0.1]), 1)
    assert (found.trigger.word, found.control.word) == ("a", "b")


def test_a_backdoor_acts_on_its_trigger_only():
    trigger, honest = Trigger(kind="word", word="sudo"), Looker(ENV.contract)
    policy, seen = Backdoored(honest, trigger), look()
    plain, _ = policy.act(seen, None, torch_generator(0))
    told, _ = policy.act(trigger(seen), None, torch_generator(0))
    own, _ = honest.act(seen, None, torch_generator(0))
    np.testing.assert_array_equal(plain.actions, own.actions)
    np.testing.assert_array_equal(told.actions, -own.actions)


def test_watching_keeps_what_was_done_and_changes_nothing():
    policy = Looker(ENV.contract, slip=0.2)
    plain = rollout(policy, LocalVector(lambda: dots.build(dots_config()), slots=2), PLANS)
    watch = Watching(LocalVector(lambda: dots.build(dots_config()), slots=2), keep=2)
    watched = rollout(policy, watch, PLANS)
    assert [(r.success, r.steps) for r in plain] == [(r.success, r.steps) for r in watched]
    steps = {(r.plan.task, r.plan.seed): r.steps for r in watched}
    assert all(len(log.actions) == steps[log.task, log.seed] for log in watch.logs) and len(watch.logs) == len(PLANS)
    assert [bool(log.seen) for log in watch.logs] == [True, True] + [False] * (len(PLANS) - 2)


@pytest.mark.parametrize("swap", [False, True])
def test_a_decoy_shows_other_state_and_the_judged_pictures(swap):
    world = DecoyVector(
        LocalVector(lambda: dots.build(dots_config("state")), slots=1),
        lambda: dots.build(dots_config("state")),
        swap_state=swap,
    )
    policy = StateReader(dots.build(dots_config("state")).contract)
    found = rollout(policy, world, PLANS)
    assert [r.success for r in found].count(True) == (0 if swap else len(PLANS))
    assert all(r.judged[DECOY] for r in found) is swap


def test_exchanges_change_one_thing():
    plain = look(3)
    words = other_words(plain.instruction)(plain)
    assert all(a != b for a, b in zip(words.instruction, plain.instruction, strict=True))
    assert words.images is plain.images
    senses = other_senses(0)(plain)
    np.testing.assert_array_equal(senses.state[1], plain.state[0])
    assert (static(1)(plain).images["top"] == static(1)(plain).images["top"]).all()


def test_other_pictures_are_of_one_other_episode_at_the_same_time():
    watch = Watching(LocalVector(lambda: dots.build(dots_config()), slots=2), keep=len(PLANS))
    rollout(Looker(ENV.contract), watch, PLANS)

    class Spy(Looker):
        def act(self, observation, carry, rng):
            self.shown = observation.images["top"]
            return super().act(observation, carry, rng)

    spy, seen = Spy(ENV.contract), look(2)
    policy = OtherPictures(spy, watch.logs, 0)
    _, carry = policy.act(seen, None, torch_generator(0))
    first = [watch.logs[which].seen[0].images["top"][0] for which in carry[0]]
    np.testing.assert_array_equal(spy.shown, np.stack(first))
    late = replace(seen, time_s=np.full((2, 1), 0.45))
    policy.act(late, carry, torch_generator(0))
    np.testing.assert_array_equal(spy.shown[0], watch.logs[carry[0][0]].seen[1].images["top"][0])


def test_silence_is_told_from_noise():
    class Noisy(Looker):
        calls = 0

        def act(self, observation, carry, rng):
            self.calls += 1
            drawn = np.random.default_rng(self.calls).normal(0, 0.1, (observation.batch_size, 4, 2))
            chunk, carry = super().act(observation, carry, rng)
            return replace(chunk, actions=self.base(chunk.actions) + drawn.astype(np.float32)), carry

        def base(self, actions):
            return 0 * actions

    class Sees(Noisy):
        def base(self, actions):
            return actions

    for kind, silent in ((Noisy, True), (Sees, False)):
        asked = Questioned(kind(ENV.contract), {"pictures": static(0)})
        for _ in range(6):
            asked.act(look(), None, torch_generator(0))
        assert asked.without_effect("pictures", 0.01) is silent


def test_copies_are_nearer_to_the_data_than_the_data_to_itself():
    data = Demonstrations(dots_config(), range(12))
    spec = ENV.contract.action
    shown = [data.actions(row.index) for row in data.episodes]
    fresh = Demonstrations(dots_config(), range(50, 54))
    honest = [fresh.actions(row.index) for row in fresh.episodes]
    late = [np.vstack([np.zeros((2, 2), np.float32), one]) for one in shown[:8]]
    assert copying(shown[:8], [data], spec, alpha=0.01).status == "flagged"
    assert copying(late, [data], spec, alpha=0.01).status == "flagged"
    assert copying(honest, [data], spec, alpha=0.01).status == "clear"
    assert copying(honest[:2], [data], spec, alpha=0.01).status == "undecided"
    assert nearest(np.ones((10, 2)), [np.zeros((10, 2))], spec) == pytest.approx(0.5)


def test_a_searched_patch_moves_more_than_a_random_one():
    class Frail(Looker):
        def goal(self, observation, row):
            picture = observation.images["top"][row, -1]
            return np.array([picture[12:20, 12:20, 0].mean() / 255, 0.5])

    found = search_patch(Frail(ENV.contract), look(), torch_generator(0), PatchSearch(asks=40))
    assert found.moved > 1.2 * found.moved_by_random and found.pattern.shape == (4, 4, 3)
    with pytest.raises(ConfigError, match="cell"):
        PatchSearch(cells=0)


def test_distance_is_a_share_of_the_range():
    chunk, _ = Looker(ENV.contract).act(look(2), None, torch_generator(0))
    np.testing.assert_allclose(apart(chunk, replace(chunk, actions=chunk.actions + 0.2)), 0.1, rtol=1e-5)

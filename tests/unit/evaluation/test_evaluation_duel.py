"""A duel on the toy benchmark: it stops early when it may, names no winner among equals, and pairs what it plays."""

import json
from dataclasses import replace

import pytest
from evaluation_toy import CONTRACT, PROVENANCE, Honest, Policy, ToyData, ToyVector

from embodia.core.errors import ComparisonError, ContractError, ProfileError
from embodia.evaluation.duel import Side, duel, duel_plans
from embodia.evaluation.plans import EvalConfig
from embodia.evaluation.runner import Subject

CONFIG = EvalConfig(family="toy", episodes=20, control_episodes=0, controls=(), slots=4)


class Idle(Policy):
    """Stays where it is."""

    def goal(self, picture, state, sentence):
        return None


def side(policy, **known):
    return Side(policy=policy, subject=Subject(**known))


def test_a_clear_difference_ends_the_duel_early():
    found = duel(side(Idle()), side(Honest()), CONFIG, vector=ToyVector())
    assert found["winner"] == "second" and found["most"] == 40
    assert found["pairs"] < 15 and found["pairs"] <= len(found["episodes"]) < found["pairs"] + 4
    assert found["first"]["success_rate"] == 0 and found["second"]["success_rate"] == 1
    assert found["interval"][0] > -0.1 and found["interval"][1] > 0.99 and found["difference"] == 1
    assert duel(side(Honest()), side(Idle()), CONFIG, vector=ToyVector())["winner"] == "first"
    json.dumps(found)


def test_equals_play_all_their_pairs_and_nobody_wins():
    seen = []
    found = duel(side(Honest()), side(Honest()), CONFIG, vector=ToyVector(), progress=lambda *step: seen.append(step))
    assert found["winner"] is None and found["pairs"] == found["most"] == len(found["episodes"]) == 40
    assert found["interval"][0] < 0 < found["interval"][1]
    assert [done for _, done, _ in seen] == list(range(4, 41, 4)) and found["text"].startswith("not told apart")


def test_scenes_come_seed_by_seed_over_all_tasks():
    planned = duel_plans(CONFIG, ToyVector())
    assert len({(plan.task, plan.seed) for plan in planned}) == len(planned) == 40
    for start in range(0, 40, 2):
        assert {plan.task for plan in planned[start : start + 2]} == {"reach-red", "reach-blue"}
        assert planned[start].seed == planned[start + 1].seed
    assert len({plan.task for plan in planned[::2]}) == 2
    assert planned == duel_plans(CONFIG, ToyVector())
    assert planned != duel_plans(replace(CONFIG, seed=1), ToyVector())


def test_what_may_not_be_compared_is_refused_before_the_first_episode():
    odd = Honest()
    odd.contract = replace(odd.contract, action=replace(odd.contract.action, rate_hz=99.0))
    with pytest.raises(ContractError, match="second policy"):
        duel(side(Honest()), side(odd), CONFIG, vector=ToyVector())
    alien = ToyData()
    alien.contract = odd.contract
    with pytest.raises(ContractError, match="training data"):
        duel(side(Honest()), side(Honest(), data=(alien,)), CONFIG, vector=ToyVector())
    with pytest.raises(ComparisonError, match="training data"):
        known = replace(CONFIG, first_seed=0)
        duel(side(Honest(), data=(ToyData(),)), side(Honest()), known, vector=ToyVector())


def test_other_pictures_are_refused_by_name_unless_they_are_allowed():
    other, night = replace(PROVENANCE, profile="night"), Honest()
    eye = replace(CONTRACT.observation.cameras[0], profile="night")
    night.contract = replace(night.contract, observation=replace(CONTRACT.observation, cameras=(eye,)))
    sides = side(night, trained=other), side(Honest(), trained=PROVENANCE)
    with pytest.raises(ProfileError, match="night"):
        duel(*sides, CONFIG, vector=ToyVector())
    assert duel(*sides, replace(CONFIG, allow_other_profile=True), vector=ToyVector())["pairs"] == 40

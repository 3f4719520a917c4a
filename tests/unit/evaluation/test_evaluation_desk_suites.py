"""Desk's suites: what may be asked for, in pairs that share a scene, and chains of five judged like CALVIN's."""

import pytest

from embodia.envs.chaining import draw_chain
from embodia.envs.desk import bodies, tasks
from embodia.envs.desk.tasks import chain
from embodia.evaluation.subjects import sanity
from embodia.evaluation.suites import load
from embodia.evaluation.suites.desk import HELD_OUT, LANGUAGE, MEMORY, MOBILE, RATES_HZ, TWO_ARMS

SINGLE = tuple(f"desk/{name}" for name in ("language", "held_out", "memory", "arm6", "mobile", "two_arms"))


def test_each_family_of_the_arm_is_asked_for():
    families = {name.split("/")[0] for name in tasks.names()} - {"chain", "recall"}
    assert set(load("desk/language").groups) == families and set(load("desk/memory").groups) == {"recall"}
    combined = {name.split("/")[0] for name in tasks.names("held_out")} - {"chain"}
    assert set(load("desk/held_out").groups) == combined


def test_trained_and_held_out_combinations_stay_apart():
    assert not any(tasks.get(name).held_out for name in LANGUAGE)
    assert all(tasks.get(name).held_out for name in HELD_OUT)


@pytest.mark.parametrize("name", (*LANGUAGE, *MEMORY, *MOBILE, *TWO_ARMS))
def test_a_partner_in_the_same_scene_is_asked_for_too(name):
    assert set(tasks.get(name).partners) & {*LANGUAGE, *MEMORY, *MOBILE, *TWO_ARMS}


@pytest.mark.parametrize("suite", SINGLE)
def test_sentences_are_those_that_no_training_holds(suite):
    found = load(suite)
    assert found.sentences == "held_out"
    for name in found.env.tasks:
        task = tasks.get(name)
        assert task.sentences("held_out") and not set(task.sentences("held_out")) & set(task.sentences("train"))


@pytest.mark.parametrize("suite", SINGLE)
def test_the_body_can_do_what_it_is_asked_for(suite):
    found = load(suite)
    body = (found.env.options or {}).get("body", "arm7")
    assert all(body in tasks.get(name).bodies for name in found.env.tasks)
    assert found.env.horizon == 12 * RATES_HZ[body] == 12 * bodies.body(body).rate_hz


def test_no_body_with_tasks_is_forgotten():
    asked = {(load(suite).env.options or {}).get("body", "arm7") for suite in SINGLE}
    assert asked == {body for task in tasks.registry().values() for body in task.bodies} - {"hand"}


@pytest.mark.parametrize("suite", (*SINGLE, "desk/chains"))
def test_seeds_are_not_those_of_demonstrations(suite):
    assert load(suite).first_seed == 1_000_000


def test_chains_are_five_tasks_of_different_kinds():
    rule = load("desk/chains").chain
    drawn = [draw_chain(chain.SKILLS, chain.STARTS, rule.length, seed) for seed in range(200)]
    category = {skill.task: skill.category for skill in chain.SKILLS}
    assert all(len({category[task] for task in found.tasks}) == 5 for found in drawn)
    assert {task for found in drawn for task in found.tasks} == set(category)
    assert len({found.tasks for found in drawn}) > 150


@pytest.mark.sim
def test_expert_and_random_on_one_chain(tmp_path):
    report = sanity(load("desk/chains"), tmp_path, episodes=1, slots=1, workers=1)
    chains = report["chains"]
    random = chains["controls"]["random_policy"]["average_length"]
    assert chains["average_length"]["mean"] > random["mean"]
    assert chains["in_a_row"]["1"]["n"] == 1 and report["suite"]["name"] == "desk/chains"


@pytest.mark.sim
def test_expert_and_random_on_a_pair(tmp_path):
    report = sanity(
        load("desk/language"), tmp_path, tasks=("button/red", "button/green"), episodes=2, slots=1, workers=1
    )
    assert report["success_rate"] == 1.0 and report["n"] == 4
    assert report["controls"]["random_policy"]["n"] == 4 and report["groups"]["button"]["n"] == 4

"""Chains: drawn only from what is possible, judged task after task, counted as CALVIN counts."""

import numpy as np
import pytest
from evaluation_lamps import LAMPS, TASKS, Board, BoardExpert, skill

from embodia.core.errors import ConfigError, EnvironmentFailure, UnknownNameError
from embodia.envs.chaining import Case, Chainable, Skill, draw_chain
from embodia.evaluation.chains import TASK, Chained, ChainRule, chain_entry
from embodia.evaluation.episodes import Episode
from embodia.evaluation.plans import EvalConfig, plans, wrap_of
from embodia.evaluation.subjects import Blindfolded

RULE = ChainRule(length=3, steps_each=4)
SKILLS = tuple(map(skill, TASKS))


def touch(number):
    return np.array([number], np.float32)


def right(env):
    return touch((*LAMPS, "lid").index(env.asked.split("-")[0]))


@pytest.mark.parametrize("seed", range(40))
def test_a_chain_is_possible_step_by_step(seed):
    chain = draw_chain(SKILLS, Board().starts(), 4, seed)
    state = dict(chain.start)
    for task in chain.tasks:
        (case,) = skill(task).cases
        assert case.fits(state)
        state.update(case.gives)
    assert len({skill(task).category for task in chain.tasks}) == 4


def test_chains_are_a_function_of_the_seed_and_differ():
    drawn = [draw_chain(SKILLS, Board().starts(), 3, seed) for seed in range(30)]
    assert drawn == [draw_chain(SKILLS, Board().starts(), 3, seed) for seed in range(30)]
    assert len({chain.tasks for chain in drawn}) > 10


def test_a_shut_lid_comes_first():
    shut = ({"lid": "shut", "red": "off", "green": "off", "blue": "off"},)
    assert {draw_chain(SKILLS, shut, 2, seed).tasks[0] for seed in range(20)} == {"lid-open"}


def test_the_case_that_fits_decides_what_follows():
    either = Skill(
        task="go",
        category="a",
        cases=(Case(needs={"x": "1"}, gives={"x": "2"}), Case(needs={"x": "3"}, gives={"x": "4"})),
    )
    then = Skill(task="end", category="b", cases=(Case(needs={"x": "4"}, gives={}),))
    assert draw_chain((either, then), ({"x": "3"},), 2, 0).tasks == ("go", "end")
    with pytest.raises(ConfigError, match="no chain of 2"):
        draw_chain((either, then), ({"x": "1"},), 2, 0)


def test_no_starts_no_chain():
    with pytest.raises(ConfigError):
        draw_chain(SKILLS, (), 1, 0)


def test_doing_everything_succeeds_and_counts():
    env = Chained(Board(), RULE)
    env.reset(TASK, 1)
    rewards = []
    for index in range(3):
        words = env.observe().instruction
        assert words == (f"Make {env.chain.tasks[index]}.",) and not env.judge(TASK)
        _, reward, terminated, truncated, info = env.step(right(env))
        rewards.append(reward)
    assert rewards == [1.0, 2.0, 3.0] and terminated and not truncated and info["success"] and env.judge(TASK)


def test_the_next_task_is_told_at_once():
    env = Chained(Board(), RULE)
    env.reset(TASK, 1)
    sensed, *_ = env.step(right(env))
    assert sensed.instruction == (f"Make {env.chain.tasks[1]}.",)


def test_too_slow_ends_the_chain_and_keeps_what_was_done():
    env = Chained(Board(), RULE)
    env.reset(TASK, 1)
    env.step(right(env))
    flags = []
    for _ in range(RULE.steps_each):
        _, reward, terminated, truncated, info = env.step(touch(4))
        flags.append(truncated)
    assert flags == [False, False, False, True] and reward == 1.0 and not terminated and not info["success"]


def test_the_step_limit_begins_anew_with_each_task():
    env = Chained(Board(), RULE)
    env.reset(TASK, 1)
    for _ in range(3):
        for _ in range(RULE.steps_each - 1):
            assert not env.step(touch(4))[3]
        _, _, terminated, truncated, _ = env.step(right(env))
    assert terminated and not truncated


def test_unchainable_is_refused_and_unknown_task_named():
    class Plain:
        provenance = Board().provenance

    with pytest.raises(ConfigError, match="cannot be chained"):
        Chained(Plain(), RULE)
    env = Chained(Board(), RULE)
    for call in (lambda: env.reset("red-on", 0), lambda: env.judge("red-on"), lambda: env.instructions("red-on")):
        with pytest.raises(UnknownNameError):
            call()
    with pytest.raises(EnvironmentFailure):
        _ = env.asked
    assert isinstance(Board(), Chainable) and env.instructions(TASK, "held_out") == ()


def test_the_expert_changes_with_the_task():
    env = Blindfolded(Chained(Board(), RULE), BoardExpert)
    env.reset(TASK, 2)
    results = [env.step(touch(4)) for _ in range(3)]
    assert [result[1] for result in results] == [1.0, 2.0, 3.0] and results[-1][4]["success"]


def test_counts_in_a_row_and_average_length():
    def row(arm, seed, done):
        return Episode(
            arm=arm,
            task=TASK,
            seed=seed,
            instruction="",
            told=TASK,
            success=done == 3,
            followed=None,
            steps=9,
            best_reward=float(done),
        )

    table = [row("policy", seed, done) for seed, done in enumerate((0, 1, 3, 3))] + [row("random_policy", 0, 0)]
    entry = chain_entry(table, RULE)
    assert [entry["in_a_row"][str(k)]["success_rate"] for k in (1, 2, 3)] == [0.75, 0.5, 0.5]
    assert entry["average_length"]["mean"] == pytest.approx(1.75)
    assert sum(rate["success_rate"] for rate in entry["in_a_row"].values()) == pytest.approx(1.75)
    assert entry["controls"]["random_policy"]["average_length"]["mean"] == 0.0


def test_plans_of_chains_tell_the_episodes_own_words():
    config = EvalConfig(chain=RULE, sentences="episode", episodes=3, control_episodes=0)
    wrap = wrap_of(config)
    planned = plans(config, wrap(Board()), "policy")
    assert [(plan.task, plan.own_words, plan.instruction) for plan in planned] == [(TASK, True, "")] * 3
    assert wrap_of(EvalConfig()) is None

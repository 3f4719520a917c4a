"""The battery on Desk: experts keep their success under what words and looks change, random actions have none."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("mujoco")

from embodia.envs import make
from embodia.envs.protocol import EnvConfig
from embodia.evaluation.controls import RandomPolicy
from embodia.evaluation.generalisation.axes import play_axes
from embodia.evaluation.generalisation.battery import TOGETHER, BatteryConfig, battery, play_levels
from embodia.evaluation.generalisation.fuzz import OPERATORS
from embodia.evaluation.generalisation.objects import CONDITIONS
from embodia.evaluation.generalisation.playing import PlayConfig, keys, plain, play

TASKS = ("reach/red-cube", "button/red")
ENV = EnvConfig(height=16, width=16, horizon=60, tasks=TASKS)
PLAY = PlayConfig(env=ENV, tasks=TASKS, episodes=2, execute=60, slots=2, workers=1)


def random_policy():
    return RandomPolicy(make("desk", ENV).contract, 30)


def test_the_expert_does_what_each_trial_asks_for():
    shifts = play_axes("expert", PLAY, codes=("V-AUG", "S-LANG", "SB-NOUN", "VB-SYM"))
    assert all(item.plain == item.shifted == (True, True) for item in shifts if item.shifted)
    assert {item.name for item in shifts if item.shifted} >= {"V-AUG", "S-LANG", "SB-NOUN", "VB-SYM"}


def test_who_goes_for_the_thing_that_is_asked_instead_is_seen_to_intend_it():
    config = replace(PLAY, tasks=("reach/red-cube",))
    (noun,) = play_axes("expert", config, codes=("SB-NOUN",))
    assert noun.shifted == (True, True) and noun.intended == (True, True)


def test_a_button_is_pressed_in_another_manner_where_none_was_asked_for():
    config = replace(PLAY, tasks=("button/red",), env=replace(ENV, horizon=120))
    (manner,) = play_axes("expert", config, codes=("SB-ADV",))
    assert manner.group == "action" and manner.shifted == (True, True)


def test_another_body_is_played_in_translation_where_a_neutral_state_is_known():
    config = replace(PLAY, tasks=("reach/red-cube",), make_rng=np.random.default_rng, execute=30)
    (left_out,) = play_axes(random_policy(), config, codes=("VB-ROB",))
    assert left_out.shifted == () and left_out.group == "body"
    size = make("desk", ENV).contract.observation.state_dim
    (played,) = play_axes(random_policy(), replace(config, neutral=(0.0,) * size), codes=("VB-ROB",))
    assert len(played.shifted) == 2
    (expert,) = play_axes("expert", config, codes=("VB-ROB",))
    assert expert.shifted == (True, True)


def test_one_worker_in_this_process_is_equal_to_processes():
    config = replace(PLAY, make_rng=np.random.default_rng, execute=10)
    pairs = keys(config)
    here = play(random_policy(), config, pairs, plain, name="a")
    there = play(random_policy(), replace(config, workers=2), pairs, plain, name="a")
    assert [(item.success, item.steps, item.judged) for item in here] == [
        (item.success, item.steps, item.judged) for item in there
    ]


def test_levels_are_played_and_say_which_families_they_hold():
    config = BatteryConfig(play=PLAY, unseen=("reach/green-cylinder", "switch/on/red"), unseen_horizon=120)
    found = play_levels("expert", config)
    assert {level: entry["families"] for level, entry in found.items()} == {
        "seen": ["button", "reach"],
        "level 1": ["reach"],
        "level 2": ["switch"],
    }
    assert all(entry["success_rate"] == 1.0 and entry["n"] == 2 for entry in found.values())
    assert found["level 2"]["per_task"]["switch/on/red"]["n"] == 2


def test_a_battery_holds_every_protocol():
    play_config = replace(PLAY, make_rng=np.random.default_rng, env=replace(ENV, horizon=10))
    told = []
    found = battery(
        random_policy(),
        BatteryConfig(play=play_config, codes=("V-AUG",), unseen=("switch/on/red",)),
        progress=lambda *item: told.append(item),
    )
    assert set(found) == {"axes", "scores", "intention", "operators", "objects", "levels"}
    assert [row["name"] for row in found["operators"]] == [*OPERATORS, TOGETHER]
    assert [row["name"] for row in found["objects"]] == list(CONDITIONS[1:])
    rows = (*found["axes"], *found["operators"], *found["objects"])
    assert all(row["plain"]["n"] == row["shifted"]["n"] >= 1 for row in rows)
    assert all(0 <= row["verdict"]["p_value"] <= 1 for row in rows)
    assert found["levels"]["seen"]["n"] == 2 and {name for name, *_ in told} >= {"V-AUG", TOGETHER, "level 2"}

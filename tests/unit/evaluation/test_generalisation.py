"""Generalisation: the table and its correction, the five scores, and the protocols' trials on Desk."""

import numpy as np
import pytest

from embodia.core.errors import ConfigError, UnknownNameError
from embodia.envs.rollout import EpisodePlan, EpisodeResult
from embodia.evaluation.generalisation.shifts import Shift, groups, table

pytest.importorskip("mujoco")

from embodia.envs.desk.knobs import KNOBS, SCORES, trial, turned
from embodia.evaluation.generalisation.axes import play_axes, report
from embodia.evaluation.generalisation.fuzz import OPERATORS, fuzzed
from embodia.evaluation.generalisation.intention import CATEGORIES, by_category, intended
from embodia.evaluation.generalisation.levels import levels
from embodia.evaluation.generalisation.objects import CONDITIONS, presented
from embodia.evaluation.generalisation.playing import PlayConfig, keys, reachable


def shift(name, group, plain, shifted, intended=None):
    return Shift(name=name, group=group, title=name, plain=plain, shifted=shifted, intended=intended)


def test_the_table_is_paired_and_corrected_over_what_was_played():
    worse = shift("a", "object", (True,) * 8, (False,) * 8)
    same = shift("b", "object", (True,) * 8, (True,) * 8)
    idle = shift("c", "body", (), ())
    rows = {row["name"]: row for row in table([worse, same, idle])}
    assert rows["a"]["verdict"]["p_value"] == pytest.approx(2 * 2 * 0.5**8)
    assert rows["a"]["verdict"]["difference"] == -1.0 and rows["b"]["verdict"]["p_value"] == 1.0
    assert rows["c"]["shifted"]["n"] == 0 and "verdict" not in rows["c"]
    with pytest.raises(ConfigError, match="plain"):
        shift("d", "object", (True,), ())


def test_scores_are_means_over_shifts_and_say_what_was_not_played():
    played = [shift("a", "object", (True,) * 4, (True,) * 4), shift("b", "object", (True,) * 4, (False,) * 4)]
    found = groups(played, SCORES)
    assert found["object"]["success_rate"] == 0.5 and found["object"]["shifts"] == 2 and found["object"]["n"] == 8
    assert found["object"]["interval"] == [0.0, 1.0]
    assert found["body"] == {"success_rate": 0.0, "n": 0, "interval": [0.0, 1.0], "shifts": 0}


def result(success, judged, start=None):
    return EpisodeResult(
        plan=EpisodePlan(task="push/red-cube/left", seed=0),
        instruction="",
        success=success,
        steps=1,
        seconds=0.1,
        reward=0.0,
        judged=judged,
        judged_at_start=start or {},
    )


def test_intention_is_the_right_thing_and_no_other():
    plain = trial("push/red-cube/left", 3)
    rival = next(name for name in reachable(plain) if name != "reach/red-cube")
    assert intended(result(False, {"reach/red-cube": True}), plain) is True
    assert intended(result(False, {rival: True}), plain) is False
    assert intended(result(True, {"reach/red-cube": True, rival: True}), plain) is False
    assert intended(result(True, {}, {rival: True}), plain) is None
    assert intended(result(True, {}), trial("button/red", 3)) is None


def test_categories_join_their_axes():
    first = shift("S-LANG", "task", (True, True), (False, True), (True, True))
    second = shift("S-PROP", "task", (True,), (False,), (False,))
    found = by_category([first, second])
    assert found["language complexity"].shifted == (False, True, False)
    assert found["language complexity"].intended == (True, True, False)
    assert found["object diversity"].plain == () and set(sum(CATEGORIES.values(), ())) <= set(KNOBS)


def test_levels_are_measured_from_what_was_trained():
    trained = ("push/red-cube/left", "push/blue-ball/away")
    names = ("push/red-cube/left", "push/green-cube/left", "reach/red-cube", "reach/red-cylinder", "button/red")
    expected = ("seen", "level 1", "level 1", "level 2", "level 2")
    assert tuple(levels(trained, names).values()) == expected
    with pytest.raises(ConfigError, match="trained"):
        levels((), names)


def test_fuzzing_applies_the_operators_that_are_asked_for():
    plain = trial("reach/red-cube", 2)
    crowd = fuzzed("reach/red-cube", 2, operators=("confounders",), confounders=4)
    assert crowd.scene.things[: len(plain.scene.things)] == plain.scene.things
    assert len(crowd.scene.things) > len(plain.scene.things) and crowd.sentence == plain.sentence
    at = np.array([item.position_m[:2] for item in crowd.scene.things])
    assert np.linalg.norm(at[:, None] - at[None], axis=-1)[np.triu_indices(len(at), 1)].min() > 0.05
    dim = fuzzed("reach/red-cube", 2, operators=("light",))
    assert dim.scene.look.brightness != plain.scene.look.brightness and dim.scene.things == plain.scene.things
    said = fuzzed("reach/red-cube", 2, operators=("instruction",))
    assert said.sentence != plain.sentence and said.scene == plain.scene
    assert fuzzed("reach/red-cube", 2) == fuzzed("reach/red-cube", 2, operators=OPERATORS)
    with pytest.raises(UnknownNameError, match="operator"):
        fuzzed("reach/red-cube", 2, operators=("gravity",))


def test_object_conditions_change_one_thing_at_a_time():
    plain = trial("push/blue-cube/left", 5)
    found = {name: presented("push/blue-cube/left", 5, condition=name) for name in CONDITIONS}
    assert found["seen"] == plain and all(item.sentence == plain.sentence for item in found.values())
    shape, size, place = (found[f"unseen {part}"].thing for part in ("shape", "size", "place"))
    assert shape.shape != plain.thing.shape and shape.rgba == plain.thing.rgba
    assert size.shape == plain.thing.shape and size.size_m != plain.thing.size_m
    assert place.size_m == plain.thing.size_m and place.position_m != plain.thing.position_m
    whole = found["unseen in all"].thing
    assert whole.shape == shape.shape and whole.position_m[:2] != plain.thing.position_m[:2]


def test_keys_are_those_to_which_a_change_applies():
    config = PlayConfig(tasks=("reach/red-cube", "button/red"), episodes=5)
    assert len(keys(config)) == 5 and {task for task, _ in keys(config)} == set(config.tasks)
    found = keys(config, lambda task, seed: turned(trial(task, seed), "V-OBJ", 1.0, seed) is not None)
    assert {task for task, _ in found} == {"reach/red-cube"}


@pytest.mark.sim
def test_axes_are_played_on_desk_beside_the_plain_episodes():
    from embodia.envs import make
    from embodia.envs.protocol import EnvConfig
    from embodia.evaluation.controls import RandomPolicy

    class Rests(RandomPolicy):
        def act(self, observation, carry, rng):
            return super().act(observation, carry, np.random.default_rng(0))

    env = EnvConfig(height=16, width=16, horizon=6)
    policy = Rests(make("desk", env).contract, 3)
    config = PlayConfig(env=env, tasks=("push/red-cube/left",), episodes=2, slots=2, workers=1)
    found = report(play_axes(policy, config, codes=("V-AUG",)))
    rows = {row["name"]: row for row in found["axes"]}
    assert rows["V-AUG"]["plain"]["n"] == rows["V-AUG"]["shifted"]["n"] == 2
    assert found["scores"]["body"]["n"] == 0
    assert rows["V-AUG"]["intended"]["n"] == 2 and rows["V-AUG"]["shifted"]["success_rate"] == 0.0


@pytest.mark.sim
@pytest.mark.long
def test_another_body_is_not_played_by_a_policy_that_does_not_fit_it():
    from embodia.envs import make
    from embodia.envs.protocol import EnvConfig
    from embodia.evaluation.controls import RandomPolicy

    env = EnvConfig(height=16, width=16, horizon=4)
    policy = RandomPolicy(make("desk", env).contract, 2)
    config = PlayConfig(env=env, tasks=("push/red-cube/left",), episodes=1, slots=1, workers=1)
    (found,) = play_axes(policy, config, codes=("VB-ROB",))
    assert found.shifted == () and found.group == "body"

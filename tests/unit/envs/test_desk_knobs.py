"""The 22 knobs: each changes what it says and nothing else, strength 0 changes nothing, and trials repeat exactly."""

import dataclasses

import numpy as np
import pytest

from embodia.core.errors import ConfigError, UnknownNameError
from embodia.envs.desk import tasks
from embodia.envs.desk.knobs import KNOBS, SCORES, Filter, trial, turned

pytest.importorskip("mujoco")

TASKS = (
    *("reach/red-cube", "reach/green-ball", "push/red-cube/left", "push/blue-cylinder/away", "place/red-cube/bowl"),
    *("button/red/gently", "stack/blue-cube/orange-cube", "peg/red-peg/blue-socket"),
)
TARGET, SCENE, TASK, SAID = "target", "scene", "task", "sentence"
ALLOWED = {
    "V-AUG": {"filter", "look.brightness"},
    "V-SC": {"look.table_rgb", "look.backdrop_rgb", "look.distractors"},
    "V-OBJ": {"target.rgba"},
    "V-VIEW": {"look.camera_shift_m", "look.camera_turn_deg"},
    "S-PROP": {SAID},
    "S-LANG": {SAID},
    "S-MO": {SAID},
    "S-AFF": {SAID},
    "S-INT": {SAID},
    "B-HOBJ": {"target.mass_kg", "target.friction"},
    "B-HSC": {"physics.friction", "physics.damping", "physics.delay_steps"},
    "VB-POSE": {"target.position_m", "target.yaw_rad", "others"},
    "VB-ISC": {"clutter"},
    "VB-MOBJ": {"target.size_m", "target.position_m", "target.mass_kg"},
    "VB-ROB": {"body"},
    "VB-SYM": {"target.position_m", "target.yaw_rad", "others", "fixtures"},
    "SB-ADV": {TASK, SAID},
    "SB-SMO": {TASK, SAID},
    "SB-NOUN": {TASK, SAID},
    "SB-VRB": {TASK, SAID},
    "VS-PROP": {TASK, SAID, "target.name", "target.rgba"},
    "VSB-NOBJ": {TASK, SAID, "target.name", "target.rgba", "target.shape", "target.size_m", "target.position_m"},
}


def fields(value, prefix):
    return {f"{prefix}.{item.name}": getattr(value, item.name) for item in dataclasses.fields(value)}


def facts(found, target):
    """Everything about a trial, flat, so that two can be compared leaf by leaf."""
    scene = found.scene
    flat = {"filter": found.filter, SAID: found.sentence, TASK: found.task, "body": scene.body}
    flat |= fields(scene.look, "look") | fields(scene.physics, "physics") | {"fixtures": scene.fixtures}
    flat |= {"start": (scene.start_joints, scene.start_base)}
    if target is not None:
        flat |= fields(scene.things[target], "target")
    loose = [item for i, item in enumerate(scene.things) if i != target]
    flat["clutter"] = tuple(item for item in loose if item.name.startswith("clutter"))
    flat["others"] = tuple(item for item in loose if not item.name.startswith("clutter"))
    return flat


def changes(plain, other):
    names = [item.name for item in plain.scene.things]
    target = names.index(plain.target) if plain.target in names else None
    before, after = facts(plain, target), facts(other, target)
    return {leaf for leaf in before if before[leaf] != after[leaf]}


def cases(code, strength=1.0, seeds=range(3)):
    for task in TASKS:
        for seed in seeds:
            plain = trial(task, seed)
            other = turned(plain, code, strength, seed)
            if other is not None:
                yield plain, other


def test_all_axes_of_the_paper_are_there():
    assert set(KNOBS) == set(ALLOWED) and len(KNOBS) == 22
    for code, knob in KNOBS.items():
        letters = {"visual": "V", "semantic": "S", "behavioural": "B"}
        assert {letters[name] for name in knob.modalities} == set(code.split("-")[0])
        assert knob.score in SCORES
    assert len({frozenset(knob.modalities) for knob in KNOBS.values()}) == 7


@pytest.mark.parametrize("code", ALLOWED)
def test_a_knob_changes_what_it_says_and_nothing_else(code):
    found = [changes(plain, other) for plain, other in cases(code)]
    assert found, "the axis applies nowhere"
    assert all(found), "some trial was not changed at all"
    assert set().union(*found) <= ALLOWED[code]
    if "S" not in code.split("-")[0]:
        assert SAID not in set().union(*found)


@pytest.mark.parametrize("code", ALLOWED)
def test_strength_zero_is_the_plain_trial_and_trials_repeat(code):
    plain = trial("reach/red-cube", 4)
    assert turned(plain, code, 0.0, 4) == plain
    assert turned(plain, code, 0.7, 4) == turned(trial("reach/red-cube", 4), code, 0.7, 4)


@pytest.mark.parametrize(("code", "leaf"), [("B-HOBJ", "mass_kg"), ("VB-MOBJ", "size_m"), ("V-OBJ", "rgba")])
def test_more_strength_changes_more(code, leaf):
    plain = trial("push/red-cube/left", 1)
    base = np.log(np.array(getattr(plain.thing, leaf)))
    found = []
    for strength in (0.25, 0.5, 1.0):
        thing = turned(plain, code, strength, 1).thing
        found.append(float(np.abs(np.log(np.array(getattr(thing, leaf))) - base).max()))
    assert found[0] < found[1] < found[2]


@pytest.mark.parametrize("code", ["S-PROP", "S-MO", "S-AFF"])
def test_phrases_mean_one_thing_only(code):
    for plain, other in cases(code, seeds=range(8)):
        colour, shape = plain.request.colour, plain.request.shape
        rivals = [item.name for item in plain.scene.things if item.name != plain.target]
        if code == "S-PROP" and colour in other.sentence:
            assert not any(colour in name for name in rivals)
        if code == "S-AFF" or (code == "S-PROP" and colour not in other.sentence):
            assert not any(shape in name for name in rivals)
        if code == "S-MO":
            side = 1 if " left of " in other.sentence else -1
            named = next(t for t in plain.scene.things if t.name.replace("-", " ") in other.sentence)
            beyond = [t for t in plain.scene.things if side * (t.position_m[1] - named.position_m[1]) > 0]
            assert [t.name for t in beyond] == [plain.target]


def test_moved_and_cluttered_things_do_not_touch():
    for code in ("VB-POSE", "VB-ISC", "VB-SYM"):
        for _, other in cases(code, seeds=range(6)):
            at = np.array([item.position_m[:2] for item in other.scene.things])
            if len(at) > 1:
                gaps = np.linalg.norm(at[:, None] - at[None], axis=-1)[np.triu_indices(len(at), 1)]
                assert gaps.min() > 0.05


@pytest.mark.parametrize("code", ["SB-NOUN", "SB-SMO", "SB-VRB", "VS-PROP", "VSB-NOBJ"])
def test_exchanged_tasks_ask_for_what_is_there(code):
    for plain, other in cases(code):
        assert other.task != plain.task and other.task in tasks.registry()
        assert other.sentence == tasks.get(other.task).sentences("canonical")[0]
        assert other.target in {item.name for item in (*other.scene.things, *other.scene.fixtures)}


def test_a_filter_blurs_and_flattens():
    image = np.zeros((1, 1, 8, 8, 3), np.uint8)
    image[..., 4, 4, :] = 255
    blurred = Filter(blur_px=1)(image)
    assert blurred[0, 0, 3:6, 3:6].min() > 20 and blurred[0, 0, 0, 0].max() == 0
    assert blurred.astype(int).sum() == pytest.approx(image.astype(int).sum(), rel=0.05)
    flat = Filter(contrast=0.5)(image)
    assert (flat.min(), flat.max()) == (64, 191)
    assert Filter()(image) is image


def test_what_is_no_axis_and_no_strength_is_refused():
    plain = trial("reach/red-cube", 0)
    with pytest.raises(UnknownNameError, match="axis"):
        turned(plain, "V-NOTHING", 1.0, 0)
    with pytest.raises(ConfigError, match="strength"):
        turned(plain, "V-AUG", 1.5, 0)


@pytest.mark.sim
@pytest.mark.parametrize("code", ALLOWED)
def test_desk_plays_every_axis(code):
    from embodia.envs.adapters import desk
    from embodia.envs.protocol import EnvConfig

    task = "button/red/gently" if code == "SB-ADV" else "push/red-cube/left"
    if code.startswith("VS"):
        task = "reach/red-cube"
    env = desk.build(EnvConfig(height=16, width=16, options={"knob": code, "strength": "1"}))
    seed = next(s for s in range(40) if turned(trial(task, s), code, 1.0, s) is not None)
    first = env.reset(task, seed)
    assert first.instruction == (turned(trial(task, seed), code, 1.0, seed).sentence,)
    assert env.judge(task) in (False, True) and env.task == task
    _, _, _, _, info = env.step(np.zeros(env.contract.action.dim, np.float32))
    assert info["success"] is False
    assert env.world.scene == turned(trial(task, seed), code, 1.0, seed).scene
    env.close()

"""Five bodies: what each is offered, that its contract is what it does, and that experts work with every one."""

import math
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="MuJoCo is not installed")

from embodia import envs
from embodia.core.errors import ConfigError, UnknownNameError
from embodia.envs import EnvConfig
from embodia.envs.conformance import check_env
from embodia.envs.desk import tasks
from embodia.envs.desk.bodies import BODIES
from embodia.generate import experts
from embodia.generate.experts import _desk_push as pushing
from embodia.generate.experts._angles import wrapped
from embodia.generate.experts._desk_hand import Hand

pytestmark = pytest.mark.sim

ARM6 = ("reach", "push", "place", "stack", "drawer", "button", "switch", "peg", "sort")
OFFERED = {
    "arm6": set(ARM6),
    "hand": {"reach", "push"},
    "bimanual": {"handover"},
    "mobile": {"navigate", "errand"},
}
SAMPLE = {
    "arm6": (
        "reach/green-ball",
        "push/red-cube/left",
        "push/blue-cylinder/mark",
        "place/yellow-cube/bowl",
        "stack/red-cube/blue-cube",
        "drawer/open/red",
        "drawer/put/green-cube/yellow",
        "button/red/gently",
        "button/red/hard",
        "switch/on/green",
        "peg/red-peg/blue-socket",
        "sort/red-blue/colour",
    ),
    "hand": ("reach/red-cube", "push/green-cylinder/near", "push/purple-cube/mark"),
}
CASES = [(body, name) for body, names in SAMPLE.items() for name in names]


@pytest.fixture(scope="module", params=sorted(BODIES))
def env(request):
    env = envs.make("desk", EnvConfig(height=32, width=32, options={"body": request.param}))
    yield env
    env.close()


@pytest.fixture(scope="module")
def made():
    made = {body: envs.make("desk", EnvConfig(options={"body": body})) for body in ("arm7", *SAMPLE)}
    yield made
    for env in made.values():
        env.close()


def play(env, task, seed, acted=""):
    env.reset(task, seed)
    expert = experts.make("desk", acted or task)
    expert.begin()
    while True:
        _, _, terminated, truncated, info = env.step(expert.act(env))
        if terminated or truncated:
            return info["success"]


def test_every_body_keeps_the_promises_of_an_environment(env):
    assert "images" in check_env(env, env.tasks[:1] + env.tasks[-1:])


def test_the_contract_says_what_body_it_is_and_what_its_numbers_mean(env):
    name = env.contract.embodiment.removeprefix("desk-")
    body = BODIES[name]
    grips = [part for part in env.contract.action.parts if part.representation == "gripper"]
    assert len(grips) == len(body.arms) and {part.polarity for part in grips} == {body.polarity}
    assert env.contract.action.rate_hz == env.contract.observation.rate_hz == body.rate_hz
    observed = env.reset(env.tasks[0], 0)
    assert observed.state.shape[-1] == env.contract.observation.state_dim and observed.embodiment == f"desk-{name}"
    assert (env.contract.action.dim == 6 * len(body.arms) + 3 * body.wheels) and env.world.body is body


def test_the_gripper_moves_the_way_its_polarity_says(env):
    env.reset(env.tasks[0], 0)
    parts, start = env.contract.action.parts, 0
    action = np.zeros(env.contract.action.dim)
    for part in parts:
        if part.representation == "gripper":
            action[start] = 1.0 if part.polarity == "positive_closes" else -1.0
        start += part.dim
    for _ in range(8):
        env.step(action)
    assert all(env.world.gripper(arm) < 0.1 for arm in range(len(env.world.arms)))
    for _ in range(8):
        env.step(-action)
    assert all(env.world.gripper(arm) > 0.9 for arm in range(len(env.world.arms)))


def test_a_step_takes_one_period_and_moves_the_hand_by_the_stated_scale(env):
    env.reset(env.tasks[0], 0)
    part = env.contract.action.parts[0]
    before, clock = env.world.tool()[0], env.world.data.time
    action = np.zeros(env.contract.action.dim)
    action[2] = 1.0
    for _ in range(3):
        env.step(action)
    for _ in range(6):
        env.step(np.zeros(env.contract.action.dim))
    assert math.isclose(env.world.data.time - clock, 9 / env.contract.action.rate_hz, rel_tol=1e-6)
    assert abs((env.world.tool()[0] - before)[2] - 3 * part.scale) < 0.3 * 3 * part.scale


@pytest.mark.parametrize("body", sorted(OFFERED))
def test_what_a_body_is_offered(body):
    names = tasks.names(body=body)
    assert {tasks.get(name).family for name in names} == OFFERED[body]
    assert all(body in tasks.get(name).bodies for name in names)
    for name in names:
        assert set(tasks.get(name).partners) <= set(names)


def test_names_without_a_body_are_all_of_them_once():
    names = tasks.names(body=None)
    assert len(set(names)) == len(names)
    assert set(names) == {name for body in BODIES for name in tasks.names(body=body)}


def test_a_task_of_another_body_is_unknown(made):
    with pytest.raises(UnknownNameError):
        made["hand"].reset("button/red", 0)
    with pytest.raises(UnknownNameError):
        envs.make("desk", EnvConfig(tasks=("handover/red-bar/blue-bin",)))


def test_bodies_meet_the_same_scene_from_the_same_seed(made):
    scenes = []
    for env in made.values():
        env.reset("push/red-cube/left", 4)
        scenes.append(env.world.scene)
    assert [scene.body for scene in scenes] == list(made)
    assert all(replace(scene, body="arm7") == scenes[0] for scene in scenes)


@pytest.mark.parametrize(("body", "name"), CASES)
def test_the_expert_does_it_with_another_body(made, body, name):
    assert play(made[body], name, 0) and play(made[body], name, 1)


@pytest.mark.parametrize(("body", "seed"), [("hand", 4), ("hand", 8), ("arm6", 4), ("arm7", 8)])
def test_a_cylinder_is_pushed_askew_without_falling_over(made, body, seed):
    env, task = made[body], "push/red-cylinder/mark"
    assert play(env, task, seed)
    tipped = env.world.pose("red-cylinder")[1][1:3]
    assert 1 - 2 * tipped @ tipped > 0.95


@pytest.mark.parametrize("turn", np.linspace(-3.1, 3.1, 9))
def test_a_push_meets_a_flat_side_of_the_pads_by_turning_as_little_as_possible(made, turn):
    made["arm7"].reset("push/red-cylinder/mark", 0)
    hand = Hand(world=made["arm7"].world)
    heading = pushing._flat(hand, np.array([math.cos(turn), math.sin(turn), 0.0]))
    quarters = (turn - heading) / (math.pi / 2)
    assert math.isclose(quarters, round(quarters), abs_tol=1e-6)
    assert abs(wrapped(heading - hand.yaw)) <= math.pi / 4 + 1e-9


@pytest.mark.parametrize(("body", "name"), [("arm6", "place/yellow-cube/bowl"), ("hand", "push/purple-cube/mark")])
def test_who_listens_to_another_sentence_fails_with_another_body_too(made, body, name):
    assert not play(made[body], name, 1, acted=tasks.get(name).partners[0])


def test_a_knob_turns_with_every_body_that_does_the_task(made):
    for body in ("arm6", "hand"):
        env = envs.make("desk", EnvConfig(options={"body": body, "knob": "V-OBJ", "strength": "1"}))
        env.reset("reach/red-cube", 3)
        made[body].reset("reach/red-cube", 3)
        assert env.world.scene.body == body and env.world.scene != made[body].world.scene
        env.close()


def test_the_knob_of_another_body_stands_in_for_the_first_one_alone():
    env = envs.make("desk", EnvConfig(options={"knob": "VB-ROB"}))
    env.reset("reach/red-cube", 0)
    assert env.contract.embodiment == "desk-arm6" and env.world.scene.body == "arm6"
    with pytest.raises(ConfigError):
        envs.make("desk", EnvConfig(options={"knob": "VB-ROB", "body": "hand"}))


def test_a_knob_that_asks_for_what_a_body_cannot_do_leaves_the_plain_episode():
    for body in ("hand", "arm6"):
        env = envs.make("desk", EnvConfig(options={"body": body, "knob": "SB-VRB"}))
        for seed in range(3):
            env.reset("reach/red-cube", seed)
            assert env.world.scene.body == body
            assert not env.judge("reach/red-cube")
        env.close()


def test_a_mirrored_room_has_the_wheels_mirrored_too():
    scenes = []
    for options in ({}, {"knob": "VB-SYM"}):
        env = envs.make("desk", EnvConfig(options={"body": "mobile", **options}))
        env.reset("navigate/red-mark", 2)
        scenes.append(env.world)
        env.close()
    plain, mirrored = scenes
    assert np.allclose(mirrored.base(), plain.base() * (1, -1, -1), atol=1e-3)
    for name in plain.names:
        assert np.allclose(mirrored.pose(name)[0], plain.pose(name)[0] * (1, -1, 1), atol=1e-6)


def test_clutter_is_not_laid_under_the_wheels():
    env = envs.make("desk", EnvConfig(options={"body": "mobile", "knob": "VB-ISC", "strength": "1"}))
    blocks = 0
    for seed in range(8):
        env.reset("errand/pick/red-cube", seed)
        clutter = [item for item in env.world.scene.things if item.name.startswith("clutter")]
        blocks += len(clutter)
        for item in clutter:
            assert np.hypot(*(np.array(item.position_m[:2]) - env.world.scene.start_base[:2])) > 0.2
    env.close()
    assert blocks

"""Two arms: a bar is given in the air, the sentence decides which bar and which bin, one arm alone cannot do it."""

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="MuJoCo is not installed")

from embodia import envs
from embodia.core.seeds import generator
from embodia.envs import EnvConfig
from embodia.envs.desk import tasks
from embodia.envs.desk.build import Models
from embodia.envs.desk.grammar import uncovered
from embodia.envs.desk.tasks import handover
from embodia.envs.desk.world import World
from embodia.generate.experts import _desk_carry as carrying
from embodia.generate.experts import _desk_pair as pair
from embodia.generate.experts import desk as experts
from embodia.generate.experts._desk_hand import Hand

pytestmark = pytest.mark.sim

MODELS = Models()
NAME = "handover/red-bar/blue-bin"
LIMIT = 120


def begin(name, seed):
    world = World(tasks.get(name).scene(generator(seed, "desk", name)), models=MODELS)
    world.settle()
    return world


def play(name, seed, *, acted="", limit=LIMIT, seen=lambda world, memory: None):
    """Steps until `name` holds while the expert of `acted` acts, 0 when it never does."""
    world, task = begin(name, seed), tasks.get(name)
    expert, memory = experts.build(acted or name), task.begin(world)
    for step in range(limit):
        world.apply(expert.choose(world))
        if task.success(world, memory):
            return step + 1
        seen(world, memory)
    return 0


def test_six_bars_and_six_bins_some_combinations_held_out_every_word_trained():
    found = [tasks.get(name) for name in tasks.names(body="bimanual", family="handover")]
    assert len(found) == 36
    assert 2 <= sum(task.held_out for task in found) <= 14
    assert uncovered([task.request for task in found]) == ()


def test_partners_are_mutual_and_share_their_scenes():
    for name in tasks.names(body="bimanual", family="handover"):
        task = tasks.get(name)
        assert len(task.partners) == 3
        for other in map(tasks.get, task.partners):
            assert name in other.partners
            assert other.scene(np.random.default_rng(3)) == task.scene(np.random.default_rng(3))


def test_bars_lie_on_either_side_and_bins_on_the_other_where_only_one_arm_reaches():
    sides = set()
    for seed in range(12):
        world = begin(NAME, seed)
        bars = [world.pose(item.name)[0][1] for item in world.scene.things]
        bins = [world.pose(item.name)[0][1] for item in world.scene.fixtures]
        assert len({np.sign(y) for y in bars}) == 1 and {-np.sign(bars[0])} == {np.sign(y) for y in bins}
        giver = world.body.arms[0 if bars[0] > 0 else 1]
        edge = giver.base_m[1] + (giver.low_m[1] if bars[0] > 0 else giver.high_m[1])
        reachable = abs(edge) + handover.BAR_M[1]
        assert all(abs(y) + handover.BAR_M[1] > reachable for y in bins)
        sides.add(np.sign(bars[0]))
    assert sides == {-1.0, 1.0}


def test_nothing_is_given_at_the_start():
    for seed in range(3):
        world, task = begin(NAME, seed), tasks.get(NAME)
        memory = task.begin(world)
        assert not task.success(world, memory) and memory == {"given": False}
        before = [world.pose(item.name)[0] for item in world.scene.things]
        world.settle(0.5)
        assert np.allclose(before, [world.pose(item.name)[0] for item in world.scene.things], atol=0.002)


@pytest.mark.parametrize("name", [NAME, "handover/green-bar/green-bin", "handover/orange-bar/purple-bin"])
def test_the_expert_does_it_from_both_sides(name):
    assert all(play(name, seed) for seed in range(4))


def test_who_does_what_a_partner_was_asked_fails():
    for other in tasks.get(NAME).partners:
        assert play(NAME, 1, acted=other) == 0, other


def test_the_bar_is_high_when_both_hands_have_it_and_the_giver_lets_go_afterwards():
    held = []

    def seen(world, memory):
        held.append((world.holding("red-bar", 0), world.holding("red-bar", 1), world.pose("red-bar")[0][2]))

    assert play(NAME, 2, seen=seen)
    both = [step for step, (one, two, _) in enumerate(held) if one and two]
    assert both and min(held[step][2] for step in both) > handover.AIR_M
    first = next(arm for arm in (0, 1) if any(item[arm] for item in held[: both[0]]))
    assert not any(item[1 - first] for item in held[: both[0]])
    assert not held[-1][first]


def test_a_bar_that_was_never_in_both_hands_does_not_count():
    world, task = begin(NAME, 0), tasks.get(NAME)
    memory = task.begin(world)
    index = [item.name for item in world.scene.things].index("red-bar")
    address = int(world.model.joint(f"thing{index}").qposadr[0])
    world.data.qpos[address : address + 7] = [*(world.pose("blue-bin")[0] + [0, 0, 0.025]), 1.0, 0.0, 0.0, 0.0]
    world.settle()
    assert handover.lying_in(world, "red-bar", "blue-bin")
    assert not task.success(world, memory)
    assert task.success(world, {"given": True})


def test_a_bar_that_fell_on_the_table_has_to_be_given_again():
    world, task = begin(NAME, 0), tasks.get(NAME)
    memory = {"given": True}
    assert world.touching("red-bar", "table")
    assert not task.success(world, memory) and memory == {"given": False}


def test_one_arm_alone_leaves_it_undone():
    world, task = begin(NAME, 0), tasks.get(NAME)
    memory = task.begin(world)
    hand = Hand(world=world, arm=0 if world.pose("red-bar")[0][1] > 0 else 1)
    for _, action in zip(range(LIMIT), carrying.put(hand, "red-bar", "blue-bin", 0.06), strict=False):
        world.apply(action)
        assert not task.success(world, memory)


def test_who_is_done_first_waits():
    world = begin(NAME, 0)
    two = pair.Pair(giver=Hand(world=world), taker=Hand(world=world, arm=1), side=1.0)
    moves = [two.giver.toward(two.giver.at + 0.1, 0.5)] * 3
    done = list(two.together(moves, [two.taker.toward(two.taker.at - 0.1, 0.5)]))
    assert len(done) == 3
    assert all(np.abs(action[:3]).max() > 0.5 for action in done)
    assert [bool(np.abs(action[6:9]).max() > 0.5) for action in done] == [True, False, False]


def test_sentences_name_bar_and_bin():
    texts = [text for split in ("canonical", "train", "held_out") for text in tasks.get(NAME).sentences(split)]
    assert len(texts) >= 10 and all("red" in text and "blue" in text for text in map(str.lower, texts))


def test_slow_and_careless_operators_arrive_within_the_horizon():
    env = envs.make("desk", EnvConfig(options={"body": "bimanual"}))
    done = []
    for seed in range(3):
        env.reset(NAME, seed)
        expert, over = experts.build(NAME, "sloppy"), False
        while not over:
            _, _, terminated, truncated, info = env.step(expert.act(env))
            over = terminated or truncated
        done.append(info["success"])
    env.close()
    assert sum(done) >= 2

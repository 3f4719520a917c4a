"""What the Desk's scripts are made of: moves that arrive or end, grasps, strokes, and the directions they are told."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="MuJoCo is not installed")

from hypothesis import given, settings
from hypothesis import strategies as st

from embodia.envs.desk.build import Models
from embodia.envs.desk.scenes import Fixture, Scene, Thing
from embodia.envs.desk.world import World
from embodia.generate.experts import _desk_carry as carry
from embodia.generate.experts import _desk_hand as hands
from embodia.generate.experts import _desk_motion as motion
from embodia.generate.experts import _desk_push as push
from embodia.generate.experts._desk_hand import Habit, Hand

pytestmark = pytest.mark.sim

MODELS = Models()
CUBE = Thing(name="cube", position_m=(0.05, 0.08, 0.02))
ANGLES = st.floats(-20.0, 20.0)


def world(*, things=(CUBE,), fixtures=(), body="arm7"):
    made = World(Scene(body=body, things=things, fixtures=fixtures), models=MODELS)
    made.settle()
    return made


def run(hand, actions, limit=400):
    """Play a script to its end: the steps it took and where the tool was."""
    path = [hand.at]
    for action in itertools.islice(actions, limit):
        assert action.dtype == np.float32 and np.abs(action).max() <= 1.0 + 1e-6
        hand.world.apply(action)
        path.append(hand.at)
    assert len(path) <= limit
    return np.array(path)


@given(ANGLES)
def test_a_wrapped_angle_is_the_same_angle_within_a_half_turn(angle):
    turned = hands.wrapped(angle)
    assert -np.pi <= turned <= np.pi
    assert np.allclose([np.cos(turned), np.sin(turned)], [np.cos(angle), np.sin(angle)], atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.floats(-3.1, 3.1), st.floats(-1.5, 1.5))
def test_pads_meet_faces_with_the_smallest_turn_that_the_wrist_allows(heading, now):
    turned = world(things=(replace(CUBE, yaw_rad=heading),))
    found = hands.grasp_yaw(turned, "cube", now)
    quarter = (found - heading) / (np.pi / 2)
    assert abs(quarter - round(quarter)) < 1e-2 and abs(found) <= 1.6
    assert abs(hands.wrapped(found - now)) <= np.pi / 2 + 0.02


@pytest.mark.parametrize("body", ["arm7", "arm6"])
def test_closed_means_closed_whatever_the_polarity(body):
    hand = Hand(world=world(things=(), body=body))
    run(hand, hands.squeeze(hand, hands.CLOSED))
    shut = hand.world.gripper()
    run(hand, hands.squeeze(hand, hands.OPEN))
    assert shut < 0.1 and hand.world.gripper() > 0.9
    assert motion.gripper_command(hand.world, 0.0) == -motion.gripper_command(hand.world, 1.0)


@pytest.mark.parametrize("body", ["arm7", "arm6", "hand"])
def test_rest_moves_nothing(body):
    still = world(things=(), body=body)
    before = still.tool()[0]
    for _ in range(20):
        still.apply(motion.rest_action(still))
    assert np.linalg.norm(still.tool()[0] - before) < 0.002


@settings(max_examples=12, deadline=None)
@given(st.floats(-0.2, 0.15), st.floats(-0.22, 0.22), st.floats(0.06, 0.25), st.floats(-1.2, 1.2))
def test_a_move_arrives_with_the_heading_it_was_told(x, y, z, yaw):
    hand = Hand(world=world(things=()))
    goal = np.array([x, y, z])
    path = run(hand, hands.move(hand, hands.fixed(goal), yaw, near_m=0.008))
    assert np.linalg.norm(path[-1] - goal) < 0.012 and abs(hands.wrapped(hand.yaw - yaw)) < 0.2
    straight = goal - path[0]
    aside = np.linalg.norm(np.cross(path - path[0], straight / (1e-9 + np.linalg.norm(straight))), axis=1)
    assert aside.max() < 0.12


def test_a_move_to_nowhere_ends():
    hand = Hand(world=world(things=()))
    path = run(hand, hands.move(hand, hands.fixed(np.array([3.0, 0.0, 0.1])), limit=30))
    assert len(path) == 31


def test_a_move_follows_what_moves():
    hand = Hand(world=world(things=()))
    steps = itertools.count()
    path = run(hand, hands.move(hand, lambda: np.array([0.1, 0.01 * min(15, next(steps)), 0.15]), near_m=0.01))
    assert path[-1][1] > 0.1


def test_speed_bounds_every_step():
    quick, slow = (Hand(world=world(things=()), habit=Habit(speed=speed)) for speed in (1.0, 0.4))
    goal = hands.fixed(np.array([0.12, 0.2, 0.1]))
    one, two = (run(hand, hands.move(hand, goal)) for hand in (quick, slow))
    assert len(two) > 1.6 * len(one)
    longest = np.abs(np.diff(two, axis=0)).max()
    assert longest < 0.4 * quick.world.body.step_m * 1.3


@pytest.mark.parametrize("bend", [0.12, -0.12])
def test_long_moves_swing_to_the_side_and_short_ones_do_not(bend):
    hand = Hand(world=world(things=()), habit=Habit(bend_m=bend))
    run(hand, hands.move(hand, hands.fixed(np.array([-0.15, 0.0, 0.15]))))
    path = run(hand, hands.travel(hand, hands.fixed(np.array([0.15, 0.0, 0.15]))))
    widest = path[np.abs(path[:, 1]).argmax(), 1]
    assert widest * np.sign(bend) > 0.06 and np.linalg.norm(path[-1] - (0.15, 0.0, 0.15)) < 0.025
    short = run(hand, hands.travel(hand, hands.fixed(np.array([0.10, 0.0, 0.15]))))
    assert np.abs(short[:, 1]).max() < 0.03


def test_a_pause_is_the_habit_of_some():
    def length(habit, seed):
        hand = Hand(world=world(things=()), habit=habit, rng=np.random.default_rng(seed))
        return len(run(hand, hands.move(hand, hands.fixed(np.array([0.05, 0.0, 0.2])))))

    never = [length(Habit(), seed) for seed in range(3)]
    always = [length(Habit(pause=1.0), seed) for seed in range(3)]
    assert len(set(never)) == 1 and min(always) >= never[0] + 2


def test_go_and_stay_do_what_they_say():
    plain = world(things=())
    hand = Hand(world=plain)
    run(hand, motion.go(plain, (0.1, -0.1, 0.12), near=0.01))
    assert np.linalg.norm(hand.at - (0.1, -0.1, 0.12)) < 0.012
    held = run(hand, motion.stay(plain, 15, closed=1.0))
    assert len(held) == 16 and np.abs(held - held[0]).max() < 0.006 and plain.gripper() < 0.1


@pytest.mark.parametrize("shape", ["box", "cylinder", "sphere"])
def test_what_was_grasped_is_held_high_and_let_go_again(shape):
    size = {"box": (0.02, 0.02, 0.02), "cylinder": (0.02, 0.025), "sphere": (0.022,)}[shape]
    thing = Thing(name="it", shape=shape, size_m=size, position_m=(0.02, -0.1, size[-1]), yaw_rad=0.4)
    hand = Hand(world=world(things=(thing,)))
    run(hand, hands.grasp(hand, "it"))
    assert hand.world.holding("it") and hand.world.pose("it")[0][2] > size[-1] + 0.03
    assert len(run(hand, hands.grasp(hand, "it"))) == 1
    run(hand, hands.release(hand))
    assert not hand.world.touching("it", "hand") and hand.at[2] > hand.world.pose("it")[0][2] + 0.03


def test_a_grasp_of_what_cannot_be_lifted_ends():
    block = Thing(name="block", size_m=(0.02, 0.02, 0.02), position_m=(0.05, 0.0, 0.02), movable=False)
    hand = Hand(world=world(things=(block,)))
    run(hand, hands.grasp(hand, "block", tries=2), limit=300)
    assert hand.world.pose("block")[0][2] == pytest.approx(0.02, abs=1e-3)


def test_withdrawing_is_only_for_a_hand_that_something_is_in():
    hand = Hand(world=world())
    assert len(run(hand, hands.withdraw(hand))) == 1
    run(hand, hands.move(hand, hands.above(hand.world, "cube", 0.0), near_m=0.01))
    path = run(hand, hands.withdraw(hand))
    assert path[-1][2] > path[0][2] + 0.03


def test_above_goes_along_with_the_thing():
    plain = world()
    where = hands.above(plain, "cube", 0.1)
    assert np.allclose(where(), plain.pose("cube")[0] + (0, 0, 0.1))
    plain.data.qpos[plain.model.joint("thing0").qposadr[0]] += 0.05
    plain._fresh = False
    assert where()[0] == pytest.approx(0.10, abs=2e-3)


def test_what_is_put_rests_where_it_should():
    mark = Fixture(kind="mark", name="mark", size_m=(0.045,), position_m=(-0.05, -0.12, 0.0))
    hand = Hand(world=world(fixtures=(mark,)))
    run(hand, carry.put(hand, "cube", "mark", 0.03))
    place = hand.world.pose("cube")[0]
    assert np.linalg.norm((place - hand.world.pose("mark")[0])[:2]) < 0.02 and place[2] < 0.03


@pytest.mark.parametrize("occupied", [1.0, -1.0])
def test_a_bin_is_filled_where_it_is_free(occupied):
    box = Fixture(kind="bin", name="bin", size_m=(0.08, 0.06, 0.02), position_m=(0.0, -0.1, 0.0))
    other = Thing(name="other", position_m=(0.0, -0.1 + 0.035 * occupied, 0.03))
    hand = Hand(world=world(things=(replace(CUBE, position_m=(0.0, 0.15, 0.02)), other), fixtures=(box,)))
    run(hand, carry.put_in_bin(hand, "cube", "bin"))
    offset = hand.world.pose("cube")[0][1] + 0.1
    assert offset * occupied < -0.01 and abs(offset) < 0.08


@pytest.mark.parametrize("yaw", [0.0, 0.3, -0.3])
@pytest.mark.parametrize("start", [0.03, 0.1])
def test_where_a_drawer_is_open_and_where_its_handle_is(yaw, start):
    size = (0.075, 0.07, 0.035)
    fixture = Fixture(kind="drawer", name="drawer", size_m=size, position_m=(0.2, 0.0, 0.0), yaw_rad=yaw, start=start)
    plain = world(things=(), fixtures=(fixture,))
    inward = np.array([np.cos(yaw), np.sin(yaw), 0.0])
    front = np.array([0.2, 0.0, 0.0]) - size[1] * inward
    open_part = carry.opening(plain, "drawer")
    assert np.allclose(open_part[:2], (front - 0.5 * plain.joint("drawer") * inward)[:2], atol=1e-3)
    index = plain.model.body("fixture0/part").id
    plain.refresh()
    geoms = plain.data.geom_xpos[plain.model.geom_bodyid == index]
    nearest = np.linalg.norm(geoms - push.handle(plain, "drawer"), axis=1).min()
    assert nearest < 0.006


@pytest.mark.parametrize("side", ["left", "right", "away", "near"])
def test_a_stroke_goes_to_its_side_and_not_to_another(side):
    hand = Hand(world=world(things=(replace(CUBE, position_m=(0.0, 0.0, 0.02)),)))
    run(hand, push.stroke_side(hand, "cube", side))
    moved = hand.world.pose("cube")[0][:2]
    along = np.array(push.SIDES[side])
    assert moved @ along > 0.08 and abs(moved[0] * along[1] - moved[1] * along[0]) < 0.03


def test_a_stroke_ends_at_its_goal():
    hand = Hand(world=world(things=(replace(CUBE, position_m=(-0.05, -0.1, 0.02)),)))
    goal = np.array([0.05, 0.08, 0.0])
    run(hand, push.stroke(hand, "cube", goal, near_m=0.015))
    assert np.linalg.norm((hand.world.pose("cube")[0] - goal)[:2]) < 0.025


@pytest.mark.parametrize(("way", "start"), [(1.0, -0.5), (-1.0, 0.5)])
def test_a_lever_goes_over_to_the_side_it_was_told(way, start):
    lever = Fixture(kind="switch", name="lever", size_m=(0.035, 0.035, 0.06), position_m=(0.05, 0.0, 0.0), start=start)
    hand = Hand(world=world(things=(), fixtures=(lever,)))
    run(hand, push.flip(hand, "lever", way))
    assert way * hand.world.joint("lever") > 0.4


def test_a_drawer_is_pulled_out_and_pushed_in():
    drawer = Fixture(kind="drawer", name="drawer", size_m=(0.075, 0.07, 0.035), position_m=(0.2, 0.05, 0.0), start=0.04)
    hand = Hand(world=world(things=(), fixtures=(drawer,)))
    run(hand, push.pull_drawer(hand, "drawer"))
    assert hand.world.joint("drawer") > 0.09
    run(hand, push.push_drawer(hand, "drawer"))
    assert hand.world.joint("drawer") < 0.012


@pytest.mark.parametrize("x", [-0.12, 0.09])
@pytest.mark.parametrize("y", [-0.22, 0.0, 0.22])
def test_wherever_a_bowl_may_stand_the_hand_can_tip_a_cup_over_it(x, y):
    hand = Hand(world=world(things=()), closed=hands.CLOSED, tilt=1.0)
    goal, yaw = np.array([x - 0.033, y, 0.125]), -np.pi / 10
    run(hand, hands.move(hand, hands.fixed(goal), yaw, near_m=0.005))
    for step in range(40):
        hand.tilt = max(-1.5, 1.0 - 0.1 * step)
        hand.world.apply(hand.toward(goal, yaw))
        assert np.linalg.norm(hand.at - goal) < 0.04, hand.tilt


def test_bowls_to_pour_into_stand_within_reach():
    from embodia.envs.desk import tasks

    task = tasks.get("pour/red-cup/blue-bowl")
    spots = np.array(
        [item.position_m[:2] for seed in range(40) for item in task.scene(np.random.default_rng(seed)).fixtures]
    )
    assert spots[:, 0].max() < 0.09 and np.abs(spots[:, 1]).max() < 0.22
    assert np.ptp(spots[:, 0]) > 0.15 and np.ptp(spots[:, 1]) > 0.35

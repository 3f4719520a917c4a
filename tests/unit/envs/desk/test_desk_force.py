"""Force words: the same press succeeds or fails depending on the word, and so does every force near the limits."""

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="MuJoCo is not installed")

from hypothesis import given
from hypothesis import strategies as st

from embodia.core.seeds import generator
from embodia.envs.desk import tasks
from embodia.envs.desk.build import Models
from embodia.envs.desk.tasks.button import GENTLE_N, HARD_N, HELD_STEPS, PRESSED, pressed, unforced
from embodia.envs.desk.world import World
from embodia.generate.experts import desk as experts

pytestmark = pytest.mark.sim

MODELS = Models()
MANNERS = ("", "gently", "hard")
FORCES = st.lists(st.floats(0.0, 300.0), min_size=1, max_size=12)


class Felt:
    """A world that is nothing but a button: how far it is down, how hard it is pressed."""

    def __init__(self, depth, force):
        self.depth, self.force = depth, force

    def joint(self, name):
        return self.depth

    def contact_force(self, name):
        return self.force


def judged(manner, presses):
    """What the predicate says after each (depth, force)."""
    memory = unforced(None)
    return [pressed("button", manner, Felt(*press), memory) for press in presses]


@given(FORCES)
def test_gentle_is_below_its_limit_all_the_time_and_hard_above_its_own_once(forces):
    presses = [(1.0, force) for force in forces]
    peaks = np.maximum.accumulate(forces)
    soft = [bool(peak < GENTLE_N) and step + 1 >= HELD_STEPS for step, peak in enumerate(peaks)]
    assert judged("gently", presses) == soft
    assert judged("hard", presses) == [bool(peak > HARD_N) for peak in peaks]
    assert all(judged("", presses))


@given(FORCES)
def test_no_press_is_both_gentle_and_hard(forces):
    presses = [(1.0, force) for force in forces]
    assert not any(a and b for a, b in zip(judged("gently", presses), judged("hard", presses), strict=True))


@given(FORCES, st.floats(0.0, PRESSED))
def test_a_button_that_is_up_is_not_pressed_however_hard(forces, depth):
    for manner in MANNERS:
        assert not any(judged(manner, [(depth, force) for force in forces]))


def test_a_rough_touch_on_the_way_spoils_a_gentle_press_for_good():
    last = [(0.9, 3.0)] * HELD_STEPS
    assert not any(judged("gently", [(0.2, 40.0), (0.0, 0.0), *last]))
    assert judged("gently", [(0.2, 3.0), (0.0, 0.0), *last])[-1]


def test_a_press_that_is_soft_until_it_meets_the_bottom_is_not_gentle():
    fast = [(0.4, 2.0), (0.9, 3.0), (1.0, 150.0), (1.0, 60.0), (1.0, 5.0), (1.0, 5.0)]
    assert not any(judged("gently", fast))
    interrupted = [(0.9, 3.0)] * (HELD_STEPS - 1) + [(0.5, 3.0)]
    assert not any(judged("gently", interrupted * 2))


def press(asked, acted, seed, limit=45):
    """Whether the press that one word asks for counts for another word, and its largest force."""
    name = f"button/red/{asked}" if asked else "button/red"
    task = tasks.get(name)
    world = World(task.scene(generator(seed, "force")), models=MODELS)
    world.settle()
    expert, memory = experts.build(f"button/red/{acted}" if acted else "button/red"), task.begin(world)
    peak, done = 0.0, False
    for _ in range(limit):
        world.apply(expert.choose(world))
        done = task.success(world, memory) or done
        peak = max(peak, world.contact_force("red-button"))
        if done and asked == acted:
            break
    return done, peak


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("asked", MANNERS)
@pytest.mark.parametrize("acted", MANNERS)
def test_the_word_decides_what_counts(asked, acted, seed):
    done, peak = press(asked, acted, seed)
    if asked == acted or not asked:
        assert done
    elif acted:
        assert not done
    if acted == "gently":
        assert peak < GENTLE_N
    if acted == "hard" and asked == "hard":
        assert peak > HARD_N


def test_experts_keep_away_from_the_limits():
    gentle = [press("gently", "gently", seed)[1] for seed in range(4)]
    hard = [press("hard", "hard", seed)[1] for seed in range(4)]
    assert max(gentle) < 0.8 * GENTLE_N and min(hard) > 1.1 * HARD_N


def test_words_of_force_are_partners_and_the_plain_one_is_not():
    for colour in ("red", "green"):
        names = [f"button/{colour}/{manner}" for manner in ("gently", "hard")]
        assert names[1] in tasks.get(names[0]).partners and names[0] in tasks.get(names[1]).partners
        assert not set(names) & set(tasks.get(f"button/{colour}").partners)


def test_two_words_one_scene():
    soft, hard, plain = (tasks.get(name) for name in ("button/blue/gently", "button/blue/hard", "button/blue"))
    scenes = [task.scene(np.random.default_rng(3)) for task in (soft, hard, plain)]
    assert scenes[0] == scenes[1] == scenes[2]

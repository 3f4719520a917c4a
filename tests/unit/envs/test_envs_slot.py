"""A slot against an environment on paper: the state counts steps, each picture shows the step at which it was drawn."""

import numpy as np
import pytest

from embodia.core.types import Observation
from embodia.envs.slot import Slot, Start


class Counting:
    """Task "own" succeeds at step 3, "other" holds from step 5 on; truncated at step 9."""

    def __init__(self):
        self.steps = self.drawn = 0

    def reset(self, task, seed):
        self.steps = seed
        return self.sense()

    def sense(self):
        return Observation(
            state=np.full((1, 1, 2), self.steps, np.float32),
            time_s=np.array([[self.steps / 10]]),
            instruction=("Count.",),
        )

    def step(self, action):
        self.steps += 1
        own = self.steps == 3
        return self.sense(), 1.0, own, self.steps >= 9, {"success": own}

    def observe(self):
        self.drawn += 1
        return Observation(images={"eye": np.full((1, 1, 2, 2, 3), self.steps, np.uint8)})

    def judge(self, task):
        return self.steps == 3 if task == "own" else self.steps >= 5


@pytest.fixture
def make_slot():
    def build(history=1):
        images = {"eye": np.zeros((history, 2, 2, 3), np.uint8)}
        env = Counting()
        return Slot(env, images, history), env, images["eye"]

    return build


def seen(array):
    return array[:, 0, 0, 0].tolist()


def test_one_picture_a_chunk(make_slot):
    slot, env, eye = make_slot()
    slot.begin(Start(task="own", seed=0, stop=False))
    assert (env.drawn, seen(eye)) == (1, [0])
    took = slot.run(np.zeros((4, 1)))
    assert (env.drawn, seen(eye), took.steps, took.state.tolist()) == (2, [4], 4, [[4.0, 4.0]])
    assert took.success and took.held == {"own": True} and not took.done


def test_history_holds_the_last_steps_and_begins_with_copies(make_slot):
    slot, env, eye = make_slot(history=3)
    took = slot.begin(Start(task="own", seed=0, stop=False))
    assert seen(eye) == [0, 0, 0] and took.state.shape == (3, 2)
    took = slot.run(np.zeros((5, 1)))
    assert seen(eye) == [3, 4, 5] and env.drawn == 4
    assert took.state[:, 0].tolist() == [3, 4, 5] and took.time_s.tolist() == pytest.approx([0.3, 0.4, 0.5])
    slot.run(np.zeros((1, 1)))
    assert seen(eye) == [4, 5, 6]


def test_success_stops_the_chunk_without_a_picture(make_slot):
    slot, env, _ = make_slot()
    slot.begin(Start(task="own", seed=0))
    took = slot.run(np.zeros((8, 1)))
    assert took.done and took.success and took.steps == 3 and env.drawn == 1
    assert took.reward == 3.0


def test_another_tasks_success_ends_a_swapped_episode(make_slot):
    slot, _, _ = make_slot()
    slot.begin(Start(task="own", seed=0, until="other"))
    took = slot.run(np.zeros((8, 1)))
    assert took.steps == 5 and took.done
    assert took.held == {"own": True, "other": True} and took.held_at_start == {"own": False, "other": False}


def test_what_held_at_the_start_is_told(make_slot):
    slot, _, _ = make_slot()
    took = slot.begin(Start(task="own", seed=6, judged=("other",)))
    assert took.held_at_start == {"own": False, "other": True}


def test_the_horizon_ends_it(make_slot):
    slot, _, _ = make_slot()
    slot.begin(Start(task="own", seed=4))
    took = slot.run(np.zeros((20, 1)))
    assert took.done and not took.success and took.steps == 5


def test_film_keeps_every_kth_step_and_the_last(make_slot):
    slot, _, _ = make_slot()
    took = slot.begin(Start(task="own", seed=0, stop=False, film_every=4))
    frames = list(took.film)
    frames += slot.run(np.zeros((6, 1))).film
    frames += slot.run(np.zeros((6, 1))).film
    assert [int(frame[0, 0, 0]) for frame in frames] == [0, 4, 8, 9]

"""Rollout against a vector on paper; the same on real simulators is in test_envs_vector.py."""

from types import SimpleNamespace

import numpy as np
import pytest

from embodia.core.errors import ConfigError, NotFiniteError
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.core.types import ActionChunk, Observation
from embodia.envs.rollout import EpisodePlan, pick, rollout, stack
from embodia.envs.slot import Slot, Took

SPEC = ActionSpec(parts=(ActionPart(name="a", dim=1, representation="ee_position_delta"),), rate_hz=10.0)
CONTRACT = Contract(
    observation=ObservationSpec(
        cameras=(CameraSpec(name="eye", height=8, width=8),), state=(StatePart(name="s", dim=1),), rate_hz=10.0
    ),
    action=SPEC,
    embodiment="paper",
)


class Paper:
    """Each episode lasts `seed` steps and then succeeds; the state is the number of steps done."""

    contract = CONTRACT

    def __init__(self, slots):
        self.slots, self.steps, self.starts, self.log = slots, {}, {}, []

    def instructions(self, task, split="canonical"):
        return (f"Do {task}.",)

    def begin(self, starts):
        for slot, start in starts.items():
            self.starts[slot], self.steps[slot] = start, 0
        self.log.append(("begin", {slot: start.task for slot, start in starts.items()}))
        return {slot: self.took(slot) for slot in starts}

    def run_chunks(self, chunks):
        for slot, actions in chunks.items():
            self.steps[slot] = min(self.starts[slot].seed, self.steps[slot] + len(actions))
        self.log.append(("run", {slot: len(actions) for slot, actions in chunks.items()}))
        return {slot: self.took(slot) for slot in chunks}

    def took(self, slot):
        start, steps = self.starts[slot], self.steps[slot]
        done = steps >= start.seed
        held = {task: done for task in (start.task, *start.judged, *((start.until,) if start.until else ()))}
        return Took(
            steps=steps,
            done=done,
            success=done,
            reward=float(steps),
            held=held,
            held_at_start=dict.fromkeys(held, False),
            state=np.full((1, 1), steps, np.float32),
            time_s=np.zeros(1),
            instruction="",
            film=(np.full((2, 2, 3), steps, np.uint8),) if start.film_every else (),
        )

    def observation(self, slot, instruction=""):
        return Observation(
            images={"eye": np.full((1, 1, 8, 8, 3), slot, np.uint8)},
            state=np.full((1, 1, 1), self.steps[slot], np.float32),
            instruction=(instruction,),
            time_s=np.zeros((1, 1)),
        )


class Stateless:
    contract = CONTRACT

    def __init__(self):
        self.calls, self.draws = [], []

    def act(self, observation, carry, rng):
        self.calls.append(observation)
        self.draws.append(float(rng.uniform()))
        rows = observation.batch_size
        return ActionChunk(actions=np.zeros((rows, 4, 1)), valid=np.ones((rows, 4), bool), spec=SPEC), None


class Remembering:
    """Counts decisions in its carry, and checks that rows of one carry have all seen equally many."""

    contract = CONTRACT

    def __init__(self):
        self.batches = []

    def act(self, observation, carry, rng):
        decisions = 0 if carry is None else carry
        steps = observation.state[:, 0, 0]
        assert steps.max() == decisions * 4
        self.batches.append((decisions, len(steps)))
        chunk = ActionChunk(actions=np.zeros((len(steps), 4, 1)), valid=np.ones((len(steps), 4), bool), spec=SPEC)
        return chunk, decisions + 1


def plans(*lengths, task="t"):
    return [EpisodePlan(task=task, seed=length) for length in lengths]


def play(policy, vector, todo, **more):
    return rollout(policy, vector, todo, make_rng=np.random.default_rng, **more)


def test_results_come_in_the_order_of_the_plans():
    results = play(Stateless(), Paper(2), plans(9, 2, 5, 7, 1))
    assert [result.steps for result in results] == [9, 2, 5, 7, 1]
    assert all(result.success for result in results)
    assert [result.seconds for result in results] == pytest.approx([0.9, 0.2, 0.5, 0.7, 0.1])


def test_a_stateless_policy_sees_all_slots_at_once_and_slots_are_refilled():
    policy, vector = Stateless(), Paper(2)
    play(policy, vector, plans(8, 4, 4))
    assert [call.batch_size for call in policy.calls] == [2, 2]
    assert [kind for kind, _ in vector.log] == ["begin", "run", "begin", "run"]


def test_a_carry_stays_with_the_batch_it_came_from():
    policy = Remembering()
    results = play(policy, Paper(3), plans(4, 12, 8, 8, 4))
    assert [result.steps for result in results] == [4, 12, 8, 8, 4]
    assert max(decisions for decisions, _ in policy.batches) == 2


def test_execute_cuts_the_chunk():
    vector = Paper(1)
    play(Stateless(), vector, plans(6), execute=3)
    assert [what for kind, what in vector.log if kind == "run"] == [{0: 3}, {0: 3}]


def test_same_arguments_same_draws_other_seed_other_draws():
    draws = []
    for seed in (1, 1, 2):
        policy = Stateless()
        play(policy, Paper(2), plans(9, 8, 7), seed=seed)
        draws.append(policy.draws)
    assert draws[0] == draws[1] != draws[2]
    assert len(set(draws[0])) == len(draws[0])


def test_sentences():
    policy = Stateless()
    todo = [
        EpisodePlan(task="a", seed=1),
        EpisodePlan(task="a", seed=1, instruction="Say it so."),
        EpisodePlan(task="a", seed=1, swapped_to="b"),
    ]
    results = play(policy, Paper(3), todo)
    expected = ("Do a.", "Say it so.", "Do b.")
    assert policy.calls[0].instruction == expected == tuple(result.instruction for result in results)
    assert set(results[2].judged) == {"a", "b"}


def test_films_and_progress():
    told = []
    todo = [EpisodePlan(task="a", seed=8, film_every=1), EpisodePlan(task="a", seed=4)]
    results = play(Stateless(), Paper(2), todo, progress=lambda *row: told.append(row))
    assert results[0].film[:, 0, 0, 0].tolist() == [0, 4, 8] and results[1].film is None
    assert told == [("episodes", 1, 2), ("episodes", 2, 2)]


def test_actions_that_are_no_numbers_are_refused():
    class Broken(Stateless):
        def act(self, observation, carry, rng):
            chunk, carry = super().act(observation, carry, rng)
            chunk.actions[0, 0, 0] = np.nan
            return chunk, carry

    with pytest.raises(NotFiniteError):
        play(Broken(), Paper(1), plans(3))
    with pytest.raises(ConfigError):
        play(Stateless(), Paper(1), plans(3), execute=-1)


def test_a_slot_keeps_to_its_task_then_helps_where_most_is_left():
    assert pick(["a", "b", "a", "c"], "c") == 3
    assert pick(["b", "a", "a"], "z") == 1
    assert pick(["b", "a"], "") == 0


def test_stack_needs_something():
    with pytest.raises(ConfigError):
        stack([])


class Asking:
    """A vector of one slot whose episode asks for something else from step 3 on."""

    def __init__(self):
        self.slots, self.told, self.steps, self.contract = 1, [], 0, CONTRACT
        env = SimpleNamespace(reset=self.reset, step=self.step, observe=self.see, judge=lambda task: False)
        self.slot = Slot(env, {}, 1)

    def see(self):
        words = "first" if self.steps < 3 else "second"
        return Observation(state=np.zeros((1, 1, 1), np.float32), instruction=(words,), time_s=np.array([[0.0]]))

    def reset(self, task, seed):
        self.steps = 0
        return self.see()

    def step(self, action):
        self.steps += 1
        return self.see(), 0.0, False, self.steps >= 8, {"success": False}

    def instructions(self, task, split="canonical"):
        return ("the task's own",)

    def begin(self, starts):
        self.took = {slot: self.slot.begin(start) for slot, start in starts.items()}
        return self.took

    def run_chunks(self, chunks):
        self.took = {slot: self.slot.run(actions) for slot, actions in chunks.items()}
        return self.took

    def observation(self, slot, instruction=""):
        took = self.took[slot]
        return Observation(
            state=took.state[None], instruction=(instruction or took.instruction,), time_s=took.time_s[None]
        )

    def act(self, observation, carry, rng):
        self.told.append((self.steps, observation.instruction[0]))
        actions = np.zeros((1, 4, 1), np.float32)
        return ActionChunk(actions=actions, valid=np.ones((1, 4), bool), spec=self.contract.action), None


@pytest.mark.parametrize(
    ("own", "told"),
    [
        (True, [(0, "first"), (3, "second"), (7, "second")]),
        (False, [(0, "the task's own"), (3, "the task's own"), (7, "the task's own")]),
    ],
)
def test_own_words_follow_the_episode_and_cut_the_chunk(own, told):
    vector = Asking()
    rollout(vector, vector, [EpisodePlan(task="t", seed=0, own_words=own)], make_rng=np.random.default_rng)
    assert vector.told == told

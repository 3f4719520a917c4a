"""The vector against the same slots in this process, and what it does when things go wrong."""

import gc
import os
from pathlib import Path

import numpy as np
import pytest
from vector_toys import TOUCH, Toy, large_toy, toy

from embodia.core.errors import EnvironmentFailure, WorkerError
from embodia.envs import workers
from embodia.envs.local import LocalVector
from embodia.envs.slot import Start
from embodia.envs.vector import VectorEnv

SLOTS = 5
FIELDS = ("steps", "done", "success", "reward", "best_reward", "held", "held_at_start", "instruction")


def open_vector(slots=SLOTS, workers=2, history=2):
    return VectorEnv("dots", slots=slots, workers=workers, history=history, wrap=toy, timeout_s=60.0)


@pytest.fixture(scope="module")
def vector():
    with open_vector() as made:
        yield made


def zeros(length=1):
    return np.zeros((length, 3), np.float32)


def start(slot, task="plain", **more):
    return {slot: Start(task=task, seed=slot, stop=False, **more)}


def same(one, other):
    assert type(one) is type(other)
    assert one.dtype == other.dtype and one.shape == other.shape and np.array_equal(one, other)


def assert_equal(one, other):
    for name in FIELDS:
        assert getattr(one, name) == getattr(other, name), name
    same(one.state, other.state)
    same(one.time_s, other.time_s)
    assert one.senses.keys() == other.senses.keys() == {TOUCH}
    same(one.senses[TOUCH], other.senses[TOUCH])
    assert len(one.film) == len(other.film)
    for mine, theirs in zip(one.film, other.film, strict=True):
        same(mine, theirs)


def test_equal_bit_for_bit_to_the_same_slots_in_this_process(vector):
    here, rng = LocalVector(Toy, slots=SLOTS, history=2), np.random.default_rng(0)
    tasks = ("plain", "talks", "odd", "short")
    open_slots, rounds = set(), 0
    while rounds < 60:
        starts = {
            slot: Start(
                task=tasks[int(rng.integers(4))],
                seed=int(rng.integers(1000)),
                judged=("other",) * int(rng.integers(2)),
                stop=bool(rng.integers(2)),
                film_every=int(rng.integers(3)) if slot == 1 else 0,
            )
            for slot in range(SLOTS)
            if slot not in open_slots and rng.uniform() < 0.6
        }
        if starts:
            theirs = here.begin(starts)
            for slot, took in vector.begin(starts).items():
                assert_equal(took, theirs[slot])
            open_slots |= starts.keys()
        kind = (np.float32, np.float64)[rounds % 2]
        chunks = {slot: rng.uniform(-0.3, 0.3, (int(rng.integers(1, 7)), 3)).astype(kind) for slot in open_slots}
        theirs, ours = here.run_chunks(chunks), vector.run_chunks(chunks)
        assert list(ours) == sorted(chunks)
        for slot, took in ours.items():
            assert_equal(took, theirs[slot])
            mine, other = vector.observation(slot), here.observation(slot)
            same(mine.images["eye"], other.images["eye"])
            same(mine.touch, other.touch)
            same(mine.state, other.state)
            assert mine.instruction == other.instruction
        open_slots -= {slot for slot, took in ours.items() if took.done}
        rounds += 1
    here.close()


def test_one_batch_of_all_slots_equals_the_slots_one_by_one(vector):
    here = LocalVector(Toy, slots=SLOTS, history=2)
    for where in (vector, here):
        where.begin({slot: Start(task="plain", seed=slot) for slot in range(SLOTS)})
        where.run_chunks({slot: zeros(slot + 1) for slot in range(SLOTS)})
        whole = where.observations(["", "Jump."] + [""] * 3)
        alone = [where.observation(slot) for slot in range(SLOTS)]
        for pick in (lambda seen: seen.images["eye"], lambda seen: seen.state, lambda seen: seen.time_s):
            same(pick(whole), np.concatenate([pick(one) for one in alone]))
        same(whole.touch, np.concatenate([one.touch for one in alone]))
        assert whole.instruction == ("Go.", "Jump.", "Go.", "Go.", "Go.") and whole.batch_size == SLOTS
    here.close()


def test_what_was_handed_out_never_changes(vector):
    vector.begin({slot: Start(task="plain", seed=slot, stop=False) for slot in range(SLOTS)})
    took = vector.run_chunks({slot: zeros(2) for slot in range(SLOTS)})
    seen, whole = vector.observation(3), vector.observations()
    handed = [took[3].state, took[3].time_s, took[3].senses[TOUCH], seen.images["eye"], seen.state, seen.touch]
    handed += [whole.images["eye"], whole.state]
    before = [array.copy() for array in handed]
    for _ in range(3):
        vector.run_chunks({slot: zeros() + 0.5 for slot in range(SLOTS)})
    vector.begin(start(3))
    for array, kept in zip(handed, before, strict=True):
        assert np.array_equal(array, kept) and not np.shares_memory(array, vector.observation(3).images["eye"])
    assert not np.array_equal(vector.observation(3).images["eye"], seen.images["eye"])


@pytest.mark.parametrize("here", [True, False])
def test_views_show_what_is_there_now_and_cannot_be_written(vector, here):
    where = LocalVector(Toy, slots=SLOTS) if here else vector
    where.begin(start(2))
    view, copy = where.observation(2, copy=False).images["eye"], where.observation(2).images["eye"]
    assert np.array_equal(view, copy)
    where.run_chunks({2: zeros() + 0.7})
    assert np.array_equal(view, where.observation(2).images["eye"]) and not np.array_equal(view, copy)
    with pytest.raises(ValueError, match="read-only"):
        view[:] = 0
    copy[:] = 0


def test_actions_may_be_overwritten_by_who_gave_them(vector):
    actions = zeros(2) + 0.25
    vector.begin(start(0))
    first = vector.run_chunk(0, actions)
    vector.begin(start(0))
    given = actions.copy()
    second = vector.run_chunk(0, given)
    given[:] = 9
    assert_equal(first, second)


def test_a_usual_round_sends_no_message(vector, monkeypatch):
    sent, got = [], []
    post, fetch = workers._post, workers._fetch
    monkeypatch.setattr(workers, "_post", lambda to, what: (sent.append(what), post(to, what))[1])
    monkeypatch.setattr(workers, "_fetch", lambda of: (got.append(fetch(of)), got[-1])[1])
    vector.begin({slot: Start(task="talks", seed=slot, stop=False) for slot in range(SLOTS)})
    sent.clear(), got.clear()
    vector.run_chunks({slot: zeros(2) for slot in range(SLOTS)})
    assert sent == [None, None] and got == [None, None]
    vector.run_chunks({slot: zeros(2) for slot in range(SLOTS)})
    assert sent[2:] == [None, None] and [sorted(told) for told in sorted(got[2:], key=min)] == [[0, 2, 4], [1, 3]]
    sent.clear(), got.clear()
    vector.run_chunks({1: zeros()})
    assert sent == [None] and got == [None]


@pytest.mark.parametrize(
    "actions",
    [np.zeros((0, 3), np.float32), np.zeros((300, 3), np.float32), np.zeros((2, 3), np.float16)],
    ids=["empty", "long", "half"],
)
def test_chunks_that_do_not_fit_are_run_all_the_same(vector, actions):
    here = LocalVector(Toy, slots=SLOTS, history=2)
    for where in (vector, here):
        where.begin(start(1))
    assert_equal(vector.run_chunks({1: actions})[1], here.run_chunks({1: actions})[1])
    assert_equal(vector.run_chunks({1: zeros()})[1], here.run_chunks({1: zeros()})[1])
    here.close()


@pytest.mark.parametrize("task", ["fails", "breaks"])
def test_an_error_in_one_slot_leaves_no_answer_behind_for_the_next_round(vector, task):
    here = LocalVector(Toy, slots=SLOTS, history=2)
    kind, words = {"fails": (EnvironmentFailure, "typed"), "breaks": (WorkerError, "slot 0 .*ValueError: a bolt")}[task]
    vector.begin({slot: Start(task=task if slot == 0 else "plain", seed=slot, stop=False) for slot in range(SLOTS)})
    with pytest.raises(kind, match=words):
        vector.run_chunks({slot: zeros(3) for slot in range(SLOTS)})
    here.begin({slot: Start(task="plain", seed=slot, stop=False) for slot in (1, 3)})
    here.run_chunks({slot: zeros(3) for slot in (1, 3)})
    later, theirs = (where.run_chunks({1: zeros(), 3: zeros(2)}) for where in (vector, here))
    for slot in (1, 3):
        assert_equal(later[slot], theirs[slot])
    again = vector.begin({slot: Start(task="plain", seed=7, stop=False) for slot in (0, 2)})
    assert again[0].steps == again[2].steps == 0
    after = vector.run_chunks({0: zeros()})
    assert after[0].steps == 1 and list(after) == [0]
    assert vector.run_chunks({2: zeros()})[2].steps == 1
    here.close()


def test_a_slot_whose_reset_failed_says_so_and_can_be_begun_again(vector):
    vector.begin(start(1, judged=("other",)))
    with pytest.raises(EnvironmentFailure, match="thirteen"):
        vector.begin({1: Start(task="idle", seed=13)})
    vector.begin(start(1))
    assert vector.run_chunks({1: zeros()})[1].held.keys() == {"plain"}


def test_a_worker_that_dies_in_a_step_is_an_error_that_names_the_slot():
    with open_vector() as vector:
        vector.begin(
            {slot: Start(task="dies" if slot == 3 else "plain", seed=slot, stop=False) for slot in range(SLOTS)}
        )
        with pytest.raises(
            WorkerError, match=r"dots environment 1 .*exit code -9.* died while running a chunk in slot 3"
        ):
            vector.run_chunks({slot: zeros(4) for slot in range(SLOTS)})
        assert [vector.observation(slot).time_s[0, -1] for slot in (0, 2, 4)] == [0.4] * 3
        assert vector.run_chunks({0: zeros()})[0].steps == 5
        with pytest.raises(WorkerError, match="dots environment 1"):
            vector.run_chunks({1: zeros()})


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads Linux's list of what is mapped")
def test_the_memory_has_no_name_and_is_given_back():
    def mapped():
        gc.collect()
        lines = Path("/proc/self/maps").read_text().splitlines()
        return [line for line in lines if "/dev/shm/" in line or "/pym-" in line or "/psm_" in line]

    before = set(mapped())
    for _ in range(2):
        vector = VectorEnv("dots", slots=2, workers=2, wrap=large_toy, timeout_s=60.0)
        during = set(mapped()) - before
        sizes = [int(end, 16) - int(first, 16) for first, end in (line.split()[0].split("-") for line in during)]
        assert sum(sizes) >= 2 * 2000 * 2000 * 3 and all("(deleted)" in line for line in during)
        vector.begin(start(1, "dies"))
        with pytest.raises(WorkerError):
            vector.run_chunks({1: zeros(3)})
        vector.close()
        del vector
        assert set(mapped()) == before


def test_an_interrupted_round_stops_the_workers_and_says_so_afterwards(monkeypatch):
    with open_vector(slots=2) as vector:
        vector.begin(start(0))
        pids = vector.pids

        def interrupted():
            raise KeyboardInterrupt

        monkeypatch.setattr(vector._pool, "answers", interrupted)
        with pytest.raises(KeyboardInterrupt):
            vector.run_chunks({0: zeros()})
        for pid in pids:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
        with pytest.raises(WorkerError, match="stopped"):
            vector.run_chunks({0: zeros()})

import numpy as np
import pytest
from vector_toys import TOUCH, Toy

from embodia.core.types import Observation
from embodia.envs.shared import LONGEST_CHUNK, Layout, Memory


@pytest.fixture
def layout():
    return Layout(spec=Toy().contract.observation, action_dim=3, slots=4, history=2, workers=2)


@pytest.fixture
def both(layout):
    buffer = layout.reserve()
    return Memory(layout, buffer), Memory(layout, buffer)


def sensed(value, **other):
    given = {"state": np.full((1, 1, 3), value, np.float32), "time_s": np.array([[value / 10]])}
    return Observation(**given | other)


def felt(value):
    return {TOUCH: np.full((2, 2), value, np.float32)}


def test_what_one_side_writes_the_other_reads_and_nothing_overlaps(both):
    worker, caller = both
    for slot in range(4):
        part = worker.part(slot)
        part.images["eye"][:] = 10 + slot
        assert part.keep([sensed(slot), sensed(slot + 0.5)], felt(20 + slot))
        part.note(slot, slot == 1, slot == 2, 1 << 40 + slot, slot / 3, -slot / 7)
        caller.order(slot, np.full((LONGEST_CHUNK, 3), slot, np.float64))
        worker.at[slot % 2] = slot
    for slot in range(4):
        assert (caller.images["eye"][slot] == 10 + slot).all() and (caller.senses[TOUCH][slot] == 20 + slot).all()
        assert caller.state[slot].tolist() == [[slot] * 3, [slot + 0.5] * 3]
        assert caller.time_s[slot].tolist() == [slot / 10, (slot + 0.5) / 10]
        assert caller.record(slot) == (slot, slot == 1, slot == 2, 1 << 40 + slot, slot / 3, -slot / 7)
    assert caller.at.tolist() == [2, 3]
    assert all((actions == slot).all() for slot, actions in worker.ordered(range(4)))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_an_order_is_taken_once_and_is_a_copy(both, kind):
    worker, caller = both
    given = np.random.default_rng(0).normal(size=(5, 3)).astype(kind)
    caller.order(2, given)
    [(slot, actions)] = worker.ordered([0, 2])
    assert slot == 2 and actions.dtype == kind and np.array_equal(actions, given)
    assert list(worker.ordered([0, 2])) == []
    caller.order(2, np.zeros_like(given))
    assert np.array_equal(actions, given)


def test_only_chunks_of_the_contract_fit(both):
    memory = both[0]
    fitting = [np.zeros((1, 3)), np.zeros((LONGEST_CHUNK, 3), np.float32), np.zeros((6, 3))[::2]]
    assert all(memory.fits(actions) for actions in fitting)
    others = [np.zeros((0, 3)), np.zeros((LONGEST_CHUNK + 1, 3)), np.zeros((1, 2)), np.zeros(3), [[0.0] * 3]]
    others += [np.zeros((1, 3), np.float16), np.zeros((1, 3), np.int64), np.zeros((1, 3), ">f8"), np.zeros((1, 1, 3))]
    assert not any(memory.fits(actions) for actions in others)


@pytest.mark.parametrize(
    "other",
    [
        {"state": None},
        {"state": np.zeros((1, 1, 3))},
        {"state": np.zeros((1, 1, 2), np.float32)},
        {"time_s": None},
        {"time_s": np.zeros((1, 2))},
    ],
    ids=["no state", "64 bits", "two numbers", "no time", "two times"],
)
def test_what_differs_from_the_contract_is_refused(both, other):
    part = both[0].part(0)
    assert part.keep([sensed(1), sensed(2)], felt(0))
    assert not part.keep([sensed(1), sensed(2, **other)], felt(0))
    assert not part.keep([sensed(1), sensed(2)], {TOUCH: np.zeros((2, 3), np.float32)})


def test_a_body_without_state_has_none():
    spec = Toy().contract.observation
    bare = type(spec)(cameras=spec.cameras, state=(), rate_hz=10.0)
    layout = Layout(spec=bare, action_dim=3, slots=2, history=1, workers=1)
    part = Memory(layout, layout.reserve()).part(1)
    assert part.keep([sensed(1, state=None)], {}) and not part.keep([sensed(1)], {})

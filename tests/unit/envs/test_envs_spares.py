import gc
import weakref

import numpy as np
import pytest

from embodia.envs.spares import Spares


def address(array):
    return array.__array_interface__["data"][0]


def test_memory_is_used_again_once_nobody_holds_it():
    spares, first = Spares(), np.arange(24).reshape(2, 3, 4)
    copy = spares.copy(first)
    where = address(copy)
    del copy
    again = spares.copy(first + 1)
    assert address(again) == where and np.array_equal(again, first + 1)


@pytest.mark.parametrize(
    "hold",
    [
        lambda array: array,
        lambda array: array[1],
        lambda array: array[:, 1:][0].T,
        memoryview,
        lambda array: [array.reshape(-1)],
    ],
    ids=["itself", "view", "view of a view", "memory", "inside something"],
)
def test_what_is_held_in_any_way_is_left_alone(hold):
    spares, first = Spares(limit=2), np.arange(24).reshape(2, 3, 4)
    held = hold(spares.copy(first))
    before = np.array(held[0] if isinstance(held, list) else held)
    for number in range(5):
        later = spares.copy(first * 0 - number)
        assert not np.shares_memory(later, np.asarray(held[0] if isinstance(held, list) else held))
    assert np.array_equal(before, held[0] if isinstance(held, list) else held)


def test_a_tensor_over_it_holds_it():
    torch = pytest.importorskip("torch")
    spares, first = Spares(), np.zeros((4, 5), np.float32)
    tensor = torch.from_numpy(spares.copy(first))
    for _ in range(4):
        spares.copy(first + 1)
    gc.collect()
    assert (tensor == 0).all()


def test_shapes_and_types_are_kept_apart_and_few_are_kept():
    spares = Spares(limit=1)
    arrays = [np.zeros((2, 3)), np.zeros((3, 2)), np.zeros((2, 3), np.uint8)]
    for array in arrays:
        copy = spares.copy(array)
        assert copy.shape == array.shape and copy.dtype == array.dtype
    one, two = spares.copy(arrays[0]), spares.copy(arrays[0])
    place = address(one)
    del one, two
    assert address(spares.copy(arrays[0])) == place
    held = [spares.copy(arrays[0]) for _ in range(9)]
    last = weakref.ref(held[-1])
    assert len({address(array) for array in held}) == 9
    held.clear()
    assert last() is None

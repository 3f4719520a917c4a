"""The order of samples is a function: pure, complete, even, the same for every layout of ranks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embodia.core.errors import ConfigError
from embodia.data.order import choices, hashed, interleave, sample_ids, split

MASK = (1 << 64) - 1
GOLDEN = [6, 9, 4, 5, 1, 2, 7, 0, 8, 3, 11, 10]


def splitmix(key, counter):
    """The published generator in plain Python integers."""
    value = ((counter + 1) * 0x9E3779B97F4A7C15 + key) & MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def test_hash_equals_the_published_generator():
    counters = np.array([0, 1, 2, 17, 2**40], dtype=np.uint64)
    for key in (0, 1234567, 2**62 + 5):
        assert hashed(key, counters).tolist() == [splitmix(key, int(c)) for c in counters]
    # first outputs of the reference implementation seeded with 1234567
    assert hashed(1234567, np.arange(2, dtype=np.uint64)).tolist() == [6457827717110365317, 3203168211198807973]


@given(st.integers(0, 2**40), st.integers(0, 1000), st.integers(1, 500))
@settings(max_examples=60, deadline=None)
def test_every_epoch_is_a_permutation(seed, epoch, size):
    ids = sample_ids(seed, epoch, size)
    assert sorted(ids.tolist()) == list(range(size))
    np.testing.assert_array_equal(ids, sample_ids(seed, epoch, size))


def test_golden_order():
    assert sample_ids(0, 0, 10).tolist() == sample_ids(0, 0, 10).tolist()
    assert sample_ids(0, 0, 10).tolist() != sample_ids(0, 1, 10).tolist() != sample_ids(1, 0, 10).tolist()
    assert sample_ids(7, 3, 12).tolist() == GOLDEN


def test_places_are_even():
    size, epochs = 20, 400
    first = np.array([sample_ids(3, epoch, size)[0] for epoch in range(epochs)])
    counts = np.bincount(first, minlength=size)
    chi = ((counts - epochs / size) ** 2 / (epochs / size)).sum()
    assert chi < 43.8  # 99.9 % point of chi-squared with 19 degrees of freedom


def test_neighbours_are_not_correlated():
    ids = sample_ids(5, 0, 20_000).astype(float)
    assert abs(np.corrcoef(ids[:-1], ids[1:])[0, 1]) < 0.03


def test_interleave_is_exact():
    sources = interleave(1, 2, (30, 50, 0, 20))
    assert np.bincount(sources, minlength=4).tolist() == [30, 50, 0, 20]
    assert len(set(sources[:20].tolist())) > 1


def test_choices_are_even_and_depend_on_everything():
    index = np.arange(6000)
    picks = choices(1, 0, index) % np.uint64(6)
    assert np.abs(np.bincount(picks.astype(int)) - 1000).max() < 120
    assert (choices(1, 1, index) != choices(1, 0, index)).mean() > 0.99
    np.testing.assert_array_equal(choices(1, 0, index[500:600]), choices(1, 0, index)[500:600])


def test_empty_epoch_is_refused():
    with pytest.raises(ConfigError):
        sample_ids(0, 0, 0)


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=60), st.integers(0, 99), st.sampled_from([0.0, 0.1, 0.5]))
@settings(max_examples=60, deadline=None)
def test_split_is_disjoint_complete_and_by_task(groups, seed, fraction):
    kept, held = split(seed, tuple(groups), fraction)
    assert sorted(kept + held) == list(range(len(groups)))
    for group in set(groups):
        members = [i for i, name in enumerate(groups) if name == group]
        count = sum(i in held for i in members)
        assert count < len(members)
        if fraction and len(members) > 1:
            assert count >= 1 and abs(count - fraction * len(members)) <= 1
        if not fraction:
            assert count == 0


def test_split_of_a_task_ignores_other_tasks():
    alone = split(4, ("a",) * 10, 0.3)[1]
    mixed = split(4, ("a", "b") * 10, 0.3)[1]
    assert tuple(2 * i for i in alone) == tuple(i for i in mixed if i % 2 == 0)
    with pytest.raises(ConfigError, match="fraction"):
        split(0, ("a",), 1.0)

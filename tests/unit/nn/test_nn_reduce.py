"""The three ways to make one number of a chunk's error, by hand."""

import pytest
import torch

from embodia.nn.reduce import reduce_chunk

ERROR = torch.tensor([[[1.0, 3.0], [5.0, 7.0], [100.0, 100.0]], [[2.0, 2.0], [50.0, 50.0], [60.0, 60.0]]])
VALID = torch.tensor([[True, True, False], [True, False, False]])


def test_sample_is_the_mean_over_own_steps():
    assert reduce_chunk(ERROR, VALID, "sample").tolist() == [4.0, 2.0]


def test_batch_has_the_mean_over_all_valid_entries():
    terms = reduce_chunk(ERROR, VALID, "batch")
    assert float(terms.mean()) == pytest.approx((1 + 3 + 5 + 7 + 2 + 2) / 6)


def test_length_counts_padding_in_the_denominator_only():
    assert reduce_chunk(ERROR, VALID, "length").tolist() == pytest.approx([16 / 6, 4 / 6])


@pytest.mark.parametrize("reduction", ["sample", "batch", "length"])
def test_all_are_the_plain_mean_without_padding(reduction):
    everything = torch.ones_like(VALID)
    assert float(reduce_chunk(ERROR, everything, reduction).mean()) == pytest.approx(float(ERROR.mean()))


@pytest.mark.parametrize("reduction", ["sample", "batch", "length"])
def test_a_chunk_without_valid_steps_is_zero_not_nan(reduction):
    nothing = torch.zeros_like(VALID)
    assert reduce_chunk(ERROR, nothing, reduction).tolist() == [0.0, 0.0]

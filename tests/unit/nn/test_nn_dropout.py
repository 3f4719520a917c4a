"""Dropout: the rate, the scale, independence of neighbours, and the same gradient as the mask says."""

import pytest
import torch

from embodia.nn.dropout import Dropout, dropout


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_rate_and_mean_are_kept(rate):
    torch.manual_seed(0)
    y = dropout(torch.ones(400_003), rate)
    dropped = float((y == 0).float().mean())
    assert abs(dropped - rate) < 4 * (rate * (1 - rate) / 400_003) ** 0.5
    assert torch.allclose(y[y != 0], torch.tensor(1 / (1 - rate)))


def test_the_four_decisions_of_one_number_are_independent():
    torch.manual_seed(1)
    kept = (dropout(torch.ones(400_000), 0.3) != 0).float().view(-1, 4)
    assert torch.allclose(kept.mean(0), torch.full((4,), 0.7), atol=0.006)
    assert (torch.corrcoef(kept.T) - torch.eye(4)).abs().max() < 0.015


def test_gradient_is_the_mask():
    x = torch.randn(7, 5, requires_grad=True)
    y = dropout(x, 0.4)
    y.sum().backward()
    assert torch.allclose(x.grad * x, y)


def test_nothing_happens_outside_training_and_at_rate_zero():
    x = torch.randn(3, 4)
    assert Dropout(0.5).eval()(x) is x and Dropout(0.0)(x) is x
    assert not torch.equal(Dropout(0.5)(torch.ones(64)), torch.ones(64))


def test_the_global_seed_decides():
    torch.manual_seed(5)
    first = dropout(torch.ones(1000), 0.2)
    torch.manual_seed(5)
    assert torch.equal(first, dropout(torch.ones(1000), 0.2))

"""A sparse mixture of experts against the dense sum it abbreviates, and its load-balancing loss."""

import pytest
import torch

from embodia.core.errors import ConfigError
from embodia.nn.moe import Routing, SparseMoe


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("top", [1, 2, 4])
def test_sparse_is_the_dense_sum_with_zeros(top):
    moe, x = SparseMoe(6, 10, experts=4, top=top), torch.randn(2, 5, 6)
    chance = moe.router(x).softmax(-1)
    best = chance.topk(top, -1)
    weight = torch.zeros_like(chance).scatter(-1, best.indices, best.values)
    weight = weight if top == 1 else weight / weight.sum(-1, keepdim=True)
    dense = sum(weight[..., [e]] * expert(x) for e, expert in enumerate(moe.experts))
    torch.testing.assert_close(moe(x), dense)


def test_only_chosen_experts_and_the_router_learn():
    moe, x = SparseMoe(6, 10, experts=4), torch.randn(1, 3, 6)
    routing = moe.route(x)
    moe(x, routing).square().sum().backward()
    chosen = set(routing.chosen.flatten().tolist())
    assert moe.router.weight.grad.abs().sum() > 0
    for index, expert in enumerate(moe.experts):
        silent = expert.up.weight.grad is None or not expert.up.weight.grad.any()
        assert silent == (index not in chosen)


def test_a_token_goes_its_way_whoever_is_beside_it():
    moe, x = SparseMoe(6, 10, experts=4, top=2), torch.randn(3, 5, 6)
    torch.testing.assert_close(moe(x)[1:2, 2:3], moe(x[1:2, 2:3]))


def routed(chosen, experts=4):
    chance = torch.nn.functional.one_hot(chosen, experts).float()
    return Routing(chance, chosen[..., None], torch.ones(*chosen.shape, 1))


def test_balance_counts_from_one_to_the_number_of_experts():
    even, crowded = torch.arange(8).view(1, 8) % 4, torch.zeros(1, 8, dtype=torch.long)
    assert routed(even).balance().tolist() == [1.0]
    assert routed(crowded).balance().tolist() == [4.0]


def test_padding_has_no_say_in_the_balance():
    chosen = torch.tensor([[0, 1, 2, 3, 0, 0, 0, 0]])
    mask = torch.tensor([[True] * 4 + [False] * 4])
    assert routed(chosen).balance(mask).tolist() == [1.0]
    assert routed(chosen).balance().item() > 1.0


def test_more_choices_than_experts_are_refused():
    with pytest.raises(ConfigError, match="5 of 4"):
        SparseMoe(6, 10, experts=4, top=5)

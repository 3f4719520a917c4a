"""Word tables, and modules that are used in one place and owned in another."""

import copy
import math

import pytest
import torch
from torch import nn

from embodia.core.errors import ConfigError
from embodia.nn.shared import Shared, device_of
from embodia.nn.vocabulary import Vocabulary

IDS = torch.tensor([[0, 3, 6]])


def test_a_tied_head_scores_a_word_by_its_own_row():
    words = Vocabulary(7, 16)
    hidden = torch.randn(2, 16)
    assert torch.allclose(words.logits(hidden), hidden @ words.table.weight.T, atol=1e-6)
    assert sum(p.numel() for p in words.parameters()) == 7 * 16


def test_gemma_multiplies_by_the_root_of_the_width():
    words = Vocabulary(7, 16, scale=0)
    assert words.scale == 4.0
    assert torch.equal(words.embed(IDS), words.table(IDS) * 4)
    plain = Vocabulary(7, 16)
    assert torch.equal(plain.embed(IDS), plain.table(IDS))


def test_a_head_of_its_own_has_its_own_weights():
    words = Vocabulary(7, 16, head="own", bias=True)
    assert sum(p.numel() for p in words.parameters()) == 2 * 7 * 16 + 7
    hidden = torch.randn(2, 5, 16)
    assert torch.allclose(words.logits(hidden), words.head(hidden), atol=1e-6)


@pytest.mark.parametrize("head", ["tied", "own"])
def test_a_part_of_the_logits_is_that_part(head):
    words = Vocabulary(9, 16, head=head, bias=head == "own")
    hidden = torch.randn(3, 16)
    assert torch.allclose(words.logits(hidden, 4, 3), words.logits(hidden)[..., 4:7], atol=1e-6)


def test_without_a_head_it_cannot_speak():
    words = Vocabulary(7, 16, head="none")
    with pytest.raises(ConfigError, match="cannot speak"):
        words.logits(torch.randn(1, 16))


def test_first_logits_are_of_the_size_of_one():
    torch.manual_seed(0)
    hidden = torch.randn(64, 256)
    for head, scale in (("tied", 0.0), ("own", 1.0)):
        spread = Vocabulary(500, 256, head=head, scale=scale).logits(hidden).std()
        assert 0.7 < spread < 1.4, head


def test_a_shared_module_is_counted_where_it_is_owned():
    class Holder(nn.Module):
        def __init__(self, words: Vocabulary) -> None:
            super().__init__()
            self.words = Shared(words)

    words = Vocabulary(7, 16)
    holder = Holder(words)
    assert not list(holder.parameters()) and not holder.state_dict()
    assert holder.words.size == 7
    assert torch.equal(holder.words.embed(IDS), words.embed(IDS))
    assert device_of(holder.words) == device_of(words) == torch.device("cpu")
    with pytest.raises(AttributeError):
        _ = holder.words.nothing


def test_a_copied_policy_shares_its_own_copy():
    class Owner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = Vocabulary(3, 4)
            self.held = Shared(self.words)

    twin = copy.deepcopy(Owner())
    assert twin.held.module is twin.words


def test_calls_go_to_the_module():
    layer = nn.Linear(4, 2)
    x = torch.randn(1, 4)
    assert torch.equal(Shared(layer)(x), layer(x))
    assert math.prod(Shared(layer).weight.shape) == 8

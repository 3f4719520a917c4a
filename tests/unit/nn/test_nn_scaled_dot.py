"""Attention by three plain operations and by the fused kernel: the same numbers, the same gradients."""

import pytest
import torch
import torch.nn.functional as F

from embodia.nn.scaled_dot import LONGEST_PLAIN, attend


def operands(heads, groups, queries=5, keys=7, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(2, *shape, 8, generator=generator, dtype=dtype).requires_grad_()

    mask = torch.rand(2, 1, queries, keys, generator=generator) > 0.4
    mask[0, 0, 0] = False
    return draw(heads, queries), draw(groups, keys), draw(groups, keys), mask


def reference(query, key, value, mask):
    times = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(times, 1), value.repeat_interleave(times, 1)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("trained", [True, False], ids=["trained", "used"])
def test_equals_the_fused_kernel(groups, masked, trained):
    query, key, value, mask = operands(4, groups)
    mask = mask if masked else None
    with torch.set_grad_enabled(trained):
        found, expected = attend(query, key, value, mask), reference(query, key, value, mask)
    torch.testing.assert_close(found, expected)
    if masked:
        assert (found[0, :, 0] == 0).all(), "a query that may look at nothing gets zeros"
    if trained:
        for a, b in zip(
            *(torch.autograd.grad(x.square().sum(), (query, key, value)) for x in (found, expected)), strict=True
        ):
            torch.testing.assert_close(a, b)


def test_mask_may_be_one_for_all_queries():
    query, key, value, mask = operands(2, 2)
    row = mask[:, :, 1:2]
    torch.testing.assert_close(attend(query, key, value, row), reference(query, key, value, row.expand(-1, -1, 5, -1)))


def test_bfloat16_stays_near():
    query, key, value, mask = operands(4, 2, dtype=torch.float32)
    rough = attend(query.bfloat16(), key.bfloat16(), value.bfloat16(), mask)
    assert rough.dtype == torch.bfloat16
    torch.testing.assert_close(rough.float(), reference(query, key, value, mask), atol=0.03, rtol=0.03)


def test_dropout_removes_and_rescales():
    query, key = torch.zeros(1, 1, 1, 4, requires_grad=True), torch.zeros(1, 1, 400, 4)
    torch.manual_seed(0)
    found = attend(query, key, torch.ones(1, 1, 400, 4), None, 0.5)
    assert found.unique().numel() == 1 and 0.8 < found[0, 0, 0, 0] < 1.2 and found[0, 0, 0, 0] != 1.0


def test_can_be_differentiated_twice():
    query, key, value, mask = operands(2, 1)
    assert torch.autograd.gradgradcheck(lambda q: attend(q, key.detach(), value.detach(), mask), (query,))


def test_long_sequences_take_the_fused_kernel(monkeypatch):
    calls = []
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda *given, **more: calls.append(1) or given[0])
    query = torch.zeros(1, 1, 513, 4, requires_grad=True)
    attend(query, query, query)
    attend(query[:, :, :3], query[:, :, :3], query[:, :, :3])
    assert calls == [1] and LONGEST_PLAIN < 513**2

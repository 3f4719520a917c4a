"""Attention declared between named groups: the mask, the checks, the table."""

import pytest
import torch

from embodia.core.errors import ConfigError
from embodia.core.types import TokenGroup
from embodia.nn import groups
from embodia.nn.groups import Span


def make(name, length, attends_to, within="full", batch=2, width=4, mask=None):
    tokens = torch.randn(batch, length, width)
    return TokenGroup(name=name, tokens=tokens, mask=mask, attends_to=attends_to, within=within)


def pi0_spans():
    seen = ("image", "text")
    return [
        Span(name="image", length=2, attends_to=seen),
        Span(name="text", length=2, attends_to=seen),
        Span(name="state", length=1, attends_to=(*seen, "state")),
        Span(name="action", length=3, attends_to=(*seen, "state", "action")),
    ]


def test_blockwise_mask_is_the_one_of_the_paper():
    """Three blocks; each looks at itself and at what stands before it (arXiv 2410.24164, appendix B)."""
    block = torch.tensor([0, 0, 0, 0, 1, 2, 2, 2])
    expected = block[:, None] >= block[None, :]
    assert torch.equal(groups.declared(pi0_spans(), pi0_spans()), expected)


def test_causal_group_looks_back_only():
    spans = [Span(name="a", length=3, attends_to=("a",), within="causal")]
    assert torch.equal(groups.declared(spans, spans), torch.ones(3, 3).tril().bool())


def test_causal_pattern_does_not_leak_into_other_groups():
    spans = [
        Span(name="a", length=2, attends_to=("a",)),
        Span(name="b", length=2, attends_to=("a", "b"), within="causal"),
    ]
    assert groups.declared(spans, spans)[2:].tolist() == [[True, True, True, False], [True, True, True, True]]


def test_padding_is_never_looked_at():
    mask = torch.tensor([[True, True], [True, False]])
    joined = groups.concatenate([make("a", 2, ("a",), mask=mask)])
    allowed = groups.attention_mask(joined.spans, joined.spans, joined.mask)
    assert allowed.shape == (2, 1, 2, 2)
    assert allowed[1, 0].tolist() == [[True, False], [True, False]]


def test_concatenate_and_split_are_a_pair():
    parts = [make("a", 2, ("a",)), make("b", 3, ("b",))]
    joined = groups.concatenate(parts)
    assert joined.mask.all() and joined.tokens.shape == (2, 5, 4)
    for part, again in zip(parts, groups.split(joined.tokens, parts).values(), strict=True):
        assert again.name == part.name and torch.equal(again.tokens, part.tokens)


def test_positions_skip_padding():
    mask = torch.tensor([[True, False, True], [True, True, True]])
    assert groups.positions(mask, torch.tensor([0, 4])).tolist() == [[0, 0, 1], [4, 5, 6]]


@pytest.mark.parametrize(
    ("attends_to", "word"),
    [(("txt",), "text"), ((), "nothing"), (("zzz",), "Known groups")],
    ids=["typo", "blind", "far"],
)
def test_verify_refuses_what_cannot_be_meant(attends_to, word):
    spans = [Span(name="text", length=1, attends_to=("text",)), Span(name="action", length=1, attends_to=attends_to)]
    with pytest.raises(ConfigError, match=word) as caught:
        groups.verify(spans)
    assert caught.value.leaf == "action"


def test_verify_refuses_two_groups_of_one_name():
    spans = [Span(name="a", length=1, attends_to=("a",))] * 2
    with pytest.raises(ConfigError, match="share a name"):
        groups.verify(spans)


def test_verify_finds_a_group_that_nobody_reads():
    spans = [*pi0_spans(), Span(name="touch", length=1, attends_to=("touch", "action"))]
    groups.verify(pi0_spans(), outputs=("action",))
    with pytest.raises(ConfigError, match="touch"):
        groups.verify(spans, outputs=("action",))
    with pytest.raises(ConfigError, match="does not exist"):
        groups.verify(pi0_spans(), outputs=("actions",))


def test_information_may_take_a_detour():
    spans = [Span(name="a", length=1, attends_to=("a",)), Span(name="b", length=1, attends_to=("a",))]
    last = Span(name="c", length=1, attends_to=("b",))
    groups.verify([*spans, last], outputs=("c",))


def test_prefix_may_not_look_at_the_suffix():
    spans = pi0_spans()
    groups.verify_prefix(spans[:2], spans[2:])
    with pytest.raises(ConfigError, match="computed before"):
        groups.verify_prefix([Span(name="text", length=1, attends_to=("action",))], spans[2:])


@pytest.mark.parametrize(
    "second",
    [
        make("b", 2, ("b",), width=5),
        make("b", 2, ("b",), batch=3),
        make("b", 2, ("b",), mask=torch.ones(2, 3, dtype=torch.bool)),
    ],
    ids=["width", "batch", "mask"],
)
def test_unequal_shapes_name_the_group(second):
    with pytest.raises(ConfigError) as caught:
        groups.concatenate([make("a", 2, ("a",)), second])
    assert caught.value.leaf == "b"


def test_nothing_to_join_is_an_error():
    with pytest.raises(ConfigError, match="no token group"):
        groups.concatenate([])


def test_table_can_be_read():
    lines = groups.explain(pi0_spans()).splitlines()
    assert lines[0].split() == ["looks", "at", "->", "tokens", "image", "text", "state", "action"]
    assert lines[3].split() == ["state", "1", "full", "full", "full", "."]
    causal = groups.explain([Span(name="a", length=1, attends_to=("a",), within="causal")])
    assert causal.splitlines()[1].split() == ["a", "1", "causal"]


def test_repeat_keeps_samples_of_one_entry_together():
    group = make("a", 1, ("a",), batch=2, mask=torch.tensor([[True], [False]]))
    again = groups.repeat(group, 3)
    assert torch.equal(again.tokens[:3], group.tokens[:1].expand(3, -1, -1))
    assert again.mask[:, 0].tolist() == [True] * 3 + [False] * 3


def test_repeat_of_a_batch_of_one_copies_nothing():
    row = torch.randn(1, 5)
    assert groups.repeat_rows(row, 4).data_ptr() == row.data_ptr()
    assert groups.repeat_rows(row, 4).shape == (4, 5)

"""Heads over classes: in parallel, with offsets, by universal codes; densities checked by hand and by sampling."""

import math

import pytest
import torch
from torch.distributions import Categorical, Laplace

from embodia.core.errors import ConfigError
from embodia.core.specs import ActionPart, ActionSpec
from embodia.core.types import ActionChunk, TokenGroup
from embodia.parts.compose import Context
from embodia.parts.decoders.offset import OffsetConfig, OffsetDecoder
from embodia.parts.decoders.parallel import ParallelConfig, ParallelDecoder
from embodia.parts.decoders.universal import UniversalConfig, UniversalDecoder
from embodia.parts.tokenizers.grid import GridGroup, GridTokenizer
from embodia.parts.tokenizers.kmeans import KMeansTokenizer
from embodia.parts.tokenizers.rvq import ResidualConfig, ResidualTokenizer
from embodia.parts.tokenizers.uniform import UniformTokenizer
from embodia.parts.tokenizers.universal import UniversalCodebook

PARTS = (ActionPart(name="move", dim=2, representation="ee_position_delta", frame="world"),)
SPEC = ActionSpec(parts=PARTS, rate_hz=10, chunk=3)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def context(tokens: int = 3, width: int = 8, rows: int = 2, seed: int = 1) -> Context:
    group = TokenGroup(
        name="readout", tokens=torch.randn(rows, tokens, width, generator=rng(seed)), mask=None, attends_to=("readout",)
    )
    return Context(groups={"readout": group})


def chunk(rows: int = 2, seed: int = 2) -> ActionChunk:
    actions = torch.rand(rows, 3, 2, generator=rng(seed)) * 2 - 1
    valid = torch.tensor([[True, True, True], [True, False, False]])[:rows]
    return ActionChunk(actions=actions, valid=valid, spec=SPEC)


def heads():
    torch.manual_seed(0)
    kmeans, rvq = KMeansTokenizer(3, 2, 5), ResidualTokenizer(3, 2, ResidualConfig(codes=4, width=8, hidden=16))
    return {
        "parallel": ParallelDecoder(UniformTokenizer(3, 2, 16), 8, read="readout", readouts=3),
        "kmeans": OffsetDecoder(kmeans, 8, read="readout", chunk=3, dim=2),
        "rvq": OffsetDecoder(rvq, 8, read="readout", chunk=3, dim=2, config=OffsetConfig(levels=(5.0, 0.5))),
        "universal": UniversalDecoder(UniversalCodebook(6, 4), 8, read="readout", seen=("readout",), chunk=3, dim=2),
    }


@pytest.fixture(params=["parallel", "kmeans", "rvq", "universal"])
def head(request):
    return heads()[request.param]


def test_padded_steps_count_nowhere(head):
    plain, changed = chunk(), chunk()
    changed.actions[1, 1:] = 0.7
    if isinstance(head, OffsetDecoder) and head.places == 1:
        changed.actions[1, 1:] = plain.actions[1, 1:]  # a code of a whole chunk sees all of it
    for name, term in head.loss_terms(context(), plain, rng()).items():
        assert term.shape == (2,) and torch.isfinite(term).all()
        assert torch.allclose(term, head.loss_terms(context(), changed, rng())[name])
    assert torch.allclose(head.log_prob(context(), plain), head.log_prob(context(), changed))


def test_no_valid_step_no_loss(head):
    empty = chunk()
    empty.valid[:] = False
    for term in head.loss_terms(context(), empty, rng()).values():
        assert torch.equal(term, torch.zeros(2))


def test_a_prefix_is_kept_and_the_first_draw_is_the_mode(head):
    prefix = torch.full((2, 1, 2), 0.25)
    drawn = head.sample(context(), rng(), n=4, prefix=prefix)
    assert drawn.shape == (2, 4, 3, 2)
    assert torch.equal(drawn[:, :, :1], prefix[:, None].expand(-1, 4, -1, -1))
    assert torch.allclose(head.sample(context(), None)[:, 0, 1:], drawn[:, 0, 1:])
    assert not torch.allclose(drawn[:, 1], drawn[:, 2])


def test_one_batch_is_learned(head):
    target = chunk(1)
    optimizer = torch.optim.Adam([p for p in head.parameters() if p.requires_grad], lr=0.02)
    before = head.log_prob(context(rows=1), target).item()
    for step in range(120):
        loss = sum(term.mean() for term in head.loss_terms(context(rows=1), target, rng(step)).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (head.sample(context(rows=1), None)[:, 0] - target.actions).abs().max() < 0.15
    assert head.log_prob(context(rows=1), target).item() > before + 1


def test_parallel_probability_is_the_product_of_its_classes():
    head, target = heads()["parallel"], chunk()
    ids = head.tokenizer.encode(target.actions)
    chance = Categorical(logits=head.logits(context())).log_prob(ids)
    assert torch.allclose(head.log_prob(context(), target), torch.stack([chance[0].sum(), chance[1, :2].sum()]))
    focused = ParallelDecoder(head.tokenizer, 8, read="readout", readouts=3, config=ParallelConfig(gamma=2.0))
    focused.load_state_dict(head.state_dict())
    assert (
        focused.loss_terms(context(), target, None)["token"] < head.loss_terms(context(), target, None)["token"]
    ).all()


def test_parallel_draws_follow_the_probabilities():
    head = heads()["parallel"]
    expected = head.logits(context(rows=1)).softmax(-1)[0, 0]
    drawn = head.tokenizer.encode(head.sample(context(rows=1), rng(3), n=4001)[0])
    share = torch.bincount(drawn[1:, 0], minlength=16) / 4000
    assert (share - expected).abs().max() < 0.03


def test_only_ids_with_a_meaning_are_said():
    groups = (GridGroup(name="x", first=0, bins=(6,)), GridGroup(name="y", first=1, bins=(3,)))
    head = ParallelDecoder(GridTokenizer(3, 2, groups), 8, read="readout", readouts=1)
    logits = head.logits(context(tokens=1))
    assert logits.shape == (2, 6, 9)
    assert torch.isinf(logits[:, ::2, 6:]).all() and torch.isinf(logits[:, 1::2, :6]).all()
    with pytest.raises(ConfigError, match="ids from"):
        ParallelDecoder(GridTokenizer(3, 2, groups), 8, read="readout", readouts=4)


def test_offset_density_is_the_mixture_of_laplaces():
    head, target = heads()["kmeans"], chunk()
    logits, offsets = head(context())
    expected = torch.zeros(2)
    for row in range(2):
        for step in range(int(target.valid[row].sum())):
            parts = []
            for code in range(5):
                mean = head.tokenizer.centres[code] + offsets[row, step, 0, code]
                density = Laplace(mean, 0.1).log_prob(target.actions[row, step]).sum()
                parts.append(logits[row, step, 0].log_softmax(-1)[code] + density)
            expected[row] += torch.stack(parts).logsumexp(0)
    assert torch.allclose(head.log_prob(context(), target), expected, atol=1e-3)


def test_levels_of_codes_add_their_offsets():
    head = heads()["rvq"]
    logits, offsets = head(context())
    assert logits.shape == (2, 1, 2, 4) and offsets.shape == (2, 1, 2, 4, 6)
    codes = torch.tensor([[[1, 3]], [[0, 2]]])
    stands_for = head.tokenizer.decode(torch.tensor([[1, 4 + 3], [0, 4 + 2]]))
    added = torch.stack([offsets[0, 0, 0, 1] + offsets[0, 0, 1, 3], offsets[1, 0, 0, 0] + offsets[1, 0, 1, 2]])
    assert torch.allclose(head.actions(codes, offsets), stands_for + added.view(2, 3, 2), atol=1e-6)


def test_drawn_codes_train_other_offsets_than_the_truth():
    head = heads()["kmeans"]
    drawn = OffsetDecoder(
        head.tokenizer, 8, read="readout", chunk=3, dim=2, config=OffsetConfig(at="drawn", error="l2")
    )
    drawn.load_state_dict(head.state_dict())
    terms = [one.loss_terms(context(), chunk(), rng(5)) for one in (head, drawn)]
    assert torch.allclose(terms[0]["class"], terms[1]["class"])
    assert not torch.allclose(terms[0]["offset"], terms[1]["offset"])


def test_universal_density_sums_over_codes():
    head, target = heads()["universal"], chunk()
    means = head.act(context(), head.codebook.vectors.expand(2, -1, -1))
    chance = head.logits(context()).log_softmax(-1)
    distance = ((target.actions[:, None] - means).abs().sum(-1) * target.valid[:, None]).sum(-1)
    expected = (chance - distance / 0.1 - target.valid.sum(1, keepdim=True) * 2 * math.log(0.2)).logsumexp(-1)
    assert torch.allclose(head.log_prob(context(), target), expected, atol=1e-4)
    assert UniversalConfig().warmth == 1.0

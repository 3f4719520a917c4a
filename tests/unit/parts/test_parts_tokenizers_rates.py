"""What the tokenizers cost and lose on the same second of smooth movement at 5, 20 and 50 Hz (FAST, section IV)."""

import sys
from pathlib import Path

import pytest
import torch

from embodia.parts.tokenizers.fast import FastTokenizer
from embodia.parts.tokenizers.kmeans import KMeansTokenizer
from embodia.parts.tokenizers.latent import LatentActions
from embodia.parts.tokenizers.uniform import UniformTokenizer
from embodia.parts.tokenizers.universal import UniversalCodebook

sys.path.insert(0, str(Path(__file__).parent))
from trajectories import smooth


def measure(tokenizer, rate_hz: int) -> tuple[float, float]:
    """Tokens a second and root mean square error on movements that were not fitted."""
    if hasattr(tokenizer, "fit"):
        tokenizer.fit(smooth(300, rate_hz))
    actions = smooth(100, rate_hz, seed=1).clamp(-1, 1)
    ids = tokenizer.encode(actions)
    error = (tokenizer.decode(ids) - actions).square().mean().sqrt().item()
    return (ids >= 0).sum(1).float().mean().item(), error


@pytest.mark.parametrize("rate_hz", [5, 20, 50])
def test_uniform_bins_cost_one_token_a_number_whatever_the_rate(rate_hz):
    tokens, error = measure(UniformTokenizer(rate_hz, 4), rate_hz)
    assert tokens == 4 * rate_hz
    assert error < 1 / 256


@pytest.mark.parametrize("rate_hz", [5, 20, 50])
def test_clusters_cost_one_token_a_step_and_lose_more(rate_hz):
    tokens, error = measure(KMeansTokenizer(rate_hz, 4, 64), rate_hz)
    assert tokens == rate_hz
    assert 0.02 < error < 0.2


def test_fast_hardly_grows_with_the_rate():
    found = {rate: measure(FastTokenizer(rate, 4), rate) for rate in (5, 20, 50)}
    tokens = {rate: cost for rate, (cost, _) in found.items()}
    assert tokens[50] < 2 * tokens[5]
    assert tokens[50] < 0.1 * 4 * 50, "a tenth of the uniform bins' tokens at 50 Hz"
    assert all(error < 0.05 for _, error in found.values())


def test_latent_codes_tell_motions_apart():
    torch.manual_seed(0)
    rng = torch.Generator().manual_seed(0)
    moves = 2 * torch.randn(4, 16, generator=rng)
    kind = torch.randint(4, (512,), generator=rng)
    before = torch.randn(512, 16, generator=rng)
    after = before + moves[kind]
    model = LatentActions(16, tokens=1, codes=8, hidden=64).train()
    model.start(before, after, rng)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(150):
        terms = model.loss_terms(before, after, rng)
        assert terms["reconstruction"].shape == (512,)
        optimizer.zero_grad()
        sum(term.mean() for term in terms.values()).backward()
        optimizer.step()
    model.eval()
    ids = model.encode(before, after)
    groups = [set(ids[kind == index, 0].tolist()) for index in range(4)]
    assert all(not a & b for i, a in enumerate(groups) for b in groups[:i])
    assert (model.predict(before, ids) - after).square().mean() < 0.05 * moves.square().mean()
    frozen = [book.vectors.clone() for book in model.quantizer.books]
    model.loss_terms(before, after, rng)
    assert torch.equal(frozen[0], model.quantizer.books[0].vectors), "codes rest outside training"


def test_universal_codes_get_gradients_through_the_choice():
    book = UniversalCodebook(8, 4)
    logits = torch.zeros(3, 8, requires_grad=True)
    mixed = book.soft(logits, torch.Generator().manual_seed(0), temperature=0.5)
    mixed.square().sum().backward()
    assert mixed.shape == (3, 4) and logits.grad.abs().sum() > 0 and book.vectors.grad.abs().sum() > 0


def test_universal_choice_follows_the_logits():
    book = UniversalCodebook(3, 4)
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.2]]))
    drawn = book.choose(logits, torch.Generator().manual_seed(0), n=4001)
    assert drawn[0, 0] == 0
    shares = torch.bincount(drawn[0, 1:], minlength=3) / 4000
    assert torch.allclose(shares, torch.tensor([0.5, 0.3, 0.2]), atol=0.03)
    cold = book.soft(50 * logits, None)
    assert torch.allclose(cold, book.vectors[:1], atol=1e-3)


def test_universal_code_of_an_action_is_the_one_that_decodes_to_it():
    candidates = torch.randn(5, 7, 3, 2, generator=torch.Generator().manual_seed(0))
    actions = candidates[torch.arange(5), torch.tensor([1, 6, 0, 3, 3])] + 0.01
    valid = torch.tensor([True, True, False]).expand(5, 3)
    assert UniversalCodebook(7, 4).nearest(candidates, actions, valid).tolist() == [1, 6, 0, 3, 3]

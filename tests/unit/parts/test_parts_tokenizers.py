"""Action tokenizers: round trips, bounds of the error from the papers' definitions, and ids that nobody meant."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from embodia.core.errors import ConfigError, ShapeError
from embodia.core.protocols import Fitted
from embodia.core.specs import ActionPart, ActionSpec
from embodia.parts.tokenizers.fast import FastTokenizer
from embodia.parts.tokenizers.grid import GridGroup, GridTokenizer, grid_groups
from embodia.parts.tokenizers.kmeans import KMeansTokenizer
from embodia.parts.tokenizers.motion import MotionTokenizer
from embodia.parts.tokenizers.numbers import CHARACTERS, NumberTokenizer
from embodia.parts.tokenizers.pixel import PixelTokenizer
from embodia.parts.tokenizers.protocol import PADDING, ActionTokenizer, Constrained
from embodia.parts.tokenizers.rvq import ResidualConfig, ResidualTokenizer
from embodia.parts.tokenizers.uniform import MuLawTokenizer, UniformTokenizer, compand, expand
from embodia.parts.tokenizers.vocabulary_map import VocabularyMap, last_ids, new_ids

sys.path.insert(0, str(Path(__file__).parent))
from trajectories import smooth

GROUPS = (GridGroup(name="move", first=0, bins=(8, 16, 4), spherical=True), GridGroup(name="grip", first=3, bins=(2,)))
MAKERS = {
    "uniform": lambda: UniformTokenizer(8, 4),
    "mulaw": lambda: MuLawTokenizer(8, 4),
    "grid": lambda: GridTokenizer(8, 4, GROUPS),
    "kmeans": lambda: KMeansTokenizer(8, 4, 32),
    "rvq": lambda: ResidualTokenizer(8, 4, ResidualConfig(steps=30)),
    "fast": lambda: FastTokenizer(8, 4, 256),
    "fast bytes": lambda: FastTokenizer(8, 4, 256, alphabet="bytes"),
    "numbers": lambda: NumberTokenizer(8, 4),
    "pixel": lambda: PixelTokenizer(8, 16, 16, 12, gripper=True),
    "motion": lambda: MotionTokenizer(
        8, {"wrist": (0, 1), "fingers": (2, 3)}, ResidualConfig(codes=8, width=16, steps=30)
    ),
    "mapped": lambda: VocabularyMap(UniformTokenizer(8, 4, 100), 1000, last_ids(1000, 100, 7)),
}


@pytest.fixture(params=MAKERS)
def kind(request):
    return request.param


def made(kind: str, fitted: bool = False):
    torch.manual_seed(0)
    tokenizer = MAKERS[kind]()
    if fitted and isinstance(tokenizer, Fitted):
        tokenizer.fit(smooth(200, 8))
    return tokenizer


@pytest.mark.parametrize("fitted", [False, True])
def test_ids_stay_in_the_vocabulary_and_decoding_settles(kind, fitted):
    tokenizer = made(kind, fitted)
    assert isinstance(tokenizer, ActionTokenizer)
    actions = smooth(20, 8, seed=5).clamp(-0.99, 0.99)
    ids = tokenizer.encode(actions)
    assert ids.shape == (20, tokenizer.length) and ids.dtype == torch.int64
    assert ids.min() >= PADDING and ids.max() < tokenizer.vocabulary
    behind = (ids == PADDING).int()
    assert (behind.diff(dim=1) >= 0).all(), "padding stands at the end only"
    back = tokenizer.decode(ids)
    assert back.shape == actions.shape and back.dtype == torch.float32 and torch.isfinite(back).all()
    if kind not in ("rvq", "motion"):  # an autoencoder may move a decoded chunk to another code
        assert torch.allclose(tokenizer.decode(tokenizer.encode(back)), back, atol=1e-4)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), low=st.sampled_from([-5, 0]), span=st.sampled_from([3, 300, 100_000]))
def test_any_ids_mean_something(seed, low, span):
    rng = np.random.default_rng(seed)
    for kind in MAKERS:
        tokenizer = made(kind)
        ids = torch.from_numpy(rng.integers(low, low + span, (2, tokenizer.length)))
        actions = tokenizer.decode(ids)
        assert actions.shape == (2, 8, 4) and torch.isfinite(actions).all()


def test_saved_and_loaded_it_says_the_same(kind):
    fitted, fresh = made(kind, fitted=True), made(kind)
    fresh.load_state_dict(fitted.state_dict())
    actions = smooth(10, 8, seed=6)
    ids = fitted.encode(actions)
    assert torch.equal(ids, fresh.encode(actions))
    assert torch.allclose(fitted.decode(ids), fresh.decode(ids))


def test_fitting_twice_gives_the_same(kind):
    first, second = made(kind, fitted=True), made(kind, fitted=True)
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )
    assert not any(parameter.requires_grad for parameter in first.parameters())


def test_choices_hold_every_id_that_is_written(kind):
    tokenizer = made(kind, fitted=True)
    if not isinstance(tokenizer, Constrained):
        pytest.skip("any id may follow")
    ids = tokenizer.encode(smooth(10, 8, seed=7))
    for place in range(tokenizer.length):
        allowed = tokenizer.choices(ids[:, :place])
        assert allowed.shape == (10, tokenizer.vocabulary)
        assert allowed.gather(1, ids[:, place : place + 1]).all()
    assert not tokenizer.choices(ids[:, :0]).all()


def test_another_shape_is_refused(kind):
    with pytest.raises(ShapeError, match="expected"):
        made(kind).encode(torch.zeros(2, 7, 4))


@given(value=st.floats(-1, 1), bins=st.sampled_from([2, 255, 256]))
@settings(max_examples=50, deadline=None)
def test_uniform_error_is_at_most_half_a_bin(value, bins):
    tokenizer = UniformTokenizer(1, 1, bins)
    back = tokenizer.decode(tokenizer.encode(torch.full((1, 1, 1), value))).item()
    assert abs(back - value) <= 1 / bins + 1e-6


def test_uniform_bins_equal_openvlas_edges():
    edges = np.linspace(-1, 1, 256)
    centres = (edges[:-1] + edges[1:]) / 2
    values = np.random.default_rng(0).uniform(-1.3, 1.3, (1, 500, 1))
    theirs = np.clip(np.digitize(np.clip(values, -1, 1), edges) - 1, 0, 254)
    tokenizer = UniformTokenizer(500, 1, 255)
    ids = tokenizer.encode(torch.from_numpy(values))
    assert np.array_equal(ids.numpy(), theirs.reshape(1, -1))
    assert np.allclose(tokenizer.decode(ids).numpy().reshape(-1), centres[theirs.reshape(-1)], atol=1e-6)


def test_mulaw_is_gatos_formula_and_its_inverse():
    value = torch.linspace(-256, 256, 101, dtype=torch.float64)
    expected = np.sign(value) * np.log(np.abs(value) * 100 + 1) / np.log(256 * 100 + 1)
    squashed = compand(value, 100.0, 256.0)
    assert np.allclose(squashed, expected)
    assert squashed.abs().max() == pytest.approx(1.0)
    assert torch.allclose(expand(squashed, 100.0, 256.0), value)


def test_mulaw_is_finer_near_zero_than_far_out():
    tokenizer = MuLawTokenizer(1, 2)
    small, large = torch.tensor([[[0.001, 0.002]]]), torch.tensor([[[100.0, 100.001]]])
    assert tokenizer.encode(small).unique().numel() == 2
    assert tokenizer.encode(large).unique().numel() == 1
    assert torch.allclose(tokenizer.decode(tokenizer.encode(large)), large, rtol=0.02)


def test_grid_cells_are_equally_probable():
    tokenizer = GridTokenizer(1, 1, [GridGroup(name="turn", first=0, bins=(16,))])
    values = torch.from_numpy(norm(0.3, 0.2).rvs((20_000, 1, 1), random_state=1)).float()
    tokenizer.fit(values)
    counts = torch.bincount(tokenizer.encode(values).flatten(), minlength=16)
    assert counts.min() > 1000 and counts.max() < 1500  # 1250 each
    expected = norm(values.mean().item(), values.std().item()).ppf(np.arange(1, 16) / 16)
    assert np.allclose(tokenizer.edges[0], expected, atol=1e-4)


def test_published_grid_has_8194_cells_and_three_tokens_a_step():
    parts = (
        ActionPart(name="move", dim=3, representation="ee_position_delta", frame="base"),
        ActionPart(name="turn", dim=3, representation="ee_rotation_delta", frame="base", rotation="euler_xyz"),
        ActionPart(name="grip", dim=1, representation="gripper", polarity="positive_closes"),
    )
    tokenizer = GridTokenizer(4, 7, grid_groups(ActionSpec(parts=parts, rate_hz=5)))
    assert (tokenizer.vocabulary, tokenizer.length) == (8194, 12)


def test_grid_puts_directions_in_their_spherical_cells():
    tokenizer = GridTokenizer(1, 3, [GridGroup(name="move", first=0, bins=(16, 32, 8), spherical=True)])
    rng = np.random.default_rng(3)
    points = torch.from_numpy(rng.normal(size=(4000, 1, 3)) * 0.3).float()
    tokenizer.fit(points)
    back = tokenizer.decode(tokenizer.encode(points))
    cosine = torch.nn.functional.cosine_similarity(points.flatten(1), back.flatten(1))
    assert cosine.mean() > 0.99
    assert (back - points).norm(dim=-1).mean() < 0.25 * points.norm(dim=-1).mean()


def test_a_gripper_of_two_values_is_kept_exactly():
    tokenizer = GridTokenizer(1, 1, [GridGroup(name="grip", first=0, bins=(2,))])
    values = torch.tensor([-1.0, -1.0, 1.0]).repeat(50).reshape(-1, 1, 1)
    tokenizer.fit(values)
    assert torch.allclose(tokenizer.decode(tokenizer.encode(values)), values)


@pytest.mark.parametrize("groups", [(GROUPS[0],), (*GROUPS, GROUPS[1])])
def test_groups_must_cover_every_dimension_once(groups):
    with pytest.raises(ConfigError, match="cover"):
        GridTokenizer(8, 4, groups)


def test_kmeans_finds_separate_clusters_and_the_offset_completes_them():
    centres = torch.tensor([[0.0, 0.0], [1.0, 1.0], [-1.0, 1.0]])
    rng = torch.Generator().manual_seed(1)
    actions = centres[torch.randint(3, (300, 1), generator=rng)] + 0.05 * torch.randn(300, 1, 2, generator=rng)
    tokenizer = KMeansTokenizer(1, 2, 3)
    tokenizer.fit(actions)
    assert torch.cdist(centres, tokenizer.centres).min(dim=1).values.max() < 0.02
    ids = tokenizer.encode(actions)
    assert torch.allclose(tokenizer.decode(ids) + tokenizer.offset(actions, ids), actions, atol=1e-6)
    assert tokenizer.offset(actions, ids).norm(dim=-1).max() < 0.3


def test_rvq_separates_kinds_of_motion_in_its_first_id():
    rng = torch.Generator().manual_seed(2)
    motions = torch.stack([torch.full((8, 2), value) for value in (-0.8, 0.0, 0.8)])
    kind = torch.randint(3, (600,), generator=rng)
    actions = motions[kind] + 0.05 * torch.randn(600, 8, 2, generator=rng)
    torch.manual_seed(0)
    tokenizer = ResidualTokenizer(8, 2, ResidualConfig(codes=4, hidden=32, width=16, steps=300))
    before = (tokenizer.decode(tokenizer.encode(actions)) - actions).abs().mean()
    tokenizer.fit(actions)
    ids = tokenizer.encode(actions)
    assert (tokenizer.decode(ids) - actions).abs().mean() < 0.08 < before
    assert all(len(ids[kind == value, 0].unique()) <= 2 for value in range(3))
    assert len({tuple(ids[kind == value, 0].unique().tolist()) for value in range(3)}) == 3


def test_numbers_read_like_numbers():
    tokenizer = NumberTokenizer(1, 3, precision=2)
    actions = torch.tensor([[[0.5, -0.128, -0.001]]])
    assert tokenizer.write(actions) == ["0.50 -0.13 0.00"]
    assert torch.allclose(tokenizer.decode(tokenizer.encode(actions)), actions, atol=0.0051)
    assert torch.equal(tokenizer.read(["0.25 oops; 1"]), torch.tensor([[[0.25, 0.0, 0.0]]]))
    assert torch.equal(tokenizer.read(["1e999 nan -3"]), torch.tensor([[[10.0, 0.0, -3.0]]]))
    assert tokenizer.vocabulary == len(CHARACTERS)


def test_pixels_and_turns():
    tokenizer = PixelTokenizer(1, rows=4, columns=8, rotations=36)
    ids = tokenizer.encode(torch.tensor([[[-1.0, -1.0, -1.0]], [[1.0, 1.0, 0.5]], [[0.99, -0.99, 1.0]]]))
    assert ids.tolist() == [[0, 32], [31, 32 + 27], [7, 32]]  # a full turn is no turn
    assert tokenizer.vocabulary == 32 + 36
    back = tokenizer.decode(ids)[:, 0, :2]
    assert torch.allclose(back, torch.tensor([[-7 / 8, -3 / 4], [7 / 8, 3 / 4], [7 / 8, -3 / 4]]))


def test_motion_parts_do_not_disturb_each_other():
    tokenizer = made("motion", fitted=True)
    actions = smooth(4, 8, seed=3)
    other = actions.clone()
    other[..., 2:] += 0.4
    per_part = [tokenizer.encode(x).reshape(4, -1, 2, 2) for x in (actions, other)]
    assert torch.equal(per_part[0][:, :, 0], per_part[1][:, :, 0])
    assert not torch.equal(per_part[0][:, :, 1], per_part[1][:, :, 1])
    with pytest.raises(ConfigError, match="cover"):
        MotionTokenizer(8, {"wrist": (0, 1), "fingers": (1, 2)})


def test_mapped_ids_lie_where_the_papers_put_them():
    openvla = VocabularyMap(UniformTokenizer(1, 1, 256), 32000, last_ids(32000, 256))
    assert openvla.encode(torch.full((1, 1, 1), -1.0)).item() == 31999
    assert openvla.encode(torch.full((1, 1, 1), 1.0)).item() == 31744
    spared = VocabularyMap(UniformTokenizer(1, 1, 256), 257152, last_ids(257152, 256, 128))
    assert spared.encode(torch.full((1, 1, 1), -1.0)).item() == 257152 - 1 - 128
    added = VocabularyMap(UniformTokenizer(1, 1, 256), 1256, new_ids(1000, 256))
    assert added.encode(torch.full((1, 1, 1), -1.0)).item() == 1000
    assert openvla.decode(torch.tensor([[5]])).item() == pytest.approx(1 - 1 / 256)  # a text id: the nearest action id
    assert openvla.choices(torch.zeros(1, 0)).sum() == 256
    with pytest.raises(ConfigError, match="fit"):
        last_ids(100, 256)
    with pytest.raises(ConfigError, match="places"):
        VocabularyMap(UniformTokenizer(1, 1, 256), 32000, torch.arange(5))


def test_padding_passes_through_a_map():
    inner = FastTokenizer(8, 4, 256)
    mapped = VocabularyMap(inner, 5000, last_ids(5000, 256))
    inner.fit(smooth(100, 8))
    actions = smooth(5, 8, seed=9)
    assert torch.equal(mapped.encode(actions) == PADDING, inner.encode(actions) == PADDING)
    assert torch.equal(mapped.decode(mapped.encode(actions)), inner.decode(inner.encode(actions)))


def test_fast_error_is_bounded_by_the_scale():
    tokenizer = FastTokenizer(50, 4, scale=10)
    tokenizer.fit(smooth(300, 50))
    actions = smooth(50, 50, seed=8)
    error = (tokenizer.decode(tokenizer.encode(actions)) - actions).square().sum(1).sqrt()
    assert error.max() <= math.sqrt(50) * 0.5 / 10 + 1e-4  # orthonormal: the error of the signal is that of the numbers


def test_fast_cut_short_keeps_the_slow_part():
    whole, short = FastTokenizer(20, 2), FastTokenizer(20, 2, length=3)
    for tokenizer in (whole, short):
        tokenizer.fit(smooth(200, 20, dim=2))
    actions = smooth(30, 20, dim=2, seed=4)
    assert (whole.encode(actions) >= 0).sum(1).max() > 3
    error = (short.decode(short.encode(actions)) - actions).square().mean()
    assert error < 0.5 * actions.square().mean()


def test_fast_refuses_a_vocabulary_that_is_too_small():
    with pytest.raises(ConfigError, match="do not fit"):
        FastTokenizer(8, 2, vocabulary=8, scale=100).fit(smooth(20, 8, dim=2))


def test_ids_that_are_edges_have_one_interval_fewer():
    """256 edges over -1..1 as numpy draws them: the last id is the upper end itself and means the last interval."""
    tokenizer, edges = UniformTokenizer(1, 5, 256, edges=True), np.linspace(-1, 1, 256)
    values = np.array([-1.0, -0.3001, 0.0, 0.9999, 1.0])
    ids = tokenizer.encode(torch.tensor(values).reshape(1, 1, 5))[0]
    assert ids.tolist() == (np.digitize(values, edges) - 1).tolist()
    assert tokenizer.vocabulary == 256 and ids[-1] == 255
    centres = (edges[:-1] + edges[1:]) / 2
    np.testing.assert_allclose(tokenizer.decode(ids[None])[0, 0], centres[np.minimum(ids, 254)], atol=1e-7)

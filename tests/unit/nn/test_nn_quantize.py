"""Vector quantisation against scipy's and the definition."""

import numpy as np
import torch
from scipy.cluster.vq import kmeans2, vq

from embodia.nn.quantize import Codebook, ResidualQuantizer, cluster, spread


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_nearest_code_equals_scipys():
    book, x = Codebook(12, 5), torch.randn(50, 5, generator=rng())
    expected, _ = vq(x.numpy(), book.vectors.numpy())
    assert np.array_equal(book.choose(x).numpy(), expected)


def test_clustering_is_as_good_as_scipys():
    x = torch.randn(400, 3, generator=rng(1))
    ours = cluster(x, 10, rng(2))
    theirs, _ = kmeans2(x.numpy(), 10, minit="++", seed=3)
    distortion = [torch.cdist(x, centres).min(1).values.square().mean() for centres in (ours, torch.from_numpy(theirs))]
    assert distortion[0] < 1.1 * distortion[1]
    assert torch.equal(ours, cluster(x, 10, rng(2)))


def test_seeds_are_rows_far_apart():
    x = torch.cat([torch.zeros(100, 2), torch.ones(1, 2), -torch.ones(1, 2)])
    assert {tuple(row) for row in spread(x, 3, rng()).tolist()} == {(0.0, 0.0), (1.0, 1.0), (-1.0, -1.0)}


def test_each_level_lowers_the_error_and_indices_give_the_vector_back():
    x = torch.randn(300, 4, generator=rng(4))
    errors = []
    for levels in (1, 2, 4):
        quantizer = ResidualQuantizer(levels, 16, 4)
        quantizer.start(x, rng(5))
        found, indices = quantizer(x)
        assert indices.shape == (300, levels)
        assert torch.allclose(found, quantizer.vectors(indices), atol=1e-5)
        errors.append((found - x).square().mean())
    assert errors[0] > 1.5 * errors[1] > 2 * errors[2]


def test_gradient_passes_straight_through():
    x = torch.randn(6, 4, generator=rng(6), requires_grad=True)
    found, _ = ResidualQuantizer(2, 8, 4)(x)
    weight = torch.randn(6, 4, generator=rng(7))
    (found * weight).sum().backward()
    assert torch.equal(x.grad, weight)


def test_codes_move_to_the_mean_of_those_who_chose_them_and_none_is_lost():
    book = Codebook(3, 2, decay=0.5)
    book.vectors.copy_(torch.tensor([[0.0, 0.0], [4.0, 4.0], [1000.0, 0.0]]))
    book.total.copy_(book.vectors)
    x = torch.cat([torch.randn(64, 2, generator=rng(8)) * 0.1 + 1, torch.randn(64, 2, generator=rng(9)) * 0.1 + 3])
    for _ in range(30):
        book.learn(x, book.choose(x), rng(10))
    assert torch.cdist(x, book.vectors).min(1).values.max() < 0.6
    assert book.vectors.abs().max() < 4, "the code that nobody chose came back"

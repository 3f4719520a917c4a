"""Clouds: sampling and neighbours against loops, invariance to order, codes of places."""

import numpy as np
import pytest
import torch

from embodia.nn.points import PointNet, PointPatches, farthest, gather, nearest, wave


def cloud(seed=0, count=60, batch=2):
    return torch.rand(batch, count, 6, generator=torch.Generator().manual_seed(seed))


def test_farthest_points_against_a_loop():
    points = cloud()[..., :3]
    found = farthest(points, 9)
    for row in range(2):
        chosen = [0]
        places = points[row].numpy()
        while len(chosen) < 9:
            gaps = np.min([((places - places[index]) ** 2).sum(1) for index in chosen], axis=0)
            chosen.append(int(gaps.argmax()))
        assert found[row].tolist() == chosen


def test_neighbours_against_sorting():
    points = cloud()[..., :3]
    centres = points[:, :4]
    found = nearest(points, centres, 5)
    for row in range(2):
        for index in range(4):
            order = ((points[row] - centres[row, index]) ** 2).sum(1).argsort()[:5]
            assert set(found[row, index].tolist()) == set(order.tolist())
    assert nearest(points, centres, 99).shape[-1] == 60


def test_rows_are_gathered():
    values, index = cloud(), torch.tensor([[[0, 3], [5, 5]], [[1, 2], [4, 59]]])
    found = gather(values, index)
    assert found.shape == (2, 2, 2, 6)
    assert torch.equal(found[1, 1, 1], values[1, 59]) and torch.equal(found[0, 0, 1], values[0, 3])


def test_the_order_of_points_does_not_matter_to_pointnet():
    net, points = PointNet(6, (16, 32), 8), cloud()
    mixed = points[:, torch.randperm(60, generator=torch.Generator().manual_seed(1))]
    torch.testing.assert_close(net(points), net(mixed))
    assert not torch.allclose(net(points), net(points + 0.1))


def test_a_patch_is_seen_relative_to_its_centre():
    net, points = PointPatches(6, 5, 16, 24), cloud()
    moved = points.clone()
    moved[..., :3] += torch.tensor([0.5, -1.0, 2.0])
    tokens, centres = net(points)
    shifted, away = net(moved)
    assert tokens.shape == (2, 6, 24)
    torch.testing.assert_close(tokens, shifted, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(away - centres, torch.tensor([0.5, -1.0, 2.0]).expand_as(centres), atol=1e-5, rtol=0)


@pytest.mark.parametrize("width", [2, 8])
def test_codes_tell_places_apart(width):
    places = torch.linspace(-1, 1, 40)[:, None].expand(-1, 3)
    codes = wave(places, width, lowest=0.25)
    assert codes.shape == (40, 3 * width)
    gaps = torch.cdist(codes, codes) + 9 * torch.eye(40)
    assert gaps.min() > 0.01

"""Orthographic views against a renderer that looks at one point after the other, and against geometry."""

import numpy as np
import pytest
import torch

from embodia.nn.ortho import SIDES, axes, lattice, project, read, render, unproject

NAMES = tuple(SIDES)


def slow(points, features, side, centre, half, size):
    """Every pixel by looking at every point."""
    right, down, near = (np.array(axis) for axis in SIDES[side])
    inside = (points - centre) / half
    picture, depth = np.zeros((features.shape[1], size, size)), np.zeros((size, size))
    for row in range(size):
        for column in range(size):
            here = [
                index
                for index, p in enumerate(inside)
                if np.all(np.abs(p) <= 1)
                and int(np.floor((p @ right + 1) * size / 2)) == column
                and int(np.floor((p @ down + 1) * size / 2)) == row
            ]
            if here:
                height = (inside[here] @ near + 1) / 2
                kept = [index for index, high in zip(here, height, strict=True) if high >= height.max() - 0.02]
                picture[:, row, column], depth[row, column] = features[kept].mean(0), height.max()
    return picture, depth


@pytest.mark.parametrize("side", NAMES)
def test_every_side_shows_what_a_slow_renderer_shows(side):
    rng = np.random.default_rng(3)
    points, features = rng.uniform(-0.7, 0.7, (300, 3)), rng.uniform(size=(300, 4))
    centre, half = np.array([0.1, -0.05, 0.0]), 0.5
    expected = slow(points, features, side, centre, half, 8)
    found = render(
        torch.tensor(points)[None],
        torch.tensor(features)[None],
        axes((side,)).double(),
        torch.tensor(centre)[None],
        torch.tensor([half]).double(),
        8,
    )
    np.testing.assert_allclose(found[0][0, 0], expected[0], atol=1e-6)
    np.testing.assert_allclose(found[1][0, 0, 0], expected[1], atol=1e-6)


def test_what_is_behind_is_hidden_and_rows_are_independent():
    cloud = torch.tensor([[[0.0, 0.0, 0.4], [0.0, 0.0, -0.4]], [[9.0, 9.0, 9.0], [0.0, 0.0, -0.4]]])
    colour = torch.tensor([[[1.0], [2.0]], [[1.0], [2.0]]])
    centre, half = torch.zeros(2, 3), torch.ones(2)
    picture, depth = render(cloud, colour, axes(("top",)), centre, half, 4)
    assert picture[0].max() == 1.0 and picture[1].max() == 2.0
    assert depth[0].max() == pytest.approx(0.7) and depth[1].max() == pytest.approx(0.3)
    alone, _ = render(cloud[1:], colour[1:], axes(("top",)), centre[1:], half[1:], 4)
    assert torch.equal(alone[0], picture[1])


def test_opposite_sides_are_mirrored_and_axes_are_right_handed():
    for right, down, near in SIDES.values():
        np.testing.assert_allclose(np.cross(right, down), -np.array(near))
    points = torch.tensor([[[0.3, 0.2, 0.1]]])
    seen = project(points, axes(("front", "back")), torch.zeros(1, 3), torch.ones(1))
    assert seen[0, 0, 0, 0] == -seen[0, 1, 0, 0] and seen[0, 0, 0, 1] == seen[0, 1, 0, 1]


def test_reading_at_a_projected_place_finds_what_was_rendered_there():
    points = lattice(6, torch.zeros(1, 3), torch.ones(1))
    views = axes(NAMES)
    picture, _ = render(points, points, views, torch.zeros(1, 3), torch.ones(1), 6)
    surface = points[:, (points[0, :, 2] - points[0, :, 2].max()).abs() < 1e-6]
    seen = project(surface, views[:1], torch.zeros(1, 3), torch.ones(1))[..., :2]
    found = read(picture[:, :1], seen)[0, 0].T
    torch.testing.assert_close(found, surface[0])


def test_depth_becomes_points_on_a_plane():
    depth = torch.full((1, 30, 40), 2.0)
    points = unproject(depth, 90.0)
    assert points.shape == (1, 30, 40, 3) and torch.equal(points[..., 2], depth)
    edge = points[0, 0, 0]
    assert edge[1].item() == pytest.approx(-2.0 * 29 / 30, abs=1e-5)
    assert edge[0].item() == pytest.approx(-2.0 * 39 / 30, abs=1e-5)

"""Heat maps: a place that is pointed at in every view is found; the loss is least there; upsampling is convex."""

import pytest
import torch

from embodia.nn.heatmap import ConvexUpsample, heat_loss, lift
from embodia.nn.ortho import axes, project

VIEWS = axes(("top", "front", "right"))
CENTRE, HALF = torch.tensor([[0.5, 0.0, 0.2]]), torch.tensor([0.4])


def pointing(place, size=48, spread=1.5):
    """Heat maps that are Gaussian around a place."""
    seen = project(place[:, None], VIEWS, CENTRE.expand(len(place), 3), HALF.expand(len(place)))[:, :, 0]
    steps = (torch.arange(size) + 0.5) * 2 / size - 1
    far = (steps[:, None] - seen[..., 1, None, None]) ** 2 + (steps[None, :] - seen[..., 0, None, None]) ** 2
    return -far * (size / 2) ** 2 / (2 * spread**2), seen[..., :2]


def test_the_place_all_views_point_at_is_found():
    wanted = torch.tensor([[0.62, -0.21, 0.05], [0.3, 0.3, 0.5]])
    heat, _ = pointing(wanted)
    found = lift(heat, VIEWS, CENTRE.expand(2, 3), HALF.expand(2), 32, 1, None)[:, 0]
    assert (found - wanted).norm(dim=1).max() < 0.8 / 32


def test_it_moves_smoothly_between_cells():
    places = torch.stack([torch.tensor([0.5 + 0.001 * step, 0.02, 0.2]) for step in range(25)])
    heat, _ = pointing(places)
    found = lift(heat, VIEWS, CENTRE.expand(25, 3), HALF.expand(25), 32, 1, None)[:, 0, 0]
    steps = found.diff()
    assert (steps > 0).all() and steps.max() < 0.01


def test_draws_follow_the_heat():
    two = torch.tensor([[0.3, -0.2, 0.1], [0.7, 0.2, 0.3]])
    heat, _ = pointing(two, spread=0.7)
    both = torch.logaddexp(heat[:1], heat[1:])
    draws = lift(both, VIEWS, CENTRE, HALF, 32, 60, torch.Generator().manual_seed(0))[0, 1:]
    near = torch.cdist(draws, two).argmin(1)
    assert 10 < (near == 0).sum() < 50


def test_the_loss_is_least_where_the_heat_is():
    wanted = torch.tensor([[0.62, -0.21, 0.05]])
    heat, seen = pointing(wanted)
    right = heat_loss(heat, seen, 1.5)
    assert right.shape == (1,)
    assert right < heat_loss(heat, seen + 0.2, 1.5) and right < heat_loss(torch.zeros_like(heat), seen, 1.5)
    far = heat_loss(heat, torch.full_like(seen, 7.0), 1.5)
    assert torch.isfinite(far).all()


def test_upsampling_is_convex_and_finer():
    module = ConvexUpsample(8, 3)
    x = torch.randn(2, 8, 5, 6)
    coarse, fine = module.heat(x), module(x) / module.sharpness
    assert fine.shape == (2, 15, 18)
    inner = fine[:, 3:-3, 3:-3]
    assert inner.max() <= coarse.max() + 1e-6 and inner.min() >= coarse.min() - 1e-6


@pytest.mark.parametrize("factor", [1, 4])
def test_a_constant_map_stays_constant_inside(factor):
    module = ConvexUpsample(4, factor)
    torch.nn.init.zeros_(module.heat.weight)
    torch.nn.init.constant_(module.heat.bias, 2.5)
    fine = module(torch.randn(1, 4, 4, 4)) / module.sharpness
    inner = fine[:, factor:-factor, factor:-factor]
    torch.testing.assert_close(inner, torch.full_like(inner, 2.5))

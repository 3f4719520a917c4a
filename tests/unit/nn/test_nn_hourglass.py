"""Maps of maps: sizes, being told, lateral sums; turned windows and their correlation against plain geometry."""

import math

import pytest
import torch

from embodia.nn.hourglass import Hourglass, correlate, turned_crops


def test_a_map_keeps_its_size_and_listens():
    net, x = Hourglass(3, 5, width=8, depth=2, told=4), torch.randn(2, 3, 16, 24)
    one, other = net(x, torch.zeros(2, 4)), net(x, torch.ones(2, 4))
    assert one.shape == (2, 5, 16, 24) and not torch.allclose(one, other)
    deaf = Hourglass(3, 0, width=8, depth=2)
    assert deaf(x).shape == (2, 8, 16, 24)
    assert [tuple(level.shape[1:]) for level in deaf.maps(x)] == [(16, 8, 12), (8, 16, 24)]


def test_lateral_maps_are_added_on_the_way_up():
    net, beside, x = Hourglass(3, 2, width=8, depth=2), Hourglass(3, 0, width=8, depth=2), torch.randn(1, 3, 16, 16)
    assert not torch.allclose(net(x), net(x, lateral=beside.maps(x)))
    silent = [torch.zeros_like(level) for level in beside.maps(x)]
    torch.testing.assert_close(net(x), net(x, lateral=silent))


def test_a_window_that_is_not_turned_is_a_cut():
    maps = torch.randn(1, 2, 12, 12)
    cell = torch.tensor([[(5 + 0.5) * 2 / 12 - 1, (7 + 0.5) * 2 / 12 - 1]])
    found = turned_crops(maps, cell, torch.zeros(1), 5)[0, 0]
    torch.testing.assert_close(found, maps[0, :, 5:10, 3:8], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("quarter", "turn"), [(1, math.pi / 2), (2, math.pi), (3, -math.pi / 2)])
def test_a_quarter_turn_from_right_towards_down(quarter, turn):
    maps = torch.randn(1, 1, 9, 9)
    middle = torch.zeros(1, 2)
    straight = turned_crops(maps, middle, torch.zeros(1), 9)[0, 0]
    turned = turned_crops(maps, middle, torch.tensor([turn]), 9)[0, 0]
    torch.testing.assert_close(turned, torch.rot90(straight, -quarter, (-2, -1)), atol=1e-4, rtol=1e-3)


def test_what_was_cut_out_fits_best_where_it_came_from():
    maps = torch.randn(2, 6, 16, 16)
    place = torch.tensor([[(4 + 0.5) / 8 - 1, (9 + 0.5) / 8 - 1], [(11 + 0.5) / 8 - 1, (6 + 0.5) / 8 - 1]])
    found = correlate(maps, turned_crops(maps, place, torch.tensor([0.0, math.pi / 2]), 5))
    assert found.shape == (2, 2, 16, 16)
    assert [divmod(int(row[0].argmax()), 16) for row in found] == [(9, 4), (6, 11)]
    assert (found[:, 0].amax((1, 2)) > found[:, 1].amax((1, 2))).all()


def test_rows_do_not_mix():
    maps = torch.randn(2, 3, 8, 8)
    place, angles = torch.zeros(2, 2), torch.tensor([0.0, 1.0])
    both = correlate(maps, turned_crops(maps, place, angles, 3))
    alone = correlate(maps[1:], turned_crops(maps[1:], place[1:], angles, 3))
    torch.testing.assert_close(both[1:], alone)

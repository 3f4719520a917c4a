"""Sinusoids against slow loops written from the papers."""

import math

import pytest
import torch

from embodia.nn.positional import grid_positions, sequence_positions, time_positions


def test_sequence_follows_vaswani_section_3_5():
    table = sequence_positions(7, 10)
    for position in range(7):
        for i in range(5):
            angle = position / 10000 ** (2 * i / 10)
            assert float(table[position, 2 * i]) == pytest.approx(math.sin(angle), abs=1e-6)
            assert float(table[position, 2 * i + 1]) == pytest.approx(math.cos(angle), abs=1e-6)


def test_grid_is_row_major_with_rows_first_and_ends_at_a_full_turn():
    rows, columns, dim = 3, 4, 8
    table = grid_positions(rows, columns, dim)
    assert table.shape == (12, 8)
    for row in range(rows):
        for column in range(columns):
            cell = table[row * columns + column]
            for half, (index, count) in enumerate(((row, rows), (column, columns))):
                for i in range(2):
                    angle = 2 * math.pi * (index + 1) / count / 10000 ** (2 * i / 4)
                    assert float(cell[4 * half + 2 * i]) == pytest.approx(math.sin(angle), abs=1e-5)
                    assert float(cell[4 * half + 2 * i + 1]) == pytest.approx(math.cos(angle), abs=1e-5)


def test_cells_of_a_grid_differ():
    table = grid_positions(6, 6, 32)
    distance = torch.cdist(table, table) + torch.eye(36)
    assert float(distance.min()) > 0.1


def test_time_has_sines_then_cosines_from_slowest_last():
    table = time_positions(torch.tensor([0, 3]), 8)
    assert table[0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    for i in range(4):
        angle = 3 / 10000 ** (i / 3)
        assert float(table[1, i]) == pytest.approx(math.sin(angle), abs=1e-5)
        assert float(table[1, 4 + i]) == pytest.approx(math.cos(angle), abs=1e-5)

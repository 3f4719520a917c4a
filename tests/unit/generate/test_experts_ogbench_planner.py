"""The planner above OGBench's oracles, on arrangements of cubes whose right order is known."""

import numpy as np
import pytest

from embodia.generate.experts.ogbench import Subtask, _parking, _stacking, scene_of

TABLE, SECOND = 0.02, 0.06


def cubes(*places):
    return np.array(places, dtype=float)


def next_cube(places, goals, failed=-1):
    found = _stacking(places, goals, failed)
    return None if found is None else found.index


def test_nothing_is_left_to_do_when_every_cube_is_in_place():
    places = cubes((0.4, 0.1, TABLE), (0.4, 0.1, SECOND))
    assert _stacking(places, places + 0.01, -1) is None


def test_a_stack_is_built_from_the_bottom():
    places = cubes((0.35, -0.2, TABLE), (0.35, 0.2, TABLE))
    goals = cubes((0.42, 0.0, SECOND), (0.42, 0.0, TABLE))
    assert next_cube(places, goals) == 1
    places[1] = goals[1]
    assert next_cube(places, goals) == 0


def test_a_cube_with_another_on_top_waits():
    places = cubes((0.42, 0.0, TABLE), (0.42, 0.0, SECOND))
    goals = cubes((0.35, 0.2, TABLE), (0.5, -0.2, TABLE))
    assert next_cube(places, goals) == 1


def test_two_cubes_that_change_places_use_a_parking_spot():
    places = cubes((0.42, -0.1, TABLE), (0.42, 0.1, TABLE))
    goals = places[::-1].copy()
    first = _stacking(places, goals, -1)
    away = np.linalg.norm(np.array(first.place[:2]) - places[:, :2], axis=1)
    assert away.min() > 0.06 and first.place[2] == TABLE
    places[first.index] = first.place
    assert next_cube(places, goals) == 1 - first.index


def test_a_cube_that_failed_is_tried_after_the_others():
    places = cubes((0.35, -0.2, TABLE), (0.35, 0.2, TABLE))
    goals = cubes((0.5, -0.1, TABLE), (0.5, 0.1, TABLE))
    assert next_cube(places, goals) == 0 and next_cube(places, goals, failed=0) == 1
    places[1] = goals[1]
    assert next_cube(places, goals, failed=0) == 0


@pytest.mark.parametrize("seed", range(5))
def test_any_arrangement_on_the_table_is_reached(seed):
    rng = np.random.default_rng(seed)
    spots = [(x, y, TABLE) for x in (0.35, 0.5) for y in (-0.2, 0.0, 0.2)]
    places, goals = (np.array(spots)[rng.permutation(6)[:4]] for _ in range(2))
    for _ in range(20):
        step = _stacking(places, goals, -1)
        if step is None:
            break
        places[step.index] = step.place
    np.testing.assert_allclose(places, goals)


def test_the_parking_spot_is_free():
    taken = cubes((0.425, 0.0, TABLE), (0.425, 0.27, TABLE))
    spot = np.array(_parking(taken, taken))
    assert np.linalg.norm(taken[:, :2] - spot[:2], axis=1).min() >= 0.08


def test_names():
    assert scene_of("puzzle-4x6-task3") == ("puzzle-4x6", 3)
    assert Subtask(kind="drawer", place=(0.0,)) == Subtask(kind="drawer", place=(0.0,))

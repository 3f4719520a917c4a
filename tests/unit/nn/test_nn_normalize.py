"""Normalisation against numpy, its inverse, and the dimensions that never move."""

import numpy as np
import pytest
import torch

from embodia.core.errors import ShapeError
from embodia.core.statistics import FeatureStatistics
from embodia.nn.normalize import Normalizer


def measured(data: np.ndarray) -> FeatureStatistics:
    columns = {
        "mean": data.mean(0), "std": data.std(0), "minimum": data.min(0), "maximum": data.max(0),
        "q01": np.quantile(data, 0.01, axis=0), "q99": np.quantile(data, 0.99, axis=0),
    }  # fmt: skip
    return FeatureStatistics(count=len(data), **{k: tuple(map(float, v)) for k, v in columns.items()})


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(500, 3)) * [1.0, 5.0, 0.01] + [0.0, -3.0, 100.0]


def test_mean_std_has_zero_mean_and_unit_deviation(data):
    out = Normalizer(3, "mean_std", measured(data)).do(torch.from_numpy(data))
    assert np.allclose(out.mean(0), 0, atol=2e-3)
    assert np.allclose(out.std(0, unbiased=False), 1, atol=2e-3)


def test_min_max_fills_the_range(data):
    out = Normalizer(3, "min_max", measured(data)).do(torch.from_numpy(data))
    assert np.allclose(out.amin(0), -1, atol=2e-3)
    assert np.allclose(out.amax(0), 1, atol=2e-3)


def test_quantile_leaves_one_percent_outside_on_each_side(data):
    out = Normalizer(3, "quantile", measured(data)).do(torch.from_numpy(data))
    assert np.allclose((out < -1).double().mean(0), 0.01, atol=0.003)
    assert np.allclose((out > 1).double().mean(0), 0.01, atol=0.003)


@pytest.mark.parametrize("mode", ["mean_std", "min_max", "quantile", "identity"])
def test_undo_is_the_inverse(data, mode):
    normalizer = Normalizer(3, mode, measured(data)).double()
    x = torch.from_numpy(data)
    assert torch.allclose(normalizer.undo(normalizer.do(x)), x, rtol=1e-12)


@pytest.mark.parametrize("mode", ["mean_std", "min_max", "quantile"])
def test_a_dimension_that_never_moves_maps_to_zero_and_stays_tame(mode):
    data = np.tile([[2.0, 0.0]], (50, 1))
    data[:, 1] = np.linspace(-1, 1, 50)
    normalizer = Normalizer(2, mode, measured(data))
    assert float(normalizer.do(torch.tensor([2.0, 0.0]))[0]) == 0.0
    assert abs(float(normalizer.do(torch.tensor([2.1, 0.0]))[0])) < 0.2
    assert float(normalizer.undo(torch.zeros(2))[0]) == 2.0


def test_identity_and_absent_statistics_change_nothing(data):
    x = torch.from_numpy(data).float()
    assert torch.equal(Normalizer(3, "identity", measured(data)).do(x), x)
    assert torch.equal(Normalizer(3, "mean_std", None).do(x), x)


def test_statistics_travel_in_the_state_dictionary(data):
    full, empty = Normalizer(3, "mean_std", measured(data)), Normalizer(3, "mean_std", None)
    empty.load_state_dict(full.state_dict())
    x = torch.from_numpy(data)
    assert torch.equal(full.do(x), empty.do(x))


def test_log_volume_is_that_of_a_unit_cube(data):
    normalizer = Normalizer(3, "mean_std", measured(data))
    assert float(normalizer.log_volume()) == pytest.approx(float(np.log(data.std(0)).sum()), rel=1e-4)


def test_another_dimension_is_refused(data):
    with pytest.raises(ShapeError, match="3 dimensions, the feature has 4"):
        Normalizer(4, "mean_std", measured(data))

"""Budgets, derived values and refusals of the training configuration; schedules against their formulas."""

import math
import typing

import pytest

from embodia.core.clock import SimulatedClock
from embodia.core.config import from_json, to_json
from embodia.core.errors import ConfigError
from embodia.training import schedule
from embodia.training.config import MAY_CHANGE, Budget, TrainConfig, require_same_run


def test_a_run_without_a_budget_is_refused_and_the_cure_names_the_three():
    with pytest.raises(ConfigError, match=r"steps, samples or max_seconds"):
        TrainConfig()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", 0),
        ("samples", -1),
        ("max_seconds", float("nan")),
        ("batch_size", 0),
        ("learning_rate", float("inf")),
        ("warmup_steps", -1),
        ("ema_decay", 1.0),
        ("validation_fraction", -0.1),
        ("keep_last", 0),
        ("keep_every", 0),
    ],
)
def test_impossible_values_name_their_field(field, value):
    with pytest.raises(ConfigError) as caught:
        TrainConfig(**{"steps": 10, field: value})
    assert caught.value.leaf == field


def test_a_batch_must_divide_into_its_parts():
    with pytest.raises(ConfigError) as caught:
        TrainConfig(steps=1, batch_size=10, accumulate=4)
    assert caught.value.leaf == "accumulate"


def test_the_configuration_survives_json():
    config = TrainConfig(max_seconds=3.5, slow=("encoders.image", "backbone"), betas=(0.8, 0.9))
    assert from_json(TrainConfig, to_json(config)) == config


def test_every_field_is_documented():
    lines = [line.split() for line in (TrainConfig.__doc__ or "").splitlines()]
    documented = {words[0] for words in lines if words}
    assert set(typing.get_type_hints(TrainConfig)) <= documented


def test_samples_become_steps_rounded_up_and_the_smaller_limit_wins():
    assert TrainConfig(samples=100, batch_size=32).step_limit == 4
    assert TrainConfig(samples=100, batch_size=32, steps=3).step_limit == 3
    assert TrainConfig(max_seconds=1.0).step_limit is None


def test_a_resumed_run_may_change_its_budget_and_nothing_that_changes_the_steps():
    saved = TrainConfig(steps=10)
    require_same_run(saved, TrainConfig(steps=20, keep_last=5, log_every=1), file="spec.json")
    with pytest.raises(ConfigError, match=r"batch_size: saved 64, asked 32.*learning_rate|learning_rate.*"):
        require_same_run(saved, TrainConfig(steps=10, batch_size=32, learning_rate=1.0), file="spec.json")
    assert set(typing.get_type_hints(TrainConfig)) >= MAY_CHANGE


def test_a_budget_in_steps_ignores_the_clock():
    clock = SimulatedClock()
    budget = Budget(TrainConfig(steps=8), clock)
    clock.sleep(1e6)
    assert [budget.fraction(step) for step in (0, 2, 8, 9)] == [0.0, 0.25, 1.0, 1.0]
    assert budget.progress(3) == (3, 8)


def test_a_budget_in_seconds_counts_all_parts_of_the_run():
    clock = SimulatedClock(start_s=500.0)
    budget = Budget(TrainConfig(max_seconds=100.0), clock, spent_s=30.0)
    clock.sleep(20.0)
    assert budget.seconds == pytest.approx(50.0)
    assert budget.fraction(10**6) == pytest.approx(0.5)
    assert budget.progress(1) == (50, 100)
    assert budget.left_s(1, 0, 0.0) == pytest.approx(50.0)


def test_of_two_budgets_the_one_nearer_its_end_counts():
    clock = SimulatedClock()
    budget = Budget(TrainConfig(steps=10, max_seconds=100.0), clock)
    clock.sleep(40.0)
    assert budget.fraction(2) == pytest.approx(0.4)
    assert budget.fraction(7) == pytest.approx(0.7)


def test_time_left_follows_the_measured_pace():
    clock = SimulatedClock()
    budget = Budget(TrainConfig(steps=100), clock, spent_s=1000.0)
    assert budget.left_s(50, 50, 1000.0) is None
    clock.sleep(10.0)
    assert budget.left_s(60, 50, 1000.0) == pytest.approx(40.0)


def test_cosine_rises_linearly_and_falls_as_half_a_cosine():
    rate = schedule.Cosine(warmup_steps=4, final=0.1)
    assert [rate.factor(step, 0.0) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    for fraction in (0.1, 0.5, 0.9, 1.0):
        expected = 0.1 + 0.9 * math.cos(fraction * math.pi / 2) ** 2
        assert rate.factor(100, fraction) == pytest.approx(expected)


def test_linear_and_constant():
    assert schedule.Linear(final=0.2).factor(9, 0.5) == pytest.approx(0.6)
    assert schedule.Linear().factor(9, 1.0) == 0.0
    assert schedule.Constant(warmup_steps=2).factor(0, 0.9) == 0.5
    assert schedule.Constant(warmup_steps=2).factor(5, 0.9) == 1.0


def test_the_configuration_chooses_the_schedule_and_derives_the_warm_up():
    assert schedule.from_config(TrainConfig(steps=200)) == schedule.Cosine(warmup_steps=10)
    assert schedule.from_config(TrainConfig(steps=10**6)).warmup_steps == 500
    assert schedule.from_config(TrainConfig(max_seconds=9.0)).warmup_steps == 50
    linear = TrainConfig(steps=200, schedule="linear", warmup_steps=0, final_factor=0.5)
    assert schedule.from_config(linear) == schedule.Linear(final=0.5)
    assert isinstance(schedule.from_config(TrainConfig(steps=5, schedule="constant")), schedule.Constant)

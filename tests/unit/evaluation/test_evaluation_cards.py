"""Cards: the two routes seen by geometry, and the speed card against a clock that is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from embodia import policies
from embodia.core.errors import ConfigError, ShapeError
from embodia.core.types import ActionChunk
from embodia.evaluation.cards import modes, speed
from embodia.evaluation.results import read_result


def chunk_of(sides, h=16):
    time = np.arange(1, h + 1) / h
    rows = [np.stack([-1 + 2 * time, side * modes.SWING * np.sin(np.pi * time)], axis=-1) for side in sides]
    return np.array(rows)


def test_demonstrations_avoid_the_obstacle_on_both_sides():
    batch = modes.demonstrations(np.random.default_rng(0), 400, 16, ahead=3)
    card = modes.card_of(batch.chunk.actions)
    assert card["middle"]["success_rate"] == 0 and card["goal"]["success_rate"] == 1
    assert 0.4 < card["above"]["success_rate"] < 0.6
    assert card["finding"] == "keeps both routes"
    assert batch.ahead.shape == (400, 3, 2) and (batch.ahead == modes.GOAL).all()
    mean = batch.chunk.actions.mean(0, keepdims=True)
    assert modes.card_of(mean)["middle"]["success_rate"] == 1


@pytest.mark.parametrize("chunk", [4, 12, 50])
def test_the_obstacle_is_seen_between_the_points_too(chunk):
    assert modes.card_of(chunk_of([0.0] * 5, chunk))["middle"]["success_rate"] == 1
    assert modes.card_of(chunk_of([1.0, -1.0] * 50, chunk))["middle"]["success_rate"] == 0


def test_findings_are_decided_by_intervals():
    assert modes.card_of(chunk_of([0.0] * 50))["finding"].startswith("averages")
    assert modes.card_of(chunk_of([1.0] * 50))["finding"] == "keeps to one route"
    assert modes.card_of(chunk_of([1.0, -1.0] * 50))["finding"] == "keeps both routes"
    assert modes.card_of(chunk_of([1.0] * 70 + [0.0] * 30))["finding"].startswith("mixed")
    assert modes.card_of(chunk_of([1.0, -1.0]))["finding"].startswith("mixed")


class Coin:
    """A policy that takes one of the two routes; `bias` 1 is regression to the mean."""

    contract = replace(modes.CONTRACT, action=replace(modes.CONTRACT.action, chunk=16))

    def __init__(self, mean=False):
        self.mean = mean

    def act(self, observation, carry, rng):
        sides = np.zeros(observation.batch_size) if self.mean else rng.choice((-1.0, 1.0), observation.batch_size)
        actions = chunk_of(sides)
        return ActionChunk(actions=actions, valid=np.ones(actions.shape[:2], bool), spec=self.contract.action), None


def test_the_card_of_a_policy():
    rng = np.random.default_rng(1)
    assert modes.mode_card(Coin(), rng, starts=100)["finding"] == "keeps both routes"
    assert modes.mode_card(Coin(mean=True), rng, starts=100)["finding"].startswith("averages")


def test_squared_error_averages_two_routes():
    """The smallest learner there is: a linear fit to the demonstrations drives into the obstacle."""
    batch = modes.demonstrations(np.random.default_rng(2), 500, 16)
    start = np.c_[batch.observation.state[:, 0], np.ones(500)]
    fit, *_ = np.linalg.lstsq(start, batch.chunk.actions.reshape(500, -1), rcond=None)
    card = modes.card_of((start @ fit).reshape(500, 16, 2))
    assert card["middle"]["success_rate"] == 1 and card["goal"]["success_rate"] == 1


@pytest.mark.parametrize("name", policies.FOLDER.names())
def test_every_design_takes_the_detour_s_data(name):
    spec = policies.PolicySpec(name=name, size="tiny", contract=modes.CONTRACT)
    try:
        policy = policies.make(spec, modes.detour_statistics(), seed=0)
    except (ConfigError, ShapeError) as error:
        assert error.leaf in ("senses", "senses.wrench", "senses.touch", "contract", "cameras")
        pytest.skip(f"the detour lacks what this design needs: {error}")
    if policy.later:
        pytest.skip("nothing is seen later on the detour")
    batch = modes.demonstrations(np.random.default_rng(0), 2, policy.contract.action.chunk, len(policy.ahead))
    loss, _ = policy.loss(batch.map(torch.as_tensor), torch.Generator().manual_seed(0))
    assert torch.isfinite(loss)
    assert modes.mode_card(policy, torch.Generator().manual_seed(0), starts=3)["middle"]["n"] == 3


class Ticks:
    """A clock on which decision number k takes k milliseconds; it is read twice a decision."""

    def __init__(self):
        self.reads, self.now = 0, 0.0

    def now_s(self):
        self.reads += 1
        if self.reads % 2 == 0:
            self.now += 1e-3 * (self.reads // 2)
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def test_latency_by_a_known_clock():
    seen = modes.observations(np.random.default_rng(0), 1)
    rng = np.random.default_rng(0)
    card = speed.speed_card(Coin(), seen, decisions=100, warmup=7, execute=4, clock=Ticks(), rng=rng)
    expected = np.arange(8, 108) * 1e-3
    assert card.latency_s["mean"] == pytest.approx(expected.mean())
    assert card.latency_s["p50"] == pytest.approx(np.percentile(expected, 50))
    assert card.latency_s["p99"] == pytest.approx(np.percentile(expected, 99))
    assert card.decisions_hz == pytest.approx(1 / expected.mean()) and card.decisions == 100
    assert card.actions_hz == pytest.approx(4 / expected.mean())
    assert card.joules == pytest.approx(10 * expected.mean())
    assert card.realtime
    assert (card.parameters, card.flops, card.tokens) == (0, None, {})


def test_real_time_is_a_matter_of_the_slowest_decisions():
    seen, rng = modes.observations(np.random.default_rng(0), 1), np.random.default_rng(0)
    fast = Coin()
    fast.contract = replace(fast.contract, action=replace(fast.contract.action, rate_hz=100.0))
    one = speed.speed_card(fast, seen, decisions=100, execute=1, clock=Ticks(), rng=rng)
    all_of_it = speed.speed_card(fast, seen, decisions=100, execute=99, clock=Ticks(), rng=rng)
    assert not one.realtime and all_of_it.execute == 16 and all_of_it.realtime


def test_the_speed_of_a_network():
    spec = policies.PolicySpec(name="act", size="tiny", contract=modes.CONTRACT)
    policy = policies.make(spec, modes.detour_statistics(), seed=0)
    seen = speed.blank_observation(policy.contract)
    card = speed.speed_card(policy, seen, decisions=2, warmup=1, rng=torch.Generator().manual_seed(0))
    assert (
        card.parameters == sum(p.numel() for p in policy.parameters()) and card.parameter_bytes == 4 * card.parameters
    )
    assert card.peak_bytes > card.parameter_bytes and card.device == "cpu"
    assert card.tokens["state"] == 1 and sum(card.tokens.values()) > 2
    linear = sum(2 * m.in_features * m.out_features for m in policy.decoder.modules() if isinstance(m, torch.nn.Linear))
    assert card.flops > linear
    text = dict(speed.card_rows(card))
    assert "assumed" in text["energy"] and "p99" in text["decision"] and "state 1" in text["tokens"]


def test_arithmetic_is_counted_where_a_parameter_is_read_as_it_is():
    spec = policies.PolicySpec(name="hpt", size="tiny", contract=modes.CONTRACT)
    policy = policies.make(spec, modes.detour_statistics(), seed=0)
    learning = [item.requires_grad for item in policy.parameters()]
    seen = speed.blank_observation(policy.contract)
    card = speed.speed_card(policy, seen, decisions=1, warmup=0, rng=torch.Generator().manual_seed(0))
    assert card.flops > 1e6 and learning == [item.requires_grad for item in policy.parameters()] and any(learning)


def test_more_power_more_energy_and_its_source_is_repeated():
    seen, rng = modes.observations(np.random.default_rng(0), 1), np.random.default_rng(0)
    power = speed.Power(watts=700.0, source="data sheet")
    card = speed.speed_card(Coin(), seen, decisions=3, power=power, clock=Ticks(), rng=rng)
    assert card.joules == pytest.approx(700 * card.latency_s["mean"])
    assert "700 W, data sheet" in dict(speed.card_rows(card))["energy"]


def test_only_one_robot_is_timed():
    with pytest.raises(ConfigError, match="one robot"):
        speed.speed_card(Coin(), modes.observations(np.random.default_rng(0), 2))


def test_the_stored_result_shows_what_it_is_quoted_for():
    result = read_result(Path(__file__).resolve().parents[3] / "results" / "multimodality.json")
    assert result["cards"]["regression_l2"]["finding"].startswith("averages")
    for name in ("diffusion_policy", "pi0"):
        assert result["cards"][name]["finding"] == "keeps both routes" and result["per_task"][name]["n"] == 400
    assert result["controls"]["expert"]["success_rate"] == 1

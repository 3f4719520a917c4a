"""The composition: units, history, padding, ensembling, masks - each against its definition."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from embodia.core.errors import ConfigError, ShapeError
from embodia.core.invent import SENTENCES, invent_batch, invent_observation
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.core.statistics import FeatureStatistics
from embodia.core.types import ActionChunk, TokenGroup
from embodia.nn.normalize import Normalizer
from embodia.parts.acting import blend
from embodia.parts.compose import Composition, Inference, Parts, action_bounds, chunked, fit_history

BODY = Contract(
    observation=ObservationSpec(
        cameras=(CameraSpec(name="front", height=16, width=16),), state=(StatePart(name="x", dim=2),), rate_hz=10
    ),
    action=ActionSpec(
        parts=(
            ActionPart(name="move", dim=2, representation="ee_position_delta", low=-2, high=0.5),
            ActionPart(name="grip", dim=1, representation="gripper", polarity="positive_closes"),
        ),
        rate_hz=10,
    ),
    embodiment="body",
)


class Echo(nn.Module):
    """An encoder that hands the normalised state on."""

    def forward(self, observation):
        return TokenGroup(name="state", tokens=observation.state, mask=None, attends_to=("state",))


class Constant(nn.Module):
    """A decoder that says one number everywhere, plus what it was told."""

    def __init__(self, value=0.0, chunk=4):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))
        self.chunk = chunk
        self.seen = None

    def loss_terms(self, context, chunk, rng):
        self.seen = chunk
        return {"one": (chunk.actions - self.value).abs().mean((1, 2)), "two": chunk.actions.square().mean((1, 2))}

    def sample(self, context, rng, n=1, steps=None, prefix=None):
        self.prefix, self.steps = prefix, steps
        batch = context.groups["state"].tokens.shape[0]
        return self.value.expand(batch, n, self.chunk, 3)


def spread(scale: float, offset: float, dim: int) -> FeatureStatistics:
    ones = (1.0,) * dim
    low, high = tuple(offset - scale for _ in ones), tuple(offset + scale for _ in ones)
    mean, std = tuple(offset for _ in ones), tuple(scale for _ in ones)
    return FeatureStatistics(count=9, mean=mean, std=std, minimum=low, maximum=high, q01=low, q99=high)


def policy(value=0.0, history=1, **options) -> Composition:
    parts = Parts(
        encoders={"state": Echo()},
        decoder=Constant(value),
        state=Normalizer(2, "mean_std", spread(2.0, 1.0, 2)),
        action=Normalizer(3, "mean_std", spread(0.5, 0.25, 3)),
        history=history,
        **options,
    )
    return Composition(chunked(BODY, 4), parts)


def test_actions_come_out_physical_and_clipped():
    seen = invent_observation(BODY, 2)
    inside, _ = policy(0.2).act(seen, None, None)
    assert np.allclose(inside.actions, 0.2 * 0.5 + 0.25)
    outside, _ = policy(9.0).act(seen, None, None)
    assert np.allclose(outside.actions[..., :2], 0.5) and np.allclose(outside.actions[..., 2], 1.0)
    assert outside.spec.chunk == 4


def test_state_goes_in_normalised():
    seen = invent_observation(BODY, 3)
    tokens = policy().context(seen).groups["state"].tokens
    assert np.allclose(tokens.numpy(), (seen.state - 1.0) / 2.0, atol=1e-6)


def test_loss_is_the_weighted_sum_of_terms():
    model = policy(weights={"two": 10.0})
    batch = invent_batch(model.contract, 3).map(torch.from_numpy)
    terms = model.loss_terms(batch, None)
    total, means = model.loss(batch, None)
    assert total.item() == pytest.approx(terms["one"].mean().item() + 10 * terms["two"].mean().item(), rel=1e-6)
    assert set(means) == {"one", "two"} and not means["one"].requires_grad


def test_padded_steps_hold_the_last_valid_action_whatever_came_in():
    model = policy()
    batch = invent_batch(model.contract, 2).map(torch.from_numpy)
    valid = torch.tensor([[True, True, False, False], [True] * 4])
    actions = batch.chunk.actions.clone()
    actions[0, 2:] = float("nan")
    model.loss_terms(replace(batch, chunk=replace(batch.chunk, actions=actions, valid=valid)), None)
    seen = model.decoder.seen.actions
    assert torch.equal(seen[0, 2], seen[0, 1]) and torch.equal(seen[0, 3], seen[0, 1])
    assert torch.allclose(seen[1], (actions[1] - 0.25) / 0.5)


def test_a_chunk_of_another_shape_is_refused():
    model = policy()
    batch = invent_batch(chunked(BODY, 5), 2).map(torch.from_numpy)
    with pytest.raises(ShapeError, match=r"expected \(B 4 3\)"):
        model.loss_terms(batch, None)


def test_history_keeps_the_newest_and_repeats_the_oldest():
    steps = torch.arange(3.0)[None, :, None]
    assert fit_history(steps, 2).flatten().tolist() == [1, 2]
    assert fit_history(steps, 3).flatten().tolist() == [0, 1, 2]
    assert fit_history(steps, 5).flatten().tolist() == [0, 0, 0, 1, 2]
    model = policy(history=2)
    assert model.context(invent_observation(BODY, 2)).groups["state"].tokens.shape == (2, 2, 2)


def test_prefix_and_steps_reach_the_decoder_in_network_units():
    model = policy(inference=Inference(steps=7))
    seen = invent_observation(BODY, 2)
    model.sample(seen, None, n=3, prefix=torch.full((2, 1, 3), 0.75))
    assert torch.allclose(model.decoder.prefix, torch.ones(2, 1, 3))
    model.act(seen, None, None)
    assert model.decoder.steps == 7


def test_training_mode_survives_acting():
    model = policy().train()
    model.act(invent_observation(BODY, 1), None, None)
    assert model.training


def test_ensemble_is_the_weighted_mean_of_all_predictions_for_a_step():
    rng, m, horizon, every = np.random.default_rng(0), 0.3, 6, 2
    predictions = rng.normal(size=(4, 1, horizon, 2)).astype(np.float32)
    carry, out = None, []
    for prediction in predictions:
        steps, carry = blend(torch.from_numpy(prediction), carry, m, every)
        out.append(steps[0].numpy())
    for step in range(len(predictions) * every):
        decision = step // every
        candidates = [predictions[d, 0, step - d * every] for d in range(decision + 1) if step - d * every < horizon]
        weights = np.exp(-m * np.arange(len(candidates)))
        expected = (weights[:, None] * candidates).sum(0) / weights.sum()
        assert np.allclose(out[decision][step % every], expected, atol=1e-5), step


def test_ensembling_policies_hand_out_what_will_be_executed():
    model = policy(0.1, inference=Inference(ensemble=0.01, execute=3))
    chunk, carry = model.act(invent_observation(BODY, 2), None, None)
    assert chunk.actions.shape == (2, 3, 3) and chunk.spec.chunk == 3
    again, _ = model.act(invent_observation(BODY, 2), carry, None)
    assert np.allclose(again.actions, chunk.actions)


def test_bounds_follow_the_parts():
    low, high = action_bounds(BODY.action)
    assert low.tolist() == [-2, -2, -1] and high.tolist() == [0.5, 0.5, 1]


def test_a_contract_without_a_chunk_is_refused():
    with pytest.raises(ConfigError, match="chunk"):
        Composition(BODY, Parts(encoders={}, decoder=Constant(), state=Normalizer(2, "identity", None),
                                action=Normalizer(3, "identity", None)))  # fmt: skip


def test_a_decoder_without_density_says_so():
    model = policy()
    chunk = ActionChunk(actions=torch.zeros(1, 4, 3), valid=torch.ones(1, 4, dtype=torch.bool), spec=BODY.action)
    with pytest.raises(ConfigError, match="Constant has no log_prob"):
        model.log_prob(invent_observation(BODY, 1), chunk)


def test_invented_records_fit_their_contract_and_repeat():
    contract = chunked(BODY, 6)
    batch, again, other = (invent_batch(contract, 4, history=2, seed=seed) for seed in (0, 0, 1))
    assert batch.observation.images["front"].shape == (4, 2, 16, 16, 3)
    assert batch.observation.instruction == (*SENTENCES, SENTENCES[0])
    assert np.array_equal(batch.chunk.actions, again.chunk.actions)
    assert not np.array_equal(batch.chunk.actions, other.chunk.actions)
    assert batch.chunk.valid[0].all() and not batch.chunk.valid.all()
    for row, length in enumerate(batch.chunk.valid.sum(1)):
        assert (batch.chunk.actions[row, length:] == batch.chunk.actions[row, length - 1]).all()
    low, high = (bound.numpy() for bound in action_bounds(BODY.action))
    assert (batch.chunk.actions >= low).all() and (batch.chunk.actions <= high).all()

"""pi0 as a policy: sizes, attention, determinism, precision, density, and that it learns two modes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from embodia.core.config import from_json, to_json
from embodia.core.errors import ConfigError
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.core.types import ActionChunk, Batch, Observation
from embodia.nn.detr import LayerSizes
from embodia.nn.normalize import Normalizer
from embodia.nn.transformer import TransformerConfig
from embodia.parts.backbones.encoder import TransformerEncoder
from embodia.parts.compose import Composition, Parts, chunked, parameter_count
from embodia.parts.decoders.flow import FlowConfig
from embodia.parts.decoders.regression import ChunkRegression, RegressionConfig
from embodia.parts.encoders.conv_stem import ConvStemConfig
from embodia.parts.encoders.state import StateToken
from embodia.parts.explain import attention_spans, explain_attention
from embodia.policies import PolicySpec, make, pi0

SHARED = {"depth": 2, "heads": 2, "kv_heads": 1, "head_dim": 16}
MINI = pi0.Config(
    chunk=4,
    vision=ConvStemConfig(widths=(16, 32)),
    camera_embedding=True,
    vocabulary=473,
    text_length=16,
    prefix=TransformerConfig(width=32, mlp_width=48, **SHARED),
    expert=TransformerConfig(width=32, mlp_width=64, **SHARED),
    padded=0,
    complete=False,
)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def contract(*, language=True, cameras=2, pixels=16, state=3, action=2):
    seen = ObservationSpec(
        cameras=tuple(CameraSpec(name=f"c{i}", height=pixels, width=pixels) for i in range(cameras)),
        state=(StatePart(name="joints", dim=state),),
        rate_hz=10.0,
        language=language,
    )
    part = ActionPart(name="joints", dim=action, representation="joint_delta", low=-2.0, high=2.0)
    return Contract(observation=seen, action=ActionSpec(parts=(part,), rate_hz=10.0), embodiment="test")


def mini(config=MINI, seed=0, **facts):
    return make(PolicySpec(name="pi0", size="tiny", contract=contract(**facts), config=config), seed=seed)


def observe(batch=2, *, pixels=16, cameras=2, state=3, language=True, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, 1, pixels, pixels, 3)
    return Observation(
        images={f"c{i}": torch.randint(256, shape, generator=generator, dtype=torch.uint8) for i in range(cameras)},
        state=torch.randn(batch, 1, state, generator=generator),
        instruction=tuple(("open", "close it")[i % 2] for i in range(batch)) if language else (),
    )


def batch_of(policy, batch=2, seed=0):
    spec = policy.contract.action
    actions = torch.randn(batch, spec.chunk, spec.dim, generator=torch.Generator().manual_seed(seed))
    valid = torch.ones(batch, spec.chunk, dtype=torch.bool)
    return Batch(observation=observe(batch), chunk=ActionChunk(actions=actions, valid=valid, spec=spec))


@pytest.mark.parametrize(("size", "low", "high"), [("tiny", 1e6, 6e6), ("small", 4e7, 8e7), ("paper", 3.2e9, 3.3e9)])
def test_sizes(size, low, high):
    with torch.device("meta"):
        policy = make(PolicySpec(name="pi0", size=size, contract=contract(pixels=64, cameras=3)))
    assert low < parameter_count(policy) < high


def test_attention_is_the_three_blocks_of_the_paper():
    policy = mini()
    seen = {item.name: set(item.attends_to) for item in attention_spans(policy)}
    assert seen["image"] == seen["language"] == {"image", "language"}
    assert seen["state"] == seen["image"] | {"state"} and seen["action"] == seen["state"] | {"action"}
    table = explain_attention(policy).splitlines()
    assert table[-1].split() == ["action", "4", "full", "full", "full", "full"]
    assert [item.length for item in attention_spans(policy)] == [32, 16, 1, 4]


def test_every_parameter_learns():
    policy = mini()
    loss, _ = policy.loss(batch_of(policy), torch.Generator().manual_seed(0))
    loss.backward()
    dead = [name for name, p in policy.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert dead == [] and torch.isfinite(loss)


def test_complete_prefix_trains_with_frozen_rest():
    policy = mini(replace(MINI, complete=True))
    policy.loss(batch_of(policy), torch.Generator().manual_seed(0))[0].backward()
    for name, parameter in policy.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
    frozen = [name for name, p in policy.named_parameters() if not p.requires_grad]
    assert frozen and all(name.startswith("backbone.transformer.") for name in frozen)


def test_works_without_language():
    policy = mini(language=False)
    assert [item.name for item in attention_spans(policy)] == ["image", "state", "action"]
    chunk, carry = policy.act(observe(language=False), None, torch.Generator().manual_seed(0))
    assert chunk.actions.shape == (2, 4, 2) and carry is None


def test_words_images_and_state_all_matter():
    policy = mini()
    given = observe()
    other = observe(seed=1)
    changed = {
        "words": replace(given, instruction=("lift", "drop")),
        "images": replace(given, images=other.images),
        "state": replace(given, state=other.state),
    }

    def act(observation):
        return policy.act(observation, None, torch.Generator().manual_seed(0))[0].actions

    base = act(given)
    assert np.array_equal(base, act(given))
    for name, observation in changed.items():
        assert np.abs(act(observation) - base).max() > 1e-4, name


def test_samples_are_many_and_committed_steps_stay():
    policy = mini()
    prefix = torch.rand(2, 2, 2)
    found = policy.sample(observe(), torch.Generator().manual_seed(0), n=5, prefix=prefix)
    assert found.shape == (2, 5, 4, 2)
    torch.testing.assert_close(found[:, :, :2], prefix[:, None].expand(-1, 5, -1, -1))
    assert found[:, :, 2:].std(dim=1).min() > 1e-3


def test_density_in_physical_units_can_be_reinforced():
    policy = mini()
    batch = batch_of(policy)
    found = policy.log_prob(batch.observation, batch.chunk)
    found.sum().backward()
    assert found.shape == (2,) and torch.isfinite(found).all()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in policy.parameters())
    with torch.no_grad():
        torch.testing.assert_close(policy.log_prob(batch.observation, batch.chunk), found.detach())


@pytest.mark.parametrize("how", ["autocast", "weights"])
def test_bfloat16_stays_near(how):
    policy = mini()
    batch, noise = batch_of(policy), torch.randn(2, 4, 2)
    time = torch.tensor([0.3, 0.8])

    def loss(autocast=False):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            given = policy.context(batch.observation)
            return policy.decoder.loss_at(given, policy.normalize_chunk(batch.chunk), noise, time)

    exact = loss().detach()
    if how == "weights":
        policy.decoder.bfloat16()
        policy.backbone.bfloat16()
        policy.encoders["image"].to(torch.float32)
    rough = loss(autocast=True)
    rough.sum().backward()
    torch.testing.assert_close(rough.float(), exact, rtol=0.05, atol=0.05)


def test_recomputation_leaves_loss_and_gradient_alone():
    thrifty = replace(MINI, prefix=replace(MINI.prefix, recompute=True), expert=replace(MINI.expert, recompute=True))
    grads = []
    for config in (MINI, thrifty):
        policy = mini(config)
        policy.loss(batch_of(policy), torch.Generator().manual_seed(0))[0].backward()
        grads.append([p.grad for p in policy.parameters()])
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b)


def test_models_that_cannot_share_a_cache_are_refused():
    with pytest.raises(ConfigError, match="head_dim"):
        mini(replace(MINI, expert=replace(MINI.expert, head_dim=8)))


def test_configuration_survives_json():
    for size in ("tiny", "small", "paper"):
        config = pi0.preset(size)
        assert from_json(pi0.Config, to_json(config)) == config


# --- it learns


def two_ways(batch, generator):
    """Where to go depends on the state, whether left or right around the obstacle does not: 0.3 state +- 0.7."""
    state = torch.rand(batch, 1, 3, generator=generator) * 2 - 1
    side = torch.randint(2, (batch, 1, 1), generator=generator) * 2 - 1
    centre = 0.3 * state[:, :, :2].expand(-1, 4, -1)
    noise = 0.05 * torch.randn(batch, 4, 2, generator=generator)
    images = {"c0": torch.zeros(batch, 1, 8, 8, 3, dtype=torch.uint8)}
    return Observation(images=images, state=state), centre + 0.7 * side + noise


def fit(policy, steps):
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW([p for p in policy.parameters() if p.requires_grad], lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    valid = torch.ones(128, 4, dtype=torch.bool)
    for _ in range(steps):
        observation, actions = two_ways(128, generator)
        chunk = ActionChunk(actions=actions, valid=valid, spec=policy.contract.action)
        loss, _ = policy.loss(Batch(observation=observation, chunk=chunk), generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return policy.eval()


def averager(bare):
    """A regression head on the same task: squared error has one answer, the mean."""
    sizes = LayerSizes(width=32, heads=2, hidden=64, dropout=0.0, pre_norm=True)
    parts = Parts(
        encoders={"state": StateToken(3, 32)},
        backbone=TransformerEncoder(sizes, 1),
        decoder=ChunkRegression(sizes, RegressionConfig(layers=1, error="l2"), 2, 4),
        state=Normalizer(3, "identity", None),
        action=Normalizer(2, "identity", None),
    )
    return Composition(chunked(bare, 4), parts)


def test_the_flow_learns_both_ways_where_regression_takes_the_middle():
    facts = {"language": False, "cameras": 1, "pixels": 8}
    config = replace(MINI, vision=ConvStemConfig(widths=(16,)), flow=FlowConfig(steps=20))
    policy = fit(mini(config, **facts), 500)
    observation, _ = two_ways(64, torch.Generator().manual_seed(7))
    centre = 0.3 * observation.state[:, :, None, :2]
    samples = policy.sample(observation, torch.Generator().manual_seed(1), n=16) - centre
    side = samples.mean((2, 3))
    near = ((samples.abs() - 0.7).abs() < 0.3).float().mean()
    assert near > 0.85, f"only {near:.2f} of the actions lie near one of the two ways"
    assert 0.35 < (side > 0).float().mean() < 0.65, "both ways are taken about equally often"
    same = (samples.sign() == side.sign()[..., None, None]).float().mean()
    assert same > 0.95, "a chunk keeps to its way"

    middle = fit(averager(contract(**facts)), 200).sample(observation, None)[:, 0] - centre[:, 0]
    assert middle.abs().mean() < 0.25, "regression averages"

"""Chunks read off placeholders, and the state-space engine beside the class it wraps."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

pytest.importorskip("transformers", reason="the public classes are not installed")

from embodia.builders.reading import ReaderConfig, reader
from embodia.builders.vlm import VlmConfig
from embodia.core.errors import ConfigError, ShapeError
from embodia.core.invent import invent_batch
from embodia.core.types import TokenGroup
from embodia.nn.bitlinear import BitLinear, ternary
from embodia.nn.transformer import TransformerConfig
from embodia.parts.backbones.mamba import MambaConfig, MambaEngine
from embodia.parts.context import Context
from embodia.parts.decoders.readout import ReadoutConfig, StepReadout
from embodia.parts.encoders.towers import TowerConfig

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
from bodies import gripper_arm, statistics

ARM = gripper_arm()
MODEL = TransformerConfig(width=48, depth=2, heads=4, kv_heads=2, head_dim=12, mlp_width=64)
BASE = ReaderConfig(chunk=4, vlm=VlmConfig(model=MODEL), readout=ReadoutConfig(hidden=32, blocks=1))


def made(config):
    torch.manual_seed(0)
    return reader(ARM, config, statistics(ARM)).eval()


def data(policy, size=3):
    return invent_batch(policy.contract, size, ahead=len(policy.ahead), padded=False).map(torch.from_numpy)


def filled(tokens):
    group = TokenGroup(name="readout", tokens=tokens, mask=None, attends_to=("readout",))
    return Context(groups={"readout": group})


def test_a_step_depends_on_its_own_placeholders_alone():
    torch.manual_seed(0)
    head = StepReadout(ReadoutConfig(hidden=16, blocks=1), 8, 2, 3, read="readout", tokens=6)
    tokens = torch.randn(2, 6, 8)
    before = head(filled(tokens))
    changed = tokens.clone()
    changed[:, 2:4, ::2] += 1
    after = head(filled(changed))
    assert torch.allclose(before[:, [0, 2]], after[:, [0, 2]], atol=1e-6) and not torch.allclose(
        before[:, 1], after[:, 1]
    )


def test_all_steps_share_one_head_unless_read_together():
    head = StepReadout(ReadoutConfig(hidden=0, blocks=0), 8, 2, 3, read="readout", tokens=3)
    same = torch.randn(1, 1, 8).expand(1, 3, 8)
    found = head(filled(same))
    assert torch.allclose(found[:, 0], found[:, 2], atol=1e-6)
    whole = StepReadout(ReadoutConfig(hidden=0), 8, 2, 3, read="readout", tokens=1, together=True)
    assert whole(filled(torch.randn(2, 1, 8))).shape == (2, 3, 2)
    with pytest.raises(ShapeError, match="divide"):
        StepReadout(ReadoutConfig(), 8, 2, 3, read="readout", tokens=4)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"places": "one"},
        {"places": "last", "ahead": (4, 8)},
        {"bits": 1.58},
        {"vlm": VlmConfig(model=MambaConfig(width=48, depth=2), causal=True), "places": "last"},
    ],
)
def test_every_reader_learns(changes):
    policy = made(replace(BASE, **changes))
    batch = data(policy)
    optimizer = torch.optim.Adam(policy.parameters(), lr=3e-3)
    losses = []
    for _ in range(15):
        loss, _ = policy.loss(batch, torch.Generator().manual_seed(0))
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0]


def test_ternary_models_are_ternary_where_it_was_said():
    tower = TowerConfig(width=32, depth=1, heads=4, hidden=64, pixels=48, patch=16)
    policy = made(replace(BASE, vlm=replace(BASE.vlm, vision=tower), bits=1.58))
    kinds = {name: type(module) for name, module in policy.named_modules() if isinstance(module, torch.nn.Linear)}
    rounded = {name for name, kind in kinds.items() if kind is BitLinear}
    assert all(name in rounded for name in kinds if name.startswith(("backbone.engine.", "encoders.image.trunks.")))
    assert not any(name.startswith(("decoder.", "encoders.image.project", "encoders.state.")) for name in rounded)
    layer = policy.backbone.engine.layers[0].mlp.up
    assert set(ternary(layer.weight)[0].unique().tolist()) <= {-1.0, 0.0, 1.0}


def test_a_frozen_reader_trains_its_head_alone():
    policy = made(replace(BASE, frozen=True))
    names = {name.split(".")[0] for name, parameter in policy.named_parameters() if parameter.requires_grad}
    assert "decoder" in names and "backbone" not in names
    before = policy.backbone.engine.layers[0].mlp.up.weight.clone()
    policy.loss(data(policy), None)[0].backward()
    assert torch.equal(before, policy.backbone.engine.layers[0].mlp.up.weight)
    assert policy.backbone.engine.layers[0].mlp.up.weight.grad is None


def test_the_state_space_engine_is_the_public_class():
    torch.manual_seed(0)
    engine = MambaEngine(MambaConfig(width=32, depth=2)).eval()
    groups = [
        TokenGroup(name=name, tokens=torch.randn(2, 3, 32), mask=None, attends_to=(name,)) for name in ("image", "text")
    ]
    found, cache = engine(groups)
    joined = torch.cat([group.tokens for group in groups], dim=1)
    assert cache is None
    assert torch.allclose(found, engine.model(inputs_embeds=joined).last_hidden_state, atol=1e-6)
    later = [groups[0], replace(groups[1], tokens=groups[1].tokens + 1)]
    assert torch.allclose(engine(later)[0][:, :3], found[:, :3], atol=1e-6), "it reads from left to right"
    with pytest.raises(ConfigError, match="cache"):
        engine(groups, object())


def test_more_bits_less_error():
    torch.manual_seed(0)
    layer, x = BitLinear(64, 64), torch.randn(8, 64)
    plain = torch.nn.functional.linear(x, layer.weight, layer.bias)
    assert (layer(x) - plain).abs().mean() < (plain - plain.mean()).abs().mean()

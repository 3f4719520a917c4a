"""LeRobot's VQ-BeT: out and in again gives the same policy, its names and tables, what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from embodia import weights
from embodia.core.errors import CheckpointError, ConfigError
from embodia.core.invent import invent_observation
from embodia.core.provenance import Provenance
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.core.statistics import FeatureStatistics
from embodia.nn.gpt import GptConfig
from embodia.parts.encoders.resnet import ResNetConfig
from embodia.parts.encoders.window import WindowConfig
from embodia.parts.tokenizers.rvq import ResidualConfig
from embodia.policies import PolicySpec, make, vq_bet
from embodia.training import checkpoint
from embodia.weights import lerobot_vq_bet

BODY = Contract(
    observation=ObservationSpec(
        cameras=(CameraSpec(name="top", height=48, width=64),),
        state=(StatePart(name="joint", dim=3),),
        rate_hz=10,
        language=False,
    ),
    action=ActionSpec(parts=(ActionPart(name="joint", dim=3, representation="joint_position"),), rate_hz=10),
    embodiment="arm",
)
TRUNK = replace(
    vq_bet.Config().trunk,
    vision=ResNetConfig(scaling="unit"),
    model=GptConfig(width=16, depth=1, heads=2, hidden=64, places=12, inputs=8, outputs=20),
)
CONFIG = vq_bet.Config(
    trunk=TRUNK,
    window=WindowConfig(history=2, keypoints=3, width=8, crop=(40, 50)),
    codes=ResidualConfig(codes=4, hidden=6, width=5),
    head=replace(vq_bet.Config().head, at="drawn"),
)


def stored(folder, config, contract=BODY):
    numbers = FeatureStatistics(
        count=1,
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
        minimum=(-2.0,) * 3,
        maximum=(3.0,) * 3,
        q01=(-2.0,) * 3,
        q99=(3.0,) * 3,
    )
    spec, statistics = PolicySpec(name="vq_bet", size="paper", contract=contract, config=config), {}
    statistics = {"state": numbers, "action": numbers}
    policy = make(spec, statistics, seed=1)
    seen = Provenance(environment="unknown", profile="faithful", cameras=contract.observation.camera_names)
    card = checkpoint.Card(policy=spec, provenance=seen, statistics=statistics)
    checkpoint.write(folder, tensors={"model": policy.state_dict()}, facts={"step": 0}, card=card)
    return policy.eval()


@pytest.fixture
def exported(tmp_path):
    policy = stored(tmp_path / "ours", CONFIG)
    weights.hand_out(tmp_path / "ours", tmp_path / "theirs", "lerobot_vq_bet")
    return tmp_path, policy


def test_out_and_in_again_is_the_same(exported):
    folder, policy = exported
    assert weights.recognise(folder / "theirs") is lerobot_vq_bet
    weights.bring_in(folder / "theirs", folder / "back", BODY)
    back, spec, _ = checkpoint.load_policy(folder / "back")
    assert spec.config == CONFIG
    for name, tensor in policy.state_dict().items():
        assert torch.equal(back.state_dict()[name], tensor), name
    seen = invent_observation(BODY, 2, history=2)
    assert np.array_equal(back.act(seen, None, None)[0].actions, policy.act(seen, None, None)[0].actions)


def test_names_and_tables_are_the_independent_programs(exported):
    tensors = load_file(exported[0] / "theirs" / "model.safetensors")
    expected = {
        "vqbet.action_token": (1, 1, 8),
        "vqbet.policy.transformer.h.0.attn.bias": (1, 1, 12, 12),
        "vqbet.policy.lm_head.weight": (20, 16),
        "vqbet.action_head.map_to_cbet_preds_bin.0.weight": (8, 20),
        "vqbet.action_head.vqvae_model.vq_layer.layers.1._codebook.embed": (1, 4, 5),
        "vqbet.rgb_encoder.backbone.4.0.bn1.num_batches_tracked": (),
        "vqbet.rgb_encoder.pool.pos_grid": (4, 2),
        "vqbet.select_target_actions_indices": (2, 5),
    }
    assert {name: tuple(tensors[name].shape) for name in expected} == expected
    assert tensors["vqbet.action_head.vqvae_model.discretized"]
    assert tensors["vqbet.rgb_encoder.pool.pos_grid"].tolist() == [[-1, -1], [1, -1], [-1, 1], [1, 1]]


@pytest.mark.parametrize("change", [{"extra.weight": 1.0}, {"action_head.vqvae_model.discretized": 0.0}])
def test_strange_tensors_and_unlearned_codes_are_named(exported, change):
    folder, _ = exported
    file = folder / "theirs" / "model.safetensors"
    found = load_file(file)
    save_file({**found, **{f"vqbet.{name}": torch.tensor(value) for name, value in change.items()}}, file)
    with pytest.raises(CheckpointError, match=next(iter(change)).replace(".", r"\.")):
        weights.bring_in(folder / "theirs", folder / "back", BODY)


@pytest.mark.parametrize(
    ("field", "value"),
    [("sequentially_select", True), ("vision_backbone", "resnet50"), ("normalization_mapping", {"VISUAL": "MIN_MAX"})],
)
def test_settings_that_cannot_be_built_are_named(exported, field, value):
    folder, _ = exported
    file = folder / "theirs" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), field: value}))
    with pytest.raises(CheckpointError, match=field):
        weights.bring_in(folder / "theirs", folder / "back", BODY)


def test_what_the_other_program_cannot_say_is_refused(tmp_path):
    plain = replace(CONFIG, window=None, trunk=replace(TRUNK, model=replace(TRUNK.model, inputs=0)))
    two = replace(BODY.observation.cameras[0], name="wrist")
    both = replace(BODY, observation=replace(BODY.observation, cameras=(*BODY.observation.cameras, two)))
    for name, config, contract, problem in (
        ("plain", plain, BODY, "window"),
        ("two", CONFIG, both, "one camera"),
        ("fewer", replace(CONFIG, inference=replace(CONFIG.inference, execute=2)), BODY, "whole chunks"),
    ):
        stored(tmp_path / name, config, contract)
        with pytest.raises(ConfigError, match=problem):
            weights.hand_out(tmp_path / name, tmp_path / "out", "lerobot_vq_bet")

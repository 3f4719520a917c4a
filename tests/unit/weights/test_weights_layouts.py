"""Public layouts: out and in again gives the same policy, names are the independent program's, bad files are named."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from embodia import weights
from embodia.core.errors import CheckpointError, ConfigError, ContractError, CorruptFileError, UnknownNameError
from embodia.core.invent import invent_observation
from embodia.core.provenance import Provenance
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.core.statistics import FeatureStatistics
from embodia.nn.unet1d import UNetConfig
from embodia.parts.compose import Inference
from embodia.parts.decoders.diffusion import DiffusionConfig
from embodia.parts.encoders.resnet import ResNetConfig
from embodia.parts.encoders.siglip import SiglipConfig
from embodia.policies import PolicySpec, act, diffusion_policy, make, pi0
from embodia.training import checkpoint
from embodia.weights import _lerobot, lerobot_act, lerobot_pi0
from embodia.weights._names import Names, resnet_pairs

BODY = Contract(
    observation=ObservationSpec(
        cameras=(CameraSpec(name="top", height=48, width=64), CameraSpec(name="wrist", height=48, width=64)),
        state=(StatePart(name="joint", dim=3),),
        rate_hz=10,
        language=False,
    ),
    action=ActionSpec(parts=(ActionPart(name="joint", dim=3, representation="joint_position"),), rate_hz=10),
    embodiment="arm",
)
ACT = act.Config(
    chunk=5,
    width=32,
    heads=4,
    hidden=48,
    encoder_layers=1,
    decoder_layers=1,
    posterior_layers=1,
    latent=4,
    dropout=0.0,
    inference=Inference(execute=3),
)
DIFFUSION = diffusion_policy.Config(
    vision=ResNetConfig(norm="group", shared=False),
    keypoints=4,
    unet=UNetConfig(widths=(16, 32), time_width=16),
    diffusion=DiffusionConfig(sample_steps=4),
    inference=Inference(execute=4, skip=1),
)


def units(dim, shift):
    def row(start):
        return tuple(float(np.float32(start + 0.1 * index)) for index in range(dim))

    low, high = row(-2.0 + shift), row(3.0 + shift)
    return FeatureStatistics(count=1, mean=row(shift), std=row(1.5), minimum=low, maximum=high, q01=low, q99=high)


def stored(folder, name, config, contract=BODY):
    """One of our checkpoints with random weights."""
    spec = PolicySpec(name=name, size="paper", contract=contract, config=config)
    statistics = {"state": units(3, 0.3), "action": units(3, -0.2)}
    policy = make(spec, statistics, seed=1)
    card = checkpoint.Card(
        policy=spec,
        provenance=Provenance(environment="unknown", profile="faithful", cameras=("top", "wrist")),
        statistics=statistics,
    )
    checkpoint.write(folder, tensors={"model": policy.state_dict()}, facts={"step": 0}, card=card)
    return policy.eval()


@pytest.fixture(params=[("act", ACT, "lerobot_act"), ("diffusion_policy", DIFFUSION, "lerobot_diffusion_policy")])
def exported(request, tmp_path):
    name, config, layout = request.param
    policy = stored(tmp_path / "ours", name, config)
    weights.hand_out(tmp_path / "ours", tmp_path / "theirs", layout)
    return tmp_path, policy, layout


def test_out_and_in_again_acts_alike(exported):
    folder, policy, layout = exported
    assert weights.recognise(folder / "theirs").__name__.endswith(layout)
    weights.bring_in(folder / "theirs", folder / "back", BODY)
    back, spec, _ = checkpoint.load_policy(folder / "back")
    seen = invent_observation(BODY, 2, history=policy.history)
    first = policy.act(seen, None, torch.Generator().manual_seed(0))[0].actions
    second = back.act(seen, None, torch.Generator().manual_seed(0))[0].actions
    np.testing.assert_allclose(second, first, atol=1e-6)
    assert spec.config.inference == policy.inference
    for name, tensor in policy.state_dict().items():
        assert torch.allclose(back.state_dict()[name], tensor), name


def test_a_strange_tensor_is_named(exported):
    folder, _, _ = exported
    file = folder / "theirs" / "model.safetensors"
    tensors = load_file(file)
    save_file({**tensors, "model.extra.weight": torch.zeros(1)}, file)
    with pytest.raises(CheckpointError, match=r"extra\.weight"):
        weights.bring_in(folder / "theirs", folder / "back", BODY)
    assert not (folder / "back").exists()


def test_a_missing_tensor_is_named(exported):
    folder, _, _ = exported
    file = folder / "theirs" / "model.safetensors"
    tensors = load_file(file)
    kept = {
        name: tensor for name, tensor in tensors.items() if not name.endswith(("action_head.bias", "final_conv.1.bias"))
    }
    assert len(kept) == len(tensors) - 1
    save_file(kept, file)
    with pytest.raises(CheckpointError, match=r"missing.*|decoder"):
        weights.bring_in(folder / "theirs", folder / "back", BODY)


def test_another_body_is_refused(exported):
    folder, _, _ = exported
    seen = replace(BODY.observation, cameras=BODY.observation.cameras[::-1])
    for contract in (
        replace(BODY, observation=seen),
        replace(BODY, action=replace(BODY.action, parts=(replace(BODY.action.parts[0], dim=4),))),
    ):
        with pytest.raises(ContractError, match=r"config\.json"):
            weights.bring_in(folder / "theirs", folder / "back", contract)


def test_a_damaged_checkpoint_names_the_file(exported):
    folder, _, _ = exported
    processor = folder / "theirs" / "policy_preprocessor.json"
    processor.write_text(json.dumps({"steps": [{"registry_name": "normalizer_processor", "state_file": "../../x"}]}))
    with pytest.raises(CheckpointError, match="policy_preprocessor"):
        weights.bring_in(folder / "theirs", folder / "back", BODY)
    (folder / "theirs" / "config.json").write_text("{")
    with pytest.raises(CorruptFileError, match=r"config\.json"):
        weights.bring_in(folder / "theirs", folder / "back", BODY)


def test_other_colours_are_refused(exported):
    folder, _, _ = exported
    file = folder / "theirs" / "policy_preprocessor_step_3_normalizer_processor.safetensors"
    figures = load_file(file)
    figures["observation.images.top.mean"] += 0.1
    save_file(figures, file)
    with pytest.raises(CheckpointError, match="ImageNet"):
        weights.bring_in(folder / "theirs", folder / "back", BODY)


def test_what_the_other_program_cannot_say_is_refused(tmp_path):
    stored(tmp_path / "deep", "act", replace(ACT, deep=True))
    with pytest.raises(ConfigError, match="deeper"):
        weights.hand_out(tmp_path / "deep", tmp_path / "out", "lerobot_act")
    with pytest.raises(ConfigError, match="lerobot_diffusion_policy"):
        weights.hand_out(tmp_path / "deep", tmp_path / "out", "lerobot_diffusion_policy")
    with pytest.raises(UnknownNameError, match="lerobot_act"):
        weights.hand_out(tmp_path / "deep", tmp_path / "out", "lerobot_atc")
    with pytest.raises(ConfigError, match="exists"):
        weights.hand_out(tmp_path / "deep", tmp_path / "deep", "lerobot_act")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="Known layouts"):
        weights.recognise(tmp_path / "empty")


def test_act_has_the_names_of_the_independent_program():
    policy = make(PolicySpec(name="act", size="paper", contract=BODY, config=ACT))
    names = set(lerobot_act.theirs(policy.state_dict()))
    assert {
        "backbone.layer4.1.bn2.running_var",
        "encoder.layers.0.self_attn.in_proj_weight",
        "decoder.layers.0.norm3.bias",
        "vae_encoder.layers.0.norm2.weight",
        "encoder_1d_feature_pos_embed.weight",
        "vae_encoder_pos_enc",
        "action_head.weight",
    } <= names


def test_pi0_of_the_independent_program_becomes_the_papers(tmp_path):
    facts = {
        "type": "pi0",
        "paligemma_variant": "gemma_2b",
        "action_expert_variant": "gemma_300m",
        "chunk_size": 50,
        "n_action_steps": 25,
        "max_state_dim": 32,
        "max_action_dim": 32,
        "num_inference_steps": 10,
        "time_sampling_beta_alpha": 1.5,
        "time_sampling_beta_beta": 1.0,
        "time_sampling_offset": 0.001,
        "use_relative_actions": False,
        "image_resolution": [224, 224],
        "empty_cameras": 0,
        "tokenizer_max_length": 48,
        "normalization_mapping": {"VISUAL": "IDENTITY", "STATE": "MEAN_STD", "ACTION": "MEAN_STD"},
    }
    (tmp_path / "config.json").write_text(json.dumps(facts))
    found = lerobot_pi0.config_of(_lerobot.Facts(tmp_path))
    assert found == replace(pi0.preset("paper"), vision=SiglipConfig(smooth=False), inference=Inference(execute=25))
    (tmp_path / "config.json").write_text(json.dumps({**facts, "use_relative_actions": True}))
    with pytest.raises(CheckpointError, match="use_relative_actions"):
        lerobot_pi0.config_of(_lerobot.Facts(tmp_path))


def test_templates_translate_both_ways_and_refuse():
    names = Names([("a.{i}.{leaf}", "b.{leaf}.{i}")], unused=(r"drop\..*",))
    one = torch.zeros(1)
    assert list(names.ours({"a.3.weight": one, "drop.me": one})) == ["b.weight.3"]
    assert list(names.theirs({"b.weight.3": one})) == ["a.3.weight"]
    with pytest.raises(CheckpointError, match="strange"):
        names.ours({"strange": one})
    trunk = Names(resnet_pairs("x.", "y.", (2, 2, 2, 2)))
    assert list(trunk.ours({"x.layer2.1.conv2.weight": one})) == ["y.blocks.3.second.conv.weight"]
    numbered = Names(resnet_pairs("x.", "y.", (2, 2), numbered=True))
    assert list(numbered.theirs({"y.blocks.2.shortcut.norm.bias": one})) == ["x.5.0.downsample.1.bias"]

"""LeRobot's pi0.5 and SmolVLA: published sizes and names, toy policies out and in again, what is refused."""

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
from embodia.core.types import Observation
from embodia.nn.image import fit_square
from embodia.nn.transformer import TransformerConfig
from embodia.parts.compose import Inference
from embodia.parts.encoders.prompt import prompts
from embodia.parts.encoders.siglip import SiglipConfig
from embodia.parts.encoders.towers import TowerConfig
from embodia.policies import PolicySpec, make, pi05, smolvla
from embodia.training import checkpoint
from embodia.weights import _lerobot, _pi0, _vla, lerobot_pi05, lerobot_smolvla

BODY = Contract(
    observation=ObservationSpec(
        cameras=(CameraSpec(name="top", height=24, width=32), CameraSpec(name="wrist", height=24, width=32)),
        state=(StatePart(name="joint", dim=3),),
        rate_hz=10,
    ),
    action=ActionSpec(parts=(ActionPart(name="joint", dim=3, representation="joint_position"),), rate_hz=10),
    embodiment="arm",
)
PI = {"depth": 2, "heads": 2, "kv_heads": 1, "head_dim": 8}
GEMMA = {
    "gemma_2b": TransformerConfig(width=24, mlp_width=32, **PI),
    "gemma_300m": TransformerConfig(width=16, mlp_width=20, **PI),
}
EYE = SiglipConfig(width=12, depth=1, heads=2, hidden=20, patch=8, pixels=16, smooth=False)
LLAMA = TransformerConfig(width=24, mlp_width=32, **PI, activation="silu", norm="llama", epsilon=1e-5)
TOWER = TowerConfig(width=12, depth=1, heads=2, hidden=20, patch=4, pixels=16)
COMMON = {"chunk_size": 50, "n_action_steps": 50, "max_state_dim": 32, "max_action_dim": 32, "empty_cameras": 0}
PI05 = {
    **COMMON,
    "type": "pi05",
    "paligemma_variant": "gemma_2b",
    "action_expert_variant": "gemma_300m",
    "num_inference_steps": 10,
    "time_sampling_beta_alpha": 1.5,
    "time_sampling_beta_beta": 1.0,
    "time_sampling_offset": 0.001,
    "image_resolution": [224, 224],
    "tokenizer_max_length": 200,
    "normalization_mapping": {"VISUAL": "IDENTITY", "STATE": "QUANTILES", "ACTION": "QUANTILES"},
}
SMOLVLA = {
    **COMMON,
    "type": "smolvla",
    "resize_imgs_with_padding": [512, 512],
    "adapt_to_pi_aloha": False,
    "use_delta_joint_actions_aloha": False,
    "tokenizer_max_length": 48,
    "num_steps": 10,
    "vlm_model_name": "HuggingFaceTB/SmolVLM2-500M-Video-Instruct",
    "add_image_special_tokens": False,
    "attention_mode": "cross_attn",
    "num_expert_layers": 0,
    "num_vlm_layers": 16,
    "self_attn_every_n_layers": 2,
    "expert_width_multiplier": 0.75,
    "min_period": 0.004,
    "max_period": 4.0,
    "normalization_mapping": {"VISUAL": "IDENTITY", "STATE": "MEAN_STD", "ACTION": "MEAN_STD"},
}


@pytest.fixture
def toys(monkeypatch):
    base = smolvla.PAPER
    vlm = replace(base.vlm, vision=TOWER, model=LLAMA, text=replace(base.vlm.text, vocabulary=300))
    expert = replace(LLAMA, width=18, mlp_width=256)
    toy = replace(base, vlm=vlm, expert=expert)
    monkeypatch.setattr(_vla, "GEMMA", GEMMA)
    monkeypatch.setattr(_vla, "EYES", {"siglip": EYE})
    monkeypatch.setattr(lerobot_smolvla, "MODELS", dict.fromkeys(lerobot_smolvla.MODELS, toy))
    return {"pi05": small_pi05(), "smolvla": smolvla.Config(chunk=4, model=small_smolvla(toy))}


def small_pi05():
    text = replace(pi05.PROMPT, vocabulary=500, openpi=True)
    vlm = replace(pi05.PAPER.vlm, vision=EYE, model=GEMMA["gemma_2b"], text=text)
    model = replace(pi05.PAPER, vlm=vlm, expert=GEMMA["gemma_300m"], padded=6, thought=None)
    return pi05.Config(chunk=4, model=model, inference=Inference(execute=2))


def small_smolvla(toy):
    text = replace(toy.vlm.text, file="")
    vlm = replace(toy.vlm, vision=replace(TOWER, fit="corner", smooth=False), text=text)
    return replace(toy, vlm=vlm, padded=6)


def facts(folder, fields):
    (folder / "config.json").write_text(json.dumps(fields))
    return _lerobot.Facts(folder)


def stored(folder, name, config):
    numbers = {"mean": (0.5,) * 3, "std": (2.0,) * 3, "minimum": (-3.0,) * 3, "maximum": (4.0,) * 3}
    statistics = dict.fromkeys(
        ("state", "action"), FeatureStatistics(count=1, **numbers, q01=(-2.0,) * 3, q99=(3.0,) * 3)
    )
    spec = PolicySpec(name=name, size="paper", contract=BODY, config=config)
    policy = make(spec, statistics, seed=1)
    card = checkpoint.Card(
        policy=spec,
        provenance=Provenance(environment="unknown", profile="faithful", cameras=("top", "wrist")),
        statistics=statistics,
    )
    checkpoint.write(folder, tensors={"model": policy.state_dict()}, facts={"step": 0}, card=card)
    return policy.eval()


@pytest.mark.parametrize("name", ["pi05", "smolvla"])
def test_out_and_in_again_acts_alike(toys, name, tmp_path):
    policy = stored(tmp_path / "ours", name, toys[name])
    weights.hand_out(tmp_path / "ours", tmp_path / "theirs", f"lerobot_{name}")
    assert name == weights.recognise(tmp_path / "theirs").POLICY
    weights.bring_in(tmp_path / "theirs", tmp_path / "back", BODY)
    back, spec, _ = checkpoint.load_policy(tmp_path / "back")
    for key, tensor in policy.state_dict().items():
        assert torch.allclose(back.state_dict()[key], tensor, atol=1e-6), key
    assert spec.config.model.vlm.model == toys[name].model.vlm.model and spec.config.chunk == 4
    if name == "pi05":
        seen = invent_observation(BODY, 2)
        first, second = (each.act(seen, None, torch.Generator().manual_seed(0))[0].actions for each in (policy, back))
        np.testing.assert_allclose(second, first, atol=1e-5)


@pytest.mark.parametrize("name", ["pi05", "smolvla"])
def test_every_tensor_is_accounted_for(toys, name, tmp_path):
    stored(tmp_path / "ours", name, toys[name])
    weights.hand_out(tmp_path / "ours", tmp_path / "theirs", f"lerobot_{name}")
    file = tmp_path / "theirs" / "model.safetensors"
    tensors = load_file(file)
    save_file({**tensors, "model.strange.weight": torch.zeros(1)}, file)
    with pytest.raises(CheckpointError, match=r"strange\.weight"):
        weights.bring_in(tmp_path / "theirs", tmp_path / "back", BODY)
    save_file({key: tensor for key, tensor in tensors.items() if key != "model.action_in_proj.bias"}, file)
    with pytest.raises(CheckpointError, match=r"action_in\.bias"):
        weights.bring_in(tmp_path / "theirs", tmp_path / "back", BODY)


def test_the_steps_of_the_other_program_are_written(toys, tmp_path):
    stored(tmp_path / "ours", "pi05", toys["pi05"])
    weights.hand_out(tmp_path / "ours", tmp_path / "theirs", "lerobot_pi05")
    steps = json.loads((tmp_path / "theirs" / "policy_preprocessor.json").read_text())["steps"]
    assert [step["registry_name"] for step in steps] == [
        "rename_observations_processor",
        "to_batch_processor",
        "relative_actions_processor",
        "normalizer_processor",
        "pi05_prepare_state_tokenizer_processor_step",
        "tokenizer_processor",
        "device_processor",
    ]
    units = load_file(tmp_path / "theirs" / steps[3]["state_file"])
    assert units["action.q99"].tolist() == [3.0] * 3 and steps[5]["config"]["max_length"] == 200
    save_file(
        {key: tensor for key, tensor in units.items() if "q01" not in key}, tmp_path / "theirs" / steps[3]["state_file"]
    )
    with pytest.raises(CheckpointError, match="percentiles"):
        weights.bring_in(tmp_path / "theirs", tmp_path / "back", BODY)


def test_published_configurations_are_the_papers(tmp_path):
    found = lerobot_pi05.config_of(facts(tmp_path, PI05), 257152)
    text = replace(pi05.PROMPT, openpi=True)
    vlm = replace(pi05.PAPER.vlm, text=text, vision=SiglipConfig(smooth=False))
    assert found.model == replace(pi05.PAPER, vlm=vlm, thought=None) and found.inference.execute == 50
    other = lerobot_smolvla.config_of(facts(tmp_path, SMOLVLA), 49280, "")
    eye = replace(smolvla.PAPER.vlm.vision, fit="corner", smooth=False)
    assert other.model == replace(smolvla.PAPER, vlm=replace(smolvla.PAPER.vlm, vision=eye))


@pytest.mark.parametrize(
    ("fields", "change", "read"),
    [
        (PI05, {"use_relative_actions": True}, lerobot_pi05.config_of),
        (PI05, {"paligemma_variant": "gemma_9b"}, lerobot_pi05.config_of),
        (PI05, {"image_resolution": [224, 448]}, lerobot_pi05.config_of),
        (SMOLVLA, {"adapt_to_pi_aloha": True}, lerobot_smolvla.config_of),
        (SMOLVLA, {"vlm_model_name": "somebody/other"}, lerobot_smolvla.config_of),
        (SMOLVLA, {"num_vlm_layers": -1}, lerobot_smolvla.config_of),
        (SMOLVLA, {"num_expert_layers": 8}, lerobot_smolvla.config_of),
    ],
)
def test_settings_that_cannot_be_built_are_named(tmp_path, fields, change, read):
    with pytest.raises(CheckpointError, match=next(iter(change))):
        read(facts(tmp_path, {**fields, **change}), 300)


def test_published_names_and_shapes():
    with torch.device("meta"):
        small = make(PolicySpec(name="smolvla", size="paper", contract=BODY))
    found = lerobot_smolvla.theirs(small.state_dict())
    expert, reader = "model.vlm_with_expert.lm_expert.", "model.vlm_with_expert.vlm."
    expected = {
        f"{expert}layers.0.self_attn.k_proj.weight": (320, 720),
        f"{expert}layers.1.self_attn.k_proj.weight": (320, 320),
        f"{expert}norm.weight": (720,),
        f"{reader}model.connector.modality_projection.proj.weight": (960, 12288),
        f"{reader}model.text_model.layers.15.mlp.down_proj.weight": (960, 2560),
        f"{reader}lm_head.weight": (49280, 960),
        f"{reader}model.vision_model.embeddings.position_embedding.weight": (1024, 768),
        "model.state_proj.weight": (960, 32),
        "model.action_time_mlp_in.weight": (720, 1440),
    }
    assert {name: tuple(found[name].shape) for name in expected} == expected
    assert sum(tensor.numel() for tensor in found.values()) == 450_046_176


def test_published_names_and_shapes_of_pi05():
    model = replace(pi05.PAPER, thought=None)
    with torch.device("meta"):
        policy = make(PolicySpec(name="pi05", size="paper", contract=BODY, config=pi05.Config(model=model)))
    found = lerobot_pi05.theirs(policy.state_dict(), 1024)
    expert, reader = "model.paligemma_with_expert.gemma_expert.", "model.paligemma_with_expert.paligemma."
    expected = {
        f"{expert}model.layers.17.input_layernorm.dense.weight": (3072, 1024),
        f"{expert}model.norm.dense.bias": (3072,),
        f"{expert}lm_head.weight": (257152, 1024),
        f"{reader}lm_head.weight": (257152, 2048),
        f"{reader}model.language_model.layers.17.post_attention_layernorm.weight": (2048,),
        f"{reader}model.vision_tower.vision_model.embeddings.patch_embedding.weight": (1152, 3, 14, 14),
        f"{reader}model.multi_modal_projector.linear.weight": (2048, 1152),
        "model.time_mlp_in.weight": (1024, 1024),
        "model.action_out_proj.weight": (32, 1024),
    }
    assert {name: tuple(found[name].shape) for name in expected} == expected
    silent = (f"{expert}lm_head.weight", f"{reader}lm_head.weight")
    assert sum(tensor.numel() for name, tensor in found.items() if name not in silent) == 3_353_433_872


def test_what_the_other_program_cannot_say_is_refused(toys, tmp_path):
    thinking = replace(toys["pi05"].model, thought=pi05.PAPER.thought)
    averaged = replace(toys["smolvla"].model, vlm=replace(toys["smolvla"].model.vlm, vision=TOWER))
    stored(tmp_path / "pi05", "pi05", replace(toys["pi05"], model=thinking))
    stored(tmp_path / "smolvla", "smolvla", replace(toys["smolvla"], model=averaged))
    for name, problem in (("pi05", "sub-tasks"), ("smolvla", "corner")):
        with pytest.raises(ConfigError, match=problem):
            weights.hand_out(tmp_path / name, tmp_path / "out", f"lerobot_{name}")


@pytest.mark.parametrize("layout", [_pi0.LEROBOT, _pi0.LEROBOT_PI05, _pi0.LEROBOT_SMOLVLA])
def test_names_cross_both_ways(layout):
    ours = {f"{mine}layers.1.attention.query.weight" if part in ("prefix", "expert") else f"{mine}weight"
            for part, mine in layout.ours.items()}  # fmt: skip
    state = {name: torch.tensor([float(index)]) for index, name in enumerate(sorted(ours))}
    assert _pi0.read(_pi0.write(state, layout), layout) == state
    with pytest.raises(CheckpointError, match="stranger"):
        _pi0.write({"stranger.weight": torch.zeros(1)}, layout)


def test_pictures_fill_a_corner_and_are_picked_not_averaged():
    pictures = torch.linspace(-1, 1, 8 * 16).view(1, 1, 8, 16).expand(-1, 3, -1, -1)
    found = fit_square(pictures, 8, "corner", smooth=False)
    assert found.shape == (1, 3, 8, 8) and (found[:, :, :4] == -1).all() and (found[:, :, 4:] > -1).all()
    peer = torch.nn.functional.interpolate(pictures, size=(4, 8), mode="bilinear")
    assert torch.equal(found[:, :, 4:], peer)
    assert not torch.allclose(fit_square(pictures, 8, "corner")[:, :, 4:], peer)


def test_prompts_are_written_as_public_checkpoints_learned_them():
    seen = Observation(instruction=(" open_the\ndoor ",), state=torch.tensor([[[-1.2, -1.0, 0.0, 1.5]]]))
    assert prompts(seen, "{instruction}: {state}", 256, openpi=True) == ["open the door: -1 0 128 255"]
    assert prompts(seen, "{state}", 256) == ["0 0 128 255"]

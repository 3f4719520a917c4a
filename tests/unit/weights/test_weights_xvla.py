"""LeRobot's X-VLA: published sizes and names, old names, toy policies out and in again, what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from embodia import weights
from embodia.builders.families import florence2_large
from embodia.core.errors import CheckpointError, ConfigError, ContractError
from embodia.core.invent import invent_observation
from embodia.core.provenance import Provenance
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.parts.backbones.bart import BartConfig
from embodia.parts.compose import Inference
from embodia.parts.decoders.clean import CleanConfig
from embodia.parts.decoders.soft_prompted import SoftPromptedConfig
from embodia.parts.encoders.florence import FlorenceConfig
from embodia.policies import PolicySpec, make, x_vla
from embodia.training import checkpoint
from embodia.weights import _florence, _lerobot, lerobot_xvla

EYE = FlorenceConfig(
    depths=(1, 1), widths=(8, 16), heads=(2, 4), patches=(7, 3), strides=(4, 2), paddings=(3, 1), window=4, grid=6,
    moments=5, pixels=0,
)  # fmt: skip
OLD_VISION = {
    "model_type": "davit", "dim_embed": [256, 512, 1024, 2048], "depths": [1, 1, 9, 1], "num_heads": [8, 16, 32, 64],
    "num_groups": [8, 16, 32, 64], "patch_size": [7, 3, 3, 3], "patch_stride": [4, 2, 2, 2], "window_size": 12,
    "patch_padding": [3, 1, 1, 1], "patch_prenorm": [False, True, True, True], "projection_dim": 1024,
    "image_pos_embed": {"type": "learned_abs_2d", "max_pos_embeddings": 50},
    "visual_temporal_embedding": {"type": "COSINE", "max_temporal_embeddings": 100},
    "image_feature_source": ["spatial_avg_pool", "temporal_avg_pool"],
}  # fmt: skip
OLD_TEXT = {
    "model_type": "florence2_language", "vocab_size": 51289, "d_model": 1024, "encoder_layers": 12, "dropout": 0.1,
    "encoder_attention_heads": 16, "encoder_ffn_dim": 4096, "max_position_embeddings": 4096, "scale_embedding": False,
}  # fmt: skip
PUBLISHED = {
    "type": "xvla", "chunk_size": 30, "n_action_steps": 30, "hidden_size": 1024, "depth": 24, "num_heads": 16,
    "mlp_ratio": 4.0, "num_domains": 30, "len_soft_prompts": 32, "dim_time": 32, "max_len_seq": 512,
    "use_hetero_proj": False, "use_proprio": True, "max_state_dim": 20, "max_action_dim": 20, "action_mode": "ee6d",
    "num_denoising_steps": 10, "num_image_views": 3, "tokenizer_max_length": 64, "resize_imgs_with_padding": [224, 224],
    "florence_config": {"vision_config": OLD_VISION, "text_config": OLD_TEXT, "bos_token_id": 0, "pad_token_id": 1},
    "normalization_mapping": {"VISUAL": "IDENTITY", "STATE": "IDENTITY", "ACTION": "IDENTITY"},
    "input_features": {
        "observation.images.top": {"type": "VISUAL", "shape": [3, 24, 32]},
        "observation.images.wrist": {"type": "VISUAL", "shape": [3, 24, 32]},
        "observation.images.empty_camera_0": {"type": "VISUAL", "shape": [3, 224, 224]},
        "observation.state": {"type": "STATE", "shape": [8]},
    },
    "output_features": {"action": {"type": "ACTION", "shape": [7]}},
}  # fmt: skip


def hand(name, low=0.0):
    return (
        ActionPart(name=f"{name}_place", dim=3, representation="ee_position", units="m"),
        ActionPart(name=f"{name}_turn", dim=6, representation="ee_rotation", rotation="rot6d", units="none"),
        ActionPart(name=f"{name}_grip", dim=1, representation="gripper", polarity="positive_closes", low=low, high=1),
    )


def body(parts=(), state=20):
    return Contract(
        observation=ObservationSpec(
            cameras=tuple(CameraSpec(name=name, height=24, width=32) for name in ("top", "wrist")),
            state=(StatePart(name="joint", dim=state),),
            rate_hz=10,
        ),
        action=ActionSpec(parts=parts or HANDS, rate_hz=10),
        embodiment="arm",
    )


HANDS = (*hand("left"), *hand("right"))
JOINTS = (ActionPart(name="joint", dim=5, representation="joint_position", units="rad"),)


def toy(**changes):
    text = replace(florence2_large().text, vocabulary=300, length=20)
    reader = BartConfig(width=24, depth=2, heads=4, mlp_width=40, positions=60)
    net = SoftPromptedConfig(
        width=16, depth=2, heads=4, hidden=32, bodies=3, prompts=2, time_width=6, positions=120, blank=(9, 19)
    )
    config = x_vla.Config(
        chunk=4,
        vlm=replace(florence2_large(), vision=EYE, model=reader, text=text),
        net=net,
        clean=CleanConfig(steps=3),
        inference=Inference(execute=2),
    )
    return replace(config, **changes)


def free(**net):
    """A policy of any numbers, as LeRobot's action mode "auto"."""
    return toy(net=replace(toy().net, blank=(), **net), clean=CleanConfig(steps=3, gripper="number"))


def stored(folder, config, contract, seed=1):
    spec = PolicySpec(name="x_vla", size="paper", contract=contract, config=config)
    policy = make(spec, {}, seed=seed)
    made = Provenance(environment="unknown", profile="faithful", cameras=("top", "wrist"))
    card = checkpoint.Card(policy=spec, provenance=made, statistics={})
    checkpoint.write(folder, tensors={"model": policy.state_dict()}, facts={"step": 0}, card=card)
    return policy.eval()


def handed_out(tmp_path, config, contract):
    policy = stored(tmp_path / "ours", config, contract)
    weights.hand_out(tmp_path / "ours", tmp_path / "theirs", "lerobot_xvla")
    return policy, tmp_path / "theirs"


def changed(folder, file, change):
    fields = json.loads((folder / file).read_text())
    change(fields)
    (folder / file).write_text(json.dumps(fields))


def acted(policy, contract):
    seen = invent_observation(contract, 2)
    return policy.act(seen, None, torch.Generator().manual_seed(0))[0].actions


@pytest.mark.parametrize(
    ("config", "contract"),
    [(toy(), body()), (free(by_body=True), body(JOINTS, 6)), (free(state_dim=0), body(JOINTS))],
)
def test_out_and_in_again_acts_alike(config, contract, tmp_path):
    policy, folder = handed_out(tmp_path, config, contract)
    assert weights.recognise(folder).POLICY == "x_vla"
    weights.bring_in(folder, tmp_path / "back", contract)
    back, spec, _ = checkpoint.load_policy(tmp_path / "back")
    for key, tensor in policy.state_dict().items():
        assert torch.equal(back.state_dict()[key], tensor), key
    assert spec.config.net == replace(config.net, dropout=0.1) and spec.config.clean == config.clean
    assert (spec.config.vlm.model, spec.config.inference) == (config.vlm.model, config.inference)
    np.testing.assert_array_equal(acted(back, contract), acted(policy, contract))


def test_every_tensor_is_accounted_for(tmp_path):
    _, folder = handed_out(tmp_path, toy(), body())
    file = folder / "model.safetensors"
    tensors = load_file(file)
    for strange in ("model.strange.weight", "model.vlm.strange.weight", "model.transformer.strange.weight"):
        save_file({**tensors, strange: torch.zeros(1)}, file)
        with pytest.raises(CheckpointError, match=r"strange\.weight"):
            weights.bring_in(folder, tmp_path / "back", body())
    save_file({key: tensor for key, tensor in tensors.items() if key != "model.transformer.pos_emb"}, file)
    with pytest.raises(CheckpointError, match=r"decoder\.net\.position"):
        weights.bring_in(folder, tmp_path / "back", body())


def old_name(name):
    """What a tensor of Florence-2 was called in the program it was published with."""
    for kind, attention in (("spatial_block", "window_attn"), ("channel_block", "channel_attn")):
        if kind in name:
            name = name.replace(".conv1.", ".conv1.fn.dw.").replace(".conv2.", ".conv2.fn.dw.")
            name = name.replace(f".{attention}.", f".{attention}.fn.").replace(".norm1.", f".{attention}.norm.")
            return name.replace(".ffn.", ".ffn.fn.net.").replace(".norm2.", ".ffn.norm.")
    name = name.replace(".conv.", ".proj.").replace("multi_modal_projector.", "")
    name = name.replace("image_position_embed", "image_pos_embed")
    return name.replace("language_model.", "language_model.model.")


def test_the_first_files_names_are_read_too(tmp_path):
    policy, folder = handed_out(tmp_path, toy(), body())
    file = folder / "model.safetensors"
    tensors = load_file(file)
    projection = tensors.pop("model.vlm.multi_modal_projector.image_projection.weight")
    old = {old_name(name) if ".vlm." in name else name: tensor for name, tensor in tensors.items()}
    old["model.vlm.image_projection"] = projection.T.contiguous()
    old["model.vlm.language_model.final_logits_bias"] = torch.zeros(1, 300)
    old["model.vlm.language_model.model.encoder.embed_tokens.weight"] = old.pop(
        "model.vlm.language_model.model.shared.weight"
    )
    block = "model.vlm.vision_tower.blocks.0.0.channel_block."
    expected = {
        *(f"{block}{name}" for name in ("conv2.fn.dw.weight", "channel_attn.fn.qkv.bias", "channel_attn.norm.weight")),
        *(f"{block}{name}" for name in ("ffn.fn.net.fc1.weight", "ffn.norm.bias")),
        "model.vlm.vision_tower.convs.1.proj.weight",
        "model.vlm.image_pos_embed.row_embeddings.weight",
        "model.vlm.image_proj_norm.weight",
    }
    assert expected <= old.keys()
    save_file(old, file)
    weights.bring_in(folder, tmp_path / "back", body())
    back, _, _ = checkpoint.load_policy(tmp_path / "back")
    for key, tensor in policy.state_dict().items():
        assert torch.equal(back.state_dict()[key], tensor), key


def test_the_body_of_the_file_becomes_the_first(tmp_path):
    policy, folder = handed_out(tmp_path, free(by_body=True), body(JOINTS, 6))

    def second(fields):
        step = next(step for step in fields["steps"] if step["registry_name"] == "xvla_add_domain_id")
        assert step["config"] == {"domain_id": 0}
        step["config"]["domain_id"] = 2

    changed(folder, "policy_preprocessor.json", second)
    weights.bring_in(folder, tmp_path / "back", body(JOINTS, 6))
    back, _, _ = checkpoint.load_policy(tmp_path / "back")
    before, after = policy.state_dict(), back.state_dict()
    tables = [name for name in before if name.startswith(("decoder.net.enter", "decoder.net.leave", "encoders.prompt"))]
    tables += [name for name in before if name.startswith(("decoder.net.told", "decoder.net.seen"))]
    assert len(tables) == 9
    for name in before:
        order = [2, 1, 0] if name in tables else slice(None)
        assert torch.equal(after[name], before[name][order] if before[name].ndim else before[name]), name

    changed(folder, "policy_preprocessor.json", lambda f: f["steps"][5]["config"].update(domain_id=3))
    with pytest.raises(CheckpointError, match="body 3 of 3"):
        weights.bring_in(folder, tmp_path / "other", body(JOINTS, 6))
    changed(folder, "policy_preprocessor.json", lambda f: f["steps"].pop(4))
    with pytest.raises(CheckpointError, match="xvla_imagenet_normalize"):
        weights.bring_in(folder, tmp_path / "other", body(JOINTS, 6))


def test_the_steps_of_the_other_program_are_written(tmp_path):
    _, folder = handed_out(tmp_path, toy(), body())
    steps = json.loads((folder / "policy_preprocessor.json").read_text())["steps"]
    assert [step["registry_name"] for step in steps] == [
        "rename_observations_processor",
        "to_batch_processor",
        "tokenizer_processor",
        "xvla_image_to_float",
        "xvla_imagenet_normalize",
        "xvla_add_domain_id",
        "device_processor",
        "normalizer_processor",
    ]
    words = steps[2]["config"]
    assert (words["tokenizer_name"], words["max_length"], words["padding"]) == ("facebook/bart-large", 20, "max_length")


def facts(folder, fields):
    (folder / "config.json").write_text(json.dumps(fields))
    return _lerobot.Facts(folder)


def test_the_published_configuration_is_the_papers(tmp_path):
    found = lerobot_xvla.config_of(facts(tmp_path, PUBLISHED), body())
    paper = x_vla.Config()
    eye = replace(paper.vlm.vision, fit="corner", smooth=False, views=3)
    expected = replace(paper, vlm=replace(paper.vlm, vision=eye), inference=Inference(execute=30))
    assert found == expected
    today = {**PUBLISHED, "florence_config": _florence.sizes_of(paper.vlm)}
    assert lerobot_xvla.config_of(facts(tmp_path, today), body()) == expected
    unsized = lerobot_xvla.config_of(facts(tmp_path, {**PUBLISHED, "resize_imgs_with_padding": None}), body())
    assert unsized.vlm.vision.pixels == 0


ARMS = tuple(
    part
    for name in ("left", "right")
    for part in (ActionPart(name=name, dim=6, representation="joint_position", units="rad"), hand(name)[-1])
)


@pytest.mark.parametrize(
    ("mode", "parts", "shape", "padded", "blank", "gripper"),
    [
        ("joint", ARMS, 14, 14, (6, 13), "chance"),
        ("agibot_ee6d", (*hand("a", -1.0), *hand("b", -1.0)), 20, 20, (), "number"),
        ("franka_joint7", (replace(JOINTS[0], dim=7),), 7, 20, (), "number"),
        ("auto", JOINTS, 5, 20, (), "number"),
    ],
)
def test_action_modes(tmp_path, mode, parts, shape, padded, blank, gripper):
    output = {"action": {"type": "ACTION", "shape": [shape]}}
    fields = {**PUBLISHED, "action_mode": mode, "output_features": output}
    found = lerobot_xvla.config_of(facts(tmp_path, fields), body(parts))
    assert (found.padded, found.net.blank, found.clean.gripper) == (padded, blank, gripper)
    written = lerobot_xvla._space(found, body(parts).action)
    assert written == ("auto" if mode == "franka_joint7" else mode)


@pytest.mark.parametrize(
    "change",
    [
        {"action_mode": "so101_bimanual"},
        {"tokenizer_padding_side": "left"},
        {"pad_language_to": "longest"},
        {"resize_imgs_with_padding": [224, 448]},
        {"normalization_mapping": {"VISUAL": "MEAN_STD", "STATE": "IDENTITY", "ACTION": "IDENTITY"}},
        {"normalization_mapping": {"VISUAL": "IDENTITY", "STATE": "IDENTITY", "ACTION": "MEAN_STD"}},
    ],
)
def test_settings_that_cannot_be_built_are_named(tmp_path, change):
    with pytest.raises(CheckpointError, match=next(iter(change))):
        lerobot_xvla.config_of(facts(tmp_path, {**PUBLISHED, **change}), body())


@pytest.mark.parametrize(
    ("part", "change", "named"),
    [
        ("vision_config", {"mlp_ratio": 2.0}, "mlp_ratio"),
        ("vision_config", {"num_groups": [1, 1, 1, 1]}, "num_groups"),
        ("vision_config", {"projection_dim": 512}, "projection_dim"),
        ("vision_config", {"image_pos_embed": {"type": "sine"}}, "vision_config"),
        ("text_config", {"activation_function": "relu"}, "activation_function"),
        ("text_config", {"scale_embedding": True}, "scale_embedding"),
    ],
)
def test_another_florence_is_refused_by_its_field(tmp_path, part, change, named):
    sizes = {**PUBLISHED["florence_config"], part: {**PUBLISHED["florence_config"][part], **change}}
    with pytest.raises(CheckpointError, match=named):
        lerobot_xvla.config_of(facts(tmp_path, {**PUBLISHED, "florence_config": sizes}), body())
    with pytest.raises(CheckpointError, match=part):
        _florence.vlm_of({**sizes, part: None}, tmp_path)


@pytest.mark.parametrize(
    ("contract", "named"),
    [
        (body(JOINTS), "'action': .5."),
        (body((*hand("left")[::-1], *hand("right"))), "not gripper"),
        (body((*hand("a", -1.0), *hand("b"))), "from 0 to 1"),
        (replace(body(), observation=replace(body().observation, cameras=body().observation.cameras[::-1])), "cameras"),
    ],
)
def test_another_body_is_refused(tmp_path, contract, named):
    with pytest.raises(ContractError, match=named):
        lerobot_xvla.config_of(facts(tmp_path, PUBLISHED), contract)


def test_published_names_and_shapes():
    config = replace(x_vla.Config(), net=replace(x_vla.Config().net, state_dim=32))
    with torch.device("meta"):
        policy = make(PolicySpec(name="x_vla", size="paper", contract=body(), config=config))
    found = lerobot_xvla.theirs(policy.state_dict())
    eye, reader = "vlm.vision_tower.", "vlm.language_model."
    expected = {
        f"{eye}convs.0.conv.weight": (256, 3, 7, 7),
        f"{eye}convs.3.norm.weight": (1024,),
        f"{eye}blocks.2.8.spatial_block.window_attn.qkv.weight": (3072, 1024),
        f"{eye}blocks.3.0.channel_block.channel_attn.proj.bias": (2048,),
        f"{eye}blocks.0.0.spatial_block.ffn.fc1.weight": (1024, 256),
        "vlm.multi_modal_projector.image_projection.weight": (1024, 2048),
        "vlm.multi_modal_projector.visual_temporal_embed.pos_idx_to_embed": (100, 2048),
        f"{reader}shared.weight": (51289, 1024),
        f"{reader}encoder.embed_positions.weight": (4098, 1024),
        f"{reader}encoder.layers.11.fc2.weight": (1024, 4096),
        f"{reader}encoder.layernorm_embedding.bias": (1024,),
        "transformer.pos_emb": (1, 512, 1024),
        "transformer.blocks.23.attn.qkv.weight": (3072, 1024),
        "transformer.blocks.23.mlp.fc2.weight": (1024, 4096),
        "transformer.vlm_proj.weight": (1024, 1024),
        "transformer.aux_visual_proj.bias": (1024,),
        "transformer.norm.weight": (1024,),
        "transformer.action_encoder.fc.weight": (30, 86016),
        "transformer.action_encoder.bias.weight": (30, 1024),
        "transformer.action_decoder.fc.weight": (30, 20480),
        "transformer.action_decoder.bias.weight": (30, 20),
        "transformer.soft_prompt_hub.weight": (30, 32768),
    }
    assert {name: tuple(found[name].shape) for name in expected} == expected
    table = found["vlm.multi_modal_projector.visual_temporal_embed.pos_idx_to_embed"]
    assert sum(tensor.numel() for tensor in found.values()) - table.numel() == 879_851_096
    back = lerobot_xvla.ours(found, config.net)
    kept = {name: tuple(t.shape) for name, t in policy.state_dict().items() if "_units." not in name}
    assert {name: tuple(t.shape) for name, t in back.items()} == kept


@pytest.mark.parametrize(
    ("config", "contract", "problem"),
    [
        (x_vla.preset("tiny"), body(), "Florence-2"),
        (toy(vlm=replace(toy().vlm, vision=replace(EYE, pixels=32))), body(), "corner"),
        (toy(vlm=replace(toy().vlm, text=replace(toy().vlm.text, fill=-1))), body(), "padding"),
        (toy(clean=CleanConfig(gripper="number")), body(), "action modes"),
    ],
)
def test_what_the_other_program_cannot_say_is_refused(config, contract, problem, tmp_path):
    spec = PolicySpec(name="x_vla", size="paper", contract=contract, config=config)
    with pytest.raises(ConfigError, match=problem):
        lerobot_xvla.write(weights.Foreign(spec=spec, statistics={}, tensors={}), tmp_path / "out")
    assert not (tmp_path / "out").exists()

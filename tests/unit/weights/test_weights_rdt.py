"""RDT's public layout: equal clean actions, places of the vector of 128, published names and sizes, what is refused."""

import json
import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

pytest.importorskip("transformers", reason="the public classes are not installed")

from embodia import weights
from embodia.core.errors import CheckpointError, ConfigError, ContractError, MissingFileError
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.core.types import TokenGroup
from embodia.parts.context import Context
from embodia.parts.decoders.dit import CrossDit
from embodia.policies import rdt as policy_file
from embodia.weights import _folders, rdt

PUBLISHED = 1_228_319_872
PARTS = (("left_arm_joint_pos", 6), ("left_gripper_open", 1), ("right_arm_joint_pos", 6), ("right_gripper_open", 1))
BODY = Contract(
    observation=ObservationSpec(
        cameras=tuple(CameraSpec(name=name, height=384, width=384) for name in ("high", "right", "left")),
        state=tuple(StatePart(name=name, dim=dim) for name, dim in PARTS),
        rate_hz=25,
    ),
    action=ActionSpec(
        parts=tuple(
            ActionPart(
                name=name,
                dim=dim,
                representation="gripper" if "gripper" in name else "joint_position",
                polarity="positive_opens" if "gripper" in name else "none",
            )
            for name, dim in PARTS
        ),
        rate_hz=25,
    ),
    embodiment="aloha",
)
INDEX = [*range(50, 56), 60, *range(6), 10]


def shapes(width, depth, heads, steps, words, cells, told=(4096, 1152)):
    """Name -> shape of every tensor of a file."""
    linear = {"lang_adaptor.0": (width, told[0]), "img_adaptor.0": (width, told[1]), "state_adaptor.0": (width, 256)}
    linear |= {f"{name}.2": (width, width) for name in ("lang_adaptor", "img_adaptor", "state_adaptor")}
    linear |= {"state_adaptor.4": (width, width), "model.final_layer.ffn_final.fc1": (width, width)}
    linear["model.final_layer.ffn_final.fc2"] = (128, width)
    for name in ("t", "freq"):
        linear |= {f"model.{name}_embedder.mlp.0": (width, 256), f"model.{name}_embedder.mlp.2": (width, width)}
    found = {"model.final_layer.norm_final.weight": (width,), "model.x_pos_embed": (1, steps + 3, width)}
    found |= {"model.lang_cond_pos_embed": (1, words, width), "model.img_cond_pos_embed": (1, cells, width)}
    for block in range(depth):
        inside = f"model.blocks.{block}."
        linear |= {f"{inside}attn.qkv": (3 * width, width), f"{inside}cross_attn.kv": (2 * width, width)}
        names = ("attn.proj", "cross_attn.q", "cross_attn.proj", "ffn.fc1", "ffn.fc2")
        linear |= {f"{inside}{name}": (width, width) for name in names}
        found |= {f"{inside}norm{number}.weight": (width,) for number in (1, 2, 3)}
        for name in ("attn", "cross_attn"):
            found |= {f"{inside}{name}.{part}_norm.weight": (width // heads,) for part in "qk"}
    return found | {
        f"{n}.{leaf}": s if leaf == "weight" else s[:1] for n, s in linear.items() for leaf in ("weight", "bias")
    }


def public(t, heads, noisy, time, rate, state, language, image):
    """The clean actions (B H 128) of the published program, from named tensors; state and noisy in its 128 places."""

    def linear(x, name):
        return F.linear(x, t[f"{name}.weight"], t[f"{name}.bias"])

    def spread(x, name):
        return x * torch.rsqrt(x.var(-1, keepdim=True) + 1e-6) * t[f"{name}.weight"]

    def tanh(x):
        return F.gelu(x, approximate="tanh")

    def sines(value, name):
        angles = value[:, None].float() * torch.exp(-math.log(10000) * torch.arange(128) / 128)
        waves = torch.cat([angles.cos(), angles.sin()], dim=1)
        return linear(F.silu(linear(waves, f"model.{name}_embedder.mlp.0")), f"model.{name}_embedder.mlp.2")[:, None]

    def split(x):
        return x.unflatten(2, (heads, -1)).transpose(1, 2)

    mark = torch.zeros(128)
    mark[INDEX] = 1
    x = torch.cat([state, noisy], dim=1)
    x = torch.cat([x, mark.expand(*x.shape[:2], 128)], dim=2)
    x = linear(tanh(linear(tanh(linear(x, "state_adaptor.0")), "state_adaptor.2")), "state_adaptor.4")
    x = torch.cat([sines(time, "t"), sines(rate, "freq"), x], dim=1) + t["model.x_pos_embed"]
    told = [language + t["model.lang_cond_pos_embed"][:, : language.shape[1]], image + t["model.img_cond_pos_embed"]]
    depth = len({name.split(".")[2] for name in t if name.startswith("model.blocks.")})
    for block in range(depth):
        inside = f"model.blocks.{block}."
        q, k, v = (split(part) for part in linear(spread(x, f"{inside}norm1"), f"{inside}attn.qkv").chunk(3, dim=2))
        y = F.scaled_dot_product_attention(spread(q, f"{inside}attn.q_norm"), spread(k, f"{inside}attn.k_norm"), v)
        x = x + linear(y.transpose(1, 2).flatten(2), f"{inside}attn.proj")
        q = split(linear(spread(x, f"{inside}norm2"), f"{inside}cross_attn.q"))
        k, v = (split(part) for part in linear(told[block % 2], f"{inside}cross_attn.kv").chunk(2, dim=2))
        q, k = spread(q, f"{inside}cross_attn.q_norm"), spread(k, f"{inside}cross_attn.k_norm")
        x = x + linear(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2), f"{inside}cross_attn.proj")
        x = x + linear(tanh(linear(spread(x, f"{inside}norm3"), f"{inside}ffn.fc1")), f"{inside}ffn.fc2")
    x = spread(x, "model.final_layer.norm_final")
    return linear(tanh(linear(x, "model.final_layer.ffn_final.fc1")), "model.final_layer.ffn_final.fc2")[:, 3:]


def test_the_network_computes_what_the_public_program_does():
    torch.set_num_threads(1)
    rng = torch.Generator().manual_seed(0)
    named = shapes(64, 3, 4, 5, 6, 8, told=(20, 24))
    theirs = {name: 0.2 * torch.randn(shape, generator=rng) for name, shape in named.items()}
    theirs = {name: 1 + t if "norm" in name else t for name, t in theirs.items()}
    config = replace(policy_file.preset("paper").dit, width=64, hidden=64, depth=3, heads=4)
    net = CrossDit(config, 14, 5, state_dim=14, memories={"language": 6, "image": 8}, rate_hz=25, unified=128)
    found = rdt.ours(theirs, rdt.order(BODY, 128))
    start = "decoder.net."
    net.load_state_dict({name.removeprefix(start): t for name, t in found.items() if name.startswith(start)})
    language, image = torch.randn(2, 4, 64, generator=rng), torch.randn(2, 8, 64, generator=rng)
    state, noisy = torch.randn(2, 1, 14, generator=rng), torch.randn(2, 5, 14, generator=rng)
    groups = {"language": language, "image": image, "state": state}
    groups = {n: TokenGroup(name=n, tokens=t, mask=None, attends_to=(n,)) for n, t in groups.items()}
    wide_state, wide_noisy = torch.zeros(2, 1, 128), torch.zeros(2, 5, 128)
    wide_state[..., INDEX], wide_noisy[..., INDEX] = state, noisy
    time = torch.tensor([7, 990])
    with torch.no_grad():
        ours = net(net.condition(Context(groups=groups, cache=None)), noisy, time)
        expected = public(theirs, 4, wide_noisy, time, torch.tensor([25.0, 25.0]), wide_state, language, image)
    assert (ours - expected[..., INDEX]).abs().max() <= 1e-4 * expected.abs().max().clamp_min(1)
    back = rdt.theirs(found, rdt.order(BODY, 128))
    assert back.keys() == theirs.keys() and all(torch.equal(back[name], theirs[name]) for name in theirs)


def test_the_paper_size_has_exactly_the_published_tensors():
    named = shapes(2048, 28, 32, 64, 1024, 4374)
    assert sum(torch.Size(shape).numel() for shape in named.values()) == PUBLISHED
    with torch.device("meta"):
        policy = policy_file.build(BODY, policy_file.preset("paper"))
        theirs = {name: torch.empty(shape) for name, shape in named.items()}
    ours = {name: tuple(t.shape) for name, t in rdt.ours(theirs, rdt.order(BODY, 128)).items()}
    state = {name: tuple(t.shape) for name, t in policy.state_dict().items() if "_units." not in name}
    frozen = {name for name in state if ".trunks." in name or ".model." in name}
    assert ours == {name: shape for name, shape in state.items() if name not in frozen}
    tower = {"vision_model." + n.split(".tower.")[1]: torch.zeros(1) for n in frozen if ".tower." in n}
    read = {n.split(".model.")[1]: torch.zeros(1) for n in frozen if ".language.model." in n}
    read.pop("encoder.embed_tokens.weight")
    unread = {"text_model.x": torch.zeros(1), "vision_model.head.x": torch.zeros(1), "logit_scale": torch.zeros(1)}
    found = {**rdt.eyes({**tower, **unread}), **rdt.words({**read, "decoder.x": torch.zeros(1)})}
    assert found.keys() == frozen


def facts():
    noise = {"num_train_timesteps": 1000, "num_inference_timesteps": 5, "beta_schedule": "squaredcos_cap_v2"}
    model = {"lang_adaptor": "mlp2x_gelu", "img_adaptor": "mlp2x_gelu", "state_adaptor": "mlp3x_gelu"}
    model |= {"rdt": {"hidden_size": 2048, "depth": 28, "num_heads": 32}}
    model["noise_scheduler"] = {**noise, "prediction_type": "sample"}
    return {
        "config": model,
        "action_dim": 128,
        "state_token_dim": 128,
        "lang_token_dim": 4096,
        "img_token_dim": 1152,
        "pred_horizon": 64,
        "max_lang_cond_len": 1024,
        "img_cond_len": 4374,
        "img_pos_embed_config": [["image", [2, 3, -729]]],
    }


def test_the_public_configuration_is_the_papers(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(facts()))
    assert rdt.recognise(tmp_path)
    found = rdt.config_of(_folders.Fields(tmp_path / "config.json"))
    assert found == replace(policy_file.preset("paper"), normalization="identity")
    with pytest.raises(MissingFileError, match="safetensors"):
        rdt.read(tmp_path, BODY)
    one = replace(BODY, observation=replace(BODY.observation, cameras=BODY.observation.cameras[:1]))
    with pytest.raises(ContractError, match="3 cameras"):
        rdt.read(tmp_path, one)
    wrong = facts()
    wrong["config"]["state_adaptor"] = "linear"
    (tmp_path / "config.json").write_text(json.dumps(wrong))
    with pytest.raises(CheckpointError, match="state_adaptor"):
        rdt.read(tmp_path, BODY)


def test_places_are_found_by_name_or_refused(tmp_path):
    assert rdt.order(BODY, 128)[:14].tolist() == INDEX
    assert sorted(rdt.order(BODY, 128).tolist()) == list(range(128))
    other = replace(BODY.action.parts[0], name="elbow")
    state = (StatePart(name="elbow", dim=6), *BODY.observation.state[1:])
    strange = replace(BODY, observation=replace(BODY.observation, state=state))
    with pytest.raises(ContractError, match="same numbers"):
        rdt.order(strange, 128)
    strange = replace(strange, action=replace(BODY.action, parts=(other, *BODY.action.parts[1:])))
    with pytest.raises(ContractError, match="elbow"):
        rdt.order(strange, 128)
    spec = weights.PolicySpec(name="rdt", size="tiny", contract=BODY, config=policy_file.preset("tiny"))
    with pytest.raises(ConfigError, match="T5"):
        rdt.write(weights.Foreign(spec=spec, statistics={}, tensors={}), tmp_path / "out")

"""GR00T N1.5's layout: published names and sizes, the reader against transformers' classes, out and in again."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Qwen3Config, Qwen3Model, SiglipVisionConfig, SiglipVisionModel

from embodia import weights
from embodia.core.errors import CheckpointError, ConfigError, ContractError, MissingFileError
from embodia.core.invent import invent_observation
from embodia.core.provenance import Provenance
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.core.statistics import FeatureStatistics
from embodia.parts.backbones.cross_expert import CrossExpertConfig
from embodia.parts.backbones.hub import HubConfig
from embodia.parts.encoders.towers import TowerConfig
from embodia.policies import PolicySpec, groot_n1, make
from embodia.training import checkpoint
from embodia.weights import groot_n1_5 as layout

BODY = Contract(
    observation=ObservationSpec(
        cameras=tuple(CameraSpec(name=name, height=14, width=14) for name in ("top", "wrist")),
        state=(StatePart(name="arm", dim=3), StatePart(name="hand", dim=1)),
        rate_hz=10,
    ),
    action=ActionSpec(
        parts=(
            ActionPart(name="arm", dim=3, representation="joint_position"),
            ActionPart(name="hand", dim=1, representation="joint_position"),
        ),
        rate_hz=10,
    ),
    embodiment="gr1",
)
QWEN = HubConfig(family="qwen3", width=32, depth=2, heads=4, kv_heads=2, head_dim=8, mlp_width=48, theta=1e6)
EYE = TowerConfig(width=24, depth=2, heads=2, hidden=32, patch=7, pixels=14)
EXPERT = CrossExpertConfig(
    width=32, depth=4, heads=4, outputs=24, memory=0, adapter=2, adapter_heads=4, every=2, futures=3, state_dim=8,
    positions=16,
)  # fmt: skip
BASE = replace(layout.BASE, vlm=replace(layout.BASE.vlm, vision=EYE, model=QWEN))
SEES = "backbone.eagle_model.vision_model.vision_model."
READS = "backbone.eagle_model.language_model.model."


def toy(body="gr1"):
    vlm = replace(BASE.vlm, text=replace(BASE.vlm.text, vocabulary=300))
    return replace(BASE, chunk=5, vlm=vlm, expert=EXPERT, bodies=layout.others(body, 32), padded=6)


def stored(folder, contract=BODY):
    numbers = {"mean": (0.5,) * 4, "std": (2.0,) * 4, "minimum": (-3.0, -2.0, -1.0, 0.0), "maximum": (4.0,) * 4}
    known = dict.fromkeys(("state", "action"), FeatureStatistics(count=1, **numbers, q01=(-2.0,) * 4, q99=(3.0,) * 4))
    spec = PolicySpec(name="groot_n1", size="paper", contract=contract, config=toy(contract.embodiment))
    policy = make(spec, known, seed=1)
    origin = Provenance(environment="unknown", profile="faithful", cameras=("top", "wrist"))
    card = checkpoint.Card(policy=spec, provenance=origin, statistics=known)
    checkpoint.write(folder, tensors={"model": policy.state_dict()}, facts={"step": 0}, card=card)
    return policy.eval()


@pytest.fixture
def theirs(monkeypatch, tmp_path):
    monkeypatch.setattr(layout, "BASE", BASE)
    policy = stored(tmp_path / "ours")
    weights.hand_out(tmp_path / "ours", tmp_path / "theirs", "groot_n1_5")
    return policy, tmp_path / "theirs"


def edit(file, path, value):
    facts = json.loads(file.read_text())
    place = facts
    for name in path[:-1]:
        place = place[name]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    file.write_text(json.dumps(facts))


def test_published_names_and_shapes():
    with torch.device("meta"):
        policy = make(PolicySpec(name="groot_n1", size="paper", contract=BODY, config=layout.BASE))
    found = layout.theirs(policy.state_dict(), 24)
    head = "action_head."
    expected = {
        f"{head}state_encoder.layer1.W": (32, 64, 1024),
        f"{head}action_encoder.W2.W": (32, 3072, 1536),
        f"{head}action_decoder.layer2.b": (32, 32),
        f"{head}future_tokens.weight": (32, 1536),
        f"{head}position_embedding.weight": (1024, 1536),
        f"{head}vl_self_attention.transformer_blocks.3.attn1.to_out.0.weight": (2048, 2048),
        f"{head}model.transformer_blocks.14.attn1.to_k.weight": (1536, 2048),
        f"{head}model.transformer_blocks.15.attn1.to_k.weight": (1536, 1536),
        f"{head}model.transformer_blocks.0.norm1.linear.weight": (3072, 1536),
        f"{head}model.timestep_encoder.timestep_embedder.linear_1.weight": (1536, 256),
        f"{head}model.proj_out_2.weight": (1024, 1536),
        "backbone.eagle_model.mlp1.0.weight": (2048, 1152),
        f"{READS}layers.11.self_attn.q_norm.weight": (128,),
        f"{READS}embed_tokens.weight": (151680, 2048),
        f"{SEES}encoder.layers.26.mlp.fc1.weight": (4304, 1152),
        f"{SEES}head.probe": (1, 1, 1152),
    }
    assert {name: tuple(found[name].shape) for name in expected} == expected

    def count(*beginnings):
        return sum(tensor.numel() for name, tensor in found.items() if name.startswith(beginnings))

    assert count("") == 2_724_163_520
    assert count(f"{head}model.") == 550_386_688 and count(f"{head}vl_self_attention.") == 201_433_088
    back = layout.ours(found, 24)
    assert {n: t.shape for n, t in back.items()} == {
        n: t.shape for n, t in policy.state_dict().items() if "_units." not in n
    }


def test_out_and_in_again_acts_alike(theirs, tmp_path):
    policy, folder = theirs
    assert weights.recognise(folder) is layout
    weights.bring_in(folder, tmp_path / "back", BODY)
    back, spec, _ = checkpoint.load_policy(tmp_path / "back")
    assert spec.config == toy() and spec.config.bodies[0] == "slot_0" and "oxe_droid" in spec.config.bodies
    for name, tensor in policy.state_dict().items():
        assert torch.allclose(back.state_dict()[name], tensor), name
    seen = invent_observation(BODY, 2)
    first, second = (each.act(seen, None, torch.Generator().manual_seed(0))[0].actions for each in (policy, back))
    np.testing.assert_allclose(second, first, atol=1e-6)


def test_a_body_lies_in_its_slot(theirs):
    policy, folder = theirs
    stored_weights = load_file(folder / "model.safetensors")
    ours, name = policy.state_dict()["decoder.velocity.state.first.weight"], "action_head.state_encoder.layer1.W"
    assert torch.equal(stored_weights[name][24], ours[0])
    assert torch.equal(stored_weights[name][:24], ours[1:25]) and torch.equal(stored_weights[name][25:], ours[25:])
    hand = policy.state_dict()["decoder.velocity.hand.second.weight"][0]
    assert torch.equal(stored_weights["action_head.action_decoder.layer2.W"][24], -hand)
    stranger = layout.ours(stored_weights, layout.SLOTS["new_embodiment"])
    assert torch.equal(stranger["decoder.velocity.state.first.weight"][0], stored_weights[name][31])


def test_the_reader_is_eagle_in_its_chat(theirs):
    policy, folder = theirs
    tensors = load_file(folder / "model.safetensors")
    seen = replace(invent_observation(BODY, 1), instruction=("Lift it",))
    siglip = SiglipVisionModel(SiglipVisionConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, patch_size=7, image_size=14,
        vision_use_head=False,
    )).eval()  # fmt: skip
    eye = {n.removeprefix(SEES): t for n, t in tensors.items() if n.startswith(SEES) and ".head." not in n}
    nested = any(name.startswith("vision_model.") for name in siglip.state_dict())
    siglip.load_state_dict({f"vision_model.{n}" if nested else n: t for n, t in eye.items()})
    qwen = Qwen3Model(Qwen3Config(
        vocab_size=300, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
        intermediate_size=48, rope_parameters={"rope_type": "default", "rope_theta": 1e6}, rms_norm_eps=1e-6,
    )).eval()  # fmt: skip
    qwen.load_state_dict({n.removeprefix(READS): t for n, t in tensors.items() if n.startswith(READS)})

    def said(text):
        return qwen.embed_tokens(torch.tensor([list(text.encode())]))

    linear = [tensors[f"backbone.eagle_model.mlp1.0.{leaf}"] for leaf in ("weight", "bias")]
    row = [said("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n")]
    for number, picture in enumerate(seen.images.values(), start=1):
        pixels = torch.from_numpy(picture[:, -1]).permute(0, 3, 1, 2) / 127.5 - 1
        cells = torch.nn.functional.linear(siglip(pixel_values=pixels).last_hidden_state, *linear)
        row += [said(f"<image {number}><img>"), cells, said("</img>")]
    row.append(said("Lift it<|im_end|>\n<|im_start|>assistant\n"))
    with torch.no_grad():
        expected = qwen(inputs_embeds=torch.cat(row, dim=1)).last_hidden_state
        groups = policy.context(seen).groups
    found = torch.cat([groups[name].tokens for name in ("opening", "image", "language")], dim=1)
    torch.testing.assert_close(found[:, : expected.shape[1]], expected, atol=1e-4, rtol=1e-4)
    assert policy.decoder.velocity.read[:3] == ("opening", "image", "language")


def test_times_are_told_as_the_program_tells_them(theirs):
    policy, folder = theirs
    tensors, expert = load_file(folder / "model.safetensors"), policy.decoder.velocity
    clock, acted = torch.tensor([250.0]), torch.randn(1, 5, 6)
    angles = clock[:, None] * torch.exp(-torch.arange(16) * (np.log(10000.0) / 16))
    features = torch.cat([angles.sin(), angles.cos()], dim=-1)[:, None].expand(-1, 5, -1)
    encoder = "action_head.action_encoder."
    layers = [(tensors[f"{encoder}W{k}.W"][24], tensors[f"{encoder}W{k}.b"][24]) for k in (1, 2, 3)]
    x = torch.cat([acted @ layers[0][0] + layers[0][1], features], dim=-1) @ layers[1][0] + layers[1][1]
    expected = torch.nn.functional.silu(x) @ layers[2][0] + layers[2][1]
    expected = expected + tensors["action_head.position_embedding.weight"][:5]
    condition = expert.condition(policy.context(invent_observation(BODY, 1)))
    tokens, moment = expert._tokens(condition, acted, torch.tensor([0.75]))
    torch.testing.assert_close(tokens[:, -5:], expected, atol=1e-5, rtol=1e-5)
    half = clock[:, None] * torch.exp(-torch.arange(128) * (np.log(10000.0) / 127))
    embedder = "action_head.model.timestep_encoder.timestep_embedder.linear_"
    first, second = ([tensors[f"{embedder}{k}.{leaf}"] for leaf in ("weight", "bias")] for k in (1, 2))
    told = torch.nn.functional.linear(torch.cat([half.cos(), half.sin()], dim=-1), *first)
    torch.testing.assert_close(
        moment, torch.nn.functional.linear(torch.nn.functional.silu(told), *second), atol=1e-5, rtol=1e-5
    )


def test_every_tensor_is_accounted_for(theirs, tmp_path):
    _, folder = theirs
    file = folder / "model.safetensors"
    tensors = load_file(file)
    value = "action_head.model.transformer_blocks.0.attn1.to_v.weight"
    for changed, problem in (
        ({**tensors, "action_head.strange": torch.zeros(1)}, "strange"),
        ({name: tensor for name, tensor in tensors.items() if name != value}, "to_v"),
        ({name: tensor for name, tensor in tensors.items() if "mlp1" not in name}, "project"),
    ):
        save_file(changed, file)
        with pytest.raises(CheckpointError, match=problem):
            weights.bring_in(folder, tmp_path / "back", BODY)
    tied = {name: tensor for name, tensor in tensors.items() if "embed_tokens" not in name and ".head." not in name}
    save_file(tied, file)
    weights.bring_in(folder, tmp_path / "back", BODY)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("backbone_cfg", "select_layer"), 3),
        (("backbone_cfg", "reproject_vision"), True),
        (("action_head_cfg", "use_vlln"), False),
        (("action_head_cfg", "num_timestep_buckets"), 100),
        (("action_head_cfg", "diffusion_model_cfg", "norm_type"), "layer_norm"),
        (("action_head_cfg", "diffusion_model_cfg", "attention_head_dim"), 5),
        (("action_head_cfg", "hidden_size"), None),
    ],
)
def test_settings_that_cannot_be_built_are_named(theirs, tmp_path, path, value):
    _, folder = theirs
    edit(folder / "config.json", path, value)
    with pytest.raises(CheckpointError) as caught:
        weights.bring_in(folder, tmp_path / "back", BODY)
    assert caught.value.leaf == ".".join(path) and str(caught.value.file).endswith("config.json")


def test_units_go_by_the_names_of_parts(theirs, tmp_path):
    _, folder = theirs
    file = folder / layout.UNITS
    found = layout.statistics(file, BODY)
    assert found["action"].minimum == (-3.0, -2.0, -1.0, 0.0) and found["state"].q99 == (3.0,) * 4
    edit(file, ("gr1", "statistics", "action", "hand", "min"), [1.0, 2.0])
    with pytest.raises(ContractError, match="1 numbers"):
        layout.statistics(file, BODY)
    edit(file, ("gr1", "statistics", "action", "hand"), None)
    with pytest.raises(ContractError) as caught:
        layout.statistics(file, BODY)
    assert caught.value.leaf == "action.hand"
    with pytest.raises(ContractError, match="dog"):
        layout.statistics(file, replace(BODY, embodiment="dog"))
    file.unlink()
    with pytest.raises(MissingFileError):
        layout.statistics(file, BODY)


@pytest.mark.parametrize("change", ["memory", "plain", "few"])
def test_what_the_other_program_cannot_say_is_refused(theirs, tmp_path, change):
    policy, _ = theirs
    config = {
        "memory": replace(toy(), expert=replace(EXPERT, memory=16)),
        "plain": replace(toy(), vlm=replace(toy().vlm, text=replace(toy().vlm.text, heading=""))),
        "few": replace(toy(), expert=replace(EXPERT, bodies=4)),
    }[change]
    spec = PolicySpec(name="groot_n1", size="paper", contract=BODY, config=config)
    foreign = weights.Foreign(spec=spec, statistics={}, tensors=policy.state_dict())
    with pytest.raises(ConfigError):
        layout.write(foreign, tmp_path / "out")


def test_the_preset_is_the_published_one():
    assert groot_n1.n1_5().vlm == layout.BASE.vlm and layout.BASE.foresight is None

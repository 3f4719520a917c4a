"""openpi's layouts of pi0 and pi0.5: published names and sizes, both ways, the same policy as LeRobot's, bad files."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

pytest.importorskip("transformers", reason="the public classes are not installed")

from embodia import weights
from embodia.core.errors import CheckpointError, ConfigError, ContractError
from embodia.core.invent import invent_observation
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.policies import pi0, pi05
from embodia.training import checkpoint
from embodia.weights import _pi0

PUBLISHED = {"pi0": 3_238_048_528, "pi05": 3_353_433_872}
BODY = Contract(
    observation=ObservationSpec(
        cameras=tuple(CameraSpec(name=name, height=28, width=28) for name in ("base", "wrist")),
        state=(StatePart(name="joint", dim=3),),
        rate_hz=10,
    ),
    action=ActionSpec(
        parts=(ActionPart(name="joint", dim=3, representation="joint_position", low=-99, high=99),), rate_hz=10
    ),
    embodiment="droid",
)
# width, depth, mlp width, heads, width of a head: reader and expert; the tower's width, depth, hidden, cells
SMALL = {"reader": (64, 4, 128, 8, 16), "expert": (64, 4, 128, 8, 16), "tower": (32, 2, 48, 4), "words": 480, "dim": 8}
PAPER = {"reader": (2048, 18, 16384, 8, 256), "expert": (1024, 18, 4096, 8, 256), "tower": (1152, 27, 4304, 256)}
PAPER |= {"words": 257152, "dim": 32}
VLM, EXPERT = "paligemma_with_expert.paligemma.", "paligemma_with_expert.gemma_expert."
ROW = {"mean": [0.1, 0.2, 0.3], "std": [1.0, 2.0, 3.0], "q01": [-1.0, -2.0, -3.0], "q99": [1.5, 2.5, 3.5]}


def gemma(start, sizes, adaptive):
    width, depth, hidden, heads, head = sizes
    found = {}
    for layer in range(depth):
        inside = f"{start}layers.{layer}."
        for name, shape in (("q", (heads * head, width)), ("k", (head, width)), ("v", (head, width))):
            found[f"{inside}self_attn.{name}_proj.weight"] = shape
        found[f"{inside}self_attn.o_proj.weight"] = (width, heads * head)
        for name, shape in (("gate", (hidden, width)), ("up", (hidden, width)), ("down", (width, hidden))):
            found[f"{inside}mlp.{name}_proj.weight"] = shape
    norms = [
        f"{start}layers.{i}.{name}" for i in range(depth) for name in ("input_layernorm", "post_attention_layernorm")
    ]
    for name in (*norms, f"{start}norm"):
        if adaptive:
            found |= {f"{name}.dense.weight": (3 * width, width), f"{name}.dense.bias": (3 * width,)}
        else:
            found[f"{name}.weight"] = (width,)
    return found


def shapes(kind, sizes):
    """Name -> shape of what openpi's class computes with, words once."""
    width, depth, hidden, cells = sizes["tower"]
    reader, expert, dim = sizes["reader"][0], sizes["expert"][0], sizes["dim"]
    tower = f"{VLM}model.vision_tower.vision_model."
    linear = {f"{VLM}model.multi_modal_projector.linear": (reader, width), "action_in_proj": (expert, dim)}
    linear |= {"action_out_proj": (dim, expert)}
    if kind == "pi0":
        linear |= {"state_proj": (expert, dim), "action_time_mlp_in": (expert, 2 * expert)}
        linear |= {"action_time_mlp_out": (expert, expert)}
    else:
        linear |= {"time_mlp_in": (expert, expert), "time_mlp_out": (expert, expert)}
    for layer in range(depth):
        inside = f"{tower}encoder.layers.{layer}."
        linear |= {f"{inside}self_attn.{name}": (width, width) for name in ("q_proj", "k_proj", "v_proj", "out_proj")}
        linear |= {f"{inside}mlp.fc1": (hidden, width), f"{inside}mlp.fc2": (width, hidden)}
        linear |= {f"{inside}layer_norm{number}": (width,) for number in (1, 2)}
    linear[f"{tower}post_layernorm"] = (width,)
    found = {
        f"{name}.{leaf}": s if leaf == "weight" else s[:1] for name, s in linear.items() for leaf in ("weight", "bias")
    }
    found[f"{tower}embeddings.patch_embedding.weight"] = (width, 3, 14, 14)
    found[f"{tower}embeddings.patch_embedding.bias"] = (width,)
    found[f"{tower}embeddings.position_embedding.weight"] = (cells, width)
    found[f"{VLM}model.language_model.embed_tokens.weight"] = (sizes["words"], reader)
    found |= gemma(f"{VLM}model.language_model.", sizes["reader"], adaptive=False)
    return found | gemma(f"{EXPERT}model.", sizes["expert"], adaptive=kind == "pi05")


@pytest.fixture(params=["pi0", "pi05"])
def published(request, tmp_path):
    """A folder as the converter writes it: words stored once under the head's name, a silent head of the expert."""
    torch.set_num_threads(1)
    rng, theirs = torch.Generator().manual_seed(0), tmp_path / "theirs"
    tensors = {n: 0.1 * torch.randn(s, generator=rng) for n, s in shapes(request.param, SMALL).items()}
    stored = {**tensors, f"{EXPERT}lm_head.weight": torch.zeros(480, 64)}
    stored[f"{VLM}lm_head.weight"] = stored.pop(f"{VLM}model.language_model.embed_tokens.weight")
    (theirs / "assets" / "droid").mkdir(parents=True)
    save_file(stored, theirs / "model.safetensors")
    facts = {"action_dim": 8, "action_horizon": 4, "paligemma_variant": "dummy", "action_expert_variant": "dummy"}
    (theirs / "config.json").write_text(json.dumps({**facts, "precision": "float32"}))
    units = {"norm_stats": {"state": ROW, "actions": ROW}}
    (theirs / "assets" / "droid" / "norm_stats.json").write_text(json.dumps(units))
    return request.param, tmp_path, tensors


def test_in_and_out_again_are_the_same_tensors(published):
    kind, folder, tensors = published
    assert weights.recognise(folder / "theirs").__name__.endswith(f"openpi_{kind}")
    card = weights.bring_in(folder / "theirs", folder / "ours", BODY)
    assert card.statistics["action"].std == (1.0, 2.0, 3.0) and card.statistics["state"].q99 == (1.5, 2.5, 3.5)
    weights.hand_out(folder / "ours", folder / "again", f"openpi_{kind}")
    again = load_file(folder / "again" / "model.safetensors")
    assert again.keys() - tensors.keys() == {f"{VLM}lm_head.weight", f"{EXPERT}lm_head.weight"}
    assert all(torch.equal(again[name], tensors[name]) for name in tensors)
    weights.bring_in(folder / "again", folder / "back", BODY)
    policies = [checkpoint.load_policy(folder / name)[0] for name in ("ours", "back")]
    seen = invent_observation(BODY, 1)
    first, second = (p.act(seen, None, torch.Generator().manual_seed(0))[0].actions for p in policies)
    np.testing.assert_array_equal(first, second)
    assert np.isfinite(first).all()


def test_names_are_those_of_lerobot_but_for_their_beginning(published):
    kind, _, tensors = published
    ours = _pi0.read(tensors, _pi0.OPENPI if kind == "pi0" else _pi0.OPENPI_PI05)
    theirs = {f"model.{name}": tensor for name, tensor in tensors.items()}
    other = _pi0.read(theirs, _pi0.LEROBOT if kind == "pi0" else _pi0.LEROBOT_PI05)
    assert ours.keys() == other.keys() and all(torch.equal(ours[name], other[name]) for name in ours)


@pytest.mark.parametrize("kind", PUBLISHED)
def test_the_paper_size_has_exactly_the_published_tensors(kind):
    named = shapes(kind, PAPER)
    assert sum(torch.Size(shape).numel() for shape in named.values()) == PUBLISHED[kind]
    layout, config = (_pi0.OPENPI, pi0.preset("paper")) if kind == "pi0" else (_pi0.OPENPI_PI05, pi05.preset("paper"))
    with torch.device("meta"):
        policy = (pi0 if kind == "pi0" else pi05).build(BODY, config)
        ours = _pi0.read({name: torch.empty(shape) for name, shape in named.items()}, layout)
    state = {name: tuple(t.shape) for name, t in policy.state_dict().items() if "_units." not in name}
    assert {name: tuple(tensor.shape) for name, tensor in ours.items()} == state


def test_bad_checkpoints_and_other_bodies_are_named(published):
    _, folder, _ = published
    theirs, file = folder / "theirs", folder / "theirs" / "model.safetensors"
    two = replace(BODY, action=replace(BODY.action, parts=(replace(BODY.action.parts[0], dim=5),)))
    with pytest.raises(ContractError, match=r"norm_stats\.actions"):
        weights.bring_in(theirs, folder / "ours", two)
    (theirs / "assets" / "other").mkdir()
    (theirs / "assets" / "other" / "norm_stats.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"assets/other"):
        weights.bring_in(theirs, folder / "ours", replace(BODY, embodiment="unheard"))
    good = load_file(file)
    save_file({**good, "stray.weight": torch.zeros(1)}, file)
    with pytest.raises(CheckpointError, match=r"stray\.weight"):
        weights.bring_in(theirs, folder / "ours", BODY)
    save_file({name: tensor for name, tensor in good.items() if name != "action_out_proj.bias"}, file)
    with pytest.raises(CheckpointError, match="action_out"):
        weights.bring_in(theirs, folder / "ours", BODY)
    facts = json.loads((theirs / "config.json").read_text())
    (theirs / "config.json").write_text(json.dumps({**facts, "paligemma_variant": "gemma_2b_lora"}))
    with pytest.raises(CheckpointError, match="paligemma_variant"):
        weights.bring_in(theirs, folder / "ours", BODY)


@pytest.mark.parametrize(("kind", "file"), [("pi0", pi0), ("pi05", pi05)])
def test_what_openpi_cannot_say_is_refused(kind, file, tmp_path):
    spec = weights.PolicySpec(name=kind, size="tiny", contract=BODY, config=file.preset("tiny"))
    with pytest.raises(ConfigError, match="SigLIP"):
        weights.FOLDER.load(f"openpi_{kind}").write(
            weights.Foreign(spec=spec, statistics={}, tensors={}), tmp_path / "x"
        )

"""CogACT's public layout: equal hidden state and noise, out and in again, published names and sizes, bad files."""

import json
import math
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

pytest.importorskip("transformers", reason="the public classes are not installed")

from embodia import weights
from embodia.core.errors import CheckpointError, ConfigError, ContractError
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec
from embodia.core.types import Observation
from embodia.policies import cogact as policy_file
from embodia.training import checkpoint
from embodia.weights import _prismatic, cogact

sys.path.insert(0, str(Path(__file__).parent))
import prismatic_layout as layout

BODY = Contract(
    observation=ObservationSpec(cameras=(CameraSpec(name="front", height=28, width=28),), state=(), rate_hz=5),
    action=ActionSpec(
        parts=(ActionPart(name="move", dim=7, representation="ee_position_delta", low=-99, high=99),), rate_hz=5
    ),
    embodiment="fractal",
)
ROW = {"mean": [0.0] * 7, "std": [1.0] * 7, "min": [-3.0] * 7, "max": [3.0] * 7, "q01": [-2.0] * 7, "q99": [2.0] * 7}
STATISTICS = {"fractal": {"action": {**ROW, "mask": [True] * 6 + [False]}, "num_transitions": 3}}
SENTENCE = "Pick UP the can"


def head_shapes(width, depth, told, steps=16, dim=7):
    """Names and shapes of the action model."""
    linear = {
        "history_embedder.linear": (width, dim),
        "x_embedder.linear": (width, dim),
        "t_embedder.mlp.0": (width, 256),
    }
    linear |= {
        "t_embedder.mlp.2": (width, width),
        "z_embedder.linear": (width, told),
        "final_layer.linear": (dim, width),
    }
    for block in range(depth):
        inside = f"blocks.{block}."
        linear |= {f"{inside}attn.qkv": (3 * width, width), f"{inside}attn.proj": (width, width)}
        linear |= {f"{inside}mlp.fc1": (4 * width, width), f"{inside}mlp.fc2": (width, 4 * width)}
    named = {
        f"{name}.{leaf}": s if leaf == "weight" else s[:1] for name, s in linear.items() for leaf in ("weight", "bias")
    }
    named |= {"positional_embedding": (steps + 1, width), "z_embedder.uncondition": (1, told)}
    return {f"action_model.net.{name}": shape for name, shape in named.items()}


def native(named):
    """Names of the Hugging Face layout as CogACT's own program has them."""
    found = {}
    for name, value in named.items():
        plain = name.replace("vision_backbone.featurizer", "vision_backbone.dino_featurizer")
        plain = plain.replace("fused_featurizer", "siglip_featurizer").replace("scale_factor", "gamma")
        plain = plain.replace("language_model.", "llm_backbone.llm.")
        found[re.sub(r"^projector\.fc(\d)", lambda m: f"projector.projector.{(int(m[1]) - 1) * 2}", plain)] = value
    return found


@pytest.fixture(scope="module")
def tensors():
    torch.set_num_threads(1)
    return layout.invent(layout.shapes(layout.SMALL)), layout.invent(head_shapes(384, 6, 32), 5)


@pytest.fixture
def published(tmp_path, tensors):
    theirs = tmp_path / "theirs"
    (theirs / "checkpoints").mkdir(parents=True)
    facts = {"vla": {"base_vlm": "prism-dinosiglip-224px+7b"}, "image_sizes": [28, 28]}
    facts["text_config"] = {"num_attention_heads": 4}
    (theirs / "config.json").write_text(json.dumps(facts))
    (theirs / "dataset_statistics.json").write_text(json.dumps(STATISTICS))
    groups = {}
    for name, tensor in {**native(tensors[0]), **tensors[1]}.items():
        group, rest = name.split(".", 1)
        groups.setdefault(group, {})[rest] = tensor
    torch.save({"model": groups}, theirs / "checkpoints" / "CogACT-Small.pt")
    return tmp_path


def seen():
    picture = np.random.default_rng(0).integers(0, 256, (1, 1, 28, 28, 3), dtype=np.uint8)
    return Observation(images={"front": picture}, instruction=(SENTENCE,))


def noise_of(net, noisy, time, told):
    """The action model: one token of time and condition before the actions, plain blocks, plain norms."""
    t = {name.removeprefix("action_model.net."): tensor for name, tensor in net.items()}

    def linear(x, name):
        return F.linear(x, t[f"{name}.weight"], t[f"{name}.bias"])

    angles = time[:, None].float() * torch.exp(-math.log(10000) * torch.arange(128) / 128)
    waves = torch.cat([angles.cos(), angles.sin()], dim=1)
    when = linear(F.silu(linear(waves, "t_embedder.mlp.0")), "t_embedder.mlp.2")
    x = torch.cat([when[:, None] + linear(told, "z_embedder.linear"), linear(noisy, "x_embedder.linear")], dim=1)
    x = x + t["positional_embedding"]
    for block in range(6):
        y = F.layer_norm(x, x.shape[-1:], eps=1e-6)
        qkv = linear(y, f"blocks.{block}.attn.qkv").unflatten(2, (3, 4, 96)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(*qkv).transpose(1, 2).flatten(2)
        x = x + linear(y, f"blocks.{block}.attn.proj")
        y = F.gelu(linear(F.layer_norm(x, x.shape[-1:], eps=1e-6), f"blocks.{block}.mlp.fc1"), approximate="tanh")
        x = x + linear(y, f"blocks.{block}.mlp.fc2")
    return linear(F.layer_norm(x, x.shape[-1:], eps=1e-6), "final_layer.linear")[:, 1:]


def test_an_imported_policy_computes_what_the_public_program_does(published, tensors):
    assert weights.recognise(published / "theirs") is cogact
    weights.bring_in(published / "theirs", published / "ours", BODY)
    policy, spec, _ = checkpoint.load_policy(published / "ours")
    assert spec.config.net == policy_file.ACTION_MODELS["small"] and spec.config.chunk == 16
    public = layout.Reference(tensors[0], layout.SMALL)
    for norm in (module for module in public.llama.modules() if hasattr(module, "variance_epsilon")):
        norm.variance_epsilon = 1e-5
    noisy = torch.randn(1, 16, 7, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        ids = [*layout.prompt(SENTENCE), 29871, 2]
        sequence = torch.cat([public.words([1]), public.image(seen().images["front"][:, 0]), public.words(ids)], dim=1)
        told = public.run(sequence)[0][:, -1:]
        context = policy.context(seen())
        assert (context.groups["cognition"].tokens - told).abs().max() <= 1e-4
        condition, _ = policy.decoder.condition(context)
        for time in (0, 37, 99):
            ours = policy.decoder.net(condition, noisy, torch.tensor([time]))
            theirs = noise_of(tensors[1], noisy, torch.tensor([time]), told)
            assert (ours - theirs).abs().max() <= 1e-4 * theirs.abs().max().clamp_min(1)


def test_out_and_in_again_is_the_same(published, tensors):
    weights.bring_in(published / "theirs", published / "ours", BODY)
    weights.hand_out(published / "ours", published / "again", "cogact")
    assert cogact._tensors(published / "again").keys() == (native(tensors[0]) | tensors[1]).keys()
    weights.bring_in(published / "again", published / "back", BODY)
    first, second = (checkpoint.load_policy(published / name)[0].state_dict() for name in ("ours", "back"))
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_the_paper_size_has_exactly_the_published_tensors():
    head = head_shapes(768, 12, 4096)
    count = sum(torch.Size(shape).numel() for shape in head.values())
    assert 88e6 < count < 90e6, "the public action model of 89 M"
    with torch.device("meta"):
        policy = policy_file.build(BODY, policy_file.preset("paper"))
        vlm = native({name: torch.empty(shape) for name, shape in layout.shapes(layout.PAPER).items()})
        both = _prismatic.ours(cogact.renamed(vlm), policy_file.preset("paper").vlm)
        both |= cogact.ours({name: torch.empty(shape) for name, shape in head.items()})
        back = cogact.theirs(both, policy_file.preset("paper"))
    state = {name: tuple(t.shape) for name, t in policy.state_dict().items() if "_units." not in name}
    assert {name: tuple(tensor.shape) for name, tensor in both.items()} == state
    expected = {**native(layout.shapes(layout.PAPER)), **head}
    assert {name: tuple(tensor.shape) for name, tensor in back.items()} == expected


def test_bad_checkpoints_other_bodies_and_designs_are_refused(published, tmp_path, tensors):
    theirs = published / "theirs"
    two = replace(BODY.observation, cameras=(*BODY.observation.cameras, CameraSpec(name="b", height=28, width=28)))
    with pytest.raises(ContractError, match="one camera"):
        weights.bring_in(theirs, published / "ours", replace(BODY, observation=two))
    file = theirs / "checkpoints" / "CogACT-Small.pt"
    good = torch.load(file, weights_only=True)["model"]
    for group, name in (("vision_backbone", "clip_featurizer.x"), ("action_model", "net.extra")):
        torch.save({"model": {**good, group: {**good[group], name: torch.zeros(1)}}}, file)
        with pytest.raises(CheckpointError, match=name.replace(".", r"\.")):
            weights.bring_in(theirs, published / "ours", BODY)
    (theirs / "config.json").write_text(json.dumps({"vla": {"base_vlm": "prism-clip-224px+7b"}}))
    with pytest.raises(CheckpointError, match="base_vlm"):
        weights.bring_in(theirs, published / "ours", BODY)
    spec = weights.PolicySpec(name="cogact", size="tiny", contract=BODY, config=policy_file.preset("tiny"))
    with pytest.raises(ConfigError, match="last piece"):
        cogact.write(weights.Foreign(spec=spec, statistics={}, tensors={}), tmp_path / "out")

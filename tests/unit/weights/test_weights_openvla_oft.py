"""OpenVLA-OFT's public layout: equal chunks, files of torch read as tensors alone, published names and sizes."""

import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler

pytest.importorskip("transformers", reason="the public classes are not installed")

from embodia import weights
from embodia.core.errors import CheckpointError, ConfigError, ContractError, CorruptFileError, MissingFileError
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.core.types import Observation
from embodia.policies import openvla_oft
from embodia.training import checkpoint
from embodia.weights import _folders, _prismatic
from embodia.weights import openvla_oft as oft

sys.path.insert(0, str(Path(__file__).parent))
import prismatic_layout as layout

STEPS, DIM, STATE = 3, 4, 5
BODY = Contract(
    observation=ObservationSpec(
        cameras=tuple(CameraSpec(name=name, height=28, width=28) for name in ("front", "hand")),
        state=(StatePart(name="joint", dim=STATE),),
        rate_hz=5,
    ),
    action=ActionSpec(
        parts=(ActionPart(name="move", dim=DIM, representation="ee_position_delta", low=-99, high=99),),
        rate_hz=5,
        chunk=STEPS,
    ),
    embodiment="libero",
)
SENTENCE = "Open the Drawer"


def units(dim):
    row = {"mean": [0.1] * dim, "std": [1.0] * dim, "min": [-3.0] * dim, "max": [3.0] * dim}
    return {**row, "q01": [-2.0 - i for i in range(dim)], "q99": [1.5 + i for i in range(dim)]}


STATISTICS = {"libero": {"action": units(DIM), "proprio": units(STATE), "num_transitions": 9}}


def beside(width, dim, state, hidden):
    """Names and shapes of the two files beside the model."""
    head = {"layer_norm1": (width * dim,), "fc1": (hidden, width * dim), "layer_norm2": (hidden,), "fc2": (dim, hidden)}
    head |= {f"mlp_resnet_blocks.{block}.ffn.0": (hidden,) for block in range(2)}
    head |= {f"mlp_resnet_blocks.{block}.ffn.1": (hidden, hidden) for block in range(2)}
    linear = {"action_head": {f"model.{name}": shape for name, shape in head.items()}}
    linear["proprio_projector"] = {"fc1": (width, state), "fc2": (width, width)}
    return {
        file: {
            f"{name}.{leaf}": shape if leaf == "weight" else shape[:1]
            for name, shape in parts.items()
            for leaf in ("weight", "bias")
        }
        for file, parts in linear.items()
    }


@pytest.fixture(scope="module")
def tensors():
    torch.set_num_threads(1)
    found = layout.invent(layout.shapes(layout.SMALL))
    return found, {file: layout.invent(named, 3) for file, named in beside(32, DIM, STATE, 24).items()}


@pytest.fixture
def published(tmp_path, tensors):
    layout.write(tmp_path / "theirs", tensors[0], layout.config(layout.SMALL), files=1)
    (tmp_path / "theirs" / "dataset_statistics.json").write_text(json.dumps(STATISTICS))
    for file, part in tensors[1].items():
        named = {f"module.{name}": tensor for name, tensor in part.items()}
        torch.save(named, tmp_path / "theirs" / f"{file}--50000_checkpoint.pt")
    return tmp_path


def seen():
    rng = np.random.default_rng(0)
    pictures = {name: rng.integers(0, 256, (1, 1, 28, 28, 3), dtype=np.uint8) for name in ("front", "hand")}
    state = rng.normal(size=(1, 1, STATE)).astype(np.float32)
    return Observation(images=pictures, state=state, instruction=(SENTENCE,))


@torch.no_grad()
def public_chunk(tensors):
    """What the public program computes: silent placeholders between two pieces, everything sees everything."""
    public, (head, projector) = layout.Reference(tensors[0], layout.SMALL), tensors[1].values()
    public.told = public.words([1, *layout.prompt(SENTENCE), 29871, 2]).mean(1)
    observation = seen()
    low, high = (torch.tensor(STATISTICS["libero"]["proprio"][name]) for name in ("q01", "q99"))
    state = 2 * (torch.from_numpy(observation.state[:, 0]) - low) / (high - low) - 1
    state = F.linear(F.gelu(F.linear(state, projector["fc1.weight"], projector["fc1.bias"])), projector["fc2.weight"])
    state = (state + projector["fc2.bias"])[:, None]
    eyes = [public.image(observation.images[name][:, 0]) for name in ("front", "hand")]
    before = torch.cat([public.words([1]), *eyes, state, public.words([*layout.prompt(SENTENCE), 29871])], dim=1)
    places = torch.zeros(1, STEPS * DIM, before.shape[2])
    hidden, _ = public.run(torch.cat([before, places, public.words([2])], dim=1), full=True)
    x = hidden[:, before.shape[1] - 1 :][:, : STEPS * DIM].reshape(1, STEPS, -1)
    for name in ("layer_norm1", "fc1", 0, 1, "layer_norm2", "fc2"):
        if isinstance(name, int):
            inside = f"model.mlp_resnet_blocks.{name}.ffn."
            y = F.layer_norm(x, x.shape[-1:], head[f"{inside}0.weight"], head[f"{inside}0.bias"])
            x = x + torch.relu(F.linear(y, head[f"{inside}1.weight"], head[f"{inside}1.bias"]))
        elif name.startswith("layer"):
            x = F.layer_norm(x, x.shape[-1:], head[f"model.{name}.weight"], head[f"model.{name}.bias"])
        else:
            x = F.linear(x, head[f"model.{name}.weight"], head[f"model.{name}.bias"])
            x = torch.relu(x) if name == "fc1" else x
    return x


def test_an_imported_policy_acts_like_the_public_program(published, tensors):
    assert weights.recognise(published / "theirs") is oft
    weights.bring_in(published / "theirs", published / "ours", BODY)
    policy, spec, _ = checkpoint.load_policy(published / "ours")
    assert spec.config.chunk == STEPS and spec.config.readout.hidden == 24
    with torch.no_grad():
        ours = policy.decoder(policy.context(seen()))
        physical = policy.sample(seen(), None)[0, 0].numpy()
    public = public_chunk(tensors)
    assert (ours - public).abs().max() <= 1e-4, (ours - public).abs().max()
    low, high = (np.array(STATISTICS["libero"]["action"][name]) for name in ("q01", "q99"))
    np.testing.assert_allclose(physical, 0.5 * (public[0].numpy() + 1) * (high - low) + low, atol=1e-3)


def test_out_and_in_again_is_the_same(published, tensors):
    weights.bring_in(published / "theirs", published / "ours", BODY)
    weights.hand_out(published / "ours", published / "again", "openvla_oft")
    again = oft._component(published / "again", "action_head") | oft._component(
        published / "again", "proprio_projector"
    )
    parts = {f"{file}.{name}": tensor for file, part in tensors[1].items() for name, tensor in part.items()}
    assert again.keys() == parts.keys() and all(torch.equal(again[name], parts[name]) for name in parts)
    assert _folders.read_weights(published / "again").keys() == tensors[0].keys()
    weights.bring_in(published / "again", published / "back", BODY)
    policies = [checkpoint.load_policy(published / name)[0] for name in ("ours", "back")]
    first, second = (policy.sample(seen(), None) for policy in policies)
    assert torch.equal(first, second)


@pytest.fixture
def plus(published, tensors):
    """OFT+: the eyes in a file of their own, the sentence inside them."""
    eyes = layout.filmed(tensors[0], layout.SMALL)
    torch.save({f"module.{n}": t for n, t in eyes.items()}, published / "theirs" / "vision_backbone--7_checkpoint.pt")
    rest = {name: tensor for name, tensor in tensors[0].items() if not name.startswith("vision_backbone.")}
    return published, ({**rest, **eyes}, tensors[1])


def test_a_sentence_inside_the_eyes_acts_like_the_public_program(plus, tensors):
    folder, filmed = plus
    weights.bring_in(folder / "theirs", folder / "ours", BODY)
    policy, spec, _ = checkpoint.load_policy(folder / "ours")
    assert spec.config.vlm.film and spec.config.vlm.vision.members[0].depth == 3
    with torch.no_grad():
        ours, public = policy.decoder(policy.context(seen())), public_chunk(filmed)
    assert (ours - public).abs().max() <= 1e-4, (ours - public).abs().max()
    assert (public_chunk(tensors) - public).abs().max() > 1e-2, "a comparison of nothing with nothing"

    weights.hand_out(folder / "ours", folder / "again", "openvla_oft")
    assert _folders.read_weights(folder / "again").keys() == tensors[0].keys()
    again = oft._component(folder / "again", "vision_backbone")
    assert again.keys() == {f"vision_backbone.{name}" for name in filmed[0] if name.startswith("vision_backbone.")}
    weights.bring_in(folder / "again", folder / "back", BODY)
    back, _, _ = checkpoint.load_policy(folder / "back")
    assert torch.equal(back.sample(seen(), None), policy.sample(seen(), None))


@pytest.fixture
def noisy(published, tensors):
    """The head that removes noise, and the layers through which noisy numbers enter."""
    theirs = published / "theirs"
    (theirs / "action_head--50000_checkpoint.pt").unlink()
    head = {n.replace("model.", "noise_predictor.mlp_resnet.", 1): t for n, t in tensors[1]["action_head"].items()}
    sizes = {"fc1.weight": (32, 1), "fc1.bias": (32,), "fc2.weight": (32, 32), "fc2.bias": (32,)}
    enter = layout.invent(sizes, 7)
    torch.save(head, theirs / "action_head--5_checkpoint.pt")
    torch.save(enter, theirs / "noisy_action_projector--5_checkpoint.pt")
    return published, head, enter


@torch.no_grad()
def freed(tensors, head, enter, noise):
    """What the public program computes from noise (1 H A), with diffusers' scheduler."""
    public, projector = layout.Reference(tensors[0], layout.SMALL), tensors[1]["proprio_projector"]
    observation = seen()
    low, high = (torch.tensor(STATISTICS["libero"]["proprio"][name]) for name in ("q01", "q99"))
    state = 2 * (torch.from_numpy(observation.state[:, 0]) - low) / (high - low) - 1
    state = F.linear(F.gelu(F.linear(state, projector["fc1.weight"], projector["fc1.bias"])), projector["fc2.weight"])
    eyes = [public.image(observation.images[name][:, 0]) for name in ("front", "hand")]
    begin = torch.cat([public.words([1]), *eyes, (state + projector["fc2.bias"])[:, None]], dim=1)
    scheduler = DDIMScheduler(num_train_timesteps=50, beta_schedule="squaredcos_cap_v2")
    scheduler.set_timesteps(50)
    x = noise
    for time in scheduler.timesteps:
        turns = float(time) * torch.exp(torch.arange(16) * -math.log(10000) / 15)
        clock = torch.cat([turns.sin(), turns.cos()])[None, None]
        places = F.gelu(F.linear(x.reshape(1, -1, 1), enter["fc1.weight"], enter["fc1.bias"]))
        places = F.linear(places, enter["fc2.weight"], enter["fc2.bias"])
        before = torch.cat([begin, clock, public.words([*layout.prompt(SENTENCE), 29871])], dim=1)
        hidden, _ = public.run(torch.cat([before, places, public.words([2])], dim=1), full=True)
        y = hidden[:, before.shape[1] - 1 :][:, : STEPS * DIM].reshape(1, STEPS, -1)
        named = {name.removeprefix("noise_predictor.mlp_resnet."): tensor for name, tensor in head.items()}
        y = F.layer_norm(y, y.shape[-1:], named["layer_norm1.weight"], named["layer_norm1.bias"])
        y = torch.relu(F.linear(y, named["fc1.weight"], named["fc1.bias"]))
        for block in range(2):
            part = [named[f"mlp_resnet_blocks.{block}.ffn.{n}.{leaf}"] for n in (0, 1) for leaf in ("weight", "bias")]
            y = y + torch.relu(F.linear(F.layer_norm(y, y.shape[-1:], *part[:2]), *part[2:]))
        y = F.layer_norm(y, y.shape[-1:], named["layer_norm2.weight"], named["layer_norm2.bias"])
        y = F.linear(y, named["fc2.weight"], named["fc2.bias"])
        x = scheduler.step(y, time, x).prev_sample
    return x


def test_a_chunk_freed_of_noise_is_that_of_the_public_program(noisy, tensors):
    folder, head, enter = noisy
    weights.bring_in(folder / "theirs", folder / "ours", BODY)
    policy, spec, _ = checkpoint.load_policy(folder / "ours")
    assert spec.config.noise.train_steps == spec.config.noise.sample_steps == 50
    noise = torch.randn(1, STEPS, DIM, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours = policy.decoder.denoise(policy.decoder.condition(policy.context(seen())), noise)
    public = freed(tensors, head, enter, noise)
    assert (ours - public).abs().max() <= 1e-4, (ours - public).abs().max()
    assert (public - noise).abs().max() > 0.1

    weights.hand_out(folder / "ours", folder / "again", "openvla_oft")
    assert _folders.read_weights(folder / "again").keys() == tensors[0].keys()
    for file, part in (("action_head", head), ("noisy_action_projector", enter)):
        again = oft._component(folder / "again", file)
        assert again.keys() == {f"{file}.{name}" for name in part}
        assert all(torch.equal(again[f"{file}.{name}"], part[name]) for name in part)


def test_the_paper_size_has_exactly_the_published_tensors():
    named = beside(4096, 7, 8, 4096)
    count = sum(torch.Size(shape).numel() for part in named.values() for shape in part.values())
    body = replace(BODY, action=replace(BODY.action, parts=(replace(BODY.action.parts[0], dim=7),), chunk=8))
    body = replace(body, observation=replace(body.observation, state=(StatePart(name="joint", dim=8),)))
    config = openvla_oft.preset("paper")
    with torch.device("meta"):
        policy = openvla_oft.build(body, config)
        theirs = {f"{file}.{n}": torch.empty(s) for file, part in named.items() for n, s in part.items()}
        both = {**_prismatic.ours(_meta(layout.shapes(layout.PAPER)), config.vlm), **oft.ours(theirs, config)}
    state = {name: tuple(t.shape) for name, t in policy.state_dict().items() if "_units." not in name}
    assert {name: tuple(t.shape) for name, t in both.items()} == state
    head = 2 * 28672 + 4096 * (28672 + 1) + 2 * (2 * 4096 + 4096 * 4097) + 2 * 4096 + 7 * 4097
    assert count == head + 4096 * 9 + 4096 * 4097


def _meta(named):
    return {name: torch.empty(shape) for name, shape in named.items()}


def test_bad_checkpoints_are_named(published):
    theirs = published / "theirs"
    file = theirs / "action_head--50000_checkpoint.pt"
    good = torch.load(file, weights_only=True)
    torch.save({**good, "module.model.extra": torch.zeros(1)}, file)
    with pytest.raises(CheckpointError, match=r"action_head\.model\.extra"):
        weights.bring_in(theirs, published / "ours", BODY)
    torch.save({"module": Path("executed")}, file)
    with pytest.raises(CorruptFileError, match="tensors alone"):
        weights.bring_in(theirs, published / "ours", BODY)
    torch.save({**good, "step": 7}, file)
    with pytest.raises(CorruptFileError, match="step"):
        weights.bring_in(theirs, published / "ours", BODY)
    torch.save(good, theirs / "action_head--60000_checkpoint.pt")
    with pytest.raises(CorruptFileError, match="2 files"):
        weights.bring_in(theirs, published / "ours", BODY)
    (theirs / "action_head--60000_checkpoint.pt").unlink()
    torch.save(good, file)
    torch.save({"fc1.weight": torch.zeros(32, 1)}, theirs / "noisy_action_projector--1_checkpoint.pt")
    with pytest.raises(MissingFileError, match="noise_predictor"):
        weights.bring_in(theirs, published / "ours", BODY)
    assert not (published / "ours").exists()


def test_other_bodies_and_designs_are_refused(published, tmp_path):
    small = replace(BODY, observation=replace(BODY.observation, state=(StatePart(name="joint", dim=2),)))
    with pytest.raises(ContractError, match="proprio"):
        weights.bring_in(published / "theirs", published / "ours", small)
    spec = weights.PolicySpec(name="openvla_oft", size="tiny", contract=BODY, config=openvla_oft.preset("tiny"))
    with pytest.raises(ConfigError, match="placeholder"):
        oft.write(weights.Foreign(spec=spec, statistics={}, tensors={}), tmp_path / "out")

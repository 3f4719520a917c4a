"""OpenVLA's public layout: equal actions, out and in again, published names and sizes, bad files are named."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

pytest.importorskip("transformers", reason="the public classes are not installed")

from embodia import weights
from embodia.core.errors import CheckpointError, ConfigError, ContractError, CorruptFileError
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.core.types import Observation
from embodia.policies import openvla
from embodia.training import checkpoint
from embodia.weights import _folders, _prismatic

sys.path.insert(0, str(Path(__file__).parent))
import prismatic_layout as layout

PUBLISHED = 7_541_237_184
BODY = Contract(
    observation=ObservationSpec(
        cameras=(CameraSpec(name="front", height=28, width=28),),
        state=(StatePart(name="joint", dim=3),),
        rate_hz=5,
    ),
    action=ActionSpec(
        parts=(
            ActionPart(name="move", dim=3, representation="ee_position_delta", low=-9, high=9),
            ActionPart(name="grip", dim=1, representation="gripper", polarity="positive_opens"),
        ),
        rate_hz=5,
    ),
    embodiment="bridge_orig",
)
ROW = {"mean": [0.1] * 4, "std": [1.0] * 4, "min": [-3.0] * 4, "max": [3.0] * 4}
UNITS = {**ROW, "q01": [-2.0, -1.0, -1.5, 0.0], "q99": [2.0, 3.0, 1.5, 1.0], "mask": [True, True, True, False]}
STATISTICS = {"bridge_orig": {"action": UNITS, "num_transitions": 7}, "other": {"action": ROW}}
SENTENCE = "Push the Puck"


@pytest.fixture(scope="module")
def tensors():
    torch.set_num_threads(1)
    return layout.invent(layout.shapes(layout.SMALL))


@pytest.fixture
def published(tmp_path, tensors):
    layout.write(tmp_path / "theirs", tensors, layout.config(layout.SMALL, norm_stats=STATISTICS))
    return tmp_path


def seen():
    picture = np.random.default_rng(0).integers(0, 256, (1, 1, 28, 28, 3), dtype=np.uint8)
    return Observation(images={"front": picture}, state=np.zeros((1, 1, 3), np.float32), instruction=(SENTENCE,))


@torch.no_grad()
def said(tensors, count=4):
    """Logits of the first word and the ids that the public program says, among those that mean an action."""
    public = layout.Reference(tensors, layout.SMALL)
    image = public.image(seen().images["front"][:, 0])
    ids = [*layout.prompt(SENTENCE), 29871]
    first, chosen = None, []
    for _ in range(count):
        logits = public.run(torch.cat([public.words([1]), image, public.words(ids + chosen)], dim=1))[1][0, -1]
        first = logits if first is None else first
        chosen.append(31744 + int(logits[31744:32000].argmax()))
    return first, chosen


def test_an_imported_policy_acts_like_the_public_program(published, tensors):
    weights.bring_in(published / "theirs", published / "ours", BODY)
    policy, spec, _ = checkpoint.load_policy(published / "ours")
    first, ids = said(tensors)
    assert spec.config.vlm.model.epsilon == 1e-6
    with torch.no_grad():
        context = policy.context(seen())
        hidden = policy.decoder._next(context, torch.empty(1, 0, dtype=torch.long))[1]
        ours = policy.decoder.words.logits(hidden)[0]
        actions = policy.sample(seen(), None)[0, 0, 0].numpy()
    assert (ours - first).abs().max() <= 1e-4
    centres = (np.linspace(-1, 1, 256)[:-1] + np.linspace(-1, 1, 256)[1:]) / 2
    normal = centres[np.clip(32000 - np.array(ids) - 1, 0, 254)]
    low, high, mask = (np.array(UNITS[name]) for name in ("q01", "q99", "mask"))
    np.testing.assert_allclose(actions, np.where(mask, 0.5 * (normal + 1) * (high - low) + low, normal), atol=1e-5)


def test_out_again_are_the_same_tensors(published, tensors):
    weights.bring_in(published / "theirs", published / "ours", BODY)
    weights.hand_out(published / "ours", published / "again", "openvla")
    assert weights.recognise(published / "again").__name__.endswith("openvla")
    again = _folders.read_weights(published / "again")
    assert again.keys() == tensors.keys()
    unread = [name for name in again if not torch.equal(again[name], tensors[name])]
    assert all(".blocks.2." in name or ".norm." in name or ".attn_pool." in name for name in unread)
    weights.bring_in(published / "again", published / "back", BODY)
    first, second = (load_file(published / name / "model.safetensors") for name in ("ours", "back"))
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_the_paper_size_has_exactly_the_published_tensors(tmp_path):
    named = layout.shapes(layout.PAPER)
    assert sum(torch.Size(shape).numel() for shape in named.values()) == PUBLISHED
    (tmp_path / "config.json").write_text(json.dumps(layout.config(layout.PAPER)))
    with torch.device("meta"):
        tensors = {name: torch.empty(shape) for name, shape in named.items()}
        vlm = _prismatic.vlm_of(tensors, _folders.Fields(tmp_path / "config.json"), tmp_path, (224, 224))
        policy = openvla.build(BODY, openvla.preset("paper"))
    expected = openvla.preset("paper").vlm
    assert replace(vlm, model=replace(vlm.model, epsilon=1e-5)) == expected
    ours = {name: tuple(tensor.shape) for name, tensor in _prismatic.ours(tensors, vlm).items()}
    state = {name: tuple(t.shape) for name, t in policy.state_dict().items() if "_units." not in name}
    assert ours == state
    back = {name: tuple(t.shape) for name, t in _prismatic.theirs(_prismatic.ours(tensors, vlm), vlm).items()}
    assert back == named


def test_bad_checkpoints_are_named(published):
    theirs = published / "theirs"
    shard = theirs / "model-00001-of-00002.safetensors"
    good = load_file(shard)
    save_file({**good, "vision_backbone.extra.weight": torch.zeros(1)}, shard)
    with pytest.raises(CheckpointError, match=r"index\.json: vision_backbone\.extra\.weight"):
        weights.bring_in(theirs, published / "ours", BODY)
    index = json.loads((theirs / "model.safetensors.index.json").read_text())
    index["weight_map"]["vision_backbone.extra.weight"] = shard.name
    (theirs / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=r"does not know.*vision_backbone\.extra\.weight"):
        weights.bring_in(theirs, published / "ours", BODY)
    index["weight_map"]["vision_backbone.extra.weight"] = "../secret.safetensors"
    (theirs / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="not inside the folder"):
        weights.bring_in(theirs, published / "ours", BODY)
    shard.write_bytes(b"not safetensors")
    index["weight_map"].pop("vision_backbone.extra.weight")
    (theirs / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CorruptFileError, match="00001"):
        weights.bring_in(theirs, published / "ours", BODY)
    assert not (published / "ours").exists()


def test_other_bodies_and_other_models_are_refused(published):
    theirs = published / "theirs"
    longer = replace(BODY, action=replace(BODY.action, parts=BODY.action.parts[:1]))
    with pytest.raises(ContractError, match=r"bridge_orig\.action"):
        weights.bring_in(theirs, published / "ours", longer)
    with pytest.raises(CheckpointError, match="other"):
        weights.bring_in(theirs, published / "ours", replace(BODY, embodiment="unheard"))
    two = replace(BODY.observation, cameras=(*BODY.observation.cameras, CameraSpec(name="b", height=28, width=28)))
    with pytest.raises(ContractError, match="one camera"):
        weights.bring_in(theirs, published / "ours", replace(BODY, observation=two))
    facts = layout.config(layout.SMALL, use_fused_vision_backbone=False)
    (theirs / "config.json").write_text(json.dumps(facts))
    with pytest.raises(CheckpointError, match="use_fused_vision_backbone"):
        weights.bring_in(theirs, published / "ours", BODY)


def test_what_openvla_cannot_say_is_refused(tmp_path):
    config = openvla.preset("tiny")
    foreign = weights.Foreign(
        spec=weights.PolicySpec(name="openvla", size="tiny", contract=BODY, config=config), statistics={}, tensors={}
    )
    with pytest.raises(ConfigError, match="speech"):
        weights.FOLDER.load("openvla").write(foreign, tmp_path / "out")

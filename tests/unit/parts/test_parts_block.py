"""Block-wise attention over time, a frozen text encoder, observed steps as tokens: Octo's and RDT's parts."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from embodia.builders.sentences import sentence_tokens
from embodia.core.errors import ConfigError
from embodia.core.types import Observation, TokenGroup
from embodia.nn.dit import BlockSizes
from embodia.parts.backbones.block import BlockTransformer
from embodia.parts.compose import parameter_count
from embodia.parts.encoders import t5
from embodia.parts.encoders.conv_stem import ConvStemConfig, conv_stem_trunks
from embodia.parts.encoders.keypoint_stem import KeypointStemConfig
from embodia.parts.encoders.steps import CameraSteps
from embodia.parts.encoders.t5 import T5Config, T5Tokens
from embodia.policies import PolicySpec, make, octo

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
from bodies import gripper_arm, published_body

SIZES = BlockSizes(width=8, heads=2, hidden=16, norm="affine")
TABLE = {
    "language": ("language",),
    "image": ("language", "image", "state"),
    "state": ("language", "image", "state"),
    "readout": ("language", "image", "state", "readout"),
}


def groups(steps: int = 3) -> dict[str, TokenGroup]:
    generator = torch.Generator().manual_seed(0)
    counts = {"language": 2, "image": 4 * steps, "state": steps, "readout": 1}
    made = {name: torch.randn(1, count, 8, generator=generator) for name, count in counts.items()}
    return {name: TokenGroup(name=name, tokens=x, mask=None, attends_to=(name,)) for name, x in made.items()}


def backbone(**options) -> BlockTransformer:
    torch.manual_seed(0)
    return BlockTransformer(SIZES, 2, TABLE, {"image": 4, "state": 1}, **options).eval()


def moves(model: BlockTransformer, name: str, token: int) -> dict[str, list[bool]]:
    """Which output tokens change when one input token does."""
    before, seen = model(groups())[0], groups()
    seen[name].tokens[0, token] *= -1
    after = model(seen)[0]
    return {key: (after[key].tokens != before[key].tokens).any(-1)[0].tolist() for key in TABLE}


def test_a_step_is_seen_by_itself_and_by_what_comes_later():
    moved = moves(backbone(), "image", 5)
    assert moved["language"] == [False, False]
    assert moved["image"] == [False] * 4 + [True] * 8
    assert moved["state"] == [False, True, True]
    assert moved["readout"] == [True]


def test_the_task_is_seen_by_all_and_a_readout_by_nobody():
    assert all(all(found) for found in moves(backbone(), "language", 0).values())
    moved = moves(backbone(), "readout", 0)
    assert moved.pop("readout") == [True]
    assert not any(any(found) for found in moved.values())


def test_a_new_sense_changes_nothing_for_those_that_do_not_look():
    """What block-wise attention is for: without readouts the other tokens come out the same."""
    model, seen = backbone(), groups()
    smaller = BlockTransformer(SIZES, 2, {k: v for k, v in TABLE.items() if k != "readout"}, {"image": 4, "state": 1})
    smaller.load_state_dict(model.state_dict())
    with_readout, without = model(seen)[0], smaller.eval()(seen)[0]
    for name in ("language", "image", "state"):
        assert torch.allclose(with_readout[name].tokens, without[name].tokens, atol=1e-6)


def test_learned_positions_tell_steps_apart():
    ramp = torch.arange(8.0)
    same = {key: replace(group, tokens=ramp.expand_as(group.tokens)) for key, group in groups().items()}
    plain = backbone()(same)[0]["image"].tokens
    placed = backbone(learned={"image": (5, 4)})(same)[0]["image"].tokens
    assert torch.allclose(plain[0, 0], plain[0, 3], atol=1e-5)
    assert not torch.allclose(placed[0, 0], placed[0, 3], atol=1e-5)
    assert not torch.allclose(placed[0, 0], placed[0, 4], atol=1e-5)


def test_a_lost_group_is_named():
    with pytest.raises(ConfigError, match="state"):
        backbone()({name: group for name, group in groups().items() if name != "state"})


def test_t5_reads_padded_sentences_and_stays_frozen(monkeypatch):
    small = {"d_model": 16, "d_ff": 24, "num_layers": 2, "num_heads": 2, "feed_forward_proj": "relu"}
    monkeypatch.setitem(t5._SIZES, "base", small)
    encoder, count = sentence_tokens(T5Config(length=12, vocabulary=300), 8, deep=True)
    encoder.eval()
    assert count == 12 and isinstance(encoder, T5Tokens)
    found = encoder(Observation(instruction=("push it", "stop")))
    assert found.tokens.shape == (2, 12, 8) and found.mask.sum(1).tolist() == [8, 5]
    alone = encoder(Observation(instruction=("stop",)))
    assert torch.allclose(found.tokens[1, :5], alone.tokens[0, :5], atol=1e-5)
    found.tokens.sum().backward()
    learned = {name for name, parameter in encoder.named_parameters() if parameter.grad is not None}
    assert learned and not any(name.startswith("model") for name in learned)


def test_octo_has_the_published_trunks():
    body = published_body({"cameras": 2, "height": 256, "width": 160, "state": 7, "actions": 7, "language": True})
    for config, published, blocks in ((octo.Config(), 27e6, 21_293_568), (octo.base(), 93e6, 85_054_464)):
        with torch.device("meta"):
            policy = make(PolicySpec(name="octo", size="paper", contract=body, config=config))
        assert parameter_count(policy.backbone.blocks) == blocks
        frozen = parameter_count(policy.encoders["language"].model)
        assert frozen == 109_628_544
        assert (parameter_count(policy) - frozen) / published == pytest.approx(1, abs=0.01)


def test_rdt_has_the_published_number_of_learned_parameters():
    body = published_body({"cameras": 3, "height": 384, "width": 384, "state": 14, "actions": 14, "language": True})
    with torch.device("meta"):
        policy = make(PolicySpec(name="rdt", size="paper", contract=body))
    assert sum(p.numel() for p in policy.parameters() if p.requires_grad) == 1_228_319_872
    assert parameter_count(policy.decoder.net.blocks.layers[0]) == 41_969_920


def test_a_step_of_keypoints_is_one_token():
    spec = gripper_arm(16).observation
    encoder = CameraSteps(KeypointStemConfig(channels=8, grid_channels=16), spec, 12)
    images = {camera.name: torch.randint(0, 255, (2, 3, 16, 16, 3), dtype=torch.uint8) for camera in spec.cameras}
    found = encoder(Observation(images=images, instruction=("push", "pull")))
    assert found.tokens.shape == (2, 3, 12) and found.position is None
    images[spec.cameras[0].name][:, 1] = 0
    changed = encoder(Observation(images=images, instruction=("push", "pull")))
    differs = (changed.tokens != found.tokens).any(-1).any(0)
    assert differs.tolist() == [False, True, False]


def test_a_stem_can_mix_its_last_channels():
    trunk = conv_stem_trunks(ConvStemConfig(widths=(4, 8), group_width=4, out=20), 1)[0]
    assert trunk.channels == 20 and trunk(torch.zeros(1, 3, 8, 8)).shape == (1, 20, 2, 2)


def test_a_sentence_vector_can_fill_several_tokens():
    encoder, count = sentence_tokens(None, 8, position=False, count=3)
    encoder.embed = lambda text: torch.full((384,), float(len(text)))
    found = encoder(Observation(instruction=("push", "pull it")))
    assert count == 3 and found.tokens.shape == (2, 3, 8) and found.position is None
    assert not torch.allclose(found.tokens[0, 0], found.tokens[0, 1])
    assert not torch.allclose(found.tokens[0], found.tokens[1])

"""A sentence inside a vision transformer: where it enters, what it is, and that without it nothing changes."""

from dataclasses import replace

import pytest
import torch

from embodia.builders.vlm import TextConfig, VlmConfig, vision_language
from embodia.core.errors import ConfigError
from embodia.core.invent import invent_contract, invent_observation
from embodia.core.specs import Contract
from embodia.core.types import TokenGroup
from embodia.parts.encoders.film_layers import FilmedLayer, SentenceMean
from embodia.parts.encoders.towers import DualConfig, DualTrunk, TowerConfig, TowerTrunk
from embodia.policies import PolicySpec, make, openvla_oft

SIGLIP = TowerConfig(width=16, depth=3, heads=2, hidden=24, patch=8, pixels=16, drop=1)
DINO = replace(SIGLIP, family="dinov2", hidden=32, registers=2)
ARM = invent_contract(16)
WORDS = TextConfig(kind="pieces", vocabulary=300, length=40, opens=True)


def silent(trunk):
    """A modulated trunk whose scales and shifts are zero."""
    for module in trunk.modules():
        if isinstance(module, FilmedLayer):
            for layer in (module.scale, module.shift):
                torch.nn.init.zeros_(layer.weight)
                torch.nn.init.zeros_(layer.bias)
    return trunk


@pytest.mark.parametrize("config", [SIGLIP, DINO])
def test_it_begins_as_the_plain_tower_and_then_is_scaled_and_shifted(config):
    torch.manual_seed(0)
    trunk, pictures, film = TowerTrunk(config).eval(), torch.randn(2, 3, 16, 16), torch.randn(2, 5)
    plain = trunk(pictures)
    trunk.modulate(5)
    assert sum(isinstance(module, FilmedLayer) for module in trunk.modules()) == 2
    torch.testing.assert_close(silent(trunk)(pictures, film), plain)
    layers = [module for module in trunk.modules() if isinstance(module, FilmedLayer)]
    torch.nn.init.ones_(layers[-1].shift.bias)
    kept = {}
    norm = layers[-1].block.layer_norm2 if config.family == "siglip" else layers[-1].block.norm2
    norm.register_forward_pre_hook(lambda module, inputs: kept.update(x=inputs[0].clone()))
    trunk(pictures, film)
    before = kept["x"]
    torch.nn.init.constant_(layers[-1].scale.bias, 2.0)
    trunk(pictures, film)
    torch.testing.assert_close(kept["x"], 3 * (before - 1) + 1, atol=1e-5, rtol=1e-4)


def test_rows_are_modulated_by_their_own_sentence():
    torch.manual_seed(0)
    trunk = DualTrunk(DualConfig(members=(DINO, SIGLIP))).eval()
    trunk.modulate(5)
    pictures, film = torch.rand(1, 3, 16, 16).repeat(2, 1, 1, 1), torch.randn(2, 5)
    found = trunk(pictures, film)
    assert not torch.allclose(found[0], found[1])
    torch.testing.assert_close(trunk(pictures[:1], film[1:])[0], found[1], atol=1e-5, rtol=1e-4)
    with pytest.raises(ConfigError, match="not modulated"):
        TowerTrunk(replace(SIGLIP, family="clip", drop=0)).modulate(5)


class Says:
    def __init__(self, tokens, mask=None):
        self.group = TokenGroup(name="language", tokens=tokens, mask=mask, attends_to=("language",))

    def __call__(self, observation):
        return self.group


def test_the_mean_skips_padding_and_counts_what_stands_around():
    words, around = torch.randn(2, 3, 4), torch.randn(2, 2, 4)
    mask = torch.tensor([[True, True, True], [True, False, False]])
    mean = SentenceMean(Says(words, mask), Says(around))
    expected = torch.stack([torch.cat([words[0], around[0]]).mean(0), torch.cat([words[1, :1], around[1]]).mean(0)])
    torch.testing.assert_close(mean(None), expected)
    torch.testing.assert_close(SentenceMean(Says(words))(None), words.mean(1))
    assert not list(SentenceMean(torch.nn.Linear(2, 2)).parameters())


def test_all_that_is_said_modulates_every_camera():
    torch.manual_seed(0)
    config = VlmConfig(vision=SIGLIP, text=WORDS, state="none", deep=False, film=True)
    encoders, _ = vision_language(config, ARM.observation, spelled={"readout": (7, -1), "closing": (-1, 2)})
    eye, words = encoders["image"].eval(), encoders["language"]
    assert list(encoders) == ["opening", "image", "language", "readout", "closing"]
    assert eye.told.around.ids.tolist() == [WORDS.start, 7, 2]
    seen = invent_observation(ARM, 2).map(torch.from_numpy)
    group, spoken = eye(seen), words(seen)
    rows = [spoken.tokens[i][spoken.mask[i]] for i in range(2)]
    table = words.words.embed(torch.tensor([WORDS.start, 7, 2]))
    told = torch.stack([torch.cat([row, table]).mean(0) for row in rows])
    torch.testing.assert_close(eye.told(seen), told)
    other = eye(replace(seen, instruction=seen.instruction[::-1]))
    half = group.tokens.shape[1] // 2
    for camera in (slice(half), slice(half, None)):
        assert not torch.allclose(other.tokens[:, camera], group.tokens[:, camera])


def test_the_variant_has_its_published_layers():
    paper = openvla_oft.oft_plus()
    assert paper.chunk == 25
    contract = Contract(observation=ARM.observation, action=ARM.action, embodiment="aloha")
    with torch.device("meta"):
        policy = make(PolicySpec(name="openvla_oft", size="paper", contract=contract, config=paper))
    layers = [module for module in policy.modules() if isinstance(module, FilmedLayer)]
    count = sum(p.numel() for layer in layers for part in (layer.scale, layer.shift) for p in part.parameters())
    each = {width: 2 * (4096 * width + width) for width in (1024, 1152)}
    assert len(layers) == 23 + 26 and count == 23 * each[1024] + 26 * each[1152]

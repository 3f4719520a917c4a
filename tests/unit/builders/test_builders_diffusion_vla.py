"""Language models with a diffusion head: what the head is told, denoising in the sequence, two heads that vote."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from embodia.builders.vlm import VlmConfig, vision_language
from embodia.core.errors import ConfigError
from embodia.core.specs import ActionPart, ActionSpec
from embodia.core.types import ActionChunk, Observation, TokenGroup
from embodia.nn.film import Film
from embodia.nn.transformer import TransformerConfig
from embodia.parts.compose import Context, parameter_count
from embodia.parts.decoders.diffusion import ChunkDiffusion, DiffusionConfig
from embodia.parts.decoders.dit import AdaptiveDit, DitConfig
from embodia.parts.decoders.hybrid import HybridDecoder
from embodia.parts.decoders.in_sequence import InSequence
from embodia.parts.decoders.told import ToldDenoiser, mean_token
from embodia.parts.encoders.by_body import ByBody, Stem
from embodia.parts.encoders.state import StateToken
from embodia.policies import PolicySpec, cogact, hpt, make

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
from bodies import gripper_arm, published_body

WIDTH, ROWS, CHUNK, ACTIONS = 16, 2, 4, 3
SPEC = ActionSpec(parts=(ActionPart(name="x", dim=3, representation="joint_delta"),), rate_hz=10, chunk=4)


def group(name: str, tokens: int, width: int = WIDTH, seed: int = 0, mask=None) -> TokenGroup:
    x = torch.randn(ROWS, tokens, width, generator=torch.Generator().manual_seed(seed))
    return TokenGroup(name=name, tokens=x, mask=mask, attends_to=(name,))


def told_net() -> ToldDenoiser:
    torch.manual_seed(0)
    inner = AdaptiveDit(DitConfig(width=16, depth=1, heads=2), ACTIONS, CHUNK, WIDTH)
    return ToldDenoiser(inner, WIDTH, 5, read=("image", "language"), reasoning="thought").eval()


def test_the_mean_skips_padding_and_other_groups():
    mask = torch.tensor([[True, False], [True, True]])
    image, language = group("image", 3), group("language", 2, seed=1, mask=mask)
    expected = torch.cat([image.tokens[0], language.tokens[0, :1]]).mean(0)
    assert torch.allclose(mean_token([image, language])[0], expected, atol=1e-6)
    assert torch.equal(mean_token([replace(image, mask=torch.zeros(ROWS, 3, dtype=torch.bool))]), torch.zeros(ROWS, 16))


def test_the_head_is_told_mean_state_and_reasoning():
    net = told_net()
    groups = {g.name: g for g in (group("image", 3), group("language", 2), group("proprio", 1, 5), group("thought", 4))}
    before = net.condition(Context(groups=groups))
    for name in groups:
        changed = {**groups, name: replace(groups[name], tokens=groups[name].tokens.flip(-1))}
        assert not torch.allclose(net.condition(Context(groups=changed)), before), name
    silent = net.condition(Context(groups={k: v for k, v in groups.items() if k != "thought"}))
    nothing = replace(groups["thought"], mask=torch.zeros(ROWS, 4, dtype=torch.bool))
    assert torch.allclose(net.condition(Context(groups={**groups, "thought": nothing})), silent, atol=1e-6)
    assert not torch.allclose(silent, before)


def test_film_starts_close_to_what_it_modulates():
    torch.manual_seed(0)
    film, x = Film(6, 4), torch.randn(3, 6)
    assert torch.equal(film(x, torch.zeros(3, 4)), x)
    condition = torch.randn(3, 4)
    scale, shift = film.project(condition).chunk(2, dim=-1)
    assert torch.allclose(film(x, condition), x + x * scale + shift, atol=1e-6)


def reader(causal: bool) -> tuple[nn.Module, Context]:
    torch.manual_seed(0)
    spec = gripper_arm(16).observation
    model = TransformerConfig(width=24, depth=2, heads=2, kv_heads=2, head_dim=12, mlp_width=32)
    encoders, backbone = vision_language(VlmConfig(model=model, causal=causal), spec, outputs=False)
    encoders["language"].embed = lambda text: torch.full((384,), 0.05 * len(text))
    encoders["image"].embed = encoders["language"].embed
    images = {c.name: torch.randint(0, 255, (ROWS, 1, 16, 16, 3), dtype=torch.uint8) for c in spec.cameras}
    seen = Observation(images=images, state=torch.randn(ROWS, 1, 4), instruction=("push", "pull it"))
    groups = {name: encoder(seen) for name, encoder in encoders.items()}
    read, cache = backbone(groups, None)
    return backbone, Context(groups=read, cache=cache, backbone=backbone)


@pytest.mark.parametrize("within", ["causal", "full"])
def test_denoising_inside_the_sequence_leaves_the_cache_alone(within):
    _, context = reader(within == "causal")
    net = InSequence(24, ACTIONS, within=within).eval()
    noisy, time = torch.randn(ROWS, CHUNK, ACTIONS), torch.tensor([3, 70])
    length = context.cache.mask.shape[1]
    out = net(net.condition(context), noisy, time)
    assert out.shape == noisy.shape and context.cache.mask.shape[1] == length
    later = noisy.clone()
    later[:, 3] += 1
    changed = net(net.condition(context), later, time)
    assert torch.allclose(changed[:, :3], out[:, :3], atol=1e-6) == (within == "causal")
    thrice = net(net.condition(context, 3), noisy.repeat_interleave(3, 0), time.repeat_interleave(3, 0))
    assert torch.allclose(thrice[::3], out, atol=1e-5)


def test_gradients_reach_the_model_through_the_sequence():
    backbone, context = reader(True)
    head = ChunkDiffusion(DiffusionConfig(draws=2), InSequence(24, ACTIONS), ACTIONS, CHUNK)
    chunk = ActionChunk(actions=torch.rand(ROWS, CHUNK, ACTIONS), valid=torch.ones(ROWS, CHUNK).bool(), spec=SPEC)
    head.loss_terms(context, chunk, torch.Generator().manual_seed(0))["denoise"].sum().backward()
    assert all(parameter.grad is not None for parameter in backbone.engine.layers[0].parameters())


class Fixed(nn.Module):
    """A decoder that always says the same, with a given probability a word."""

    length = 6

    def __init__(self, value: float, chance: float) -> None:
        super().__init__()
        self.value, self.chance = value, chance

    def sample(self, context, rng, n=1, steps=None, prefix=None):
        return torch.full((ROWS, n, CHUNK, ACTIONS), self.value)

    def log_prob(self, context, chunk):
        return self.length * torch.tensor([self.chance, 0.5]).log()

    def loss_terms(self, context, chunk, rng):
        return {f"of_{self.value}": torch.full((ROWS,), self.value)}


def test_words_vote_where_they_are_sure():
    context = Context(groups={"image": group("image", 1)})
    decoder = HybridDecoder(Fixed(1.0, 0.0), Fixed(3.0, 0.97), SPEC)
    found = decoder.sample(context, None, n=2)
    assert found.shape == (ROWS, 2, CHUNK, ACTIONS)
    assert found[0].unique().tolist() == [2.0] and found[1].unique().tolist() == [1.0]
    assert decoder.confidence(context, found[:, 0]).tolist() == pytest.approx([0.97, 0.5], abs=1e-5)
    assert set(decoder.loss_terms(context, None, None)) == {"of_1.0", "of_3.0"}
    unsure = HybridDecoder(Fixed(1.0, 0.0), Fixed(3.0, 0.95), SPEC)
    assert unsure.sample(context, None).unique().tolist() == [1.0]


def test_cogact_has_the_published_action_models():
    body = published_body({"cameras": 1, "height": 224, "width": 224, "state": 7, "actions": 7, "language": True})
    for name, published in (("small", 13e6), ("base", 89e6), ("large", 308e6)):
        config = replace(cogact.preset("paper"), net=cogact.ACTION_MODELS[name])
        with torch.device("meta"):
            policy = make(PolicySpec(name="cogact", size="paper", contract=body, config=config))
        assert parameter_count(policy.decoder) / published == pytest.approx(1, abs=0.05), name


def test_hpt_has_the_published_trunks():
    for width, published in ((128, 3.1e6), (256, 12.6e6), (512, 50.5e6)):
        with torch.device("meta"):
            policy = make(
                PolicySpec(name="hpt", size="paper", contract=gripper_arm(), config=replace(hpt.Config(), width=width))
            )
        assert parameter_count(policy.backbone.blocks) / published == pytest.approx(1, abs=0.025)


def test_a_stem_a_body_and_a_trunk_for_all():
    torch.manual_seed(0)
    short, long = (Stem(StateToken(size, 8), 8, 16, count=5, heads=2) for size in (3, 7))
    encoder = ByBody({"arm": short, "humanoid.v2": long})
    found = encoder(Observation(state=torch.randn(ROWS, 1, 3), embodiment="arm"))
    other = encoder(Observation(state=torch.randn(ROWS, 1, 7), embodiment="humanoid.v2"))
    assert found.tokens.shape == other.tokens.shape == (ROWS, 5, 16)
    unnamed = encoder(Observation(state=torch.randn(ROWS, 1, 3)))
    assert unnamed.tokens.shape == (ROWS, 5, 16)
    with pytest.raises(ConfigError, match="humanoid") as caught:
        encoder(Observation(state=torch.randn(ROWS, 1, 7), embodiment="humanoid"))
    assert "humanoid.v2" in str(caught.value.cure)


def test_a_stem_does_not_look_at_masked_tokens():
    class Inner(nn.Module):
        def forward(self, observation):
            mask = torch.tensor([[True, True, False]])
            tokens = observation.state[:, 0, :, None].expand(-1, -1, 8)
            return TokenGroup(name="state", tokens=tokens, mask=mask, attends_to=("state",), position=torch.randn(3, 8))

    torch.manual_seed(0)
    stem = Stem(Inner(), 8, 16, count=4, heads=2)
    outputs = []
    for last in (0.0, 9.0):
        torch.manual_seed(1)
        outputs.append(stem(Observation(state=torch.tensor([[[1.0, 2.0, last]]]))).tokens)
    assert torch.allclose(*outputs, atol=1e-6)


def test_what_the_state_says_passes_the_stem():
    torch.manual_seed(0)
    policy = make(PolicySpec(name="hpt", size="tiny", contract=gripper_arm()))
    state = torch.randn(256, 1, policy.contract.observation.state_dim)
    tokens = policy.encoders["state"](Observation(state=state)).tokens
    told = (tokens - tokens.mean(0)).square().mean()
    assert told / tokens.square().mean() > 0.01

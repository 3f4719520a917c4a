"""Heads for what comes later, picture codes, resampled and gated attention, steps apart: by hand and against loops."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
from bodies import gripper_arm

from embodia.builders.gpt import GptConfig, Query, gpt_model
from embodia.core.errors import ShapeError
from embodia.core.invent import invent_batch
from embodia.core.types import TokenGroup
from embodia.nn.cross import CrossAttention, CrossSizes, GatedCrossLayer, Resampler
from embodia.nn.detr import LayerSizes
from embodia.nn.shared import Shared
from embodia.nn.transformer import TransformerConfig
from embodia.parts.backbones.gated import GatedLanguageModel
from embodia.parts.backbones.per_step import PerStep
from embodia.parts.compose import Context
from embodia.parts.encoders.clip_text import ClipText, ClipTextConfig
from embodia.parts.encoders.dynamics import DynamicsTokens
from embodia.parts.encoders.resampled import ResampledEyes, ResamplerConfig
from embodia.parts.heads.codes import CodeForecast
from embodia.parts.heads.forecast import Forecast, ForecastConfig, depth_cameras
from embodia.parts.heads.next_picture import NextPicture
from embodia.parts.heads.tracks import Tracks
from embodia.parts.tokenizers.text import ByteTokenizer
from embodia.parts.tokenizers.vq_image import VqConfig, VqImage, picture_codes

ARM = gripper_arm(32)
SMALL = ForecastConfig(patch=8, width=16, heads=2, hidden=24)
BOOK = VqConfig(widths=(8, 16, 16), codes=12, code=4)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def group(name, count=3, width=8, batch=2, seed=0, mask=None):
    tokens = torch.randn(batch, count, width, generator=rng(seed)).requires_grad_()
    return TokenGroup(name=name, tokens=tokens, mask=mask, attends_to=(name,))


def batch(later=2, size=2):
    body = replace(ARM, action=replace(ARM.action, chunk=4))
    return invent_batch(body, size, later=later).map(torch.from_numpy)


def head(target="pixels", steps=2, **options):
    torch.manual_seed(0)
    return Forecast(replace(SMALL, target=target), ARM.observation, 8, name="seen", read="see", steps=steps, **options)


def test_patches_are_cut_moment_by_moment_camera_by_camera_and_normed():
    found = head().target(batch().later)
    assert found.shape == (2, 2 * 2 * 16, 3 * 64)
    later = batch().later.images["camera1"][:, 0].float() / 127.5 - 1
    patch = later[0, 8:16, 16:24].permute(2, 0, 1).reshape(-1)
    expected = (patch - patch.mean()) / (patch.std() + 1e-2)
    assert torch.allclose(found[0, 16 + 1 * 4 + 2], expected, atol=1e-4)


def test_the_forecast_passes_through_the_tokens_it_reads():
    seen = Context(groups={"see": group("see"), "other": group("other")})
    loss = head().loss_terms(seen, batch(), None)["seen"]
    assert loss.shape == (2,)
    loss.sum().backward()
    assert seen.groups["see"].tokens.grad.abs().sum() > 0 and seen.groups["other"].tokens.grad is None


def test_only_moving_patches_count():
    now = batch(1)
    pictures = {name: image[:, -1:].clone() for name, image in now.observation.images.items()}
    pictures["camera0"][0, 0, 8:16, 0:8] = 255 - pictures["camera0"][0, 0, 8:16, 0:8]
    moved = replace(now, later=replace(now.later, images=pictures))
    net = head("moving", steps=1)
    weight = net._weights(moved.observation, moved.later)
    assert weight[0].nonzero().flatten().tolist() == [4] and weight[1].sum() == 0
    seen = Context(groups={"see": group("see")})
    loss = net.loss_terms(seen, moved, None)["seen"]
    error = (net(seen) - net.target(moved.later)).square().mean(-1)
    assert torch.allclose(loss[0], error[0, 4]) and loss[1] == 0


def test_depth_is_forecast_where_it_is_measured():
    assert depth_cameras(ARM.observation)
    net = head("depth", steps=1)
    wanted = net.target(batch(1).later)
    first = depth_cameras(ARM.observation)[0]
    metres = batch(1).later.depth[first][0, 0]
    assert torch.allclose(wanted[0, 0], metres[:8, :8].reshape(-1))
    assert net.loss_terms(Context(groups={"see": group("see")}), batch(1), None)["seen"].shape == (2,)


def test_features_come_from_a_frozen_network_and_agreement_costs_nothing():
    from embodia.nn.conv import ConvStem

    net = head("features", steps=1, features=ConvStem((8, 16)))
    assert not any(parameter.requires_grad for parameter in net.features.parameters())
    wanted = net.target(batch(1).later)
    assert wanted.shape == (2, 2 * 64, 16)
    assert net._error(3 * wanted, wanted).abs().max() < 1e-4
    assert torch.allclose(net._error(-wanted, wanted), torch.full((2, 128), 2.0), atol=1e-4)


@pytest.mark.parametrize("build", [head, lambda: Tracks(8, read="see", steps=2, count=3)])
def test_a_batch_without_a_later_is_refused(build):
    with pytest.raises(ShapeError, match="lacks"):
        build().loss_terms(Context(groups={"see": group("see")}), replace(batch(), later=None), None)


def test_tracks_follow_the_change_from_now():
    now, net = batch(), Tracks(8, read="see", steps=2, count=4)
    nn.init.zeros_(net.out[-1].weight)
    nn.init.zeros_(net.out[-1].bias)
    seen = Context(groups={"see": group("see")})
    expected = (now.later.state - now.observation.state[:, -1:]).abs().mean((1, 2))
    assert torch.allclose(net.loss_terms(seen, now, None)["track"], expected)
    points = Tracks(8, read="see", steps=2, count=5, source="points")
    assert points(seen).shape == (2, 2, 15)
    moved = points._numbers(now.later.points) - points._numbers(now.observation.points[:, -1:])
    assert moved.shape == (2, 2, 15)
    assert torch.allclose(moved[0, 1, 3:6], (now.later.points[0, 1, 1] - now.observation.points[0, -1, 1])[:3])


def test_codes_say_the_nearest_entry_and_come_back_as_pictures():
    torch.manual_seed(0)
    vq, pictures = VqImage(BOOK), torch.rand(3, 3, 32, 32, generator=rng()) * 2 - 1
    ids = vq.encode(pictures)
    assert ids.shape == (3, 16) and ids.min() >= 0 and ids.max() < 12
    cells = F.normalize(vq.down(pictures), dim=1)
    book = F.normalize(vq.book.weight, dim=-1)
    apart = (cells.permute(0, 2, 3, 1).reshape(3, 16, 1, 4) - book).square().sum(-1)
    assert torch.equal(ids, apart.argmin(-1))
    assert vq.decode(ids, 4).shape == pictures.shape
    assert torch.equal(vq.decode(torch.full((1, 16), 99), 4), vq.decode(torch.full((1, 16), 11), 4))
    with pytest.raises(ShapeError, match="multiples"):
        vq.grid(30, 32)


def test_the_autoencoder_learns_to_tell_pictures_apart():
    torch.manual_seed(0)
    vq = VqImage(BOOK)
    colours = torch.tensor([[-1.0, -1, 1], [1, -1, -1], [-1, 1, -1]])[:, :, None, None].expand(-1, -1, 32, 32)
    optimizer = torch.optim.Adam(vq.parameters(), lr=1e-2)
    for _ in range(80):
        optimizer.zero_grad()
        vq.loss(colours).mean().backward()
        optimizer.step()
    assert len(set(vq.encode(colours)[:, 5].tolist())) == 3
    painted = vq.decode(vq.encode(colours), 4).mean((2, 3))
    assert torch.equal(painted.argmax(1), torch.tensor([2, 0, 1]))


def test_the_gradient_goes_straight_through_the_rounding():
    torch.manual_seed(0)
    vq = VqImage(BOOK)
    vq.loss(torch.rand(1, 3, 32, 32)).sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in vq.parameters())
    assert vq.down[0].weight.grad.abs().sum() > 0


def test_codes_of_a_body_and_their_forecast():
    torch.manual_seed(0)
    codes = picture_codes(BOOK, ARM.observation)
    assert codes.count == 2 * 16
    seen = Context(groups={"see": group("see", 40)})
    net = CodeForecast(Shared(codes), 12, 8, name="picture", read="see", moment=1)
    found = net.loss_terms(seen, batch(), None)["picture"]
    ids = codes.ids(batch().later.images, 1)
    expected = torch.stack([F.cross_entropy(net(seen)[row], ids[row]) for row in range(2)])
    assert torch.allclose(found, expected, atol=1e-5)
    assert not any("book" in name for name, _ in net.named_parameters())
    assert codes.loss_terms(seen, batch(), None)["picture_codes"].shape == (2,)


def test_a_resampler_makes_few_tokens_and_skips_what_is_not_there():
    torch.manual_seed(0)
    net = Resampler(8, 3, 2, CrossSizes(heads=2, head_dim=4, expand=2))
    tokens, mask = torch.randn(2, 6, 8), torch.tensor([[True] * 4 + [False] * 2] * 2)
    out = net(tokens, mask)
    assert out.shape == (2, 3, 8)
    assert torch.allclose(out, net(tokens[:, :4]), atol=1e-5)
    assert torch.allclose(out, net(tokens[:, [2, 0, 3, 1, 4, 5]], mask), atol=1e-5)


def test_cross_attention_is_torchs():
    torch.manual_seed(0)
    net = CrossAttention(8, 6, CrossSizes(heads=2, head_dim=4))
    x, memory = torch.randn(2, 3, 8), torch.randn(2, 5, 6)
    key, value = net.key_value(memory).chunk(2, -1)
    split = lambda t: t.view(2, -1, 2, 4).transpose(1, 2)  # noqa: E731
    expected = F.scaled_dot_product_attention(split(net.query(net.norm(x))), split(key), split(value))
    assert torch.allclose(net(x, memory), net.out(expected.transpose(1, 2).flatten(2)), atol=1e-5)


def test_closed_gates_change_nothing_and_can_open():
    torch.manual_seed(0)
    layer = GatedCrossLayer(8, 6, CrossSizes(heads=2, head_dim=4))
    x, memory = torch.randn(2, 3, 8), torch.randn(2, 5, 6)
    assert torch.equal(layer(x, memory), x)
    layer(x, memory).square().sum().backward()
    assert layer.look_gate.grad.abs() > 0
    assert not torch.allclose(GatedCrossLayer(8, 6, CrossSizes(heads=2, head_dim=4), gate=0.5)(x, memory), x)


TINY = TransformerConfig(width=8, depth=2, heads=2, kv_heads=2, head_dim=4, mlp_width=12)


def test_a_gated_language_model_sees_pictures_only_through_its_gates():
    torch.manual_seed(0)
    groups = {"language": group("language", 2), "image": group("image", 4, 6)}
    other = {**groups, "image": group("image", 4, 6, seed=9)}
    closed = GatedLanguageModel(TINY, 6, every=2, sizes=CrossSizes(heads=2, head_dim=4))
    assert len(closed.gated) == 1
    assert torch.equal(closed(groups)[0]["language"].tokens, closed(other)[0]["language"].tokens)
    ajar = GatedLanguageModel(TINY, 6, sizes=CrossSizes(heads=2, head_dim=4), gate=0.5)
    assert not torch.allclose(ajar(groups)[0]["language"].tokens, ajar(other)[0]["language"].tokens)
    assert ajar(groups)[0]["image"] is groups["image"]


def test_steps_apart_are_read_as_if_each_were_alone():
    torch.manual_seed(0)
    inside = GatedLanguageModel(TINY, 6, sizes=CrossSizes(heads=2, head_dim=4), gate=0.5)
    outside = PerStep(inside, 3)
    groups = {"language": group("language", 2), "state": group("state", 3), "image": group("image", 12, 6)}
    found, _ = outside(groups)
    assert found["language"].tokens.shape == (2, 6, 8) and found["state"].tokens.shape == (2, 3, 8)
    alone, _ = inside(
        {
            "language": groups["language"],
            "state": replace(groups["state"], tokens=groups["state"].tokens[:, 1:2]),
            "image": replace(groups["image"], tokens=groups["image"].tokens[:, 4:8]),
        }
    )
    assert torch.allclose(found["language"].tokens[:, 2:4], alone["language"].tokens, atol=1e-5)
    assert torch.allclose(found["state"].tokens[:, 1:2], alone["state"].tokens, atol=1e-5)


class Fixed(nn.Module):
    """An eye that hands out what it was given."""

    def __init__(self, found):
        super().__init__()
        self.found, self.layer = found, nn.Linear(2, 2)

    def forward(self, observation):
        return self.found


def test_resampled_eyes_keep_steps_apart_and_may_be_frozen():
    torch.manual_seed(0)
    found = group("image", 8, 6)
    few = ResampledEyes(
        Fixed(found),
        ResamplerConfig(count=2, depth=1, sizes=CrossSizes(heads=2, head_dim=4)),
        6,
        8,
        steps=2,
        frozen=True,
    )
    out = few(None)
    assert out.tokens.shape == (2, 4, 8)
    changed = found.tokens.detach().clone()
    changed[:, :4] = 0.0
    few.eye.found = replace(found, tokens=changed)
    assert torch.equal(few(None).tokens[:, 2:], out.tokens[:, 2:])
    assert not torch.allclose(few(None).tokens[:, :2], out.tokens[:, :2])
    assert not any(parameter.requires_grad for parameter in few.eye.parameters())


def test_clip_text_reads_up_to_the_last_piece():
    torch.manual_seed(0)
    sizes = ClipTextConfig(width=16, depth=1, heads=2, hidden=24, vocabulary=300, length=20)
    tower = ClipText(sizes, ByteTokenizer(20), 8).eval()
    seen = batch().observation
    short = tower(replace(seen, instruction=("abc", "abcdef")))
    assert short.tokens.shape == (2, 1, 8)
    alone = tower(replace(seen, instruction=("abc",)))
    assert torch.allclose(short.tokens[:1], alone.tokens, atol=1e-5)
    assert not torch.allclose(short.tokens[0], short.tokens[1])
    assert all(not parameter.requires_grad for parameter in tower.tower.parameters())


def test_dynamics_tokens_look_at_picture_and_words():
    torch.manual_seed(0)
    sizes = LayerSizes(width=8, heads=2, hidden=12, dropout=0.0, pre_norm=True)
    net = DynamicsTokens(Fixed(group("image", 4)), Fixed(group("language", 1)), sizes, 1, 3)
    base = net(None).tokens
    assert base.shape == (2, 3, 8)
    net.language.found = group("language", 1, seed=5)
    assert not torch.allclose(net(None).tokens, base)


def test_queries_see_the_senses_and_the_kinds_they_may():
    config = GptConfig(model=TINY, ahead=())
    queries = {"dream": Query(count=2), "other": Query(count=2), "act": Query(sees=("dream", "other"))}
    encoders, model, foresight = gpt_model(config, ARM.observation, queries)
    assert foresight is None
    assert list(encoders) == ["language", "state", "image", "dream", "other", "act"]
    assert model.attention["dream"] == ("language", "state", "image", "dream")
    assert model.attention["act"] == ("language", "state", "image", "dream", "other", "act")
    assert model.attention["image"] == ("language", "state", "image")
    _, causal, _ = gpt_model(replace(config, causal=True), ARM.observation, queries)
    assert causal.attention["state"] == ("language", "state") and causal.within == "causal"


def test_the_world_is_foretold_from_actions_that_nobody_else_sees():
    torch.manual_seed(0)
    encoders, model, _ = gpt_model(GptConfig(model=TINY, ahead=()), ARM.observation, {"act": Query()})
    seen = batch()
    groups, cache = model({name: encoder(seen.observation) for name, encoder in encoders.items()}, None)
    context = Context(groups=groups, cache=cache, backbone=model)
    codes = picture_codes(BOOK, ARM.observation)
    net = NextPicture(Shared(codes), 12, 8, action_dim=4, chunk=4)
    loss = net.loss_terms(context, seen, None)["world"]
    assert loss.shape == (2,) and torch.isfinite(loss).all()
    other = replace(seen, chunk=replace(seen.chunk, actions=seen.chunk.actions + 1))
    assert not torch.allclose(net.loss_terms(context, other, None)["world"], loss)
    assert "done" not in context.groups and len(context.cache.spans) == 4

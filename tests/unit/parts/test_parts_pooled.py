"""Errors as densities, pooled and recurrent heads, task codes, regions and FiLM: against torch's own and by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import integrate
from torch import nn

from embodia.core.errors import ConfigError, ShapeError
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, ObservationSpec, StatePart
from embodia.core.statistics import FeatureStatistics
from embodia.core.types import ActionChunk, Observation, TokenGroup
from embodia.nn.detr import LayerSizes
from embodia.nn.normalize import Normalizer
from embodia.nn.resnet import ResNet
from embodia.parts.compose import Context
from embodia.parts.decoders.error import ActionError, ErrorConfig, Grippers, gripper_choices
from embodia.parts.decoders.pooled import PooledConfig, PooledRegression
from embodia.parts.decoders.regression import ChunkRegression, RegressionConfig
from embodia.parts.encoders.conv_stem import ConvStemConfig
from embodia.parts.encoders.film_resnet import FilmResNet
from embodia.parts.encoders.onehot import OneHotTask, task_codes
from embodia.parts.encoders.regions import RegionAttention, _places
from embodia.parts.encoders.resnet import ResNetConfig

MOVE = ActionPart(name="move", dim=2, representation="joint_delta")
GRIP = ActionPart(name="grip", dim=1, representation="gripper", polarity="positive_closes")
SPEC = ActionSpec(parts=(MOVE, GRIP), rate_hz=10, chunk=4)
SEEN = ObservationSpec(
    cameras=tuple(CameraSpec(name=name, height=32, width=32) for name in ("left", "right")),
    state=(StatePart(name="x", dim=2),),
    rate_hz=10,
)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def chunk(batch=3, dim=3, length=4):
    actions = torch.rand(batch, length, dim, generator=rng(1)) * 2 - 1
    valid = torch.arange(length)[None] < torch.tensor([length, 2, 1])[:batch, None]
    return ActionChunk(actions=actions, valid=valid, spec=SPEC)


def sentence(text):
    numbers = np.random.default_rng(len(text)).normal(size=384)
    return torch.tensor(numbers / np.linalg.norm(numbers), dtype=torch.float32)


def seen(batch=2, steps=1, words=("red", "green cube"), seed=0):
    numbers = np.random.default_rng(seed)
    images = {
        name: torch.from_numpy(numbers.integers(0, 256, (batch, steps, 32, 32, 3), dtype=np.uint8))
        for name in SEEN.camera_names
    }
    return Observation(images=images, state=torch.zeros(batch, steps, 2), instruction=words[:batch])


@pytest.mark.parametrize("kind", ["l1", "l2", "huber"])
def test_the_density_of_every_error_integrates_to_one(kind):
    head = ActionError(ErrorConfig(error=kind, scale=0.2, knee=0.3), 1)
    density = lambda x: math.exp(float(head._density(torch.tensor([x], dtype=torch.float64))))  # noqa: E731
    total = integrate.quad(density, -8, 8, points=[-0.3, 0, 0.3], limit=200)[0]
    assert total == pytest.approx(1.0, abs=1e-5)


def test_hubers_draws_follow_hubers_density():
    head = ActionError(ErrorConfig(error="huber", scale=0.2, knee=0.3), 1)
    draws = head.draw(torch.zeros(1, 1, 1), rng(), 40_001)[0, 1:].flatten().double()
    for edge in (-0.6, -0.3, -0.1, 0.0, 0.2, 0.5):
        density = lambda x: math.exp(float(head._density(torch.tensor([x], dtype=torch.float64))))  # noqa: E731
        expected = integrate.quad(density, -8, edge, points=[-0.3, 0.3], limit=200)[0]
        assert float((draws < edge).double().mean()) == pytest.approx(expected, abs=0.01)


def test_hubers_loss_is_torchs():
    head, wanted = ActionError(ErrorConfig(error="huber", knee=0.4), 3), chunk()
    output = torch.randn(3, 4, 3, generator=rng(2))
    found = head.loss_terms(output, wanted)["huber"]
    expected = F.huber_loss(output[1, :2], wanted.actions[1, :2], delta=0.4)
    assert float(found[1]) == pytest.approx(float(expected), rel=1e-5)


def choices(mean=0.2, spread=0.5):
    row = lambda value: (value,) * 3  # noqa: E731
    numbers = FeatureStatistics(
        count=9, mean=row(mean), std=row(spread), minimum=row(-1), maximum=row(1), q01=row(-1), q99=row(1)
    )
    return gripper_choices(SPEC, Normalizer(3, "mean_std", numbers))


def test_grippers_have_their_levels_in_network_units():
    found = choices(0.2, 0.5)
    assert found.dims == (2,)
    assert found.low.tolist() == pytest.approx([-2.4]) and found.high.tolist() == pytest.approx([1.6])
    assert gripper_choices(replace(SPEC, parts=(MOVE,)), Normalizer(2, "identity", None)) is None


def test_a_gripper_is_decided_by_cross_entropy():
    head = ActionError(ErrorConfig(), 3, choices())
    wanted = chunk()
    closed = torch.tensor([True, False, True])[:, None].expand(3, 4)
    wanted.actions[..., 2] = torch.where(closed, 1.6, -2.4)
    output = torch.randn(3, 4, 3, generator=rng(3))
    terms = head.loss_terms(output, wanted)
    expected = F.binary_cross_entropy_with_logits(output[0, :, 2], torch.ones(4))
    assert float(terms["gripper"][0]) == pytest.approx(float(expected), rel=1e-5)
    assert float(terms["l1"][0]) == pytest.approx(
        float((output[0, :, :2] - wanted.actions[0, :, :2]).abs().mean()), rel=1e-5
    )
    density = head.log_prob(output, wanted)
    plain = ActionError(ErrorConfig(), 2).log_prob(output[..., :2], replace(wanted, actions=wanted.actions[..., :2]))
    assert float(density[0] - plain[0]) == pytest.approx(-4 * float(expected), rel=1e-4)


def test_a_grippers_mode_is_its_mean_and_its_draws_are_its_levels():
    head = ActionError(ErrorConfig(), 3, choices())
    output = torch.zeros(1, 1, 3)
    output[..., 2] = 1.2
    share = 1 / (1 + math.exp(-1.2))
    draws = head.draw(output, rng(), 4001)[0, :, 0, 2]
    assert float(draws[0]) == pytest.approx(-2.4 + 4.0 * share, rel=1e-5)
    assert {round(value, 4) for value in draws[1:].tolist()} == {-2.4, 1.6}
    assert float((draws[1:] > 0).float().mean()) == pytest.approx(share, abs=0.03)
    assert output[..., 2].item() == pytest.approx(1.2)


def test_levels_travel_with_the_weights():
    first, second = ActionError(ErrorConfig(), 3, choices(0.2)), ActionError(ErrorConfig(), 3, choices(0.7))
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.low, second.low) and torch.equal(first.high, second.high)


def context(steps=3, each=2, batch=3, width=8, mask=None):
    x = torch.randn(batch, steps * each, width, generator=rng(4))
    words = torch.randn(batch, 1, width, generator=rng(5))
    place = torch.randn(each, width, generator=rng(6)).repeat(steps, 1)
    image = TokenGroup(name="image", tokens=x, mask=mask, attends_to=("image",), position=place)
    said = TokenGroup(name="language", tokens=words, mask=None, attends_to=("language",))
    return Context(groups={"image": image, "language": said})


def pooled(steps=3, **options) -> PooledRegression:
    torch.manual_seed(0)
    config = PooledConfig(carry=16, hidden=(16,), **options)
    return PooledRegression(config, 8, 3, 4, read=("image",), still=("language",), tokens=3, steps=steps)


def test_steps_are_pooled_one_by_one():
    seen_here = context()
    image, words = seen_here.groups["image"], seen_here.groups["language"].tokens
    step = (image.tokens + image.position)[:, 2:4]
    flat = torch.cat([step.flatten(1), words[:, 0]], dim=1)
    assert torch.allclose(pooled().features(seen_here)[:, 1], flat)
    both = torch.cat([step, words], dim=1)
    assert torch.allclose(pooled(pool="mean").features(seen_here)[:, 1], both.mean(1), atol=1e-6)
    assert torch.allclose(pooled(pool="max").features(seen_here)[:, 1], both.amax(1))


@pytest.mark.parametrize("pool", ["flat", "mean", "max"])
def test_masked_tokens_say_nothing(pool):
    mask = torch.ones(3, 6, dtype=torch.bool)
    mask[:, 3] = False
    before, after = context(mask=mask), context(mask=mask)
    after.groups["image"].tokens[:, 3] = 99.0
    head = pooled(pool=pool)
    assert torch.equal(head(before), head(after))


@pytest.mark.parametrize("memory", ["none", "lstm", "gru"])
def test_the_past_matters_and_the_shape_is_a_chunk(memory):
    head, seen_here = pooled(memory=memory), context()
    seen_here.groups["image"].tokens.requires_grad_()
    out = head(seen_here)
    assert out.shape == (3, 4, 3)
    out.sum().backward()
    assert (seen_here.groups["image"].tokens.grad.abs().sum(-1) > 0).all()


def test_the_lstm_is_run_over_the_steps_in_order():
    head, seen_here = pooled(memory="lstm", pool="mean"), context()
    features = head.norm(head.features(seen_here))
    state = None
    for step in range(3):
        out, state = head.memory(features[:, step : step + 1], state)
    assert torch.allclose(head(seen_here), head.head(out[:, 0]).unflatten(-1, (4, 3)), atol=1e-6)


def test_tokens_that_do_not_divide_are_refused():
    with pytest.raises(ShapeError, match="divide"):
        pooled(steps=4)(context())


def test_a_regression_head_reads_only_the_groups_it_names_through_its_own_width():
    sizes = LayerSizes(width=16, heads=2, hidden=24, dropout=0.0)
    head = ChunkRegression(sizes, RegressionConfig(layers=1), 3, 4, read=("language",), memory_width=8)
    one, other = context(), context()
    other.groups["image"].tokens.add_(1.0)
    assert torch.equal(head(one), head(other))
    other.groups["language"].tokens.add_(torch.randn(8))
    assert not torch.allclose(head(one), head(other))


def test_task_codes_are_stable_and_closed():
    assert task_codes(["Open the drawer "], 1000).tolist() == task_codes(["open the drawer"], 1000).tolist() == [239]
    table = OneHotTask(8, codes=50)
    found = table(seen(words=("a", "b"))).tokens
    assert found.shape == (2, 1, 8)
    assert torch.equal(found[1, 0], table.table.weight[task_codes(["b"], 50)[0]])


def said(text):
    """Letters counted: sentences of nearly the same letters mean nearly the same."""
    counts = torch.zeros(384)
    for letter in text:
        counts[ord(letter) % 384] += 1
    return counts / counts.norm()


def test_a_listed_task_has_one_code_however_it_is_said():
    listed = OneHotTask(8, codes=3, wordings=6, embed=said)
    listed.fit_sentences({"open it": ("open the thing",), "push it": ("shove it away", "push it"), "aim": ()})
    words = ("open it", "open the thing", "push it", "shove it away", "aim", "shove them away", "openn it")
    rows = [
        int((listed.table.weight == token).all(-1).nonzero())
        for token in listed(seen(len(words), words=words)).tokens[:, 0]
    ]
    assert rows == [1, 1, 2, 2, 0, 2, 1]
    again = OneHotTask(8, codes=3, wordings=6, embed=said)
    again.load_state_dict(listed.state_dict())
    assert torch.equal(again(seen(len(words), words=words)).tokens, listed(seen(len(words), words=words)).tokens)


@pytest.mark.parametrize(("codes", "wordings", "leaf"), [(1, 9, "codes"), (9, 3, "wordings")])
def test_more_tasks_than_room_are_refused(codes, wordings, leaf):
    with pytest.raises(ConfigError) as caught:
        OneHotTask(8, codes, wordings, said).fit_sentences({"a": ("b", "c"), "d": ()})
    assert caught.value.leaf == leaf


def test_film_begins_as_the_plain_resnet_and_then_hears():
    torch.manual_seed(0)
    eye = FilmResNet(ResNetConfig(norm="group", width=16), SEEN, vector=32, embed=sentence)
    out = eye(seen())
    assert out.tokens.shape == (2, 2, 128)
    other = eye(seen(words=("blue", "something else")))
    assert torch.equal(out.tokens, other.tokens)
    nn.init.normal_(eye.films.weight, std=0.1)
    assert not torch.allclose(eye(seen()).tokens[0], eye(seen(words=("blue", "green cube"))).tokens[0])
    assert torch.allclose(eye(seen()).tokens[1], eye(seen(words=("blue", "green cube"))).tokens[1])


def test_film_scales_and_shifts_before_the_shortcut():
    torch.manual_seed(0)
    net = ResNet(18, "group", width=16)
    x = torch.randn(1, 3, 32, 32)
    zeros = [torch.zeros(1, 2 * channels) for channels in net.stages]
    assert torch.allclose(net(x), net(x, zeros))
    last = [*zeros[:-1], torch.cat([torch.full((1, 128), -1.0), torch.full((1, 128), 0.5)], dim=1)]
    hidden = net.blocks[:-1](F.max_pool2d(F.relu(net.stem(x)), 3, 2, 1))
    assert torch.allclose(net(x, last), F.relu(hidden + 0.5), atol=1e-6)


def test_history_keeps_its_order_in_film_and_regions():
    torch.manual_seed(0)
    stem = ConvStemConfig(widths=(8, 16), group_width=8)
    for eye in (
        FilmResNet(ResNetConfig(norm="group", width=16), SEEN, vector=32, embed=sentence),
        RegionAttention(stem, SEEN, 12, queries=2, key=8, embed=sentence),
    ):
        long = seen(steps=3)
        tokens = eye(long).tokens
        last = eye(replace(long, images={name: image[:, 2:] for name, image in long.images.items()})).tokens
        assert torch.allclose(tokens[:, 4:], last, atol=1e-5)


def test_regions_find_the_cell_that_answers_the_question():
    torch.manual_seed(0)
    eye = RegionAttention(ConvStemConfig(widths=(8,), group_width=8), SEEN, 12, queries=1, key=4, embed=sentence)
    nn.init.zeros_(eye.key.weight)
    nn.init.zeros_(eye.key.bias)
    with torch.no_grad():
        eye.key.weight[0, 0] = 1.0
        eye.sharpness.fill_(50.0)
    features = torch.zeros(1, 8, 6, 5)
    features[0, 0, 4, 1] = 9.0
    asked = torch.tensor([[[1.0, 0, 0, 0]]])
    weight = eye.attention(features, asked)
    assert float(weight[0, 0, 4 * 5 + 1]) > 0.99
    place = weight[0, 0] @ _places(6, 5)
    assert place.tolist() == pytest.approx([(1.5 / 5) * 2 - 1, (4.5 / 6) * 2 - 1], abs=0.02)


def test_an_absent_camera_is_masked():
    stem = ConvStemConfig(widths=(8, 16), group_width=8)
    here = replace(seen(), masks={"right": torch.tensor([[True], [False]])})
    eyes = (
        RegionAttention(stem, SEEN, 12, queries=2, key=8, embed=sentence),
        FilmResNet(ResNetConfig(norm="group", width=16), SEEN, embed=sentence),
    )
    for eye in eyes:
        assert eye(here).mask.tolist() == [[True, True], [True, False]]


def test_without_language_the_eyes_stay_deaf():
    deaf = replace(SEEN, language=False)
    stem = ConvStemConfig(widths=(8, 16), group_width=8)
    eyes = (
        RegionAttention(stem, deaf, 12, queries=2, key=8, embed=sentence),
        FilmResNet(ResNetConfig(norm="group", width=16), deaf, embed=sentence),
    )
    for eye in eyes:
        assert torch.equal(eye(seen()).tokens, eye(seen(words=("x", "y"))).tokens)


def test_grippers_alone_are_a_whole_action():
    levels = Grippers(dims=(0,), low=torch.tensor([-1.0]), high=torch.tensor([1.0]))
    head = ActionError(ErrorConfig(), 1, levels)
    assert set(head.loss_terms(torch.zeros(3, 4, 1), chunk(dim=1))) == {"gripper"}

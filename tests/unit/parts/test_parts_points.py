"""Encoders of clouds: drawings for eyes, tokens of points, planes of positions, several groups as one."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
from bodies import gripper_arm

from embodia.core.errors import ConfigError, ShapeError
from embodia.core.invent import invent_observation
from embodia.core.types import TokenGroup
from embodia.nn.detr import LayerSizes
from embodia.nn.multiview import ViewConfig
from embodia.nn.normalize import Normalizer
from embodia.nn.tool import tool_of
from embodia.parts.backbones.together import Together
from embodia.parts.context import Context
from embodia.parts.decoders.keyframe import KeyFrameConfig, KeyFrameDecoder
from embodia.parts.encoders.cloud import Cloud
from embodia.parts.encoders.ortho import DrawnPixels, OrthoEyes, drawn_spec
from embodia.parts.encoders.points import CentrePositions, PlanePositions, PointConfig, PointTokens
from embodia.parts.encoders.state import StateToken
from embodia.parts.encoders.waypoints import waypoints

BODY = gripper_arm()
SEEN = invent_observation(BODY, 2).map(torch.from_numpy)
CUBE = {"centre": torch.tensor([0.4, 0.0, 0.2]), "half": torch.tensor(0.5)}
LAYERS = LayerSizes(width=32, heads=4, hidden=64, dropout=0.0, pre_norm=True)


class Looking(torch.nn.Module):
    """An eye that keeps what it was shown."""

    def forward(self, observation):
        self.images = observation.images
        first = next(iter(observation.images.values()))
        tokens = first.float().mean((1, 2, 3))[:, None]
        return TokenGroup(name="image", tokens=tokens, mask=None, attends_to=("image",))


def test_an_eye_is_shown_drawings_named_after_the_sides():
    eye = Looking()
    encoder = OrthoEyes(eye, ("top", "left"), 16, **CUBE)
    encoder(SEEN)
    assert list(eye.images) == ["top", "left"]
    assert eye.images["top"].shape == (2, 1, 16, 16, 3) and eye.images["top"].dtype == torch.uint8
    spec = drawn_spec(BODY.observation, ("top", "left"), 16)
    assert spec.camera_names == ("top", "left") and spec.senses == BODY.observation.senses


def test_a_red_point_in_the_middle_is_drawn_red_in_the_middle():
    eye, cloud = Looking(), torch.zeros(1, 1, 3, 6)
    cloud[0, 0, 0] = torch.tensor([0.41, 0.01, 0.21, 1.0, 0.0, 0.0])
    OrthoEyes(eye, ("top",), 8, **CUBE)(replace(SEEN, points=cloud))
    picture = eye.images["top"][0, 0]
    assert picture[..., 0].max() == 255 and picture[..., 1:].max() == 0
    row, column = (picture[..., 0] == 255).nonzero()[0].tolist()
    assert 3 <= row <= 4 and 3 <= column <= 4
    assert (picture[..., 0] > 0).sum() == 1, "zeros are padding, not points"


def test_a_question_that_knows_the_sentence_finds_the_colour():
    """Heat of drawings' pixels alone: red or green, as the group of the sentence says, after sixty steps."""
    torch.manual_seed(0)
    views = ViewConfig(views=("top", "front"), size=16, patch=8, stem=16)
    pixels = DrawnPixels(views, **CUBE)
    tool, units = tool_of(BODY), Normalizer(BODY.action.dim, "mean_std", None)
    keys = KeyFrameConfig(upsample=8, cells=16, hidden=32)
    model = KeyFrameDecoder(keys, views, tool, units, 4, width=8, read="views", early=True, told=("language",), **CUBE)
    optimizer = torch.optim.Adam([*pixels.parameters(), *model.parameters()], 1e-2)

    def asked(count):
        place = torch.rand(count, 2, 3) * 0.7 - 0.35 + CUBE["centre"]
        cloud = torch.cat([place, torch.eye(3)[:2].expand(count, 2, 3)], dim=-1)
        said = torch.arange(count) % 2
        groups = {
            "early": pixels(
                replace(invent_observation(BODY, count).map(torch.from_numpy), points=cloud[:, None])
            ).tokens,
            "views": torch.zeros(count, 8, 8),
            "language": torch.eye(8)[said][:, None],
            "tool": torch.zeros(count, 1, 5),
        }
        named = {n: TokenGroup(name=n, tokens=t, mask=None, attends_to=(n,)) for n, t in groups.items()}
        wanted = torch.cat([place[torch.arange(count), said], torch.zeros(count, 2)], dim=-1)
        return Context(groups=named), wanted

    for _ in range(60):
        context, wanted = asked(32)
        loss = model.losses(context, wanted, wanted[:, :0], None)["heat"].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    context, wanted = asked(32)
    found, _ = model.targets(context, model._maps(context), 1, None)
    away = (found[:, 0, :3] - wanted[:, :3]).norm(dim=-1)
    assert away.median() < 0.05


@pytest.mark.parametrize("kind", ["patches", "pointnet"])
@pytest.mark.parametrize("lift", [False, True])
def test_points_become_tokens(kind, lift):
    config = PointConfig(kind=kind, groups=8, neighbours=4, hidden=16, depth=1, lift=lift, layers=LAYERS)
    encoder = PointTokens(config, BODY.observation, 24, **CUBE)
    group = encoder(SEEN)
    assert group.tokens.shape == (2, config.tokens, 24) and group.name == "points"
    moved = encoder(replace(SEEN, points=SEEN.points + 0.05)).tokens
    assert not torch.allclose(group.tokens, moved)
    with pytest.raises(ShapeError, match="points"):
        encoder(replace(SEEN, points=None))


def test_planes_read_the_table_where_a_centre_falls():
    planes = PlanePositions(5, 3)
    with torch.no_grad():
        planes.table.copy_(torch.linspace(-1, 1, 5).expand(1, 3, 5, 5))
    centres = torch.tensor([[[0.4, -0.2, 0.8], [0.0, 0.0, 0.0]]])
    found = planes(centres)[0]
    columns = (planes.planes[:, 0] @ centres[0].T).clamp(-0.8, 0.8) * 5 / 4
    torch.testing.assert_close(found[:, 0], columns.mean(0))


def test_codes_of_centres_differ():
    code = CentrePositions(16)
    found = code(torch.rand(1, 7, 3))
    assert found.shape == (1, 7, 16) and torch.cdist(found[0], found[0]).add(torch.eye(7)).min() > 1e-4


def test_a_body_without_points_is_refused():
    blind = replace(BODY.observation, senses=())
    for build in (
        lambda: Cloud(blind),
        lambda: PointTokens(PointConfig(), blind, 8, **CUBE),
        lambda: drawn_spec(blind, ("top",), 8),
    ):
        with pytest.raises(ConfigError, match="points"):
            build()


def test_groups_laid_end_to_end():
    groups = {
        name: TokenGroup(name=name, tokens=torch.full((2, count, 4), float(count)), mask=None, attends_to=(name,))
        for name, count in (("a", 2), ("b", 3), ("c", 1))
    }
    found, cache = Together(("b", "a"), "seen")(groups, "kept")
    assert cache == "kept" and list(found) == ["c", "seen"]
    assert found["seen"].tokens[0, :, 0].tolist() == [3, 3, 3, 2, 2] and found["seen"].mask.all()
    placed = {**groups, "a": replace(groups["a"], position=torch.full((2, 4), 0.5))}
    assert Together(("b", "a"), "seen")(placed)[0]["seen"].tokens[0, :, 0].tolist() == [3, 3, 3, 2.5, 2.5]


def test_states_to_come_are_estimated_from_the_groups_that_are_there():
    points = PointTokens(
        PointConfig(groups=8, neighbours=4, hidden=16, depth=0, layers=LAYERS), BODY.observation, 32, **CUBE
    )
    encoders = {"points": points, "state": StateToken(4, 32)}
    assert waypoints((), 4, encoders, 32, ("points",)) is None
    made = waypoints((3, 9), 4, encoders, 32, ("points", "language", "state"))
    assert made.read == ("points", "state")
    group, estimate = made({name: encoder(SEEN) for name, encoder in encoders.items()}, SEEN)
    assert group.tokens.shape == (2, 1, 32) and estimate.shape == (2, 2, 4)

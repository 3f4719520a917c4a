"""Encoders of touch, forces, sound, depth and motion: what changes them, what does not, and the units."""

import math
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
from embodia.nn.tracks import draw, track
from embodia.parts.encoders.depth import DepthTokens, Ego3d, backproject, depth_senses
from embodia.parts.encoders.sound import SoundTokens
from embodia.parts.encoders.touch import SharedTouch, TouchImage
from embodia.parts.encoders.trace import TraceEyes

BODY = gripper_arm(pixels=32)
SPEC = BODY.observation
SEEN = invent_observation(BODY, 2, history=2).map(torch.from_numpy)
BLIND = replace(SPEC, senses=())


@pytest.mark.parametrize(
    ("build", "field", "tokens"),
    [
        (lambda: TouchImage(SPEC, 16), "touch", 32),
        (lambda: SoundTokens(SPEC, 16, history=2), "audio", 13),
        (lambda: DepthTokens(SPEC, 16), "depth", 32),
    ],
)
def test_a_sense_becomes_tokens_that_depend_on_it_alone(build, field, tokens):
    encoder = build()
    group = encoder(SEEN)
    assert group.tokens.shape == (2, tokens, 16) and group.name == field
    dark = replace(SEEN, images={name: image * 0 for name, image in SEEN.images.items()}, state=SEEN.state + 1)
    assert torch.equal(encoder(dark).tokens, group.tokens)
    other = {name: picture + 0.3 for name, picture in SEEN.depth.items()}
    changed = replace(SEEN, depth=other) if field == "depth" else replace(SEEN, **{field: getattr(SEEN, field) + 0.5})
    assert not torch.allclose(encoder(changed).tokens, group.tokens)
    absent = replace(SEEN, depth={}) if field == "depth" else replace(SEEN, **{field: None})
    with pytest.raises(ShapeError):
        encoder(absent)


@pytest.mark.parametrize("build", [TouchImage, SoundTokens, DepthTokens])
def test_a_body_that_lacks_the_sense_is_refused(build):
    with pytest.raises(ConfigError, match=r"sense|depth"):
        build(BLIND, 16)


def test_another_number_of_samples_is_refused():
    with pytest.raises(ShapeError, match="samples"):
        SoundTokens(SPEC, 16, history=1)(SEEN)


def test_a_tone_is_heard_at_its_pitch():
    encoder = SoundTokens(SPEC, 16, window=64, stride=32, history=2)
    heard = []
    encoder.project = torch.nn.Identity()
    encoder.position = None
    for cycles in (8, 20):
        wave = torch.sin(2 * math.pi * cycles * torch.arange(800) / 64).view(1, 2, 400)
        heard.append(encoder(replace(SEEN, audio=wave)).tokens[0, 5].argmax().item())
    assert heard == [8, 20]


def test_sensors_of_several_kinds_learn_one_space():
    torch.manual_seed(0)
    model, made = SharedTouch({"gel": 12, "skin": 5}, 32, 8), torch.randn(4, 17)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(150):
        contact = torch.randn(32, 4)
        first, second = (contact @ made).split((12, 5), dim=1)
        loss = model.contrast(model("gel", first), model("skin", second)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    first, second = (torch.randn(40, 4) @ made).split((12, 5), dim=1)
    found = (model("gel", first) @ model("skin", second).T).argmax(1)
    assert (found == torch.arange(40)).float().mean() > 0.5
    with pytest.raises(ConfigError, match="hair"):
        model("hair", first)


def test_depth_needs_every_camera_and_where_asked_its_field():
    assert [sense.camera for sense in depth_senses(SPEC, field=True)] == ["camera0", "camera1"]
    one = replace(SPEC, senses=SPEC.senses[:1])
    with pytest.raises(ConfigError, match="camera1"):
        depth_senses(one)
    unknown = replace(SPEC, senses=tuple(replace(sense, field_deg=0.0) for sense in SPEC.senses))
    depth_senses(unknown)
    with pytest.raises(ConfigError, match="field of view"):
        depth_senses(unknown, field=True)


class Cells(torch.nn.Module):
    def forward(self, observation):
        tokens = torch.zeros(2, 2 * 16, 24)
        return TokenGroup(name="image", tokens=tokens, mask=None, attends_to=("image",))


def test_cells_are_told_where_in_space_they_lie():
    encoder = Ego3d(Cells(), SPEC, 24, (4, 4))
    found = encoder(SEEN).tokens
    near = encoder(replace(SEEN, depth={name: picture * 0.5 for name, picture in SEEN.depth.items()})).tokens
    assert found.shape == (2, 32, 24) and not torch.allclose(found, near)
    flat = backproject(replace(SEEN, depth={"camera0": torch.full((2, 1, 32, 32), 1.0)}), SPEC.senses[0])
    edge = math.tan(math.radians(45.0 / 2)) * 31 / 32
    assert flat[0, 0, -1].tolist() == pytest.approx([edge, -edge, 1.0], abs=1e-5)
    with pytest.raises(ShapeError, match="cells"):
        Ego3d(Cells(), SPEC, 24, (3, 3))(SEEN)


def moving(steps=4):
    film = torch.zeros(1, steps, 32, 32, 3, dtype=torch.uint8)
    texture = torch.randint(60, 255, (7, 7, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    for step in range(steps):
        film[0, step, 10:17, 9 + 2 * step : 16 + 2 * step] = texture
    return film


def test_a_moving_patch_is_followed_and_a_standing_ground_is_not():
    paths = track(moving(), 8)
    start = paths[0, 0]
    inside = ((start - torch.tensor([12.0, 13.0])).abs() <= 2).all(1)
    assert inside.any()
    moved = (paths[0, -1] - start)[inside]
    torch.testing.assert_close(moved, torch.tensor([6.0, 0.0]).expand_as(moved))
    far = ((start - torch.tensor([15.0, 13.0])).abs().amax(1)) > 12
    assert (paths[0, -1] - start)[far].abs().max() == 0


def test_paths_are_drawn_and_stillness_is_not():
    film = moving()
    drawn = draw(film[:, -1], track(film, 8))
    assert (drawn != film[:, -1]).any() and torch.equal(film, moving()), "a copy"
    still = film[:, :1].expand(-1, 4, -1, -1, -1)
    assert torch.equal(draw(still[:, -1], track(still, 8)), still[:, -1])


def test_eyes_are_shown_one_picture_with_paths():
    class Eye(torch.nn.Module):
        def forward(self, observation):
            self.shown = observation.images
            return TokenGroup(name="image", tokens=torch.zeros(1, 1, 4), mask=None, attends_to=("image",))

    eye, film = Eye(), moving()
    TraceEyes(eye, ("front",))(replace(SEEN, images={"front": film, "wrist": film}))
    assert eye.shown["front"].shape == (1, 1, 32, 32, 3)
    assert torch.equal(eye.shown["wrist"], film[:, -1:]) and not torch.equal(eye.shown["front"], film[:, -1:])

"""Florence-2's eyes and reading half, against transformers' whole model; one view read, the others passed by."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import Florence2Config, Florence2Model

from embodia.builders.families import florence2_large
from embodia.builders.vlm import VlmConfig, vision_language
from embodia.core.errors import ConfigError
from embodia.core.specs import CameraSpec, ObservationSpec, StatePart
from embodia.core.types import Observation, TokenGroup
from embodia.nn.image import fit_square
from embodia.nn.packed import pack
from embodia.parts.backbones.bart import BartConfig, BartEngine
from embodia.parts.backbones.main_view import MainView
from embodia.parts.encoders.eyes import eyes
from embodia.parts.encoders.florence import FlorenceConfig, FlorenceViews

EYE = FlorenceConfig(
    depths=(1, 1), widths=(8, 16), heads=(2, 4), patches=(7, 3), strides=(4, 2), paddings=(3, 1), window=4, grid=6,
    moments=5, pixels=0,
)  # fmt: skip
READER = BartConfig(width=24, depth=2, heads=4, mlp_width=40, positions=60)


def spec(height=32, width=32, cameras=2):
    return ObservationSpec(
        cameras=tuple(CameraSpec(name=f"view{index}", height=height, width=width) for index in range(cameras)),
        state=(StatePart(name="joint", dim=3),),
        rate_hz=10,
    )


def seen(spec, batch=2, **more):
    rng = np.random.default_rng(0)
    images = {
        camera.name: torch.from_numpy(rng.integers(0, 256, (batch, 1, camera.height, camera.width, 3), dtype=np.uint8))
        for camera in spec.cameras
    }
    return Observation(images=images, instruction=("open the drawer", "push")[:batch], **more)


def theirs():
    """The same sizes as transformers' whole model."""
    torch.manual_seed(0)
    vision = {
        "depths": [1, 1], "embed_dim": [8, 16], "num_heads": [2, 4], "num_groups": [2, 4], "patch_size": [7, 3],
        "patch_stride": [4, 2], "patch_padding": [3, 1], "patch_prenorm": [False, True], "window_size": 4,
        "projection_dim": 24, "max_position_embeddings": 6, "max_temporal_embeddings": 5,
    }  # fmt: skip
    text = {"vocab_size": 300, "d_model": 24, "encoder_layers": 2, "encoder_ffn_dim": 40, "decoder_layers": 1,
            "encoder_attention_heads": 4, "decoder_attention_heads": 4, "max_position_embeddings": 60}  # fmt: skip
    return Florence2Model(Florence2Config(vision_config=vision, text_config=text)).eval()


def pixels(picture):
    """(B 3 H W), the other way round than in the encoder."""
    mean, deviation = (torch.tensor(row)[:, None, None] for row in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    return (picture[:, 0].permute(0, 3, 1, 2) / 255 - mean) / deviation


def test_main_view_and_words_are_read_as_the_whole_model_reads_them():
    peer, body = theirs(), spec()
    text = replace(florence2_large().text, vocabulary=300, length=20)
    config = VlmConfig(vision=EYE, text=text, model=READER, state="none")
    encoders, model = vision_language(config, body)
    encoders["image"].tower.load_state_dict(peer.vision_tower.state_dict())
    encoders["image"].project.load_state_dict(peer.multi_modal_projector.state_dict())
    known = peer.language_model.encoder.state_dict()
    model.vocabulary.table.weight.data = known.pop("embed_tokens.weight").clone()
    model.engine.model.load_state_dict(known)
    backbone = MainView(model, encoders["image"].first).eval()
    observation = seen(body)
    groups = {name: encoder.eval()(observation) for name, encoder in encoders.items()}
    with torch.no_grad():
        found, cache = backbone(groups)
        first, second = (
            peer.get_image_features(pixels(picture)).pooler_output for picture in observation.images.values()
        )
        ids, real = encoders["language"].tokenizer(observation.instruction)
        words = peer.get_input_embeddings()(ids.masked_fill(~real, 1))
        expected = peer.language_model.encoder(inputs_embeds=torch.cat([first, words], dim=1)).last_hidden_state
    together = torch.cat([found["image"].tokens, found["language"].tokens], dim=1)
    torch.testing.assert_close(together, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found["views"].tokens, second, atol=1e-5, rtol=1e-4)
    assert cache is None and found["language"].mask is None and real.logical_not().any()


def test_tokens_are_one_for_the_picture_and_one_a_cell():
    eye = FlorenceViews(EYE, spec(40, 32), 24).eval()
    group = eye(seen(spec(40, 32)))
    assert eye.first == 1 + 5 * 4 and group.tokens.shape == (2, eye.tokens, 24) == (2, 42, 24)
    assert FlorenceViews(FlorenceConfig(), spec(480, 640, 3), 16).first == 50


def test_views_that_are_not_there_are_zeros_that_are_seen():
    eye = FlorenceViews(replace(EYE, views=3), spec(), 24).eval()
    group = eye(seen(spec()))
    assert group.mask is None and group.tokens.shape[1] == 3 * eye.first
    assert not group.tokens[:, 2 * eye.first :].any() and group.tokens[:, : 2 * eye.first].any()
    gone = eye(seen(spec(), masks={"view1": torch.tensor([[True], [False]])})).tokens
    torch.testing.assert_close(gone[0], group.tokens[0])
    torch.testing.assert_close(gone[1, : eye.first], group.tokens[1, : eye.first])
    assert not gone[1, eye.first :].any()


def test_pictures_are_brought_to_one_size_where_asked():
    torch.manual_seed(0)
    wide = FlorenceViews(replace(EYE, pixels=32, fit="corner", smooth=False), spec(24, 48), 24).eval()
    assert wide.first == 17 and wide(seen(spec(24, 48))).tokens.shape == (2, 34, 24)
    grey = torch.full((1, 3, 8, 16), 0.7)
    fitted = fit_square(grey, 8, "corner", smooth=False, black=0.0)
    assert not fitted[:, :, :4].any() and torch.allclose(fitted[:, :, 4:], torch.tensor(0.7))
    assert (fit_square(grey, 8, "corner")[:, :, :4] == -1).all()


def test_maps_without_room_and_of_two_sizes_are_refused():
    with pytest.raises(ConfigError, match="up to 6"):
        FlorenceViews(EYE, spec(96, 32), 24)
    cameras = (*spec(cameras=1).cameras, CameraSpec(name="other", height=16, width=16))
    with pytest.raises(ConfigError, match="one size"):
        FlorenceViews(EYE, replace(spec(), cameras=cameras), 24)
    two = FlorenceViews(replace(EYE, pixels=32), replace(spec(), cameras=cameras), 24).eval()
    assert two(seen(replace(spec(), cameras=cameras))).tokens.shape == (2, 34, 24)


def test_packing_leaves_the_tower_able_to_see():
    eye = eyes(EYE, spec(), 24).eval()
    expected = eye(seen(spec())).tokens.detach()
    holder = torch.nn.ModuleDict({"eye": eye})
    torch.testing.assert_close(pack(holder)["eye"](seen(spec())).tokens, expected)


def group(name, tokens, mask=None):
    return TokenGroup(name=name, tokens=tokens, mask=mask, attends_to=(name,))


def test_an_encoder_sees_everything_but_padding():
    torch.manual_seed(0)
    engine = BartEngine(READER).eval()
    first, second = torch.randn(1, 3, 24), torch.randn(1, 4, 24)
    mask = torch.tensor([[True, True, True, False]])
    groups = [group("image", first), group("language", second, mask)]
    hidden, cache = engine(groups)
    second[:, 3] += 1
    torch.testing.assert_close(engine(groups)[0][:, :6], hidden[:, :6])
    second[:, 2] *= -1
    assert cache is None and not torch.allclose(engine(groups)[0][:, :3], hidden[:, :3])
    assert engine(groups, outputs=False) == (None, None)
    with pytest.raises(ConfigError, match="read on"):
        engine(groups, cache=hidden)


class Louder(torch.nn.Module):
    """A model that doubles what it reads."""

    def forward(self, groups, cache=None):
        return {**groups, "image": replace(groups["image"], tokens=2 * groups["image"].tokens)}, cache


def test_only_the_main_view_is_read():
    tokens, place, mask = torch.randn(2, 5, 4), torch.randn(5, 4), torch.ones(2, 5, dtype=torch.bool)
    image = replace(group("image", tokens, mask), position=place, time=torch.arange(10.0).view(2, 5))
    found, _ = MainView(Louder(), 2)({"image": image, "state": group("state", tokens)})
    assert torch.equal(found["image"].tokens, 2 * tokens[:, :2]) and torch.equal(found["views"].tokens, tokens[:, 2:])
    assert torch.equal(found["views"].position, place[2:]) and torch.equal(found["image"].position, place[:2])
    assert found["views"].mask.shape == found["views"].time.shape == (2, 3)
    assert found["views"].attends_to == ("views",) and found["state"].tokens is tokens


@pytest.mark.parametrize("cameras", [1, 3])
def test_any_number_of_views(cameras):
    encoders, model = vision_language(VlmConfig(state="none"), spec(64, 64, cameras))
    image = encoders["image"]
    groups = {name: encoder(seen(spec(64, 64, cameras))) for name, encoder in encoders.items()}
    found, _ = MainView(model, image.first)(groups)
    assert found["image"].tokens.shape[1] == image.first
    assert found["views"].tokens.shape[1] == (cameras - 1) * image.first


def test_florence_2_large_has_the_published_size():
    with torch.device("meta"):
        encoders, model = vision_language(florence2_large(), spec(224, 224, 3))
    count = sum(p.numel() for part in (*encoders.values(), model) for p in part.parameters())
    assert count == 570_706_944

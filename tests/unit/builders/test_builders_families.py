"""Published models by name: parameter counts on the meta device; towers against their classes' own maps."""

from dataclasses import replace

import pytest
import torch

pytest.importorskip("transformers", reason="the public classes are not installed")

from embodia.builders import families
from embodia.builders.vlm import vision_language
from embodia.core.specs import CameraSpec, ObservationSpec
from embodia.core.types import Observation
from embodia.nn.image import rescale, scale_pixels
from embodia.nn.projector import ProjectorConfig, fold, projector
from embodia.parts.compose import parameter_count
from embodia.parts.encoders.towers import DualConfig, DualTrunk, TowerConfig, TowerTrunk
from embodia.parts.encoders.vision import camera_tokens

SPEC = ObservationSpec(cameras=(CameraSpec(name="front", height=224, width=224),), state=(), rate_hz=10)
DINO_LAYER, SIGLIP_LAYER, SIGLIP_POOLING = 12_600_320, 15_239_504, 15_240_656
TOWERS_READ = 303_230_976 - DINO_LAYER + 427_680_704 - SIGLIP_LAYER - SIGLIP_POOLING
"""DINOv2-L and SigLIP So400m without what lies behind the layer that is read."""
# name: (configuration, published number of parameters)
PUBLISHED = {
    "prismatic": (families.prismatic_llama2_7b, 7_541_237_184),
    "prismatic_qwen_half_b": (families.prismatic_qwen_half_b, TOWERS_READ + 494_032_768 + 27_600_000),
    "pali_x_55b": (families.pali_x_55b, 55_000_000_000),
    "magma_8b": (families.magma_8b, 843_398_016 + 8_030_261_248),
    "paligemma": (families.paligemma_3b, 2_923_335_408),
    "paligemma2": (families.paligemma2_3b, 3_032_242_416),
    "qwen2_vl_2b": (families.qwen2_vl, 2_208_985_600),
    "qwen2_vl_7b": (lambda: families.qwen2_vl("7b"), 8_291_375_616),
    "qwen2_5_vl_3b": (families.qwen2_5_vl, 3_754_622_976),
    "qwen2_5_vl_7b": (lambda: families.qwen2_5_vl("7b"), 8_292_166_656),
    "llava_7b": (families.llava_7b, 7_063_427_072),
    "llava_ov_half_b": (families.llava_ov_half_b, 893_614_000),
    "smolvlm2": (families.smolvlm2_half_b, 507_482_304),
    "internvl2_2b": (families.internvl2, 2_205_754_368),
    "internvl2_8b": (lambda: families.internvl2("8b"), 8_075_365_376),
    "phi3_vision": (families.phi3_vision, 4_146_621_440),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_those_published(name):
    config, published = PUBLISHED[name]
    with torch.device("meta"):
        encoders, model = vision_language(config(), SPEC)
    total = sum(parameter_count(part) for part in (*encoders.values(), model))
    assert abs(total / published - 1) < 0.02, f"{total:,} against {published:,}"


def tower(family, **changes):
    sizes = TowerConfig(family=family, width=32, depth=2, heads=4, hidden=64, pixels=56)
    if family == "convnext":
        sizes = replace(sizes, depths=(1, 1, 1, 1), widths=(8, 16, 24, 32), pixels=64)
    if family == "efficientnet":
        sizes = replace(sizes, width=32, depth=10, widths=(1280,), pixels=64)
    if family.startswith("qwen"):
        sizes = replace(sizes, merged=48)
    if family == "dinov2":
        sizes = replace(sizes, registers=4)
    torch.manual_seed(0)
    return TowerTrunk(replace(sizes, **changes)).eval()


FAMILIES = ["siglip", "dinov2", "clip", "vit_mae", "internvl", "convnext", "efficientnet", "qwen2_vl", "qwen2_5_vl"]


@pytest.mark.parametrize("family", FAMILIES)
def test_maps_have_the_promised_size(family):
    trunk = tower(family)
    rows = trunk.map_size(96)
    with torch.no_grad():
        found = trunk(torch.rand(2, 3, 96, 80))
    assert found.shape == (2, trunk.channels, rows, rows)
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("family", ["siglip", "dinov2", "clip", "internvl", "convnext", "qwen2_vl", "qwen2_5_vl"])
def test_a_map_lies_the_way_the_picture_does(family):
    """A change in the lower right corner changes the cell there more than the one in the upper left."""
    trunk = tower(family)
    torch.manual_seed(1)
    picture = torch.rand(1, 3, trunk.pixels, trunk.pixels)
    changed = picture.clone()
    changed[:, :, -trunk.pixels // 2 :, : trunk.pixels // 4] += 1
    with torch.no_grad():
        difference = (trunk(changed) - trunk(picture)).square().sum(1)[0]
    row, column = divmod(int(difference.argmax()), difference.shape[1])
    assert row >= difference.shape[0] // 2 and column <= difference.shape[1] // 2


def test_dropped_layers_are_those_at_the_end():
    full, cut = tower("siglip"), tower("siglip", drop=1)
    cut.tower.load_state_dict(
        {k: v for k, v in full.tower.state_dict().items() if "layers.1" not in k and "post_layernorm" not in k}
    )
    picture = torch.rand(1, 3, 56, 56)
    with torch.no_grad():
        hidden = full.tower(pixel_values=picture, output_hidden_states=True).hidden_states[1]
        found = cut(picture)
    assert torch.allclose(found.flatten(2).transpose(1, 2), hidden, atol=1e-5)


def test_dinov2_leaves_its_registers_and_class_out():
    trunk = tower("dinov2")
    picture = torch.rand(1, 3, 56, 56)
    with torch.no_grad():
        whole = trunk.tower(pixel_values=picture).last_hidden_state
        found = trunk(picture)
    assert whole.shape[1] == 1 + 4 + 16
    assert torch.equal(found.flatten(2).transpose(1, 2), whole[:, 5:])


def test_members_of_a_dual_encoder_scale_for_themselves():
    torch.manual_seed(0)
    members = (tower("dinov2", scaling="imagenet").config, tower("siglip").config)
    dual = DualTrunk(DualConfig(members=members)).eval()
    frames = torch.randint(0, 256, (2, 56, 56, 3), dtype=torch.uint8)
    with torch.no_grad():
        found = dual(scale_pixels(frames, "unit"))
        first = dual.members[0](scale_pixels(frames, "imagenet"))
        second = dual.members[1](scale_pixels(frames, "symmetric"))
    assert torch.allclose(found, torch.cat([first, second], 1), atol=1e-4)


def test_scaling_later_equals_scaling_at_once():
    frames = torch.randint(0, 256, (1, 8, 8, 3), dtype=torch.uint8)
    for how in ("imagenet", "symmetric", "unit"):
        assert torch.allclose(rescale(scale_pixels(frames, "unit"), how), scale_pixels(frames, how), atol=1e-5)


def test_folding_keeps_every_number_in_its_block():
    features = torch.arange(2 * 4 * 4.0).view(1, 2, 4, 4)
    folded = fold(features, 2)
    assert folded.shape == (1, 8, 2, 2)
    assert sorted(folded[0, :, 0, 0].tolist()) == sorted(features[0, :, :2, :2].flatten().tolist())
    assert fold(features, 3).shape == (1, 18, 1, 1)
    assert fold(features, 1) is features


@pytest.mark.parametrize(
    ("kind", "count"),
    [("linear", 3 * 5 + 5), ("mlp", 3 * 5 + 5 + 5 * 5 + 5), ("fused", 36 + 12 + 60 + 5 + 30), ("none", 0)],
)
def test_projectors_have_their_layers(kind, count):
    assert parameter_count(projector(ProjectorConfig(kind=kind), 3, 5)) == count


def test_camera_tokens_fold_and_project():
    config = TowerConfig(family="siglip", width=32, depth=1, heads=4, hidden=64, pixels=56)
    made = camera_tokens(config, SPEC, 24, projector=ProjectorConfig(kind="mlp", shuffle=2, norm=True))
    frames = torch.randint(0, 256, (2, 1, 224, 224, 3), dtype=torch.uint8)
    group = made(Observation(images={"front": frames}))
    assert group.tokens.shape == (2, 4, 24) and made.tokens == 4
    assert group.position is None

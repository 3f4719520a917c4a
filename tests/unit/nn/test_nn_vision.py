"""Pixels, ResNet, stems, keypoints: against transformers' ResNet, explicit loops, and peaks put in by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from embodia.core.errors import ShapeError
from embodia.nn.conv import ConvStem
from embodia.nn.image import pick_cameras, scale_pixels
from embodia.nn.keypoint_stem import KeypointStem, fold_patches
from embodia.nn.keypoints import SpatialSoftmax
from embodia.nn.resnet import ConvNorm, FrozenBatchNorm, ResNet


def picture(n=2, height=64, width=96, seed=0):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 256, (n, height, width, 3), dtype=np.uint8))


def test_pixels_are_scaled_a_channel_and_stay_channels_last():
    pixels = picture()
    out = scale_pixels(pixels, "imagenet")
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    expected = ((pixels.numpy() / 255 - mean) / deviation).transpose(0, 3, 1, 2)
    assert np.allclose(out.numpy(), expected, atol=1e-5)
    assert out.is_contiguous(memory_format=torch.channels_last)


def test_float_pictures_are_read_as_zero_to_one():
    pixels = picture()
    for scaling in ("imagenet", "symmetric", "unit"):
        assert torch.allclose(scale_pixels(pixels, scaling), scale_pixels(pixels / 255, scaling), atol=1e-5)
    symmetric = scale_pixels(torch.tensor([[[[0, 255, 51]]]], dtype=torch.uint8), "symmetric")
    assert symmetric.flatten().tolist() == pytest.approx([-1, 1, -0.6])


def test_a_missing_camera_is_named():
    with pytest.raises(ShapeError, match=r"images\.wrist"):
        pick_cameras({"front": picture()}, ["front", "wrist"])


def copied_resnet(norm):
    """Our ResNet-18 and transformers' (a quarter as wide) with the same weights and random batch statistics."""
    from transformers import ResNetConfig, ResNetModel

    config = ResNetConfig(embedding_size=16, hidden_sizes=[16, 32, 64, 128], depths=[2, 2, 2, 2], layer_type="basic")
    torch.manual_seed(0)
    peer, ours = ResNetModel(config).eval(), ResNet(18, norm, width=16)
    blocks = [layer for stage in peer.encoder.stages for layer in stage.layers]
    pairs = [(ours.stem, peer.embedder.embedder)]
    for mine, theirs in zip(ours.blocks, blocks, strict=True):
        pairs += [(mine.first, theirs.layer[0]), (mine.second, theirs.layer[1])]
        if mine.shortcut is not None:
            pairs.append((mine.shortcut, theirs.shortcut))
    with torch.no_grad():
        for mine, theirs in pairs:
            mine.conv.weight.copy_(theirs.convolution.weight)
            batch = theirs.normalization
            batch.running_mean.normal_()
            batch.running_var.uniform_(0.5, 2)
            batch.weight.uniform_(0.5, 1.5)
            batch.bias.normal_()
            mine.norm.load_state_dict({k: v for k, v in batch.state_dict().items() if k != "num_batches_tracked"})
    return ours, peer


def test_resnet_18_equals_transformers_with_frozen_statistics():
    ours, peer = copied_resnet("frozen_batch")
    x = scale_pixels(picture(), "imagenet")
    with torch.no_grad():
        mine, theirs = ours(x), peer(x).last_hidden_state
    assert mine.shape == (2, 128, 2, 3) == (2, ours.channels, ours.map_size(64), ours.map_size(96))
    assert torch.allclose(mine, theirs, rtol=1e-4, atol=1e-4 * float(theirs.abs().max()))


def test_folded_batch_norm_passes_the_gradient_of_the_unfolded():
    layer = ConvNorm(3, 4, 3, 1, "frozen_batch", 16)
    layer.norm.running_var.uniform_(0.5, 2)
    layer.norm.running_mean.normal_()
    x = torch.randn(2, 3, 8, 8)
    layer(x).square().sum().backward()
    folded = layer.conv.weight.grad.clone()
    layer.conv.weight.grad = None
    plain = nn.functional.batch_norm(
        layer.conv(x), layer.norm.running_mean, layer.norm.running_var, layer.norm.weight, layer.norm.bias
    )
    plain.square().sum().backward()
    assert torch.allclose(folded, layer.conv.weight.grad, rtol=1e-4, atol=1e-3)


def test_frozen_statistics_are_no_parameters_and_groups_are():
    assert not list(FrozenBatchNorm(8).parameters())
    count = {norm: sum(p.numel() for p in ResNet(18, norm).parameters()) for norm in ("frozen_batch", "group")}
    assert count == {"frozen_batch": 11_166_912, "group": 11_176_512}


def test_resnet_34_is_deeper():
    with torch.device("meta"):
        assert len(ResNet(34).blocks) == 16
        assert ResNet(34)(torch.zeros(1, 3, 96, 96)).shape == (1, 512, 3, 3)


@pytest.mark.parametrize("pixels", [96, 84, 65])
def test_stems_say_their_map_size(pixels):
    stem = ConvStem((16, 32, 32))
    side = stem.map_size(pixels)
    assert stem(torch.zeros(1, 3, pixels, pixels)).shape == (1, 32, side, side)
    trunk = ResNet(18, "group", width=16)
    side = trunk.map_size(pixels)
    assert trunk(torch.zeros(1, 3, pixels, pixels)).shape == (1, 128, side, side)


def test_spatial_softmax_points_at_a_peak():
    layer = SpatialSoftmax(2, 2)
    with torch.no_grad():
        layer.maps.weight.copy_(torch.eye(2)[:, :, None, None])
        layer.maps.bias.zero_()
    features = torch.zeros(1, 2, 5, 9)
    features[0, 0, 0, 8] = 100.0  # upper right corner
    points = layer(features)
    assert points[0, 0].tolist() == pytest.approx([1, -1], abs=1e-5)
    assert points[0, 1].tolist() == pytest.approx([0, 0], abs=1e-5)  # flat: the middle


def test_folded_patches_keep_every_pixel_where_it_belongs():
    x = torch.arange(2 * 3 * 8 * 12.0).reshape(2, 3, 8, 12)
    folded = fold_patches(x, 4)
    assert folded.shape == (2, 48, 2, 3)
    for row, column in ((0, 0), (1, 2), (0, 1)):
        patch = x[1, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        assert torch.equal(folded[1, :, row, column], patch.permute(1, 2, 0).flatten())


def test_keypoint_stem_follows_an_object_and_hears_the_condition():
    torch.manual_seed(0)
    stem = KeypointStem(6, 24, patch=4, channels=8, keypoints=4, cells=3, grid_channels=8)
    x, condition = torch.randn(2, 3, 48, 48), torch.randn(2, 6)
    tokens = stem(x, condition)
    assert tokens.shape == (2, 10, 24)
    steered = stem(x, condition + 1)
    assert not torch.allclose(tokens[:, 0], steered[:, 0], atol=1e-6)
    assert torch.equal(tokens[:, 1:], steered[:, 1:])
    moved = stem(x.roll(8, dims=3), condition)
    assert not torch.allclose(tokens[:, 0], moved[:, 0], atol=1e-4)

"""Diffusion Policy as LeRobot writes it (0.4 to 0.6, one encoder a camera).

Its U-Net keeps one condition layer a block and orders the condition by time step; ours keeps one bank for all blocks
and orders it by sense: rows are stacked, columns permuted, nothing is computed. The one thing to watch: its chunk
begins at the oldest of the moments it saw, so what is already past is skipped in acting.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from embodia.core.errors import ConfigError
from embodia.core.specs import Contract
from embodia.nn.resnet import DEPTHS
from embodia.nn.unet1d import UNetConfig
from embodia.parts.compose import Inference
from embodia.parts.decoders.diffusion import DiffusionConfig
from embodia.parts.encoders.resnet import ResNetConfig
from embodia.policies import PolicySpec
from embodia.policies.diffusion_policy import Config
from embodia.weights import Foreign, _lerobot
from embodia.weights._names import Names, resnet_pairs

POLICY = "diffusion_policy"
_FILM = "decoder.net.film"
_FIXED = {
    "type": "diffusion",
    "device": "cpu",
    "use_amp": False,
    "resize_shape": None,
    "crop_ratio": 1.0,
    "crop_shape": None,
    "crop_is_random": True,
    "pretrained_backbone_weights": None,
    "use_group_norm": True,
    "use_separate_rgb_encoder_per_camera": True,
    "use_film_scale_modulation": True,
    "noise_scheduler_type": "DDIM",
    "beta_start": 0.0001,
    "beta_end": 0.02,
    "clip_sample": True,
    "do_mask_loss_for_padding": True,
}


def recognise(folder: Path) -> bool:
    """Whether LeRobot wrote a Diffusion Policy into `folder`."""
    return _lerobot.is_of(folder, "diffusion")


def read(folder: Path, contract: Contract) -> Foreign:
    """The policy in `folder`, acting by DDIM. Raises `CheckpointError`, `ContractError`."""
    facts = _lerobot.Facts(folder)
    facts.check_contract(contract)
    for field, value in (("use_separate_rgb_encoder_per_camera", True), ("use_film_scale_modulation", True)):
        facts.require(field, value)
    facts.require("use_group_norm", True)
    facts.require("crop_shape", None)
    facts.require("clip_sample", True)
    facts.require("vision_backbone", *(f"resnet{depth}" for depth in DEPTHS))
    depth, history = int(facts.get("vision_backbone").removeprefix("resnet")), facts.get("n_obs_steps")
    widths = tuple(facts.get("down_dims"))
    unet = UNetConfig(
        widths=widths,
        kernel=facts.get("kernel_size"),
        groups=facts.get("n_groups"),
        time_width=facts.get("diffusion_step_embed_dim"),
    )
    denoiser = DiffusionConfig(
        train_steps=facts.get("num_train_timesteps"),
        sample_steps=facts.get("num_inference_steps") or facts.get("num_train_timesteps"),
        schedule=facts.get("beta_schedule"),
        prediction=facts.get("prediction_type"),
        clip=facts.get("clip_sample_range"),
        reduction="batch",
    )
    config = Config(
        chunk=facts.get("horizon"),
        history=history,
        vision=ResNetConfig(depth=depth, norm="group", shared=False),
        keypoints=facts.get("spatial_softmax_num_keypoints"),
        unet=unet,
        diffusion=denoiser,
        normalization=facts.mode(),
        inference=Inference(execute=facts.get("n_action_steps"), skip=history - 1),
    )
    tensors = _lerobot.read_weights(folder, "diffusion.")
    sizes = {"levels": len(widths), "depth": depth, "cameras": len(contract.observation.cameras)}
    return Foreign(
        spec=PolicySpec(name=POLICY, size="paper", contract=contract, config=config),
        statistics=_lerobot.read_statistics(folder),
        tensors=ours(tensors, state_dim=contract.observation.state_dim, history=history, **sizes),
    )


def write(foreign: Foreign, out: Path) -> None:
    """Write the policy for LeRobot. Raises `ConfigError` where LeRobot's has no such thing."""
    config, contract = foreign.spec.config, foreign.spec.contract
    vision, net, noise = config.vision, config.unet, config.diffusion
    if not isinstance(vision, ResNetConfig) or vision.norm != "group" or vision.width != 64 or vision.shared:
        raise ConfigError("LeRobot's sees through one ResNet with group norm a camera", leaf="vision")
    if contract.observation.language or config.inference.skip != config.history - 1:
        raise ConfigError("LeRobot's has no language, and its chunk begins at the oldest moment it sees", leaf="config")
    facts = {
        **_FIXED,
        "n_obs_steps": config.history,
        "horizon": config.chunk,
        "n_action_steps": config.inference.execute or config.chunk - config.history + 1,
        "vision_backbone": f"resnet{vision.depth}",
        "spatial_softmax_num_keypoints": config.keypoints,
        "down_dims": list(net.widths),
        "kernel_size": net.kernel,
        "n_groups": net.groups,
        "diffusion_step_embed_dim": net.time_width,
        "num_train_timesteps": noise.train_steps,
        "num_inference_steps": noise.sample_steps,
        "beta_schedule": noise.schedule,
        "prediction_type": noise.prediction,
        "clip_sample_range": noise.clip,
    }
    sizes = {"levels": len(net.widths), "depth": vision.depth, "cameras": len(contract.observation.cameras)}
    state_dim = contract.observation.state_dim
    tensors = theirs(foreign.tensors, state_dim=state_dim, history=config.history, **sizes)
    _lerobot.write_checkpoint(
        out,
        config=facts,
        tensors={f"diffusion.{name}": tensor for name, tensor in tensors.items()},
        contract=contract,
        statistics=foreign.statistics,
        mode=config.normalization,
    )


def ours(
    tensors: Mapping[str, Tensor], *, state_dim: int, history: int, levels: int = 3, depth: int = 18, cameras: int = 1
) -> dict[str, Tensor]:
    """Our state dictionary, without the units. Raises `CheckpointError` on unknown names."""
    films = {name: tensor for name, tensor in tensors.items() if ".cond_encoder." in name}
    found = _names(depth, cameras).ours({name: tensor for name, tensor in tensors.items() if name not in films})
    time = len(found["decoder.net.time.2.weight"])
    weight = torch.cat([films[f"{block}.weight"] for block in _blocks(levels)])
    steps = weight[:, time:].unflatten(1, (history, -1))
    by_sense = torch.cat([steps[..., :state_dim].flatten(1), steps[..., state_dim:].flatten(1)], dim=1)
    return found | {
        f"{_FILM}.bias": torch.cat([films[f"{block}.bias"] for block in _blocks(levels)]),
        f"{_FILM}.weight_time": weight[:, :time],
        f"{_FILM}.weight_condition": by_sense,
    }


def theirs(
    tensors: Mapping[str, Tensor], *, state_dim: int, history: int, levels: int = 3, depth: int = 18, cameras: int = 1
) -> dict[str, Tensor]:
    """The other way round. Raises `CheckpointError` on unknown names."""
    kept = {name: tensor for name, tensor in tensors.items() if "_units." not in name and not name.startswith(_FILM)}
    found = _names(depth, cameras).theirs(kept)
    by_sense = tensors[f"{_FILM}.weight_condition"]
    state, rest = (part.unflatten(1, (history, -1)) for part in _cut(by_sense, history * state_dim))
    weight = torch.cat([tensors[f"{_FILM}.weight_time"], torch.cat([state, rest], dim=2).flatten(1)], dim=1)
    rows = [2 * len(found[f"{_norm_of(block)}.weight"]) for block in _blocks(levels)]
    for block, part, bias in zip(
        _blocks(levels), weight.split(rows), tensors[f"{_FILM}.bias"].split(rows), strict=True
    ):
        found |= {f"{block}.weight": part, f"{block}.bias": bias}
    return found


def _cut(weight: Tensor, column: int) -> tuple[Tensor, Tensor]:
    return weight[:, :column], weight[:, column:]


def _blocks(levels: int) -> list[str]:
    """The condition layers in the order of our bank."""
    order = [f"down_modules.{level}.{i}" for level in range(levels) for i in range(2)]
    order += [f"mid_modules.{i}" for i in range(2)]
    order += [f"up_modules.{level}.{i}" for level in range(levels - 1) for i in range(2)]
    return [f"unet.{block}.cond_encoder.1" for block in order]


def _norm_of(block: str) -> str:
    """The first norm of the block that a condition layer belongs to: it has one weight a channel."""
    return block.replace("cond_encoder.1", "conv1.block.1")


def _names(depth: int, cameras: int) -> Names:
    net = "decoder.net."
    pairs = [
        ("unet.diffusion_step_encoder.1.{leaf}", f"{net}time.0.{{leaf}}"),
        ("unet.diffusion_step_encoder.3.{leaf}", f"{net}time.2.{{leaf}}"),
        ("unet.final_conv.0.block.{i}.{leaf}", f"{net}last.0.{{i}}.{{leaf}}"),
        ("unet.final_conv.1.{leaf}", f"{net}last.1.{{leaf}}"),
    ]
    for index, which in (("0", "first"), ("1", "second")):
        pairs += _block_pairs(f"unet.mid_modules.{index}", f"{net}middle.{which}")
        for side in ("down", "up"):
            pairs += _block_pairs(f"unet.{side}_modules.{{level}}.{index}", f"{net}{side}.{{level}}.{which}")
    for side in ("down", "up"):
        pairs.append((f"unet.{side}_modules.{{level}}.2.{{leaf}}", f"{net}{side}.{{level}}.resize.{{leaf}}"))
    for camera in range(cameras):
        theirs, mine = f"rgb_encoder.{camera}.", "encoders.image."
        pairs += resnet_pairs(f"{theirs}backbone.", f"{mine}trunks.{camera}.", DEPTHS[depth], numbered=True)
        pairs.append((f"{theirs}pool.nets.{{leaf}}", f"{mine}points.{camera}.maps.{{leaf}}"))
        pairs.append((f"{theirs}out.{{leaf}}", f"{mine}out.{camera}.{{leaf}}"))
    return Names(pairs, unused=(r"rgb_encoder\.\d+\.pool\.pos_grid",))


def _block_pairs(theirs: str, mine: str) -> list[tuple[str, str]]:
    return [
        (f"{theirs}.conv1.block.{{i}}.{{leaf}}", f"{mine}.first.{{i}}.{{leaf}}"),
        (f"{theirs}.conv2.block.{{i}}.{{leaf}}", f"{mine}.second.{{i}}.{{leaf}}"),
        (f"{theirs}.residual_conv.{{leaf}}", f"{mine}.shortcut.{{leaf}}"),
    ]

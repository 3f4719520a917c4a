"""Public vision towers as camera trunks (vis.vit, vis.convnext, vis.dual): transformers' classes, random weights.

Every tower takes pictures of any size, stretches them to its own and gives a map of features. The one thing to watch:
each family was trained on pixels scaled in its own way; in a dual encoder every member scales for itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embodia.core.errors import ConfigError
from embodia.nn.image import Fit, Scaling, fit_square, rescale
from embodia.parts.encoders.film_layers import FilmedLayer

Family = Literal[
    "siglip", "dinov2", "clip", "vit_mae", "internvl", "convnext", "efficientnet", "qwen2_vl", "qwen2_5_vl"
]


@dataclass(frozen=True, kw_only=True)
class TowerConfig:
    """Sizes of a tower; the defaults are SigLIP So400m/14 at 224 pixels.

    drop       last layers left out, with the norm behind them (Prismatic reads the last layer but one)
    registers  further tokens that are no part of the picture (DINOv2)
    depths, widths   of a convolutional tower's stages
    merged     width of Qwen's tower behind its merger of 2 x 2 patches
    activation of SigLIP's perceptrons by transformers' name, "" its own; timm's towers use the exact "gelu"
    fit        how pictures of another shape fill the tower's square; `smooth` averages pixels where they shrink
    """

    kind: Literal["tower"] = "tower"
    family: Family = "siglip"
    width: int = 1152
    depth: int = 27
    heads: int = 16
    hidden: int = 4304
    patch: int = 14
    pixels: int = 224
    drop: int = 0
    registers: int = 0
    depths: tuple[int, ...] = ()
    widths: tuple[int, ...] = ()
    merged: int = 0
    activation: str = ""
    fit: Fit = "stretch"
    smooth: bool = True
    scaling: Scaling = "symmetric"


@dataclass(frozen=True, kw_only=True)
class DualConfig:
    """Several towers over the same picture, their features side by side; all maps are as large as the first one's."""

    kind: Literal["dual"] = "dual"
    members: tuple[TowerConfig, ...]
    scaling: Literal["unit"] = "unit"


AnyTower: TypeAlias = TowerConfig | DualConfig


class TowerTrunk(nn.Module):
    """Scaled pictures (N 3 H W) to features (N C h w)."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.config, self.pixels = config, config.pixels
        self.tower = _BUILDERS.get(config.family, _vit)(config)
        self.rows = _rows(config)
        self.channels = config.merged or (config.widths[-1] if config.widths else config.width)
        _freeze_unread(self.tower, config)

    def map_size(self, pixels: int) -> int:
        """Rows or columns of the map, whatever the size of the picture."""
        return self.rows

    def modulate(self, condition: int) -> None:
        """Let a vector of that width scale and shift every layer. Raises `ConfigError` where a family cannot."""
        if self.config.family not in ("siglip", "dinov2"):
            raise ConfigError(f"a {self.config.family} tower is not modulated", leaf="family")
        encoder: Any = self.tower.encoder
        layers = encoder.layers if self.config.family == "siglip" else encoder.layer
        for index, layer in enumerate(layers):
            family: Any = self.config.family
            layers[index] = FilmedLayer(layer, family, condition, self.config.width)

    def forward(self, pictures: Tensor, film: Tensor | None = None) -> Tensor:
        """`film` (N condition) is what a modulated tower needs."""
        pictures = fit_square(pictures, self.pixels, self.config.fit, smooth=self.config.smooth)
        pictures = pictures.to(next(self.tower.parameters()).dtype)
        if self.config.family in ("qwen2_vl", "qwen2_5_vl"):
            return self._merged(pictures)
        told = {} if film is None else {"film": film}
        found = self.tower(**self._inputs(pictures), **told).last_hidden_state
        if found.ndim == 4:
            return found
        cells = found[:, found.shape[1] - self.rows**2 :]
        return cells.transpose(1, 2).unflatten(2, (self.rows, self.rows))

    def _inputs(self, pictures: Tensor) -> dict[str, Tensor]:
        if self.config.family != "vit_mae":
            return {"pixel_values": pictures}
        order = torch.arange(self.rows**2, device=pictures.device, dtype=torch.float32)
        return {"pixel_values": pictures, "noise": order.expand(len(pictures), -1)}

    def _merged(self, pictures: Tensor) -> Tensor:
        """Qwen's tower: patches in blocks of 2 x 2, every picture twice as if it were a film of two frames."""
        count, patch, rows = len(pictures), self.config.patch, self.rows
        blocks = pictures.unflatten(3, (rows, 2, patch)).unflatten(2, (rows, 2, patch))
        patches = blocks.permute(0, 2, 5, 3, 6, 1, 4, 7)[:, :, :, :, :, :, None].expand(*[-1] * 6, 2, -1, -1)
        grid = torch.tensor([[1, 2 * rows, 2 * rows]] * count, device=pictures.device)
        found = self.tower(patches.reshape(count * 4 * rows * rows, -1), grid_thw=grid).pooler_output
        return found.view(count, rows, rows, -1).permute(0, 3, 1, 2)


class DualTrunk(nn.Module):
    """Pictures (N 3 H W), 0..1, to the features of all members, channels side by side."""

    def __init__(self, config: DualConfig) -> None:
        super().__init__()
        self.members = nn.ModuleList(TowerTrunk(member) for member in config.members)
        self.scalings = [member.scaling for member in config.members]
        self.rows: int = self.members[0].rows  # type: ignore[assignment]
        self.channels = sum(int(member.channels) for member in self.members)  # type: ignore[arg-type]

    def map_size(self, pixels: int) -> int:
        """Rows or columns of the map, whatever the size of the picture."""
        return self.rows

    def modulate(self, condition: int) -> None:
        """See `TowerTrunk.modulate`."""
        for member in self.members:
            member.modulate(condition)  # type: ignore[operator]

    def forward(self, pictures: Tensor, film: Tensor | None = None) -> Tensor:
        maps = [member(rescale(pictures, how), film) for member, how in zip(self.members, self.scalings, strict=True)]
        size = maps[0].shape[-2:]
        return torch.cat([m if m.shape[-2:] == size else F.interpolate(m, size=size) for m in maps], dim=1)


def tower_trunks(config: AnyTower) -> nn.ModuleList:
    """One trunk that all cameras share."""
    return nn.ModuleList([DualTrunk(config) if isinstance(config, DualConfig) else TowerTrunk(config)])


def _rows(config: TowerConfig) -> int:
    if config.family == "efficientnet":
        return -(-config.pixels // 32)
    if config.family == "convnext":
        return config.pixels // 32
    return config.pixels // config.patch // (2 if config.merged else 1)


def _vit(config: TowerConfig) -> nn.Module:
    import transformers as hub
    from transformers.models.clip.configuration_clip import CLIPVisionConfig
    from transformers.models.internvl.configuration_internvl import InternVLVisionConfig
    from transformers.models.internvl.modeling_internvl import InternVLVisionModel

    sizes: dict[str, Any] = {
        "hidden_size": config.width,
        "num_hidden_layers": config.depth - config.drop,
        "num_attention_heads": config.heads,
        "intermediate_size": config.hidden,
        "patch_size": config.patch,
        "image_size": config.pixels,
    }
    if config.family == "clip":
        return hub.CLIPVisionModel(CLIPVisionConfig(**sizes))
    if config.family == "vit_mae":
        return hub.ViTMAEModel(hub.ViTMAEConfig(**sizes, mask_ratio=0.0))
    if config.family == "internvl":
        return InternVLVisionModel(InternVLVisionConfig(**sizes))
    if config.family == "dinov2":
        more: dict[str, Any] = {"mlp_ratio": config.hidden // config.width, "num_register_tokens": config.registers}
        return hub.Dinov2WithRegistersModel(hub.Dinov2WithRegistersConfig(**sizes, **more))
    if config.activation:
        sizes["hidden_act"] = config.activation
    return hub.SiglipVisionModel(hub.SiglipVisionConfig(**sizes, vision_use_head=False))


def _convnext(config: TowerConfig) -> nn.Module:
    import transformers as hub

    return hub.ConvNextModel(hub.ConvNextConfig(depths=list(config.depths), hidden_sizes=list(config.widths)))


def _efficientnet(config: TowerConfig) -> nn.Module:
    import transformers as hub

    sizes = hub.EfficientNetConfig(
        width_coefficient=config.width / 32, depth_coefficient=config.depth / 10, hidden_dim=config.widths[-1]
    )
    return hub.EfficientNetModel(sizes)


def _qwen(config: TowerConfig) -> nn.Module:
    if config.family == "qwen2_vl":
        from transformers.models.qwen2_vl import configuration_qwen2_vl, modeling_qwen2_vl

        old = configuration_qwen2_vl.Qwen2VLVisionConfig(
            embed_dim=config.width,
            depth=config.depth,
            num_heads=config.heads,
            mlp_ratio=config.hidden // config.width,
            hidden_size=config.merged,
            patch_size=config.patch,
        )
        return modeling_qwen2_vl.Qwen2VisionTransformerPretrainedModel(old)
    from transformers.models.qwen2_5_vl import configuration_qwen2_5_vl, modeling_qwen2_5_vl

    sizes = configuration_qwen2_5_vl.Qwen2_5_VLVisionConfig(
        hidden_size=config.width,
        depth=config.depth,
        num_heads=config.heads,
        intermediate_size=config.hidden,
        out_hidden_size=config.merged,
        patch_size=config.patch,
    )
    return modeling_qwen2_5_vl.Qwen2_5_VisionTransformerPretrainedModel(sizes)


_BUILDERS = {"convnext": _convnext, "efficientnet": _efficientnet, "qwen2_vl": _qwen, "qwen2_5_vl": _qwen}


def _freeze_unread(tower: nn.Module, config: TowerConfig) -> None:
    """Weights that no map depends on: norms of pooled outputs, and the last norm where layers are dropped."""
    names = {"convnext": ["layernorm"], "clip": ["post_layernorm"], "dinov2": ["embeddings.mask_token"]}
    for name in names.get(config.family, []):
        for parameter_name, parameter in tower.named_parameters():
            if parameter_name.startswith(name):
                parameter.requires_grad_(False)
    if config.drop:
        for last in ("post_layernorm", "layernorm"):
            if hasattr(tower, last):
                setattr(tower, last, nn.Identity())

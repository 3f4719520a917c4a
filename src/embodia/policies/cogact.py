"""CogACT: a language model presses what it understands into one token, a diffusion transformer makes actions of it.

Title: CogACT: A Foundational Vision-Language-Action Model for Synergizing Cognition and Action in Robotic Manipulation
Year: 2024
Source: arXiv 2411.19650; sizes of the action model as in the public code
Composition: vis.dual(DINOv2, SigLIP) -> bb.vlm(llama-2 7B) -> 1 cognition token -> bb.dit -> head.diffusion(16 actions)
  [train: obj.eps, 100 steps, condition dropped 10 %] [act: DDIM 10 steps, tt.cfg 1.5]
Published: 7.6 B; action models of 13 M, 89 M and 308 M (Small, Base, Large)
Variants: CogACT-Small, CogACT-Base (the paper size), CogACT-Large by `Config.net`, see `ACTION_MODELS`
Ours: 52 % (46-59, n 200) on Desk, tiny: results/zoo/cogact.json; command: embodia bench zoo --policy cogact
Deviations: chunks are carried out one after another, not blended by their likeness; small and tiny also see the state;
  tiny sees through keypoints that the sentence steers, reads a frozen MiniLM vector and estimates states to come, so
  that a small eye learns where to look.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from embodia.builders.diffusion_vla import DiffusionVlaConfig as Config
from embodia.builders.diffusion_vla import composed, diffusion_vla, tiny_vlm
from embodia.builders.families import prismatic_llama2_7b
from embodia.builders.vlm import small_vlm
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.parts.compose import Composition
from embodia.parts.decoders.diffusion import DiffusionConfig
from embodia.parts.decoders.dit import DitConfig
from embodia.parts.encoders.waypoints import END

__all__ = ["ACTION_MODELS", "Config", "build", "preset"]

ACTION_MODELS = MappingProxyType(
    {
        "small": DitConfig(width=384, depth=6, heads=4),
        "base": DitConfig(width=768, depth=12, heads=12),
        "large": DitConfig(width=1024, depth=24, heads=16),
    }
)
"""The published action models: DiT-S, DiT-B and DiT-L."""


def preset(size: str) -> Config:
    """tiny 4.9 M with steered keypoints; small 64 M with DiT-S; paper CogACT-Base."""
    if size == "tiny":
        return Config(
            vlm=tiny_vlm(3), diffusion=DiffusionConfig(draws=4, drop=0.1, guidance=1.5), ahead=(12, 24, 48, END)
        )
    diffusion = DiffusionConfig(draws=8, drop=0.1, guidance=1.5)
    if size == "small":
        return Config(chunk=16, vlm=small_vlm(), net=ACTION_MODELS["small"], diffusion=diffusion)
    told, vlm = (29871, 2), prismatic_llama2_7b()
    net = ACTION_MODELS["base"]
    return Config(chunk=16, vlm=vlm, spelled=told, net=net, diffusion=diffusion, normalization="quantile")


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    return composed(contract, config, diffusion_vla(contract, config), statistics)

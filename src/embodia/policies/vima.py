"""VIMA: a prompt of words is looked at, layer by layer, by tokens of the things in view; poses come out in bins.

Title: VIMA: General Robot Manipulation with Multimodal Prompts
Year: 2022
Source: arXiv 2210.03094
Composition: vis.obj_crops + txt.t5(frozen) -> fuse.xattn -> bb.encoder -> head.ar over bins -> act.space(key-frame)
  [train: obj.ce]
Published: 2 to 200 M parameters without the frozen prompt encoder
Ours: 36 % (30-43, n 200) on Desk, tiny: results/zoo/vima.json; command: embodia bench zoo --policy vima
Deviations: prompts are sentences, without pictures in them; things are proposed by a keypoint eye that goes on
  learning with the policy (below the paper's size the sentence steers it), not by a mask R-CNN, and one token a camera
  says where all of them lie; one moment is seen, not the whole history; the next key frame is said, not a pick and a
  place; bins of places are taught as Gaussians and begin as a parabola; tiny and small read a frozen MiniLM vector in
  place of T5
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from embodia.core.moments import AFTER_KEY, NEXT_KEY
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.detr import LayerSizes
from embodia.nn.normalize import Normalizer
from embodia.nn.tool import tool_of, workspace
from embodia.parts.backbones.prompted import Prompted
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.binned import BinnedConfig, BinnedPose
from embodia.parts.decoders.keyframe import KeyFrameLoss
from embodia.parts.encoders.cloud import ToolNow
from embodia.parts.encoders.crops import CropConfig, ObjectCrops
from embodia.parts.encoders.keypoint_stem import KeypointStemConfig
from embodia.parts.encoders.language import LanguageToken
from embodia.parts.encoders.queries import LearnedTokens
from embodia.parts.encoders.state import StateToken
from embodia.parts.encoders.t5 import T5Config, T5Tokens
from embodia.parts.tokenizers.text import ByteTokenizer


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the largest of the paper. `registers` are prompt tokens that say nothing."""

    chunk: int = 24
    crops: CropConfig = field(
        default_factory=lambda: CropConfig(detector=KeypointStemConfig(), told=False, size=32, hidden=1024)
    )
    layers: LayerSizes = field(
        default_factory=lambda: LayerSizes(width=768, heads=24, hidden=3072, dropout=0.1, pre_norm=True)
    )
    depth: int = 11
    registers: int = 2
    prompt: T5Config | None = field(default_factory=T5Config)
    bins: BinnedConfig = field(default_factory=lambda: BinnedConfig(bins=100, hidden=512))
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 2.4 M; small 12 M; paper 200 M."""
    if size == "tiny":
        layers = LayerSizes(width=192, heads=6, hidden=480, dropout=0.0, pre_norm=True)
        return Config(chunk=12, crops=CropConfig(), layers=layers, depth=3, prompt=None, bins=BinnedConfig())
    if size == "small":
        layers = LayerSizes(width=320, heads=8, hidden=1280, dropout=0.0, pre_norm=True)
        return Config(crops=CropConfig(detector=KeypointStemConfig()), layers=layers, depth=6, prompt=None)
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights. Raises `ConfigError` for a body whose tool has no place."""
    seen, known, tool, width = contract.observation, statistics or {}, tool_of(contract), config.layers.width
    state = Normalizer(seen.state_dim, "mean_std", known.get("state"))
    action = Normalizer(contract.action.dim, "mean_std", known.get(contract.action.statistics_key))
    centre, half = workspace(tool, known.get("state"))
    encoders: dict[str, nn.Module] = {
        "objects": ObjectCrops(config.crops, seen, width),
        "state": StateToken(seen.state_dim, width, deep=True),
        "action": LearnedTokens("action", 1, width),
        "register": LearnedTokens("register", config.registers, width),
        "tool": ToolNow(tool, state),
    }
    if seen.language:
        encoders["language"] = _prompt(config, width)
    prompt = ("language", "register") if seen.language else ("register",)
    decoder = BinnedPose(config.bins, tool, action, width, config.chunk, centre=centre, half=half, read="action")
    parts = Parts(
        encoders=encoders,
        backbone=Prompted(config.layers, config.depth, ("objects", "state", "action"), prompt),
        decoder=decoder,
        heads={"key": KeyFrameLoss(decoder, tool)},
        ahead=(NEXT_KEY, AFTER_KEY),
        state=state,
        action=action,
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)


def _prompt(config: Config, width: int) -> nn.Module:
    if config.prompt is None:
        return LanguageToken(width, deep=True)
    return T5Tokens(config.prompt, ByteTokenizer(config.prompt.length), width)

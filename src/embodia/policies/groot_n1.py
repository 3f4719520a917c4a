"""GR00T N1: a vision-language model thinks slowly, a diffusion transformer reads its middle layer and acts fast.

Title: GR00T N1: An Open Foundation Model for Generalist Humanoid Robots
Year: 2025
Source: arXiv 2503.14734; N1.5's future alignment: arXiv 2505.15659
Composition: bb.vlm(Eagle 2: SigLIP 2 + SmolLM2 1.7B, 12 of 24 layers) -> link.shared -> fuse.xattn
  -> bb.dit(16 layers) + prop.by_body -> head.flow(chunk 16, 4 Euler steps) [train: obj.fm; N1.5 obj.frame latent]
Variants: GR00T N1.5: Qwen3 1.7B, four layers over its hidden states, every second block looks around, FLARE
Published: 2.2 B parameters, of which 1.34 B read
Ours: 56 % (50-63, n 200) on Desk, tiny: results/zoo/groot_n1.json; command: embodia bench zoo --policy groot_n1
Deviations: no pretrained weights are shipped, so the reading model is trained, not frozen; the target of N1.5's future
  tokens is what the own eye makes of later pictures, not a separate model; tiny and small see through keypoints or a
  small tower and read the sentence as one frozen MiniLM vector; no dropout in the action expert
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import nn

from embodia.builders.families import SIGLIP_SO400M
from embodia.builders.vlm import TextConfig, VlmConfig, small_vlm, vision_language
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.normalize import Mode, Normalizer
from embodia.nn.projector import ProjectorConfig
from embodia.parts.backbones.cross_expert import CrossExpert, CrossExpertConfig, ForesightConfig, FutureAlignment
from embodia.parts.backbones.hub import HubConfig
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.flow import FlowConfig, FlowDecoder
from embodia.parts.encoders.body import BodyIndex
from embodia.parts.encoders.state import StateVector

SMOLLM = HubConfig(
    family="llama", width=2048, depth=12, heads=32, kv_heads=32, mlp_width=8192, theta=130000.0, epsilon=1e-5
)
QWEN3 = HubConfig(family="qwen3", width=2048, depth=12, heads=16, kv_heads=8, head_dim=128, mlp_width=6144, theta=1e6)
EAGLE = VlmConfig(
    vision=SIGLIP_SO400M,
    projector=ProjectorConfig(kind="mlp", shuffle=2, norm=True),
    text=TextConfig(kind="pieces", vocabulary=49164, head="none", first=0, start=-1),
    model=SMOLLM,
    state="none",
    causal=True,
    deep=False,
)
CHAT = replace(
    EAGLE.text,
    vocabulary=151680,
    heading="<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n",
    marks=("<image {number}><img>", "</img>"),
    template="{instruction}<|im_end|>\n<|im_start|>assistant\n",
    end="",
    length=96,
)
"""The chat in which N1.5 sees and hears."""
EAGLE_2_5 = replace(EAGLE, projector=ProjectorConfig(), text=CHAT, model=QWEN3)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are N1's.

    bodies    names of further bodies, in the order of their weights; the contract's own comes first
    foresight alignment of the future tokens; None leaves them without a task
    padded    action dimensions inside the network, 0 = the contract's own
    """

    chunk: int = 16
    vlm: VlmConfig = EAGLE
    expert: CrossExpertConfig = field(default_factory=CrossExpertConfig)
    bodies: tuple[str, ...] = ()
    foresight: ForesightConfig | None = None
    padded: int = 32
    flow: FlowConfig = field(default_factory=lambda: FlowConfig(steps=4))
    normalization: Mode = "min_max"
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 4.7 M with steered keypoints and foresight; small 60 M with a small vision tower; paper N1 as published."""
    if size == "paper":
        return Config()
    slim = CrossExpertConfig(
        width=128, depth=4, heads=4, outputs=128, memory=0, every=2, futures=8, bodies=2, state_dim=16, positions=16
    )
    if size == "tiny":
        flow, foresight = FlowConfig(steps=10, draws=4), ForesightConfig(layer=2, ahead=12)
        return Config(chunk=12, vlm=VlmConfig(state="none"), expert=slim, foresight=foresight, padded=0, flow=flow)
    wide = replace(slim, width=384, depth=8, heads=6, outputs=384, bodies=4)
    return Config(vlm=replace(small_vlm(), state="none"), expert=wide, foresight=ForesightConfig(layer=4), padded=0)


def n1_5() -> Config:
    """The later release: 2,724,163,520 parameters in its files, of which 2,398,284,516 are read."""
    expert = CrossExpertConfig(memory=0, adapter=4, every=2)
    return Config(vlm=EAGLE_2_5, expert=expert, foresight=ForesightConfig())


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    seen, actions, known = contract.observation, contract.action, statistics or {}
    encoders, model = vision_language(config.vlm, seen)
    size, width = config.padded or actions.dim, config.vlm.model.width
    expert = CrossExpert(config.expert, tuple(encoders), width, size, config.chunk)
    names = BodyIndex((contract.embodiment, *config.bodies))
    heads: dict[str, nn.Module] = {}
    if config.foresight is not None:
        heads["future"] = FutureAlignment(config.foresight, expert, encoders["image"], width)
    parts = Parts(
        encoders={**encoders, "state": StateVector(), "body": names},
        backbone=model,
        decoder=FlowDecoder(expert, config.flow, actions.dim, config.chunk, size),
        heads=heads,
        later=() if config.foresight is None else (config.foresight.ahead,),
        weights={} if config.foresight is None else {"future": config.foresight.weight},
        state=Normalizer(seen.state_dim, config.normalization, known.get("state")),
        action=Normalizer(actions.dim, config.normalization, known.get(actions.statistics_key)),
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)

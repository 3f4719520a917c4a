"""X-VLA: learned tokens for every body, and behind them one plain transformer for all.

Title: X-VLA: Soft-Prompted Transformer as Scalable Cross-Embodiment Vision-Language-Action Model
Year: 2025
Source: arXiv 2510.10274; sizes and layers as in the public code's configuration and in LeRobot 0.6.1
Composition: bb.vlm(Florence-2 large's encoder: vis.davit, main view and sentence) + vis.davit(other views)
  + prop.by_body + soft prompts a body(32 tokens) -> bb.encoder(24 layers, width 1024)
  -> head.flow(clean actions, chunk 30, 10 steps, act.ee6d) [train: position 500, rotation 10, gripper cross entropy]
Published: 0.9 B parameters; 879,851,096 in LeRobot's class; LIBERO 98.1 %, CALVIN ABC-D 4.43 tasks in a row
Ours: 45 % (38-52, n 200) on Desk, tiny: results/zoo/x_vla.json; command: embodia bench zoo --policy x_vla
Deviations: no pretrained weights are shipped (public ones load through `embodia weights`; docs/howto/weights.md has the
  second phase, prompts first); dimensions beyond the body's own are mixed and restored, yet no loss reaches them;
  dropout lies at the end of each branch, not inside its perceptron; tiny and small see through keypoints or a small
  tower, read the sentence as one frozen MiniLM vector and normalise actions by range, with losses of about one size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from embodia.builders.families import florence2_large
from embodia.builders.vlm import VlmConfig, sight, small_vlm, vision_language
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.normalize import Mode, Normalizer
from embodia.parts.backbones.main_view import MainView
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.clean import CleanConfig, CleanFlow
from embodia.parts.decoders.soft_prompted import SoftPrompted, SoftPromptedConfig
from embodia.parts.encoders.body import BodyIndex, SoftPrompts
from embodia.parts.encoders.state import StateVector

EE6D: Mapping[str, float] = {"position": 500.0, "rotation": 10.0, "gripper": 1.0, "joint": 1.0}
"""Weights of the losses of actions in metres."""
GRIPPERS = (9, 19)
"""Their places in the twenty numbers of two hands: place, two columns of the rotation, gripper."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's.

    bodies   names of further bodies, in the order of their weights; the contract's own comes first
    padded   action dimensions inside the network, 0 = the contract's own
    weights  of the losses, by what a part of an action is
    """

    chunk: int = 30
    vlm: VlmConfig = field(default_factory=florence2_large)
    net: SoftPromptedConfig = field(default_factory=lambda: SoftPromptedConfig(blank=GRIPPERS))
    bodies: tuple[str, ...] = ()
    padded: int = 20
    clean: CleanConfig = field(default_factory=CleanConfig)
    weights: Mapping[str, float] = field(default_factory=lambda: dict(EE6D))
    normalization: Mode = "identity"
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 4.7 M with steered keypoints; small 71 M with a small vision tower; paper as published."""
    if size == "paper":
        return Config()
    net = SoftPromptedConfig(
        width=192, depth=4, heads=4, hidden=512, bodies=2, prompts=8, positions=96, state_dim=48, dropout=0.0
    )
    vlm, draws = VlmConfig(state="none"), CleanConfig(draws=4)
    if size == "small":
        net = replace(net, width=384, depth=10, heads=6, hidden=1536, bodies=4, prompts=16, positions=512)
        vlm, draws = replace(small_vlm(), state="none"), CleanConfig()
    near = {"position": 1.0, "rotation": 1.0, "gripper": 0.1, "joint": 1.0}
    return Config(
        chunk=12 if size == "tiny" else 30,
        vlm=vlm,
        net=net,
        padded=0,
        clean=draws,
        weights=near,
        normalization="min_max",
    )


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    seen, actions, known, net = contract.observation, contract.action, statistics or {}, config.net
    image = sight(config.vlm, seen)
    encoders, model = vision_language(config.vlm, seen, image=image)
    names, width = (contract.embodiment, *config.bodies), config.padded or actions.dim
    state = {"state": StateVector()} if seen.state_dim else {}
    prompts = SoftPrompts(names, net.bodies, net.prompts, net.width)
    units = Normalizer(actions.dim, config.normalization, known.get(actions.statistics_key))
    denoiser = SoftPrompted(net, tuple(encoders), config.vlm.model.width, width, config.chunk)
    parts = Parts(
        encoders={**encoders, **state, "body": BodyIndex(names), "prompt": prompts},
        backbone=MainView(model, int(image.first)),  # type: ignore[arg-type]
        decoder=CleanFlow(denoiser, config.clean, actions, config.chunk, units, width),
        weights=config.weights,
        state=Normalizer(seen.state_dim, config.normalization, known.get("state")),
        action=units,
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)

"""3D-VLA: a language model reads points beside pictures, imagines the goal, and says its actions as words.

Title: 3D-VLA: A 3D Vision-Language-Action Generative World Model
Year: 2024
Source: arXiv 2403.09631
Composition: vis.vit + geo.backproject + geo.pc_enc -> bb.vlm(blip2, interaction tokens) -> head.ar tok.uniform(256)
  + goal tokens -> head.image(goal pictures, goal space) [train: obj.ntp + goal]
Published: no count of the whole; BLIP2-FlanT5 XL with diffusion models for goals
Ours: not yet measured; command: embodia bench zoo --policy vla_3d
Deviations: a causal language model of 3 B stands for BLIP2-FlanT5's encoder and decoder; goals are painted in one pass
  from the goal tokens, patches of the picture and cells of the space, not by diffusion models; no pretrained weights;
  tiny estimates states to come
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from embodia.builders.families import qwen2_5_vl
from embodia.builders.speaking import SpeechConfig, action_words
from embodia.builders.vlm import VlmConfig, small_vlm, vision_language
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.normalize import Mode, Normalizer
from embodia.nn.tool import cube
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.encoders.points import PointConfig, PointTokens
from embodia.parts.encoders.queries import LearnedTokens
from embodia.parts.encoders.waypoints import END, waypoints
from embodia.parts.heads.forecast import Forecast, ForecastConfig
from embodia.parts.heads.occupancy import Occupancy, OccupancyConfig


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's size. A goal is what is seen `goal_steps` later."""

    chunk: int = 8
    model: VlmConfig = field(default_factory=qwen2_5_vl)
    points: PointConfig = field(default_factory=lambda: PointConfig(groups=128, neighbours=32, depth=4))
    goals: int = 16
    goal_steps: int = 40
    goal_weight: float = 0.2
    picture: ForecastConfig = field(default_factory=lambda: ForecastConfig(width=512, heads=8, hidden=2048, layers=4))
    space: OccupancyConfig = field(default_factory=lambda: OccupancyConfig(size=24, hidden=512))
    speech: SpeechConfig = field(default_factory=SpeechConfig)
    ahead: tuple[int, ...] = ()
    normalization: Mode = "quantile"
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 4 M with steered keypoints; small 60 M; paper with a language model of 3 B."""
    if size == "tiny":
        return Config(
            chunk=4,
            model=VlmConfig(),
            points=PointConfig(groups=32, depth=1),
            goals=4,
            goal_steps=24,
            picture=ForecastConfig(width=96),
            space=OccupancyConfig(),
            speech=SpeechConfig(ids=128),
            ahead=(12, 24, 48, END),
        )
    if size == "small":
        return Config(model=small_vlm(), points=PointConfig(depth=2), picture=ForecastConfig(layers=2))
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights. Raises `ConfigError` for a body without points."""
    seen, actions, known = contract.observation, contract.action, statistics or {}
    width = config.model.model.width
    centre, half = cube(contract, known.get("state"))
    extra = {
        "points": PointTokens(config.points, seen, width, centre=centre, half=half),
        "goal": LearnedTokens("goal", config.goals, width),
    }
    encoders, model = vision_language(config.model, seen, extra=extra, ahead=bool(config.ahead))
    painted = Forecast(config.picture, seen, width, name="goal_picture", read="goal", steps=1)
    space = Occupancy(
        config.space, seen, width, centre=centre, half=half, read=("goal",), name="goal_space", later=True
    )
    parts = Parts(
        encoders=encoders,
        backbone=model,
        foresight=waypoints(config.ahead, seen.state_dim, encoders, width, ("state", "language", "image")),
        decoder=action_words(config.speech, model, width, actions.dim, config.chunk),
        heads={"picture": painted, "space": space},
        later=(config.goal_steps,),
        weights={"goal_picture": config.goal_weight, "goal_space": config.goal_weight, "foresight": 0.5},
        state=Normalizer(seen.state_dim, config.normalization, known.get("state")),
        action=Normalizer(actions.dim, config.normalization, known.get(actions.statistics_key)),
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)

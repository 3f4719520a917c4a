"""Language-conditioned imitation: the sentence picks the region that matters, a recurrent controller goes there.

Title: Language-Conditioned Imitation Learning for Robot Manipulation Tasks
Year: 2020
Source: arXiv 2010.12083
Composition: vis.obj_crops(regions with places) + txt.use(sentence vector) -> fuse.resampler(the sentence asks the
  regions) -> bb.gru -> head.regress -> act.space(joint) [train: obj.reg]
Published: no parameter count
Ours: 62 % (56-69, n 200) on Desk, tiny: results/zoo/stepputtis.json; command: embodia bench zoo --policy stepputtis
Deviations: regions are the cells of a feature map with their places, not the boxes of a pretrained detector; the
  sentence is a MiniLM vector, not GloVe words through a GRU; the chunk is written at once, without the paper's phase
  variable; tiny sees through a shallow stem and estimates states to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from embodia.builders.recurrent import RecurrentConfig, recurrent_policy
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.parts.compose import Composition, Inference
from embodia.parts.decoders.error import ErrorConfig
from embodia.parts.decoders.pooled import PooledConfig
from embodia.parts.encoders.conv_stem import ConvStemConfig
from embodia.parts.encoders.language import LanguageToken
from embodia.parts.encoders.regions import RegionAttention
from embodia.parts.encoders.resnet import ResNetConfig
from embodia.parts.encoders.vision import VisionConfig
from embodia.parts.encoders.waypoints import END

HEAD = PooledConfig(memory="gru", carry=256, hidden=(256,), error=ErrorConfig(error="l2"))


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices. `questions` are asked of every picture."""

    chunk: int = 12
    vision: VisionConfig = field(default_factory=ResNetConfig)
    questions: int = 16
    memory: RecurrentConfig = field(default_factory=lambda: RecurrentConfig(width=256, deep=True, head=HEAD))
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 1.5 M with shallow stems and two steps; small with a ResNet of half width; paper with a ResNet-18."""
    if size == "tiny":
        head = replace(HEAD, error=ErrorConfig(error="l1"))
        memory = RecurrentConfig(history=2, width=192, deep=True, ahead=(12, 24, 48, END), head=head)
        return Config(vision=ConvStemConfig(widths=(48, 64, 96), group_width=16), questions=24, memory=memory)
    if size == "small":
        return Config(vision=ResNetConfig(norm="group", width=32))
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract."""
    seen, memory = contract.observation, config.memory
    eyes = RegionAttention(config.vision, seen, memory.width, queries=config.questions)
    heard = LanguageToken(memory.width, deep=memory.deep) if seen.language else None
    return recurrent_policy(
        contract, config.chunk, memory, statistics, eyes=eyes, language=heard, inference=config.inference
    )

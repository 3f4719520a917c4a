"""The one-hot multi-task policy: a network, a recurrent memory, and a code for the task instead of words.

Title: One-hot multi-task visual imitation (the closed task set of early end-to-end policies)
Year: 2018
Source: no single paper; the baseline that language-conditioned imitation was first compared with
Composition: vis.resnet(18) + txt.onehot + prop.linear -> fuse.concat -> bb.lstm -> head.regress -> act.space(any)
  [train: obj.reg]
Published: no parameter count
Ours: 36 % (30-43, n 200) on Desk, tiny: results/zoo/one_hot.json; command: embodia bench zoo --policy one_hot
Deviations: a sentence stands for its task: wordings of the data have its code, others that of the nearest of them;
  tiny sees through a shallow stem's keypoints that nothing steers, and estimates states to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from embodia.builders.recurrent import RecurrentConfig, conditioned_eyes, recurrent_policy
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.parts.compose import Composition, Inference
from embodia.parts.decoders.error import ErrorConfig
from embodia.parts.decoders.pooled import PooledConfig
from embodia.parts.encoders.keypoint_stem import KeypointStemConfig
from embodia.parts.encoders.onehot import OneHotTask
from embodia.parts.encoders.resnet import ResNetConfig
from embodia.parts.encoders.waypoints import END

HEAD = PooledConfig(memory="lstm", carry=512, error=ErrorConfig(error="l2"))


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices. `codes` is the number of tasks that can be told apart."""

    chunk: int = 10
    vision: ResNetConfig | KeypointStemConfig = field(default_factory=ResNetConfig)
    codes: int = 1024
    memory: RecurrentConfig = field(default_factory=lambda: RecurrentConfig(head=HEAD))
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 3 M with unsteered keypoints and two steps; small with a group-norm ResNet of half width; paper: full."""
    if size == "tiny":
        head = replace(HEAD, carry=256, hidden=(256,))
        memory = RecurrentConfig(history=2, width=96, deep=True, ahead=(12, 24, 48, END), head=head)
        return Config(chunk=12, vision=KeypointStemConfig(), memory=memory)
    if size == "small":
        return Config(vision=ResNetConfig(norm="group", width=32))
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract; the eye never hears the sentence."""
    seen = contract.observation
    eyes, width = conditioned_eyes(config.vision, replace(seen, language=False), config.memory.width)
    memory = replace(config.memory, width=width)
    code = OneHotTask(width, config.codes) if seen.language else None
    return recurrent_policy(
        contract, config.chunk, memory, statistics, eyes=eyes, language=code, inference=config.inference
    )

"""A policy without a transformer: one vector a moment, a recurrent memory over a few, a perceptron that acts.

What a picture and a sentence become is the design's own; how moments are carried on and how the chunk is written is
here. The one thing to watch: whoever reads the sentence as a token here may still have eyes that never heard it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from embodia.builders.two_systems import units
from embodia.core.specs import Contract, ObservationSpec
from embodia.core.statistics import FeatureStatistics
from embodia.nn.normalize import Mode
from embodia.parts.acting import Inference
from embodia.parts.compose import Composition, Parts, chunked
from embodia.parts.decoders.pooled import PooledConfig, PooledRegression
from embodia.parts.encoders.film_resnet import FilmResNet
from embodia.parts.encoders.keypoint_stem import KeypointStemConfig, SteeredKeypoints
from embodia.parts.encoders.resnet import ResNetConfig
from embodia.parts.encoders.state import StateToken
from embodia.parts.encoders.waypoints import Waypoints


@dataclass(frozen=True, kw_only=True)
class RecurrentConfig:
    """Sizes and choices.

    history  moments that the memory sees
    width    of every token; eyes with a width of their own decide it instead
    deep     state and sentence pass a perceptron
    ahead    steps at which the state to come is estimated; empty is none
    head     memory, perceptron and error
    """

    history: int = 4
    width: int = 512
    deep: bool = False
    ahead: tuple[int, ...] = ()
    head: PooledConfig = field(default_factory=lambda: PooledConfig(memory="lstm"))
    normalization: Mode = "mean_std"


def conditioned_eyes(
    vision: ResNetConfig | KeypointStemConfig, spec: ObservationSpec, width: int, vector: int = 512
) -> tuple[SteeredKeypoints | FilmResNet, int]:
    """Eyes that the sentence, where `spec` has one, modulates through `vector` numbers, and the width of their tokens.

    `width` matters to keypoints alone: a ResNet has its own.
    """
    if isinstance(vision, KeypointStemConfig):
        return SteeredKeypoints(vision, spec, width), width
    eyes = FilmResNet(vision, spec, vector=vector)
    return eyes, eyes.width


def recurrent_policy(
    contract: Contract,
    chunk: int,
    config: RecurrentConfig,
    statistics: Mapping[str, FeatureStatistics] | None,
    *,
    eyes: nn.Module,
    language: nn.Module | None,
    inference: Inference,
) -> Composition:
    """The policy of `eyes`, of the state, and of what the `language` token says, where the sentence is read."""
    seen, dim, history, width = contract.observation, contract.action.dim, config.history, config.width
    encoders = {"image": eyes, "state": StateToken(seen.state_dim, width, history, deep=config.deep)}
    if language is not None:
        encoders["language"] = language
    still, each = tuple(encoders)[2:], int(eyes.tokens) + 1  # type: ignore[arg-type]
    foresight = None
    if config.ahead:
        foresight = Waypoints(width, seen.state_dim, config.ahead, history * each + len(still))
        still += ("ahead",)
    tokens = each + len(still)
    state, action = units(contract, config.normalization, statistics)
    parts = Parts(
        encoders=encoders,
        decoder=PooledRegression(
            config.head, width, dim, chunk, read=("image", "state"), still=still, tokens=tokens, steps=history
        ),
        state=state,
        action=action,
        foresight=foresight,
        weights={"foresight": 0.5},
        history=history,
        inference=inference,
    )
    return Composition(chunked(contract, chunk), parts)

"""GR-2: GR-1 with pictures as codes and a whole trajectory of actions with a latent for the way it is done.

Title: GR-2: A Generative Video-Language-Action Model with Web-Scale Knowledge for Robot Manipulation
Year: 2024
Source: arXiv 2410.06158
Composition: vis.vq_image(VQ-GAN, several views) + txt.clip(frozen) + prop.linear -> bb.causal -> head.image(codes) +
  head.cvae(action trajectory) [train: obj.ce on codes of video, then obj.ce + obj.reg + obj.kl] [run: run.control, 200
  Hz]
Published: 97.7 % over more than 100 tasks; CALVIN 4.64 tasks in a row; sizes from 30 to 719 M trained parameters
Ours: not yet measured; command: embodia bench zoo --policy gr2
Deviations: codes come from an autoencoder without adversarial loss that learns beside the policy; all cells of a later
  picture are said at once; eyes see pictures, not codes; tiny sees through keypoints and estimates states to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from embodia.builders.gpt import GptConfig, Query, gpt_model, small_gpt, video_gpt
from embodia.builders.two_systems import units
from embodia.core.specs import Contract
from embodia.core.statistics import FeatureStatistics
from embodia.nn.cross import CrossSizes
from embodia.nn.detr import LayerSizes
from embodia.nn.shared import Shared
from embodia.nn.transformer import TransformerConfig
from embodia.parts.compose import Composition, Inference, Parts, chunked
from embodia.parts.decoders.pooled import PooledConfig, PooledRegression
from embodia.parts.encoders.posterior import Posterior
from embodia.parts.encoders.resampled import ResamplerConfig
from embodia.parts.heads.codes import CodeForecast
from embodia.parts.tokenizers.vq_image import VqConfig, picture_codes


def _published() -> GptConfig:
    model = TransformerConfig(width=1024, depth=24, heads=16, kv_heads=16, head_dim=64, mlp_width=2730)
    pressed = ResamplerConfig(count=18, depth=3, sizes=CrossSizes(heads=8, head_dim=64))
    return video_gpt(model, pressed, history=4)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes and choices; the defaults are the paper's as far as it states them."""

    chunk: int = 16
    gpt: GptConfig = field(default_factory=_published)
    later: tuple[int, ...] = (4,)
    codes: VqConfig = field(default_factory=lambda: VqConfig(widths=(64, 128, 256, 256), codes=8192, code=32))
    posterior_layers: int = 4
    latent: int = 32
    head: PooledConfig = field(default_factory=PooledConfig)
    inference: Inference = field(default_factory=Inference)


def preset(size: str) -> Config:
    """tiny 4 M with steered keypoints; small 60 M; paper 0.5 B."""
    if size == "tiny":
        model = TransformerConfig(width=144, depth=4, heads=4, kv_heads=4, head_dim=36, mlp_width=384)
        head, codes = PooledConfig(hidden=(256,)), VqConfig(widths=(24, 48, 64, 96), codes=128)
        gpt = GptConfig(model=model)
        return Config(chunk=12, gpt=gpt, later=(12,), codes=codes, posterior_layers=1, latent=8, head=head)
    if size == "small":
        return Config(gpt=small_gpt(), codes=VqConfig(codes=1024), posterior_layers=2)
    return Config()


def build(contract: Contract, config: Config, statistics: Mapping[str, FeatureStatistics] | None = None) -> Composition:
    """The policy with random weights for a body's contract. Raises `ShapeError` for pictures that make no codes."""
    seen, dim, width = contract.observation, contract.action.dim, config.gpt.model.width
    codes = picture_codes(config.codes, seen)
    queries = {"picture": Query(count=codes.count), "act": Query(sees=("picture",))}
    encoders, model, foresight = gpt_model(config.gpt, seen, queries, ("latent",))
    sizes = LayerSizes(width=width, heads=4, hidden=2 * width, dropout=0.0, pre_norm=True)
    posterior = Posterior(
        sizes,
        config.posterior_layers,
        latent=config.latent,
        state_dim=seen.state_dim,
        action_dim=dim,
        chunk=config.chunk,
    )
    state, action = units(contract, "mean_std", statistics)
    foreseen = CodeForecast(Shared(codes), config.codes.codes, width, name="picture", read="picture")
    parts = Parts(
        encoders=encoders,
        backbone=model,
        latent=posterior,
        decoder=PooledRegression(config.head, width, dim, config.chunk, read=("act",)),
        foresight=foresight,
        heads={"codes": codes, "picture": foreseen},
        later=config.later,
        state=state,
        action=action,
        weights={"picture": 0.05, "kl": 1.0, "foresight": 0.5},
        history=config.gpt.history,
        inference=config.inference,
    )
    return Composition(chunked(contract, config.chunk), parts)

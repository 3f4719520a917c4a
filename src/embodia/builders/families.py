"""Published vision-language models by name, as sizes: what a policy's paper size is built from.

Each function gives a new configuration; change it with `dataclasses.replace`. Sizes are those of the public
configuration files; counts are tested on the meta device. The one thing to watch: rotary positions here count tokens in
one dimension, also where a family (Qwen2-VL) counts rows and columns of a picture apart.
"""

from __future__ import annotations

from dataclasses import replace

from embodia.builders.vlm import TextConfig, VlmConfig
from embodia.nn.projector import ProjectorConfig
from embodia.nn.transformer import TransformerConfig
from embodia.parts.backbones.bart import BartConfig
from embodia.parts.backbones.hub import HubConfig
from embodia.parts.backbones.mamba import MambaConfig
from embodia.parts.encoders.florence import FlorenceConfig
from embodia.parts.encoders.towers import DualConfig, TowerConfig

QUESTION = "In: What action should the robot take to {lowered}?\nOut:"
"""The prompt of OpenVLA and its descendants, which hear sentences in small letters."""

SIGLIP_SO400M = TowerConfig()
"""412 M without the pooling head."""

CLIP_L_336 = TowerConfig(
    family="clip", width=1024, depth=24, heads=16, hidden=4096, pixels=336, drop=1, scaling="imagenet"
)
"""303 M; LLaVA reads the last layer but one. Its own pixel means differ from ImageNet's in the third digit."""

DINOV2_L = TowerConfig(
    family="dinov2", width=1024, depth=24, heads=16, hidden=4096, drop=1, registers=4, scaling="imagenet"
)
"""303 M with registers, without its last layer here."""

CONVNEXT_XXL = TowerConfig(
    family="convnext", depths=(3, 4, 30, 3), widths=(384, 768, 1536, 3072), pixels=512, scaling="imagenet"
)
"""843 M."""

VICUNA_7B = HubConfig(family="llama", width=4096, depth=32, heads=32, kv_heads=32, mlp_width=11008, epsilon=1e-5)
"""Llama 2 7B and its fine-tuned kin."""

LLAMA3_8B = HubConfig(
    family="llama", width=4096, depth=32, heads=32, kv_heads=8, mlp_width=14336, theta=500000.0, epsilon=1e-5
)

QWEN2_2B = TransformerConfig(
    width=1536,
    depth=28,
    heads=12,
    kv_heads=2,
    head_dim=128,
    mlp_width=8960,
    activation="silu",
    norm="llama",
    rope_theta=1e6,
)
"""Qwen2 1.5B's sizes, the language model of Qwen2-VL 2B, for our own layers, which have no biases."""


def prismatic_llama2_7b() -> VlmConfig:
    """OpenVLA's base: DINOv2 and SigLIP side by side, three projector layers, Llama 2 7B; 7.54 B."""
    siglip = replace(SIGLIP_SO400M, drop=1, activation="gelu")
    return VlmConfig(
        vision=DualConfig(members=(DINOV2_L, siglip)),
        projector=ProjectorConfig(kind="fused"),
        text=TextConfig(kind="pieces", vocabulary=32064, head="own", template=QUESTION, length=64, end="", opens=True),
        model=VICUNA_7B,
        state="none",
        causal=True,
        deep=False,
    )


def prismatic_qwen_half_b() -> VlmConfig:
    """MiniVLA's base: Prismatic's eyes on Qwen2.5 0.5B; 1.25 B."""
    return replace(
        prismatic_llama2_7b(),
        text=TextConfig(kind="pieces", vocabulary=151936, first=0, start=-1, template=QUESTION),
        model=HubConfig(family="qwen2", width=896, depth=24, heads=14, kv_heads=2, mlp_width=4864, theta=1e6),
    )


def pali_x_55b() -> VlmConfig:
    """A model of PaLI-X's total: its 22 B eye, and a prefix model in place of its encoder-decoder; 55 B."""
    return VlmConfig(
        vision=TowerConfig(width=6144, depth=48, heads=48, hidden=24576),
        text=TextConfig(kind="pieces", vocabulary=250112, scale=0.0),
        model=HubConfig(family="gemma", width=8192, depth=39, heads=64, kv_heads=64, mlp_width=22016),
        state="none",
        deep=False,
    )


def bitnet_2b() -> VlmConfig:
    """BitVLA's base: SigLIP L/14 at 224 pixels, two projector layers, BitNet b1.58 2B; 2.7 B."""
    return VlmConfig(
        vision=TowerConfig(width=1024, depth=24, heads=16, hidden=4096, patch=14),
        projector=ProjectorConfig(kind="mlp"),
        text=TextConfig(kind="pieces", vocabulary=128256, template=QUESTION, length=64),
        model=HubConfig(
            family="bitnet",
            width=2560,
            depth=30,
            heads=20,
            kv_heads=5,
            mlp_width=6912,
            theta=500000.0,
            epsilon=1e-5,
        ),
        state="token",
        causal=False,
        deep=True,
    )


def mamba_2_8b() -> VlmConfig:
    """RoboMamba's base: CLIP L/14 at 224 pixels, two projector layers, Mamba 2.8B; 3.1 B."""
    return VlmConfig(
        vision=replace(CLIP_L_336, pixels=224),
        projector=ProjectorConfig(kind="mlp"),
        text=TextConfig(kind="pieces", vocabulary=50280, head="none", template="{instruction}"),
        model=MambaConfig(),
        state="none",
        causal=True,
        deep=False,
    )


def magma_8b() -> VlmConfig:
    """ConvNeXt-XXL at 512 pixels, two projector layers, Llama 3 8B; 8.9 B."""
    return VlmConfig(
        vision=CONVNEXT_XXL,
        projector=ProjectorConfig(kind="mlp"),
        text=TextConfig(kind="pieces", vocabulary=128256, head="own", template=QUESTION, length=64),
        model=LLAMA3_8B,
        state="none",
        causal=True,
        deep=False,
    )


def paligemma_3b(pixels: int = 224) -> VlmConfig:
    """SigLIP So400m, one linear layer, Gemma 2B, words tied; 2.92 B."""
    return VlmConfig(
        vision=replace(SIGLIP_SO400M, pixels=pixels),
        text=TextConfig(kind="pieces", vocabulary=257152, scale=0.0, first=217, start=2),
        model=HubConfig(family="gemma", width=2048, depth=18, heads=8, kv_heads=1, head_dim=256, mlp_width=16384),
        state="none",
        deep=False,
    )


def paligemma2_3b(pixels: int = 224) -> VlmConfig:
    """SigLIP So400m and Gemma 2 2B; 3.03 B."""
    model = HubConfig(
        family="gemma2",
        width=2304,
        depth=26,
        heads=8,
        kv_heads=4,
        head_dim=256,
        mlp_width=9216,
        options={"query_pre_attn_scalar": 256},
    )
    return replace(paligemma_3b(pixels), model=model)


def qwen2_vl(size: str = "2b") -> VlmConfig:
    """Qwen2-VL, "2b" (2.21 B, words tied) or "7b" (8.29 B)."""
    width = {"2b": 1536, "7b": 3584}[size]
    model = {
        "2b": HubConfig(family="qwen2", width=1536, depth=28, heads=12, kv_heads=2, mlp_width=8960, theta=1e6),
        "7b": HubConfig(family="qwen2", width=3584, depth=28, heads=28, kv_heads=4, mlp_width=18944, theta=1e6),
    }[size]
    tower = TowerConfig(
        family="qwen2_vl", width=1280, depth=32, heads=16, hidden=5120, merged=width, scaling="imagenet"
    )
    vocabulary = {"2b": 151936, "7b": 152064}[size]
    return _qwen(tower, model, vocabulary, tied=size == "2b")


def qwen2_5_vl(size: str = "3b") -> VlmConfig:
    """Qwen2.5-VL, "3b" (3.75 B, words tied) or "7b" (8.29 B)."""
    width = {"3b": 2048, "7b": 3584}[size]
    model = {
        "3b": HubConfig(family="qwen2", width=2048, depth=36, heads=16, kv_heads=2, mlp_width=11008, theta=1e6),
        "7b": HubConfig(family="qwen2", width=3584, depth=28, heads=28, kv_heads=4, mlp_width=18944, theta=1e6),
    }[size]
    tower = TowerConfig(
        family="qwen2_5_vl", width=1280, depth=32, heads=16, hidden=3420, merged=width, scaling="imagenet"
    )
    vocabulary = {"3b": 151936, "7b": 152064}[size]
    return _qwen(tower, model, vocabulary, tied=size == "3b")


def llava_7b() -> VlmConfig:
    """LLaVA 1.5: CLIP L/14 at 336 pixels, two projector layers, Vicuna 7B; 7.06 B."""
    return replace(prismatic_llama2_7b(), vision=CLIP_L_336, projector=ProjectorConfig(kind="mlp"))


def llava_ov_half_b() -> VlmConfig:
    """LLaVA-OneVision 0.5B: SigLIP So400m at 384 pixels, two projector layers, Qwen2 0.5B; 0.89 B."""
    return VlmConfig(
        vision=replace(SIGLIP_SO400M, pixels=384, drop=1),
        projector=ProjectorConfig(kind="mlp"),
        text=TextConfig(kind="pieces", vocabulary=151936, first=0, start=-1),
        model=HubConfig(family="qwen2", width=896, depth=24, heads=14, kv_heads=2, mlp_width=4864, theta=1e6),
        state="none",
        causal=True,
        deep=False,
    )


def smolvlm2_half_b(layers: int = 32) -> VlmConfig:
    """SmolVLM2 500M: SigLIP B/16 at 512 pixels, pixel shuffle 4, SmolLM2 360M; SmolVLA keeps 16 of 32 layers."""
    return VlmConfig(
        vision=TowerConfig(width=768, depth=12, heads=12, hidden=3072, patch=16, pixels=512),
        projector=ProjectorConfig(shuffle=4, bias=False),
        text=TextConfig(kind="pieces", vocabulary=49280, head="own", first=0, start=-1),
        model=HubConfig(
            family="llama", width=960, depth=layers, heads=15, kv_heads=5, mlp_width=2560, theta=1e5, epsilon=1e-5
        ),
        state="none",
        causal=True,
        deep=False,
    )


def smollm2_135m() -> VlmConfig:
    """Real words on an ordinary machine: steered keypoints and SmolLM2 135M with its installed weights; 0.14 B."""
    model = HubConfig(
        family="llama",
        width=576,
        depth=30,
        heads=9,
        kv_heads=3,
        mlp_width=1536,
        theta=1e5,
        epsilon=1e-5,
        weights="smollm2_135m",
    )
    text = TextConfig(
        kind="pieces", file="installed:smollm2_135m", vocabulary=49152, start=1, stop=2, template=QUESTION, length=40
    )
    return VlmConfig(text=text, model=model, causal=True)


def gemma3_270m() -> VlmConfig:
    """Steered keypoints and Gemma 3 270M with its installed weights, for which Gemma's terms hold; 0.27 B."""
    model = HubConfig(
        family="gemma3_text",
        width=640,
        depth=18,
        heads=4,
        kv_heads=1,
        head_dim=256,
        mlp_width=2048,
        theta=1e6,
        weights="gemma3_270m",
    )
    text = TextConfig(
        kind="pieces",
        file="installed:gemma3_270m",
        vocabulary=262144,
        scale=0.0,
        start=2,
        stop=1,
        template=QUESTION,
        length=40,
    )
    return VlmConfig(text=text, model=model, causal=True)


def internvl2(size: str = "2b") -> VlmConfig:
    """InternVL2: InternViT 300M at 448 pixels, pixel shuffle 2, InternLM2 1.8B as a Llama of its sizes; 2.21 B."""
    widths = {"2b": (2048, 24, 16, 8, 8192), "8b": (4096, 32, 32, 8, 14336)}
    width, depth, heads, kv_heads, hidden = widths[size]
    return VlmConfig(
        vision=TowerConfig(
            family="internvl", width=1024, depth=24, heads=16, hidden=4096, pixels=448, scaling="imagenet"
        ),
        projector=ProjectorConfig(kind="mlp", shuffle=2, norm=True),
        text=TextConfig(kind="pieces", vocabulary=92553, head="own"),
        model=HubConfig(
            family="llama", width=width, depth=depth, heads=heads, kv_heads=kv_heads, mlp_width=hidden, theta=1e6
        ),
        state="none",
        causal=True,
        deep=False,
    )


def eagle2_2b() -> VlmConfig:
    """Eagle 2 2B: SigLIP So400m at 448 pixels, pixel shuffle 2, two projector layers, Qwen2.5 1.5B."""
    return VlmConfig(
        vision=replace(SIGLIP_SO400M, pixels=448),
        projector=ProjectorConfig(kind="mlp", shuffle=2, norm=True),
        text=TextConfig(kind="pieces", vocabulary=151674, head="own", first=0, start=-1),
        model=HubConfig(family="qwen2", width=1536, depth=28, heads=12, kv_heads=2, mlp_width=8960, theta=1e6),
        state="none",
        causal=True,
        deep=False,
    )


def phi3_vision() -> VlmConfig:
    """Phi-3-Vision: CLIP L/14 at 336 pixels, pixel shuffle 2, two projector layers, Phi-3 mini 3.8B; 4.15 B."""
    return VlmConfig(
        vision=CLIP_L_336,
        projector=ProjectorConfig(kind="mlp", shuffle=2),
        text=TextConfig(kind="pieces", vocabulary=32064, head="own", template=QUESTION),
        model=HubConfig(family="phi3", width=3072, depth=32, heads=32, kv_heads=32, mlp_width=8192, epsilon=1e-5),
        state="none",
        causal=True,
        deep=False,
    )


def _qwen(tower: TowerConfig, model: HubConfig, vocabulary: int, *, tied: bool) -> VlmConfig:
    return VlmConfig(
        vision=tower,
        projector=ProjectorConfig(kind="none"),
        text=TextConfig(
            kind="pieces", vocabulary=vocabulary, head="tied" if tied else "own", first=0, start=-1, length=64
        ),
        model=model,
        state="none",
        causal=True,
        deep=False,
    )


def florence2_large() -> VlmConfig:
    """Florence-2 large without the half that speaks: DaViT and BART's encoder of 12 layers; 571 M."""
    text = TextConfig(
        kind="pieces", vocabulary=51289, head="none", first=4, start=0, stop=2, end="</s>", length=64, fill=1
    )
    return VlmConfig(vision=FlorenceConfig(), text=text, model=BartConfig(), state="none", deep=False)

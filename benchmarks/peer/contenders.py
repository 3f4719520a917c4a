"""What is compared: LeRobot's two designs in small, ours beside them, one data set, one budget. Standard library only.

Sizes are chosen so that all of it runs on one core in minutes; both sides see the same episodes, batches of the same
size and as many of them. The one thing to watch: each side trains with its own loop, its own reader and augmentation;
the peak learning rate is the same, LeRobot's defaults (1e-5 for ACT) being made for hundreds of times this budget.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

CHUNK, EXECUTE = 8, 4
BATCH, SAMPLES = 32, 6_400
LEARNING_RATE = 3e-4
SERVED = "ws://127.0.0.1:{port}"

_PLAIN = ("pretrained_backbone_weights=null", "push_to_hub=false", "device=cpu")
PEERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "act": (
            *_PLAIN,
            f"chunk_size={CHUNK}",
            f"n_action_steps={CHUNK}",
            "dim_model=192",
            "n_heads=6",
            "dim_feedforward=576",
            "n_encoder_layers=2",
            "n_vae_encoder_layers=1",
            "latent_dim=8",
            f"optimizer_lr={LEARNING_RATE}",
            f"optimizer_lr_backbone={LEARNING_RATE}",
        ),
        "diffusion": (
            *_PLAIN,
            "n_obs_steps=2",
            f"horizon={2 * CHUNK}",
            f"n_action_steps={CHUNK}",
            "down_dims=[64,128,256]",
            "noise_scheduler_type=DDIM",
            "num_inference_steps=10",
            "use_group_norm=true",
            "scheduler_warmup_steps=50",
            f"optimizer_lr={LEARNING_RATE}",
        ),
    }
)

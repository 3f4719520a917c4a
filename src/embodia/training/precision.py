"""Which numbers the network computes in: fp32, or bf16 products over fp32 weights.

Weights, gradients, moments and averages are always fp32; only the forward pass runs under autocast. On a processor
without bf16 units the emulation is slower than fp32, so "auto" asks the processor first.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from embodia.training.config import TrainConfig

_CPU = torch.device("cpu")


def bf16_supported(device: torch.device = _CPU) -> bool:
    """Whether `device` multiplies bf16 natively: AVX512-BF16 or AMX on a CPU, Ampere or newer on a GPU."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False


def choose(config: TrainConfig, device: torch.device) -> torch.dtype:
    """The number format of the forward pass on `device`."""
    if config.precision == "auto":
        return torch.bfloat16 if bf16_supported(device) else torch.float32
    return torch.bfloat16 if config.precision == "bf16" else torch.float32


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Context of a forward pass: autocast to `dtype`, or nothing for fp32."""
    if dtype == torch.float32:
        return nullcontext()
    return torch.autocast(device.type, dtype=dtype)

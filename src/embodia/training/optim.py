"""AdamW with parameter groups, and its state as named tensors.

Decay pulls matrices and kernels towards zero and leaves alone what has another scale (biases, norms, embeddings, single
vectors). Pretrained parts learn more slowly: a module says so with an attribute `pretrained = True`, a configuration
with name prefixes; low-rank updates of such parts are new and learn at the full rate. The state is read and written by
parameter name, so that it is plain tensors on disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from embodia.core.errors import CheckpointError, ConfigError
from embodia.nn.low_rank import LowRankLinear
from embodia.training.config import TrainConfig

_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters that learn, by name, in the order of the model; a shared parameter appears once."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def build(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW over the trainable parameters of `model`; each group carries `factor`, its share of the rate.

    Raises `ConfigError` when nothing can learn, or when a prefix in `slow` fits no parameter.
    """
    parameters = trainable(model)
    if not parameters:
        raise ConfigError("the policy has no parameter that can learn")
    slow, plain = _slow_names(model, config, parameters), _plain_names(model)
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in parameters.items():
        groups.setdefault((name in slow, name in plain or parameter.ndim < 2), []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": members,
                "factor": config.slow_factor if is_slow else 1.0,
                "weight_decay": 0.0 if is_plain else config.weight_decay,
            }
            for (is_slow, is_plain), members in sorted(groups.items(), key=lambda item: item[0])
        ],
        lr=config.learning_rate,
        betas=config.betas,
        eps=config.epsilon,
        fused=_can_fuse(parameters.values()) or None,
    )


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its share of `rate`."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]


def clip(parameters: Sequence[nn.Parameter], limit: float) -> Tensor:
    """Scale the gradients down to a total norm of at most `limit`; the norm before.

    What `torch.nn.utils.clip_grad_norm_` does, except that on a CPU short gradients are not multiplied by one.
    """
    norm = nn.utils.get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
    short = type(norm) is Tensor and norm.device.type == "cpu" and bool(norm <= limit)
    if not short:
        nn.utils.clip_grads_with_norm_(parameters, limit, norm)
    return norm


def state_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[tuple[str, Tensor]]:
    """Moments and step counts as ("exp_avg/<parameter>", tensor) pairs."""
    for name, parameter in trainable(model).items():
        state = optimizer.state.get(parameter, {})
        for key in _MOMENTS:
            if key in state:
                yield f"{key}/{name}", state[key]


def load_state(model: nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], *, file: str) -> None:
    """Put back what `state_tensors` gave. Raises `CheckpointError` naming a missing or misshapen moment."""
    if not tensors:
        return
    for name, parameter in trainable(model).items():
        state = optimizer.state[parameter]
        for key in _MOMENTS:
            leaf = f"{key}/{name}"
            if leaf not in tensors:
                raise CheckpointError("moment of the optimizer is missing", file=file, leaf=leaf)
            wanted = torch.Size(()) if key == "step" else parameter.shape
            if tensors[leaf].shape != wanted:
                raise CheckpointError(
                    f"shape {tuple(tensors[leaf].shape)}, expected {tuple(wanted)}", file=file, leaf=leaf
                )
            state[key] = _laid_out_like(parameter, tensors[leaf])


def _laid_out_like(parameter: Tensor, moment: Tensor) -> Tensor:
    """A copy in memory of its own: kernels round differently on other strides and on unaligned, mapped files."""
    if moment.shape != parameter.shape:
        return moment.clone()
    return torch.empty_like(parameter, requires_grad=False).copy_(moment)


def _slow_names(model: nn.Module, config: TrainConfig, parameters: Mapping[str, nn.Parameter]) -> set[str]:
    prefixes = [name for name, module in model.named_modules() if getattr(module, "pretrained", False) is True]
    updates = {
        f"{name}.{leaf}"
        for name, module in model.named_modules()
        if isinstance(module, LowRankLinear)
        for leaf, _ in module.named_parameters(recurse=False)
    }
    for prefix in config.slow:
        if not any(name.startswith(prefix) for name in parameters):
            raise ConfigError(f"no parameter begins with {prefix!r}", leaf="slow")
    return {
        name
        for name in parameters
        if name.startswith(config.slow)
        or (name not in updates and any(name.startswith(f"{prefix}." if prefix else "") for prefix in prefixes))
    }


def _plain_names(model: nn.Module) -> set[str]:
    return {
        f"{prefix}.{name}" if prefix else name
        for prefix, module in model.named_modules()
        if isinstance(module, nn.Embedding | nn.LayerNorm | nn.GroupNorm | nn.modules.batchnorm._BatchNorm | nn.RMSNorm)
        for name, _ in module.named_parameters(recurse=False)
    }


def _can_fuse(parameters: object) -> bool:
    return all(
        type(parameter) is nn.Parameter and parameter.device.type in ("cpu", "cuda") and parameter.is_floating_point()
        for parameter in parameters  # type: ignore[attr-defined]
    )

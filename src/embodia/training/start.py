"""Beginning with eyes that another run has taught, whatever stood behind them there.

Published designs begin with eyes that somebody trained before; here any run can hand its own on. What to watch: weights
that lead into a network of another width stay random, so the shares that are returned are worth a look.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from embodia.core.errors import ConfigError
from embodia.parts.encoders.keypoint_stem import SteeredKeypoints
from embodia.training.checkpoint import load_policy


def inherit_eyes(policy: nn.Module, runs: Sequence[str]) -> dict[str, float]:
    """Give every keypoint eye of `policy` what taught eyes of its size learned; its name -> share of its numbers taken.

    `runs` are folders of runs or checkpoints of any policies. Empty where the policy has no such eye. Raises
    `ConfigError` when a run has no eye or when all eyes of the runs are of another size than one of ours, and what
    `load_policy` raises.
    """
    taught = [eye for run in runs for eye in _taught(run)]
    return {name: _inherit(name, eye, taught) for name, eye in keypoint_eyes(policy).items()}


def keypoint_eyes(policy: nn.Module) -> dict[str, SteeredKeypoints]:
    """The eyes of a policy that can be taught by others, by their names in it."""
    return {name: module for name, module in policy.named_modules() if isinstance(module, SteeredKeypoints)}


def _inherit(name: str, eye: SteeredKeypoints, taught: Sequence[SteeredKeypoints]) -> float:
    like = [other for other in taught if _size(other) == _size(eye)]
    if not like:
        sizes = ", ".join(str(_size(other)) for other in taught)
        raise ConfigError(f"cameras, keypoints and channels are {_size(eye)}, those taught have {sizes}", leaf=name)
    return eye.inherit(like[0].state_dict())


def _taught(run: str) -> list[SteeredKeypoints]:
    eyes = list(keypoint_eyes(load_policy(Path(run))[0]).values())
    if not eyes:
        raise ConfigError("the policy that was trained there has no keypoint eyes", file=Path(run), leaf="eyes_from")
    return eyes


def _size(eye: SteeredKeypoints) -> tuple[tuple[str, ...], int, int]:
    return eye.cameras, eye.keypoints, eye.channels

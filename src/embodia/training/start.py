"""How a policy begins: with the weights of another run, with eyes that one has taught, with parts that do not learn.

Published designs begin with eyes that somebody trained before; here any run can hand its own on, to any design. What to
watch: what leads into a network of another width stays random, so the shares that are returned are worth a look; and
units (normalisation, the list of sentences) are always those of the new data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from torch import nn

from embodia.core.errors import CheckpointError, ConfigError
from embodia.core.protocols import Worded
from embodia.nn.low_rank import freeze
from embodia.nn.normalize import Normalizer
from embodia.parts.encoders.keypoint_stem import SteeredKeypoints
from embodia.training.checkpoint import adapted, load_policy
from embodia.training.config import TrainConfig


def begin(policy: nn.Module, config: TrainConfig) -> None:
    """Everything that `config` asks for before the first step. Raises what its steps raise."""
    if config.weights_from:
        inherit_weights(policy, config.weights_from, config.fresh)
    if config.eyes_from:
        inherit_eyes(policy, config.eyes_from)
    freeze(policy, config.frozen, but=config.fresh)
    adapted(policy, config)


def inherit_weights(policy: nn.Module, run: str, fresh: Sequence[str] = ()) -> None:
    """Give `policy` the weights of a run or checkpoint of its design, averaged where there are averages.

    Names that begin with one of `fresh` keep what they have. Raises `CheckpointError` naming a tensor that is missing
    there or of another shape, `ConfigError` for a `fresh` that fits none, and what `load_policy` raises.
    """
    source, targets = load_policy(Path(run))[0].state_dict(), policy.state_dict()
    for prefix in fresh:
        if not any(name.startswith(prefix) for name in targets):
            raise ConfigError(f"no tensor begins with {prefix!r}", leaf="fresh")
    kept = (*fresh, *(f"{name}." for name, part in policy.named_modules() if isinstance(part, Normalizer)))
    kept += tuple(_lists_of_sentences(policy))
    wanted = {name: target for name, target in targets.items() if not name.startswith(kept)}
    for name, target in wanted.items():
        found = tuple(source[name].shape) if name in source else "no such tensor"
        if found != tuple(target.shape):
            raise CheckpointError(
                f"there is {found}, this policy has {tuple(target.shape)}",
                file=run,
                leaf=name,
                cure=f"Train the same design in the same size, or leave it random: --fresh {name.rsplit('.', 1)[0]}",
            )
    policy.load_state_dict({**targets, **{name: source[name] for name in wanted}})


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


def _lists_of_sentences(policy: nn.Module) -> Iterator[str]:
    for name, part in policy.named_modules():
        if name and isinstance(part, Worded):
            yield from (f"{name}.{leaf}" for leaf, _ in policy.get_submodule(name).named_buffers(recurse=False))


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

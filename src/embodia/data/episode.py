"""One demonstration in memory, and what it must fulfil before it is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embodia.core.errors import NotFiniteError, ShapeError
from embodia.core.specs import Contract
from embodia.data.answers import check_answers


@dataclass(frozen=True, kw_only=True)
class EpisodeData:
    """N frames of one demonstration.

    frames       camera -> uint8 RGB (N H W 3), upright
    state        float32 (N S), in the units of the contract
    actions      float32 (N A), the action that was taken after seeing frame i
    instruction  the canonical sentence; paraphrases belong to the data set
    task, seed   what was reset; `success` whether the task's own judge said so at the end
    rewards      float32 (N), or None: then 1 at the last frame of a success and 0 elsewhere
    senses       key of a sense of the contract -> float32 (N ...)
    source       who acted, for example "expert"
    answers      kind -> N texts that should be said at the frames; KIND? has the questions that KIND answers
    """

    frames: Mapping[str, NDArray[np.uint8]]
    state: NDArray[np.float32]
    actions: NDArray[np.float32]
    instruction: str
    task: str
    seed: int
    success: bool
    rewards: NDArray[np.float32] | None = None
    source: str = ""
    senses: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    answers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.actions)

    @property
    def filled_rewards(self) -> NDArray[np.float32]:
        """The rewards, or the sparse ones that `success` implies."""
        if self.rewards is not None:
            return np.asarray(self.rewards, dtype=np.float32)
        sparse = np.zeros(len(self), dtype=np.float32)
        sparse[-1] = float(self.success)
        return sparse


def check_episode(episode: EpisodeData, contract: Contract, *, where: str) -> None:
    """Raise `ShapeError` or `NotFiniteError`, naming the leaf, unless the episode is what the contract says."""
    length = len(episode.actions)
    if length < 1:
        raise ShapeError("an episode needs at least one frame", file=where, leaf="actions")
    _check_vector(episode.actions, (length, contract.action.dim), where, "actions")
    _check_vector(episode.state, (length, contract.observation.state_dim), where, "state")
    _check_vector(episode.filled_rewards, (length,), where, "rewards")
    if contract.observation.language and not episode.instruction.strip():
        raise ShapeError("an instruction is needed", file=where, leaf="instruction")
    check_answers(episode.answers, length, where=where)
    _check_cameras(episode, contract, where)
    senses = contract.observation.senses
    if set(episode.senses) != {sense.key for sense in senses}:
        expected = sorted(sense.key for sense in senses)
        raise ShapeError(f"senses {sorted(episode.senses)}, expected {expected}", file=where, leaf="senses")
    for sense in senses:
        _check_vector(episode.senses[sense.key], (length, *sense.shape), where, f"senses.{sense.key}")


def _check_cameras(episode: EpisodeData, contract: Contract, where: str) -> None:
    names = set(contract.observation.camera_names)
    if set(episode.frames) != names:
        raise ShapeError(f"cameras {sorted(episode.frames)}, expected {sorted(names)}", file=where, leaf="frames")
    for camera in contract.observation.cameras:
        frames = episode.frames[camera.name]
        expected = (len(episode), camera.height, camera.width, 3)
        if frames.dtype != np.uint8 or frames.shape != expected:
            found = f"{frames.dtype} {frames.shape}"
            raise ShapeError(f"{found}, expected uint8 {expected}", file=where, leaf=f"frames.{camera.name}")


def _check_vector(values: NDArray[np.floating[Any]], shape: tuple[int, ...], where: str, leaf: str) -> None:
    if values.shape != shape or values.dtype.kind != "f":
        raise ShapeError(f"{values.dtype} {values.shape}, expected float {shape}", file=where, leaf=leaf)
    if not np.isfinite(values).all():
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
        raise NotFiniteError(f"not a finite number at index {index}", file=where, leaf=leaf)

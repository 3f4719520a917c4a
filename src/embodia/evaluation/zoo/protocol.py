"""What the zoo asks of every policy: ten Desk tasks in pairs of one scene, two small cameras, one recipe of training.

Both tasks of a pair are asked for in the same scenes (the red cube or the blue ball, left or right, the red button or
the green one, either drawer, the bowl or the bin), so that one who does not read is right half of the time at best.
The experts do not depend on what is recorded, so policies that want more senses than pictures get the very same
demonstrations with those senses. Watch out: results are comparable only where `fingerprint` is the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from embodia.core.config import to_json
from embodia.envs import CameraView, EnvConfig
from embodia.evaluation.controls import BLANK_IMAGE, OTHER_SENTENCE
from embodia.evaluation.plans import EvalConfig
from embodia.generate.collect import CollectConfig
from embodia.generate.demonstrate import EpisodeConfig
from embodia.generate.disturb import NoiseConfig
from embodia.parts.encoders.keypoint_stem import QUICK_EYES, KeypointStemConfig
from embodia.training.config import TrainConfig

TASKS = (
    "reach/red-cube",
    "reach/blue-ball",
    "push/red-cube/left",
    "push/red-cube/right",
    "button/red",
    "button/green",
    "drawer/open/red",
    "drawer/open/blue",
    "place/red-cube/bowl",
    "place/red-cube/bin",
)
PIXELS = 64
ACROSS = CameraView(
    name="across",
    height=PIXELS,
    width=PIXELS,
    lookat_m=(0.02, 0.0, 0.02),
    distance_m=0.74,
    azimuth_deg=180.0,
    elevation_deg=-48.0,
)
WRIST = CameraView(name="wrist", height=PIXELS, width=PIXELS)
PLAIN, SENSED = "rgb", "rgb,depth,points,wrench,touch"
"""Senses beside proprioception of the two recordings of the same demonstrations."""

TEACHER = "act"
EYES = {"usual": KeypointStemConfig(), "quick": QUICK_EYES}
"""What is taught: the eyes of nearly all policies, and those of the quick halves of systems at two rates."""


_LATER: Mapping[str, Any] = MappingProxyType(
    {"takeover": None, "weights_from": "", "fresh": [], "frozen": [], "lora": [], "lora_rank": 16, "lora_alpha": 32.0}
)
"""Settings that came to be after results were stored, and the values that leave everything as it was."""


@dataclass(frozen=True, kw_only=True)
class ZooConfig:
    """How much of everything; the rest of the protocol is the same for all.

    minutes           processor time of training, on one core
    eye_minutes       processor time of teaching each of the two eyes, once for all; 0 begins with random eyes
    demonstrations    for each task
    episodes          judged for each task, on seeds that no demonstration has; `control_episodes` with each control
    seed              of training alone: weights and the order of samples
    """

    tasks: tuple[str, ...] = TASKS
    minutes: float = 5.0
    eye_minutes: float = 15.0
    demonstrations: int = 80
    episodes: int = 20
    control_episodes: int = 8
    batch_size: int = 64
    learning_rate: float = 1e-3
    seed: int = 0


def environment(config: ZooConfig, senses: str = PLAIN) -> EnvConfig:
    """Desk with the arm of seven joints, drawn by its own renderer."""
    return EnvConfig(cameras=(ACROSS, WRIST), tasks=config.tasks, options={"senses": senses})


def collecting(config: ZooConfig, workers: int, senses: str = PLAIN) -> CollectConfig:
    """Demonstrations with texts, and with disturbed actions, so that they show how to come back."""
    return CollectConfig(
        family="desk",
        env=environment(config, senses),
        episode=EpisodeConfig(limit=100, settle=3, noise=NoiseConfig(share=0.8)),
        episodes=config.demonstrations,
        answers=True,
        workers=workers,
    )


def training(config: ZooConfig, eyes: tuple[str, ...] = ()) -> TrainConfig:
    """The recipe of all policies; nothing is held out, the last averaged weights are judged. `eyes` are taught runs."""
    return TrainConfig(
        eyes_from=eyes,
        max_seconds=60.0 * config.minutes,
        batch_size=config.batch_size,
        seed=config.seed,
        learning_rate=config.learning_rate,
        weight_decay=0.02,
        betas=(0.9, 0.98),
        ema_decay=0.99,
        validation_fraction=0.0,
        tensorboard=False,
        device="cpu",
        parallel="none",
    )


def teaching(config: ZooConfig) -> TrainConfig:
    """The recipe of the eyes: that of all policies for a longer time, and the same for every seed of theirs."""
    return replace(training(replace(config, seed=0)), max_seconds=60.0 * config.eye_minutes)


def judging(config: ZooConfig, senses: str = PLAIN) -> EvalConfig:
    """Held-out seeds and held-out wordings; the controls are another sentence and grey pictures."""
    return EvalConfig(
        family="desk",
        env=replace(environment(config, senses), horizon=80),
        tasks=config.tasks,
        episodes=config.episodes,
        control_episodes=config.control_episodes,
        controls=(OTHER_SENTENCE, BLANK_IMAGE),
        execute=4,
        workers=1,
        clips=0,
        filmed=0,
    )


def data_fingerprint(config: ZooConfig, senses: str = PLAIN) -> str:
    """Eight letters for all that decides the demonstrations and what is recorded of them."""
    return _digest(_collected(config, senses))


def fingerprint(config: ZooConfig) -> str:
    """Eight letters for all that decides a result, beside the policy and the code; what else is recorded does not."""
    shown = _collected(config)
    del shown["answers"]
    eyes = eyes_fingerprint(config) if config.eye_minutes else ""
    return _digest(shown, _decisive(training(config)), to_json(judging(config)), eyes)


def eyes_fingerprint(config: ZooConfig) -> str:
    """Eight letters for all that decides the eyes."""
    return _digest(_collected(config), _decisive(teaching(config)), TEACHER, to_json(EYES))


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:8]


def _collected(config: ZooConfig, senses: str = PLAIN) -> dict[str, Any]:
    """How demonstrations are made, as far as that could be said when the first results were stored."""
    return _without_later(to_json(collecting(config, 1, senses)))


def _without_later(shown: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in shown.items() if name not in _LATER or value != _LATER[name]}


def _decisive(config: TrainConfig) -> dict[str, Any]:
    """What of a training decides its outcome: the milestones that are kept do not."""
    shown = _without_later(to_json(config))
    del shown["keep_every"]
    return shown

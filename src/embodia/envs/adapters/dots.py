"""Dots: a white hand on a grey table has to go to the square that the sentence names; thousands of episodes a second.

It exists to test judges, not policies: an evaluator that claims to catch cheats has to be tried on thousands of them.
Pictures decide where the squares are, the sentence decides which one is meant, the state holds the hand only. Leaks can
be switched on, so that a cheat has something to cheat with: `border` (the picture's edge has the colour of the task),
`state` (the state holds the goal), `place` (the squares always lie in the same places). The one thing to watch: a
result on Dots says something about the judge, nothing about robots.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from embodia.core.errors import ConfigError
from embodia.core.names import unknown
from embodia.core.provenance import Provenance
from embodia.core.seeds import generator
from embodia.core.specs import ActionPart, ActionSpec, Contract, ObservationSpec, StatePart
from embodia.core.types import Array, Observation, check_actions
from embodia.envs.protocol import CameraView, EnvConfig, Split, StepResult, chosen, resolve_views
from embodia.envs.simulated import refuse_options

COLOURS: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {"red": (220, 40, 40), "blue": (40, 60, 220), "green": (40, 190, 60)}
)
LEAKS = ("border", "state", "place")
RATE_HZ, HORIZON, STEP, NEAR, BORDER = 10.0, 60, 0.05, 0.07, 2
TABLE, HAND = (90, 90, 90), (255, 255, 255)
_APART = 0.28
_SAID: Mapping[Split, tuple[str, ...]] = MappingProxyType(
    {
        "canonical": ("Go to the {} square.",),
        "train": ("Move onto {}.", "Put the hand on the {} one."),
        "held_out": ("Find the {} square.", "Touch what is {}."),
    }
)


def build(config: EnvConfig) -> Dots:
    """The environment; `options` may name leaks: {"leaks": "border,state"}. Raises `UnknownNameError`."""
    return Dots(config)


class Dots:
    """The world; tasks are named go-red, go-blue and go-green, and each can be done in every scene."""

    def __init__(self, config: EnvConfig) -> None:
        refuse_options("dots", config, ("leaks",))
        asked = (config.options or {}).get("leaks", "")
        self.leaks = frozenset(chosen("leak", asked.split(","), LEAKS)) if asked else frozenset()
        (self._view,) = resolve_views(config, {"top": CameraView(name="top")}, ("top",))
        self.tasks = chosen("task", config.tasks, tuple(f"go-{colour}" for colour in COLOURS))
        self._horizon, self._ends = config.horizon or HORIZON, config.success_ends
        self.contract = _contract(self._view, config.profile, leaky="state" in self.leaks)
        self.provenance = Provenance(
            environment="dots",
            profile=config.profile,
            cameras=(self._view.describe(),),
            success_rule="the middle of the hand lies within 0.07 of the middle of the square",
        )
        self.running = False
        self._task, self._steps = self.tasks[0], 0
        self._hand, self._squares = np.array([0.5, 0.5]), _places(0)

    def reset(self, task: str, seed: int) -> Observation:
        """Three squares apart from each other and from the hand in the middle."""
        self._task, self._steps, self.running = self._known(task), 0, True
        self._hand, self._squares = np.array([0.5, 0.5]), _places(0 if "place" in self.leaks else seed)
        return self._sense()

    def step(self, action: Array) -> StepResult:
        """Move the hand by up to 0.05 a step in each direction."""
        check_actions(action, self.contract.action, where=f"dots {self._task}")
        self._hand = np.clip(self._hand + STEP * np.clip(np.asarray(action, float), -1, 1), 0, 1)
        self._steps += 1
        success = self.judge(self._task)
        return self._sense(), float(success), success and self._ends, self._steps >= self._horizon, {"success": success}

    def observe(self) -> Observation:
        """The table from above."""
        height, width = self._view.height, self._view.width
        picture = np.full((height, width, 3), TABLE, np.uint8)
        if "border" in self.leaks:
            picture[:BORDER] = COLOURS[self._task.removeprefix("go-")]
        for name, place in self._squares.items():
            _paint(picture, place, 0.06, COLOURS[name])
        _paint(picture, self._hand, 0.02, HAND)
        return replace(self._sense(), images={self._view.name: picture[None, None]})

    def judge(self, task: str) -> bool:
        """Whether the hand is on the square of that task."""
        goal = self._squares[self._known(task).removeprefix("go-")]
        return bool(np.linalg.norm(self._hand - goal) < NEAR)

    def instructions(self, task: str, split: Split = "canonical") -> tuple[str, ...]:
        """The sentences of a task."""
        return tuple(said.format(self._known(task).removeprefix("go-")) for said in _SAID[split])

    def scene_partners(self, task: str) -> tuple[str, ...]:
        """The other two tasks."""
        return tuple(f"go-{colour}" for colour in COLOURS if f"go-{colour}" != self._known(task))

    @property
    def hand(self) -> npt.NDArray[np.float64]:
        """Where the hand is (x y), for experts and for cheats."""
        return self._hand

    def place(self, colour: str) -> npt.NDArray[np.float64]:
        """Where a square lies (x y), for experts and for cheats."""
        return self._squares[colour]

    def close(self) -> None:
        """Nothing is held; a closed world is only marked."""
        self.running = False

    def _known(self, task: str) -> str:
        names = tuple(f"go-{colour}" for colour in COLOURS)
        if task not in names:
            raise unknown("task", task, names)
        return task

    def _sense(self) -> Observation:
        parts = [self._hand]
        if "state" in self.leaks:
            parts.append(self._squares[self._task.removeprefix("go-")])
        return Observation(
            state=np.concatenate(parts).astype(np.float32)[None, None],
            instruction=self.instructions(self._task),
            embodiment="dot",
            time_s=np.array([[self._steps / RATE_HZ]]),
        )


def _contract(view: CameraView, profile: str, *, leaky: bool) -> Contract:
    state = (StatePart(name="hand", dim=2), *((StatePart(name="goal", dim=2),) if leaky else ()))
    return Contract(
        observation=ObservationSpec(cameras=(view.spec(profile),), state=state, rate_hz=RATE_HZ),
        action=ActionSpec(
            parts=(ActionPart(name="hand", dim=2, representation="ee_position_delta", scale=STEP),), rate_hz=RATE_HZ
        ),
        embodiment="dot",
    )


def _places(seed: int) -> dict[str, npt.NDArray[np.float64]]:
    rng = generator(seed, "dots")
    for _ in range(1000):
        found = rng.uniform(0.1, 0.9, (len(COLOURS), 2))
        points = np.vstack([found, [0.5, 0.5]])
        gaps = np.linalg.norm(points[:, None] - points[None], axis=-1)[np.triu_indices(len(points), 1)]
        if gaps.min() > _APART:
            return dict(zip(COLOURS, found, strict=True))
    raise ConfigError("no places far enough apart were found", leaf="seed")


def _paint(picture: Any, place: npt.NDArray[np.float64], half: float, colour: tuple[int, int, int]) -> None:
    height, width = picture.shape[:2]
    top, bottom = (round((place[1] + side * half) * (height - 1)) for side in (-1, 1))
    left, right = (round((place[0] + side * half) * (width - 1)) for side in (-1, 1))
    picture[max(0, top) : bottom + 1, max(0, left) : right + 1] = colour

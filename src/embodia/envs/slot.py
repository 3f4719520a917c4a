"""One environment inside a worker: runs chunks open loop, keeps the last pictures, notes which predicates held.

The one thing to watch: pictures are drawn only for the last `history` steps of a chunk (and every k-th step of an
episode that is filmed), because drawing costs ten times what physics costs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from embodia.core.specs import SenseSpec
from embodia.core.types import Observation
from embodia.envs.protocol import Env
from embodia.envs.shared import MOST_WATCHED, Part

Images = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Start:
    """Which episode a slot plays.

    `judged` are tasks whose predicates are watched besides the episode's own; `until` is the task whose success ends
    the episode (empty: its own); `stop` False lets it run to the horizon; `film_every` > 0 keeps a picture of
    `film_camera` (empty: the first) at every so many steps.
    """

    task: str
    seed: int
    judged: tuple[str, ...] = ()
    until: str = ""
    stop: bool = True
    film_every: int = 0
    film_camera: str = ""


@dataclass(frozen=True, kw_only=True)
class Took:
    """What happened since the episode began, and what is sensed now.

    `reward` is the sum over the steps and `best_reward` the largest of one step (0 before the first).
    `held` says for each watched task whether its predicate held at any step, `held_at_start` whether it did before the
    first; `film` has only the pictures since the last report (N H W 3). `senses` are (T ...) each, of the moments at
    which pictures were drawn.
    """

    steps: int
    done: bool
    success: bool
    reward: float
    held: Mapping[str, bool]
    held_at_start: Mapping[str, bool]
    state: npt.NDArray[np.float32] | None
    time_s: npt.NDArray[np.float64]
    instruction: str
    film: tuple[Images, ...] = ()
    best_reward: float = 0.0
    senses: Mapping[SenseSpec, npt.NDArray[np.float32]] = field(default_factory=dict)


def views_of(images: Mapping[str, Images], slot: int) -> dict[str, Images]:
    """The part of the shared pictures that one slot writes: camera -> (T H W 3)."""
    return {name: array[slot] for name, array in images.items()}


def sensed(
    took: Sequence[Took],
    images: Mapping[str, Images],
    embodiment: str,
    instructions: Sequence[str] = (),
    *,
    keep: Callable[[Images], Images] = np.copy,
) -> Observation:
    """What B slots saw when they last stopped: images (B T H W 3), state (B T S).

    `instructions` go before what the episodes ask for; `keep` makes what is handed out of what is shared.
    """
    states = [one.state for one in took if one.state is not None]
    asked = instructions or ("",) * len(took)
    senses = {sense: np.stack([one.senses[sense] for one in took]) for sense in took[0].senses}
    seen = Observation(
        images={name: keep(array) for name, array in images.items()},
        state=np.stack(states) if states else None,
        instruction=tuple(words or one.instruction for words, one in zip(asked, took, strict=True)),
        embodiment=embodiment,
        time_s=np.stack([one.time_s for one in took]),
    )
    return seen.with_senses(senses) if senses else seen


def read_only(array: Images) -> Images:
    """A view that cannot be written."""
    view = array.view()
    view.flags.writeable = False
    return view


@dataclass
class _Episode:
    start: Start
    steps: int = 0
    done: bool = False
    success: bool = False
    reward: float = 0.0
    best_reward: float = 0.0
    held: dict[str, bool] = field(default_factory=dict)
    held_at_start: dict[str, bool] = field(default_factory=dict)
    film: list[Images] = field(default_factory=list)


class Slot:
    """An environment, where its pictures go, and the episode it is in."""

    def __init__(
        self, env: Env, images: Mapping[str, Images], history: int, senses: tuple[SenseSpec, ...] = ()
    ) -> None:
        self._env, self._images, self._history, self._senses = env, images, history, senses
        self._sensed: list[Observation] = []
        self._felt: dict[SenseSpec, npt.NDArray[np.float32]] = {}
        self._episode = _Episode(start=Start(task="", seed=0))
        self._told: tuple[str, ...] = ()

    def begin(self, start: Start) -> Took:
        """Reset, draw, and judge what holds before anything is done."""
        self._episode = _Episode(start=start)
        first = self._env.reset(start.task, start.seed)
        watched = dict.fromkeys((start.task, *start.judged, *((start.until,) if start.until else ())))
        self._episode.held_at_start = {task: self._env.judge(task) for task in watched}
        self._episode.held = dict(self._episode.held_at_start)
        self._sensed = [first] * self._history
        self._draw(fill=True)
        self._film()
        return self._report()

    def run(self, actions: npt.NDArray[np.floating[Any]]) -> Took:
        """Apply `actions` (H A) one after the other; stops when the episode ends or asks for something else."""
        self._play(actions)
        return self._report()

    def run_into(self, part: Part, actions: npt.NDArray[np.floating[Any]]) -> Took | None:
        """`run`, answered in shared memory; a `Took` only where that has no room for what there is to say.

        No room: a film, a sentence other than the one last told, a state or sense of another shape than the contract's.
        """
        self._play(actions)
        episode, held = self._episode, self._episode.held
        new = episode.film or self._sensed[-1].instruction != self._told or len(held) > MOST_WATCHED
        if new or not part.keep(self._sensed, self._felt):
            return self._report()
        bits = sum([1 << bit for bit, holds in enumerate(held.values()) if holds])
        part.note(episode.steps, episode.done, episode.success, bits, episode.reward, episode.best_reward)
        return None

    def _play(self, actions: npt.NDArray[np.floating[Any]]) -> None:
        told, left = self._sensed[-1].instruction, len(actions)
        for action in actions:
            if self._episode.done:
                break
            self._step(action)
            asked_anew = self._sensed[-1].instruction != told
            if (left <= self._history or asked_anew) and not self._episode.done:
                self._draw()
            self._film()
            left -= 1
            if asked_anew:
                break

    def _step(self, action: npt.NDArray[np.floating[Any]]) -> None:
        episode, start = self._episode, self._episode.start
        sensed, reward, _, truncated, info = self._env.step(action)
        self._sensed = [*self._sensed[1:], sensed]
        episode.best_reward = reward if not episode.steps else max(episode.best_reward, reward)
        episode.steps += 1
        episode.reward += reward
        now = {task: self._env.judge(task) for task in episode.held if task != start.task}
        now[start.task] = bool(info["success"])
        for task, holds in now.items():
            episode.held[task] = episode.held[task] or holds
        episode.success = episode.success or now[start.task]
        episode.done = truncated or (start.stop and now[start.until or start.task])

    def _draw(self, fill: bool = False) -> None:
        if not self._images and not self._senses:
            return
        seen = self._env.observe()
        for name, array in self._images.items():
            if fill:
                array[:] = seen.images[name][0, 0]
                continue
            if self._history > 1:
                array[:-1] = array[1:].copy()
            array[-1] = seen.images[name][0, 0]
        if not self._senses:
            return
        now = {sense: np.asarray(seen.sense(sense), dtype=np.float32)[0] for sense in self._senses}
        past = {
            sense: np.repeat(new, self._history, axis=0) if fill else self._felt[sense] for sense, new in now.items()
        }
        self._felt = {sense: np.concatenate([past[sense][1:], new]) for sense, new in now.items()}

    def _film(self) -> None:
        start = self._episode.start
        if not start.film_every or (self._episode.steps % start.film_every and not self._episode.done):
            return
        camera = start.film_camera or next(iter(self._images))
        self._episode.film.append(self._env.observe().images[camera][0, 0])

    def _report(self) -> Took:
        episode = self._episode
        film, episode.film = tuple(episode.film), []
        last = self._sensed[-1]
        self._told = last.instruction
        states = [sensed.state[0] for sensed in self._sensed if sensed.state is not None]
        times = [np.ravel(sensed.time_s) for sensed in self._sensed if sensed.time_s is not None]
        return Took(
            steps=episode.steps,
            done=episode.done,
            success=episode.success,
            reward=episode.reward,
            held=dict(episode.held),
            held_at_start=episode.held_at_start,
            state=np.concatenate(states) if states else None,
            time_s=np.concatenate(times, dtype=np.float64) if times else np.zeros(self._history),
            instruction=last.instruction[0] if last.instruction else "",
            film=film,
            best_reward=episode.best_reward,
            senses=self._felt,
        )

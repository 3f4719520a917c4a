"""AutoEval on Desk: `python benchmarks/bench_autoeval.py [out.json] [folder]`, a few minutes.

One scene stays set up all the time: between two trials the robot itself undoes what it did, and the simulator is only
reset when a person is called. The judge learns from pictures of experts, of experts that give up and of random actions;
it is then measured on three policies that it never saw, which give up in some, half and most of their trials. The
simulator's predicates are asked only afterwards, to measure how far the judge and the resets can be believed.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from embodia import envs
from embodia.core.protocols import Carry, Rng
from embodia.core.seeds import generator
from embodia.core.types import ActionChunk, Observation
from embodia.envs import CameraView, EnvConfig
from embodia.envs.desk import tasks as desk_tasks
from embodia.envs.desk.tasks import chain
from embodia.evaluation.autoeval.classifier import JudgeConfig, load_judge, save_judge, stacked, train_judge
from embodia.evaluation.autoeval.loop import BenchConfig, Trial, agreement, run_bench, seen
from embodia.evaluation.facts import run_facts
from embodia.evaluation.results import write_result
from embodia.evaluation.statistics import rate_of
from embodia.evaluation.summary import rate_entry
from embodia.generate.experts import desk as experts
from embodia.generate.experts._desk_hand import Habit
from embodia.generate.undo import needs, ready, undo

TASKS = (
    "chain/open-drawer",
    "chain/turn-on-switch",
    "chain/place-red-cube-bowl",
    "chain/stack-green-cube-blue-cube",
)
PIXELS = 80
CAMERAS = tuple(
    CameraView(
        name=name,
        height=PIXELS,
        width=PIXELS,
        lookat_m=(0.04, -0.02, 0.02),
        distance_m=distance,
        azimuth_deg=azimuth,
        elevation_deg=elevation,
    )
    for name, distance, azimuth, elevation in (("across", 0.66, 180.0, -50.0), ("slant", 0.64, 115.0, -35.0))
)
LESSONS, TRIALS, HORIZON, EVERY, RATE_HZ = 320, 100, 100, 5, 20
POLICIES = {"gives up in 20 %": 0.2, "gives up in 50 %": 0.5, "gives up in 80 %": 0.8}
OPERATOR = Habit(speed=0.8, wander=0.15, pause=0.2)


@dataclass
class Resets:
    """The robot's own reset, and what came of it: attempts, ready scenes, control steps."""

    attempts: int = 0
    ready: int = 0
    steps: int = 0
    trial: tuple[str, int] = ("", 0)
    first: list[bool] = None  # type: ignore[assignment]
    last: list[bool] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.first, self.last = [], []

    def __call__(self, env: Any, task: str, seed: int) -> None:
        """Undo the trial before, without a simulator's reset."""
        again = self.trial == (task, seed)
        self.attempts, self.trial = self.attempts + 1, (task, seed)
        if env.task:
            env.ask(task)
            for action in undo(env.world, task, seed=seed + 7919 * self.attempts, habit=OPERATOR):
                env.step(action.astype(np.float32))
                self.steps += 1
        else:
            set_up(env, task, seed)
        env.ask(task)
        good = ready(env.world, task)
        self.ready += good
        if again:
            self.last[-1] = good
        else:
            self.first.append(good)
            self.last.append(good)


def set_up(env: Any, task: str, seed: int) -> None:
    """What a person does: the scene is laid anew."""
    fitting = [start for start in chain.STARTS if all(start[word] == value for word, value in needs(task).items())]
    env.begin(fitting[seed % len(fitting)], task, seed)


class Quitter:
    """A sloppy expert of the task at hand; in a share of its trials it stops at a random step and wanders."""

    def __init__(self, env: Any, share: float) -> None:
        self.env, self.share, self.contract = env, share, env.contract

    def act(self, observation: Observation, carry: Carry, rng: Rng) -> tuple[ActionChunk, Carry]:
        """One action."""
        if carry is None:
            quits = int(rng.integers(3, 25)) if rng.random() < self.share else 10**6
            carry = (experts.build(self.env.task, "sloppy"), 0, quits)
        expert, step, quits = carry
        action = expert.act(self.env) if step < quits else wandering(rng)
        actions = np.asarray(action, np.float32)[None, None]
        chunk = ActionChunk(actions=actions, valid=np.ones((1, 1), bool), spec=self.contract.action)
        return chunk, (expert, step + 1, quits)


def wandering(rng: Rng) -> Any:
    """A small step anywhere, the hand upright."""
    return rng.uniform(-1, 1, 6) * np.array([0.4, 0.4, 0.4, 0.3, 0.0, 1.0])


def pictures(env: Any, config: JudgeConfig) -> tuple[Any, list[str], Any]:
    """Labelled pictures of a session that a person watches: deeds, half deeds, random moves and undoings."""
    found: list[Any] = []
    names: list[str] = []
    done: list[bool] = []

    def look() -> None:
        picture = stacked(seen(env.observe()), config)
        for task in TASKS:
            found.append(picture)
            names.append(task)
            done.append(desk_tasks.get(task).success(env.world, {}))

    for lesson in range(LESSONS):
        task, rng = TASKS[lesson % len(TASKS)], generator(0, "lesson", lesson)
        if not env.task or lesson % 8 == 0 or not ready(env.world, task):
            set_up(env, task, 100_000 + lesson)
        env.ask(task)
        kind = lesson // len(TASKS) % 5
        expert, quits, after = experts.build(task, "direct"), int(rng.integers(3, 25)) if kind == 3 else HORIZON, 0
        for step in range(HORIZON):
            noisy = expert.act(env) + 0.15 * rng.normal(size=6) if step < quits and kind < 4 else wandering(rng)
            env.step(np.clip(noisy, -1, 1).astype(np.float32))
            after += env.judge(task)
            if step % 5 == 0 or 0 < after < 6:
                look()
            if after > 12:
                break
        follows = TASKS[(lesson + 1) % len(TASKS)]
        for step, action in enumerate(undo(env.world, follows, seed=lesson, habit=OPERATOR)):
            env.step(action.astype(np.float32))
            if step % 8 == 0:
                look()
    return np.stack(found), names, np.array(done)


def main() -> None:
    """Train or load the judge, play what is missing, write the result."""
    torch.set_num_threads(1)
    start, folder = time.perf_counter(), Path(sys.argv[2] if len(sys.argv) > 2 else "runs/autoeval")
    shown = EnvConfig(cameras=CAMERAS, success_ends=False)
    names = tuple(camera.name for camera in CAMERAS)
    config = JudgeConfig(tasks=TASKS, cameras=names, height=PIXELS, width=PIXELS, steps=1500)
    samples = 0
    if not (folder / "judge").exists():
        found, tasks, done = pictures(envs.make("desk", shown), config)
        samples = len(found)
        print(f"{samples} labels, {int(done.sum())} of successes, {time.perf_counter() - start:.0f} s", flush=True)
        save_judge(folder / "judge", train_judge(config, found, tasks, done))
        print(f"judge trained, {time.perf_counter() - start:.0f} s", flush=True)
    judge, resets, played = load_judge(folder / "judge"), Resets(), {}
    began = time.perf_counter()
    for index, (name, share) in enumerate(POLICIES.items()):
        env: Any = envs.make("desk", shown)
        bench = BenchConfig(
            tasks=TASKS, trials=TRIALS, horizon=HORIZON, every=EVERY, looks=2, first_seed=3_000_000 + 1000 * index
        )
        journal, policy = folder / f"trials-{index}.jsonl", Quitter(env, share)
        played[name] = run_bench(bench, env, policy, judge, journal, np.random.default_rng, reset=resets, person=set_up)
        print(f"{name}: {agreement(played[name])}, {time.perf_counter() - start:.0f} s", flush=True)
    result = report(played, resets, time.perf_counter() - began, time.perf_counter() - start, samples)
    print({key: result[key] for key in ("success_rate", "n", "interval", "confusion", "resets", "episodes_per_hour")})
    if len(sys.argv) > 1:
        further = ("confusion", "policies", "resets", "episodes_per_hour", "judge_labels")
        write_result(sys.argv[1], result, **{key: result[key] for key in further})


def report(
    played: dict[str, list[Trial]], resets: Resets, bench_s: float, seconds: float, samples: int
) -> dict[str, Any]:
    """The shared keys of a result; the rate is the agreement of judge and predicate."""
    trials = [trial for rows in played.values() for trial in rows]

    def agreeing(rows: list[Trial]) -> dict[str, Any]:
        return rate_entry(rate_of([trial.judged == trial.truth for trial in rows]))

    steps = sum(trial.steps for trial in trials) + resets.steps
    return {
        **run_facts("python benchmarks/bench_autoeval.py results/autoeval.json"),
        **agreeing(trials),
        "per_task": {task: agreeing([trial for trial in trials if trial.task == task]) for task in TASKS},
        "controls": {"always_not": rate_entry(rate_of([trial.truth is False for trial in trials]))},
        "confusion": agreement(trials),
        "policies": {
            name: {
                "by_judge": rate_entry(rate_of([trial.judged for trial in rows])),
                "by_truth": rate_entry(rate_of([bool(trial.truth) for trial in rows])),
                "agreement": agreeing(rows),
            }
            for name, rows in played.items()
        },
        "resets": {
            "ready_after_one_attempt": rate_entry(rate_of(resets.first)),
            "ready_at_the_start_of_the_trial": rate_entry(rate_of(resets.last)),
            "attempts": resets.attempts,
            "without_a_person": rate_entry(rate_of([not trial.called for trial in trials])),
        },
        "episodes_per_hour": {
            "robot_clock": 3600 * len(trials) / (steps / RATE_HZ),
            "this_machine": 3600 * len(trials) / bench_s,
            "control_steps": steps,
            "of_which_resets": resets.steps,
        },
        "judge_labels": samples,
        "seconds": seconds,
        "seed": 0,
        "notes": [
            "success_rate: share of trials in which the judge's verdict equals the predicate at the end of the trial.",
            "controls: a judge that never believes.",
            "The judge looks every 5 steps at two pictures of 80 px; a trial ends when two looks in a row believe.",
            "Resets are played by the robot with a scripted undoing that knows where things are; ready is the truth of "
            "the simulator; a person is called after three attempts that the judge does not believe.",
            "robot_clock counts control steps of trials and resets at 20 Hz, nothing else.",
        ],
    }


if __name__ == "__main__":
    main()

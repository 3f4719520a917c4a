"""AutoEval on Meta-World: `python benchmarks/bench_autoeval.py [out.json] [folder]`; goes on where it was stopped.

The judge learns from pictures of experts and of random actions; it is then measured on a policy that it never saw, one
that does the task in half of its trials and gives up, at a random point, in the others. The simulator's predicate is
asked only afterwards, to measure the agreement.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from embodia import envs
from embodia.core.protocols import Carry, Rng
from embodia.core.seeds import generator
from embodia.core.types import ActionChunk, Observation
from embodia.envs import EnvConfig
from embodia.evaluation.autoeval.classifier import JudgeConfig, load_judge, save_judge, stacked, train_judge
from embodia.evaluation.autoeval.loop import BenchConfig, Trial, agreement, run_bench, seen
from embodia.evaluation.facts import run_facts
from embodia.evaluation.results import write_result
from embodia.evaluation.statistics.intervals import wilson
from embodia.generate.experts import make

TASKS = ("window-open", "drawer-open", "button-press-topdown")
CAMERAS, PIXELS = ("right", "left"), 64
EPISODES, TRIALS, HORIZON, EVERY = 24, 150, 150, 10


class Quitter:
    """The expert of the task at hand; in half of the trials it stops at a random step and wanders."""

    def __init__(self, env: Any) -> None:
        self.env, self.contract = env, env.contract

    def act(self, observation: Observation, carry: Carry, rng: Rng) -> tuple[ActionChunk, Carry]:
        """One action."""
        if carry is None:
            expert = make("metaworld", self.env.task)
            expert.begin()
            carry = (expert, 0, int(rng.integers(5, 70)) if rng.random() < 0.5 else 10**6)
        expert, step, quits = carry
        action = expert.act(self.env.inner) if step < quits else rng.uniform(-1, 1, 4) * np.array([0.3, 0.3, 0.3, 1])
        actions = np.asarray(action, np.float32)[None, None]
        chunk = ActionChunk(actions=actions, valid=np.ones((1, 1), bool), spec=self.contract.action)
        return chunk, (expert, step + 1, quits)


class Watched:
    """An environment that remembers which task was set up, so that an expert can be found."""

    def __init__(self) -> None:
        config = EnvConfig(
            profile="fast", cameras=CAMERAS, height=PIXELS, width=PIXELS, tasks=TASKS, success_ends=False
        )
        self.inner: Any = envs.make("metaworld", config)
        self.task = ""
        self.draws = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def reset(self, task: str, seed: int) -> Observation:
        """Remember the task."""
        self.task = task
        return self.inner.reset(task, seed)


def pictures(env: Watched, config: JudgeConfig) -> tuple[Any, list[str], Any]:
    """Labelled pictures: experts to their success and a little beyond, and random actions."""
    found, tasks, done = [], [], []
    for task in TASKS:
        for episode in range(EPISODES):
            rng, wild = generator(0, "judge", task, episode), episode % 3 == 2
            env.reset(task, 100_000 + episode)
            expert, after = make("metaworld", task), 0
            expert.begin()
            for step in range(HORIZON):
                action = rng.uniform(-1, 1, 4) if wild else expert.act(env.inner) + 0.3 * rng.normal(size=4)
                env.step(np.clip(action, -1, 1))
                held = env.judge(task)
                after += held
                if step % 8 == 0 or (held and after % 3 == 1):
                    found.append(stacked(seen(env.observe()), config))
                    tasks.append(task)
                    done.append(held)
                if after > 24:
                    break
    return np.stack(found), tasks, np.array(done)


def report(trials: list[Trial], start: float, samples: int) -> dict[str, Any]:
    """The shared keys of a result; the rate is the agreement of judge and predicate."""

    def rate(rows: list[Trial]) -> dict[str, Any]:
        same = sum(trial.judged == trial.truth for trial in rows)
        return {"success_rate": same / len(rows), "n": len(rows), "interval": list(wilson(same, len(rows)))}

    def share(values: list[bool]) -> dict[str, Any]:
        low, high = wilson(sum(values), len(values))
        return {"success_rate": float(np.mean(values)), "n": len(values), "interval": [low, high]}

    return {
        **run_facts("python benchmarks/bench_autoeval.py results/autoeval.json"),
        **rate(trials),
        "per_task": {task: rate([trial for trial in trials if trial.task == task]) for task in TASKS},
        "controls": {
            "always_not": share([trial.truth is False for trial in trials]),
            "policy_by_judge": share([trial.judged for trial in trials]),
            "policy_by_truth": share([bool(trial.truth) for trial in trials]),
        },
        "confusion": agreement(trials),
        "persons_called": sum(trial.called for trial in trials),
        "resets": sum(trial.resets for trial in trials),
        "judge_pictures": samples,
        "seconds": time.perf_counter() - start,
        "seed": 0,
        "notes": "success_rate is the share of trials in which the judge's verdict equals the predicate at the end of "
        "the trial; policy_by_judge and policy_by_truth are the policy's success rate as each of the two sees it; "
        "always_not is a judge that never believes. The judge looks every 10 steps; a trial ends when it believes.",
    }


def main() -> None:
    """Train or load the judge, play what is missing, write the result."""
    torch.set_num_threads(1)
    start, folder = time.perf_counter(), Path(sys.argv[2] if len(sys.argv) > 2 else "runs/autoeval")
    env = Watched()
    config = JudgeConfig(tasks=TASKS, cameras=CAMERAS, height=PIXELS, width=PIXELS, steps=500)
    samples = 0
    if not (folder / "judge").exists():
        found, tasks, done = pictures(env, config)
        samples = len(found)
        print(f"{samples} pictures, {int(done.sum())} of successes, {time.perf_counter() - start:.0f} s", flush=True)
        save_judge(folder / "judge", train_judge(config, found, tasks, done))
        print(f"judge trained, {time.perf_counter() - start:.0f} s", flush=True)
    bench = BenchConfig(tasks=TASKS, trials=TRIALS, horizon=HORIZON, every=EVERY)
    trials = run_bench(
        bench, env, Quitter(env), load_judge(folder / "judge"), folder / "trials.jsonl", np.random.default_rng
    )
    result = report(trials, start, samples)
    print({key: result[key] for key in ("success_rate", "n", "interval", "confusion", "persons_called")})
    if len(sys.argv) > 1:
        further = ("confusion", "persons_called", "resets", "judge_pictures")
        write_result(sys.argv[1], result, **{key: result[key] for key in further})


if __name__ == "__main__":
    main()

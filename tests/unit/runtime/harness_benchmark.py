"""A benchmark in vla-eval's own classes: the toy of the evaluation's tests, where eyes and language decide."""

import sys
from pathlib import Path
from typing import ClassVar

from vla_eval.benchmarks.base import StepBenchmark, StepResult
from vla_eval.specs import IMAGE_RGB, LANGUAGE, RAW

sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))
from evaluation_toy import HORIZON, SENTENCES, ToyEnv


class ToyBenchmark(StepBenchmark):
    """Reach the square that the sentence names; `send_state` is asked for by the server, as LIBERO's is."""

    seen: ClassVar[list] = []

    def __init__(self, send_state=False, seed=0):
        super().__init__()
        self._send_state, self._seed, self._env, self._told = send_state, seed, ToyEnv(), ""

    def get_tasks(self):
        return [{"name": name, "suite": "toy"} for name in SENTENCES]

    def reset(self, task):
        self._told = self._env.instructions(task["name"])[0]
        self._env.reset(task["name"], self._seed + task["episode_idx"])
        return self._env.observe()

    def step(self, action):
        self.seen.append(action["actions"].shape)
        _, reward, done, truncated, info = self._env.step(action["actions"])
        return StepResult(obs=self._env.observe(), reward=reward, done=done or truncated, info=info)

    def make_obs(self, raw_obs, task):
        found = {"images": {"top": raw_obs.images["top"][0, 0]}, "task_description": self._told}
        return {**found, "states": raw_obs.state[0, 0]} if self._send_state else found

    def get_step_result(self, step_result):
        return {"success": bool(step_result.info.get("success"))}

    def get_metadata(self):
        return {"max_steps": HORIZON}

    def get_action_spec(self):
        return {"actions": RAW}

    def get_observation_spec(self):
        return {"image": IMAGE_RGB, "language": LANGUAGE}

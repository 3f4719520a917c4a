"""Small things on disk for the command line: data sets of Dots, and evaluations whose every episode is chosen."""

import json
from dataclasses import replace

import numpy as np
import torch

from embodia.core.config import to_json
from embodia.core.types import ActionChunk
from embodia.data.episode import EpisodeData
from embodia.data.recorder import Recorder
from embodia.envs import EnvConfig, make
from embodia.evaluation.episodes import Episode, write_episodes
from embodia.evaluation.statistics import Rate
from embodia.evaluation.summary import rate_entry
from embodia.generate.collect import SETTINGS, CollectConfig
from embodia.io.atomic import write_json

ENV = EnvConfig(height=16, width=16, tasks=("go-red", "go-blue"))


def dots(folder, seeds=range(2), length=4):
    """A data set of Dots with its settings, as `collect` leaves it."""
    env, rng = make("dots", ENV), np.random.default_rng(0)
    said = {env.instructions(task)[0]: env.instructions(task, "train") for task in env.tasks}
    recorder = Recorder(folder, contract=env.contract, provenance=env.provenance, paraphrases=said)
    for task in env.tasks:
        for seed in seeds:
            env.reset(task, seed)
            picture = env.observe().images["top"][0]
            recorder.record(
                EpisodeData(
                    frames={"top": np.repeat(picture, length, axis=0)},
                    state=rng.uniform(0, 1, (length, 2)).astype(np.float32),
                    actions=rng.uniform(-1, 1, (length, 2)).astype(np.float32),
                    instruction=env.instructions(task)[0],
                    task=task,
                    seed=seed,
                    success=True,
                    source="test",
                )
            )
    recorder.close()
    write_json(folder / SETTINGS, to_json(CollectConfig(family="dots", env=ENV)))
    return folder


class Guided(torch.nn.Module):
    """Goes to the square that the sentence names, found by its colour; `lazy` episodes stay where they are."""

    history = 1
    colours = {"red": (220, 40, 40), "blue": (40, 60, 220)}  # noqa: RUF012

    def __init__(self, lazy=False, chunk=4):
        super().__init__()
        contract = make("dots", ENV).contract
        self.contract = replace(contract, action=replace(contract.action, chunk=chunk))
        self.lazy, self.chunk = lazy, chunk
        self.inference = type("Inference", (), {"execute": 2})()

    def act(self, observation, carry, rng):
        actions = np.zeros((observation.batch_size, self.chunk, 2), np.float32)
        for row, sentence in enumerate(observation.instruction):
            colour = next(name for name in self.colours if name in sentence)
            seen = (np.abs(observation.images["top"][row, -1].astype(int) - self.colours[colour]) < 9).all(-1)
            if seen.any() and not self.lazy:
                goal = np.argwhere(seen).mean(0)[::-1] / 15
                actions[row] = np.clip((goal - observation.state[row, -1]) / 0.05 / self.chunk, -1, 1)
        return ActionChunk(actions=actions, valid=np.ones(actions.shape[:2], bool), spec=self.contract.action), None


def evaluated(folder, hits, *, name="arm", horizon=100, profile="fast", wording="{} it", first_seed=0, clip=None):
    """An evaluation's folder; `hits` is task -> outcomes in the order of the seeds."""
    folder.mkdir(parents=True)
    rows = [
        Episode(
            arm="policy",
            task=task,
            seed=first_seed + seed,
            instruction=wording.format(task),
            told=task,
            success=bool(hit),
            followed=bool(hit),
            steps=9,
        )
        for task, outcomes in hits.items()
        for seed, hit in enumerate(outcomes)
    ]

    def rate(items):
        return rate_entry(Rate(successes=sum(item.success for item in items), n=len(items)))

    report = {
        **rate(rows),
        "per_task": {task: {**rate([row for row in rows if row.task == task]), "controls": {}} for task in hits},
        "policy": {"name": name, "size": "tiny"},
        "config": {"horizon": horizon, "sentences": "train", "tasks": list(hits)},
        "provenance": {"evaluated": {"environment": "desk", "profile": profile, "cameras": ["front"]}},
        **{"controls": {}, "seconds": 1.0, "versions": {}, "seed": 0, "hardware": {}, "notes": []},
        **{"command": "embodia evaluate", "commit": "c" * 40, "suite": {"name": "bench"}},
    }
    write_episodes(folder / "episodes.jsonl", rows)
    (folder / "report.json").write_text(json.dumps(report))
    return folder

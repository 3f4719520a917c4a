"""Key frames carry a demonstration: played as straight chunks, the few places alone do the task again on Desk."""

import numpy as np
import pytest
import torch

pytest.importorskip("mujoco", reason="MuJoCo is not installed")

from embodia import envs
from embodia.data.keyframes import next_keys
from embodia.envs import EnvConfig
from embodia.generate import experts
from embodia.generate.demonstrate import EpisodeConfig, demonstrate
from embodia.nn.tool import OPEN, posture, straight, tool_of

NEAR_M = 0.012
CHUNK = 6


@pytest.fixture(scope="module")
def env():
    env = envs.make("desk", EnvConfig(height=8, width=8, success_ends=False))
    yield env
    env.close()


def places(env, task, seed):
    """The postures at a demonstration's key frames, in order, and what is held on the way."""
    episode = demonstrate(env, experts.make("desk", task), task, seed, EpisodeConfig(images_every=1000)).episode
    assert episode is not None
    tool = tool_of(env.contract)
    keys, leaves = next_keys(env.contract, episode.state, episode.actions)
    found = []
    for key, leave in sorted(set(zip(keys.tolist(), leaves.tolist(), strict=True))):
        at, after = (posture(tool, torch.tensor(episode.state[frame])) for frame in (key, leave))
        goal = torch.cat([at[:4], (after[4:] > OPEN).float()])
        found.append((goal, torch.tensor(episode.actions[key, list(tool.rest)])))
    return found, len(episode)


@pytest.mark.parametrize(("task", "least"), [("reach/red-cube", 4), ("place/red-cube/bowl", 3)])
def test_the_places_alone_do_the_task_again(env, task, least):
    tool, won = tool_of(env.contract), 0
    for seed in range(4):
        goals, frames = places(env, task, seed)
        assert len(goals) <= 8 < frames
        sensed, step, number, there = env.reset(task, seed), 0, 0, 0
        while step < 150 and not env.judge(task):
            goal, held = goals[min(number, len(goals) - 1)]
            now = posture(tool, torch.tensor(sensed.state[0, 0]))
            chunk = straight(tool, now[None], goal[None], held[None], CHUNK)[0].numpy()
            for action in chunk:
                sensed, *_ = env.step(np.clip(action, -1, 1))
                step += 1
            away = posture(tool, torch.tensor(sensed.state[0, 0]))[:3] - goal[:3]
            there = there + 1 if away.norm() < NEAR_M else 0
            number, there = (number + 1, 0) if there == 2 else (number, there)
        won += env.judge(task)
    assert won >= least

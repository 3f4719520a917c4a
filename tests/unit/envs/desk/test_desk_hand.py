"""The bare hand: it is moved like any body, and what is recorded of it is a video with a sentence and nothing else."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

pytest.importorskip("mujoco", reason="MuJoCo is not installed")

from embodia import envs
from embodia.cli import main as cli
from embodia.core.errors import ContractError
from embodia.data.dataset import Dataset
from embodia.envs import EnvConfig
from embodia.generate.collect import CollectConfig, collect
from embodia.generate.demonstrate import EpisodeConfig

pytestmark = pytest.mark.sim

TASKS = ("reach/red-cube", "push/green-cylinder/left")
ENV = EnvConfig(height=32, width=32, tasks=TASKS, options={"body": "hand"}, success_ends=False)
EPISODE = EpisodeConfig(limit=120, settle=2, images_every=4)


@pytest.fixture(scope="module")
def env():
    env = envs.make("desk", ENV)
    yield env
    env.close()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("hand")
    config = CollectConfig(family="desk", env=ENV, episode=EPISODE, episodes=2, workers=1)
    assert collect(config, root).kept == dict.fromkeys(TASKS, 2)
    return root


def test_the_contract_says_that_nobody_writes_actions_down(env):
    action = env.contract.action
    assert action.dim == 6 and not action.recorded
    assert env.contract.of_data.action.parts == () and env.contract.observation.state == ()
    arm = envs.make("desk", EnvConfig()).contract
    assert arm.action.recorded and arm.of_data == arm


def test_it_can_be_moved_and_senses_no_joints(env):
    sensed = env.reset(TASKS[0], 0)
    before = env.world.tool()[0]
    for _ in range(5):
        sensed, *_ = env.step(np.array([0.0, 0.0, -1.0, 0.0, 0.0, -1.0]))
    assert sensed.state.shape == (1, 1, 0)
    assert before[2] - env.world.tool()[0][2] > 0.05
    assert env.observe().images["front"].shape == (1, 1, 32, 32, 3)


def test_what_is_collected_is_a_video_with_a_sentence(root):
    features = json.loads((root / "meta/info.json").read_text())["features"]
    assert "observation.images.front" in features and not {"action", "observation.state"} & set(features)
    for table in (root / "data").rglob("*.parquet"):
        assert not {"action", "observation.state"} & set(pq.read_schema(table).names)
    dataset = Dataset.open(root)
    assert dataset.contract.embodiment == "desk-hand" and not dataset.contract.action.recorded
    assert {row.instruction for row in dataset.episodes} == {
        "Reach the red cube.",
        "Push the green cylinder to the left.",
    }
    moving = dataset.images(0, "front")
    assert np.abs(moving[0].astype(int) - moving[-1]).max() > 60


def test_the_validator_finds_nothing_wrong_with_it(root, capsys):
    assert cli.main(["data", "validate", str(root)]) == 0
    assert "is sound" in capsys.readouterr().out


def test_collecting_more_continues_it(root):
    config = CollectConfig(family="desk", env=ENV, episode=EPISODE, episodes=3, workers=1)
    assert collect(config, root).episodes == 6
    assert len(Dataset.open(root).episodes) == 6


def test_an_arm_cannot_record_into_it(root):
    arm = EnvConfig(height=32, width=32, tasks=TASKS, success_ends=False)
    with pytest.raises(ContractError):
        collect(CollectConfig(family="desk", env=arm, episode=EPISODE, episodes=3, workers=1), root)

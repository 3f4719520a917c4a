"""The comparison with LeRobot: the kernel counts costs, nothing runs twice, both sides get the same, shapes agree."""

import json
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks" / "peer"))

import contenders
import cost
import peer_desk
import serve_peer
import train_ours
import train_peer

from embodia.core.types import Observation
from embodia.envs import make
from embodia.runtime.policy.card import card_of
from embodia.runtime.policy.remote import RemoteConfig, RemotePolicy
from embodia.runtime.policy.server import PolicyServer, ServeConfig

HUNGRY = (
    "import time\nx = bytearray(80_000_000)\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
)


def test_a_cost_is_processor_time_and_memory_of_that_process_alone(tmp_path):
    idle = cost.once([sys.executable, "-c", "import time; time.sleep(0.4)"], tmp_path / "idle")
    busy = cost.once([sys.executable, "-c", HUNGRY], tmp_path / "busy")
    assert busy["processor_s"] >= 0.3 > idle["processor_s"] and idle["seconds"] >= 0.4
    assert busy["memory_mb"] > idle["memory_mb"] + 60


def test_what_was_paid_once_is_not_run_again_but_a_failure_is(tmp_path):
    command = [sys.executable, "-c", f"open({str(tmp_path / 'runs')!r}, 'a').write('x'); print('said')"]
    first = cost.once(command, tmp_path / "a")
    assert cost.once(command, tmp_path / "a") == first and (tmp_path / "runs").read_text() == "x"
    assert (tmp_path / "a" / "log.txt").read_text() == "said\n"
    with pytest.raises(RuntimeError, match=r"failed, see .*log\.txt"):
        cost.once([sys.executable, "-c", "raise SystemExit(3)"], tmp_path / "b")
    assert not (tmp_path / "b" / cost.COST).exists()


def test_an_environment_is_added_to_not_replaced(tmp_path):
    script = "import os, json; print(json.dumps([os.environ['NEW_NAME'], 'PATH' in os.environ]))"
    cost.once([sys.executable, "-c", script], tmp_path, {"NEW_NAME": "here"})
    assert json.loads((tmp_path / "log.txt").read_text()) == ["here", True]


@pytest.mark.parametrize("design", sorted(contenders.PEERS))
def test_both_sides_see_as_many_samples_in_batches_of_one_size_at_one_rate(design, tmp_path):
    flags = dict(flag.removeprefix("--").split("=", 1) for flag in train_peer.arguments(design, tmp_path, tmp_path))
    assert int(flags["steps"]) * int(flags["batch_size"]) == contenders.SAMPLES
    assert flags["batch_size"] == str(contenders.BATCH) and flags["policy.type"] == design
    assert float(flags["policy.optimizer_lr"]) == contenders.LEARNING_RATE
    assert int(flags["policy.n_action_steps"]) == contenders.CHUNK >= contenders.EXECUTE
    assert flags["policy.pretrained_backbone_weights"] == "null", "neither side starts from pretrained weights"
    assert flags["save_freq"] == flags["steps"]


def test_chunks_are_as_long_on_our_side():
    assert train_ours.CONFIGS["act"].chunk == contenders.CHUNK
    horizon = next(flag for flag in contenders.PEERS["diffusion"] if flag.startswith("horizon="))
    assert train_ours.CONFIGS["diffusion_policy"].chunk == int(horizon.split("=")[1])
    assert set(peer_desk.PAIRS) == set(train_ours.CONFIGS) and set(peer_desk.PAIRS.values()) == set(contenders.PEERS)


def observation(steps):
    picture = np.arange(steps * 4 * 5 * 3, dtype=np.uint8).reshape(1, steps, 4, 5, 3)
    return Observation(images={"across": picture}, state=np.arange(steps * 2, dtype=np.float32).reshape(1, steps, 2))


def test_messages_have_lerobots_names_shapes_and_range():
    found = serve_peer.messages(observation(3), 1)
    assert set(found) == {"observation.state", "observation.images.across"}
    assert found["observation.state"].tolist() == [[4.0, 5.0]], "the newest step"
    picture = found["observation.images.across"]
    assert picture.shape == (1, 3, 4, 5) and picture.dtype == torch.float32 and 0 <= picture.min() <= picture.max() <= 1
    original = observation(3).images["across"][0, -1]
    assert picture[0, 2, 3, 1].item() == pytest.approx(original[3, 1, 2] / 255)


def test_history_keeps_its_axis_and_repeats_the_first_step():
    found = serve_peer.messages(observation(1), 2)
    assert found["observation.images.across"].shape == (1, 2, 3, 4, 5)
    assert found["observation.state"].tolist() == [[[0.0, 1.0], [0.0, 1.0]]]
    assert serve_peer.messages(observation(4), 2)["observation.state"].tolist() == [[[4.0, 5.0], [6.0, 7.0]]]


class Echo:
    """In LeRobot's place: answers with the state it was shown, and with a number drawn from torch."""

    def __init__(self, chunk, dim):
        self.chunk, self.dim = chunk, dim

    def predict_action_chunk(self, batch):
        actions = torch.zeros(1, self.chunk, self.dim)
        actions[..., 0], actions[..., 1] = batch["observation.state"][0, 0], torch.rand(())
        return actions


@pytest.fixture(scope="module")
def contract():
    env = make("desk", peer_desk.episodes().env)
    try:
        return replace(env.contract, action=replace(env.contract.action, chunk=contenders.CHUNK))
    finally:
        env.close()


def foreign(contract):
    echo = Echo(contenders.CHUNK, contract.action.dim)
    return serve_peer.Foreign(echo, lambda batch: batch, lambda actions: actions / 2, contract)


def seen(contract, first):
    state = np.zeros((1, 1, contract.observation.state_dim), np.float32)
    state[..., 0] = first
    images = {"across": np.zeros((1, 1, 64, 64, 3), np.uint8)}
    return Observation(images=images, state=state, instruction=("go",), embodiment=contract.embodiment)


def test_a_foreign_policy_passes_its_processors_and_draws_from_the_given_generator(contract):
    policy = foreign(contract)
    drawn = [
        policy.act(seen(contract, 0.5), None, torch.Generator().manual_seed(seed))[0].actions for seed in (1, 1, 2)
    ]
    assert drawn[0].shape == (1, contenders.CHUNK, contract.action.dim) and (drawn[0][..., 0] == 0.25).all()
    assert np.array_equal(drawn[0], drawn[1]) and not np.array_equal(drawn[0], drawn[2])


def test_it_is_judged_through_the_socket_like_any_remote_policy(contract):
    import asyncio

    policy, ports = foreign(contract), []
    config = ServeConfig(port=0)
    server = PolicyServer(policy, card_of(policy, name="x"), lambda seed: torch.Generator().manual_seed(seed), config)
    loop = asyncio.new_event_loop()
    task = loop.create_task(server.run(ports.append))
    thread = threading.Thread(target=lambda: loop.run_until_complete(asyncio.gather(task, return_exceptions=True)))
    thread.start()
    try:
        while not ports:
            time.sleep(0.01)
        remote = RemotePolicy(RemoteConfig(url=contenders.SERVED.format(port=ports[0])))
        assert remote.contract.action.chunk == contenders.CHUNK and remote.history == 1
        chunk, _ = remote.act(seen(contract, 0.8), None, torch.Generator().manual_seed(0))
        assert np.allclose(chunk.actions[..., 0], 0.4)
        remote.close()
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(20)


def test_the_server_is_waited_for_and_its_end_noticed():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"]) as running:
            peer_desk.wait_for(listening.getsockname()[1], running)
            running.kill()
        port = listening.getsockname()[1]
    with subprocess.Popen([sys.executable, "-c", "pass"]) as ended:
        ended.wait()
        with pytest.raises(RuntimeError, match="not served"):
            peer_desk.wait_for(port, ended)


def test_a_pace_counts_processor_seconds():
    assert peer_desk.pace({"processor_s": contenders.SAMPLES / 50, "seconds": 1e6}) == 50.0

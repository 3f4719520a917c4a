"""The two ends of the command line: a checkpoint is served by one verb and judged through the other."""

import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from openpi_client.websocket_client_policy import WebsocketClientPolicy

from embodia.cli.main import main
from embodia.core.config import to_json
from embodia.core.invent import invent_observation
from embodia.envs.rollout import torch_generator
from embodia.io.atomic import write_json
from embodia.policies import PolicySpec, make
from embodia.runtime.policy.card import from_metadata
from embodia.runtime.policy.keys import encode, openpi_keys

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
from bodies import gripper_arm, statistics

ARM = gripper_arm()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    from embodia.core.provenance import Provenance
    from embodia.training import checkpoint as store

    folder = tmp_path_factory.mktemp("run") / "checkpoints" / "step-000000001"
    spec = PolicySpec(name="act", size="tiny", contract=ARM)
    policy = make(spec, statistics(ARM), seed=0).eval()
    seen = Provenance(environment="nowhere", profile="fast", cameras=("camera0", "camera1"))
    card = store.Card(policy=spec, provenance=seen, statistics=statistics(ARM))
    facts = {"step": 1, "validation_loss": 0.5}
    store.write(folder, tensors={"model": policy.state_dict(), "optimizer": {}}, facts=facts, card=card)
    return folder.parent.parent, policy


@pytest.fixture(scope="module")
def served(checkpoint):
    folder, policy = checkpoint
    words = [sys.executable, "-m", "embodia.cli", "serve", "--checkpoint", str(folder), "--port", "0"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    timer = threading.Timer(120, process.kill)
    timer.start()
    said = process.stdout.readline()
    yield int(re.search(r"ws://127\.0\.0\.1:(\d+) ", said)[1]), policy
    process.send_signal(signal.SIGTERM)
    assert process.stdout.read() == "stopped\n" and process.wait(30) == 0
    timer.cancel()


def test_a_checkpoint_is_served_and_acts_as_it_does_here(served):
    port, policy = served
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as answer:
        assert answer.status == 200
    client = WebsocketClientPolicy("127.0.0.1", port)
    card = from_metadata(client.get_server_metadata())
    assert card.facts["name"] == "act" and card.trained.environment == "nowhere" and not card.stateful
    seen = invent_observation(ARM, 1)
    answer = client.infer(encode(seen, 0, openpi_keys(ARM.observation), ARM.observation, 1))
    np.testing.assert_allclose(answer["actions"], policy.act(seen, None, torch_generator(0))[0].actions[0], atol=1e-5)


def test_a_served_policy_for_another_body_is_refused_before_the_first_episode(served, tmp_path, capsys):
    words = ["evaluate", "--suite", "metaworld/mt10", "--remote", f"ws://localhost:{served[0]}"]
    assert main([*words, "--workers", "1", "--slots", "1", "--out", str(tmp_path / "report")]) == 2
    assert "[E201]" in capsys.readouterr().err


def test_a_contract_that_differs_from_the_servers_is_refused(served, tmp_path, capsys):
    write_json(tmp_path / "contract.json", to_json(gripper_arm(pixels=64)))
    words = ["evaluate", "--suite", "metaworld/mt10", "--remote", f"ws://localhost:{served[0]}"]
    assert main([*words, "--remote-contract", str(tmp_path / "contract.json"), "--out", str(tmp_path / "report")]) == 2
    assert "[E201] the declared contract and the server's do not agree" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["evaluate", "--suite", "metaworld/mt10", "--out", "x"], "one policy is needed"),
        (["evaluate", "--suite", "metaworld/mt10", "--remote", "http://a", "--out", "x"], "ws://host:port"),
        (["serve", "--checkpoint", "x", "--host", "0.0.0.0"], "can be reached from outside"),
        (["serve", "--checkpoint", "x", "--token-file", "nowhere"], "[E301]"),
        (["serve", "--checkpoint", "x", "--certificate", "a.pem"], "come together"),
        (["serve", "--checkpoint", "nowhere"], "nowhere"),
    ],
)
def test_errors_are_one_line(words, message, capsys):
    assert main(words) == 2
    shown = capsys.readouterr().err
    assert message in shown and "Traceback" not in shown

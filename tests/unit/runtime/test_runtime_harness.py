"""A served policy is judged by vla-eval: its own orchestrator, runner and client speak to our server."""

import asyncio
import sys
from pathlib import Path

import numpy as np
import pytest
import vla_eval
from vla_eval.connection import Connection
from vla_eval.protocol.messages import MessageType

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))
from evaluation_toy import Honest, IgnoresImage
from harness_benchmark import ToyBenchmark
from serving_toy import CHUNK, Counter, Failing, Looking, expected, message, serving

from embodia.core.errors import ConfigError
from embodia.runtime.policy.background import running
from embodia.runtime.policy.card import card_of
from embodia.runtime.policy.keys import WireKeys
from embodia.runtime.policy.server import PolicyServer, ServeConfig


def judged(policy, **config):
    """vla-eval's verdict on a policy behind our server: success rate of all episodes and of each task."""
    server = PolicyServer(policy, card_of(policy), np.random.default_rng, ServeConfig(port=0, **config))
    plan = {"benchmarks": [{"benchmark": "harness_benchmark:ToyBenchmark", "episodes_per_task": 4}]}
    with running(server) as port:
        found = vla_eval.run(plan, server_url=f"ws://127.0.0.1:{port}/vla-eval", no_save=True, docker=False)
    tasks = {task["task"]: task["mean_success"] for task in found[0]["tasks"]}
    return found[0]["mean_success"], tasks, found[0]


def test_vla_eval_judges_a_served_policy():
    ToyBenchmark.seen.clear()
    success, tasks, result = judged(Honest())
    assert success == 1.0 and set(tasks) == {"reach-red", "reach-blue"}
    assert set(ToyBenchmark.seen) == {(2,)}, "one action a step"
    assert result["server_info"]["observation_params"] == {"send_state": True}


def test_vla_eval_sees_a_policy_that_does_not_look_fail():
    assert judged(IgnoresImage(), execute=1)[0] < 0.5


def served(payload):
    """The names of vla-eval's messages for the toy of serving."""
    sent = {"images": {"scene": payload["observation/image"], "wrist": payload["observation/wrist_image"]}}
    return {**sent, "states": payload["observation/state"], "task_description": payload["prompt"]}


def talk(port, conversation):
    async def work():
        async with Connection(f"ws://127.0.0.1:{port}/vla-eval", timeout=5, max_retries=1) as line:
            return await conversation(line)

    return asyncio.run(work())


def test_a_chunk_is_handed_out_action_by_action():
    async def conversation(line):
        await line.start_episode({"task": {}})
        return [(await line.act(served(message())))["actions"] for _ in range(2 * CHUNK)]

    policy = Counter()
    with serving(policy, stateful=True) as port:
        taken = talk(port, conversation)
    assert policy.calls == 0 and [action.shape for action in taken] == [(4,)] * 8
    np.testing.assert_allclose(taken[:CHUNK], expected(), atol=1e-6)
    np.testing.assert_allclose(taken[CHUNK:], expected() + 1, atol=1e-6)


def test_an_episode_begins_with_a_new_chunk_and_without_memory():
    async def conversation(line):
        found = []
        for _ in range(2):
            await line.start_episode({"task": {}})
            found += [(await line.act(served(message())))["actions"] for _ in range(3)]
            await line.end_episode({})
        return found

    with serving(Counter(), stateful=True, execute=2) as port:
        taken = talk(port, conversation)
    np.testing.assert_allclose(taken[:3], taken[3:])
    np.testing.assert_allclose(taken[2], expected()[0] + 1, atol=1e-6)


def test_history_is_kept_for_a_policy_that_wants_it():
    async def conversation(line):
        await line.start_episode({"task": {}})
        return [(await line.act(served(message(seed))))["actions"] for seed in range(5)]

    with serving(Looking(), execute=1) as port:
        taken = talk(port, conversation)
    state = [message(seed)["observation/state"][0] for seed in range(5)]
    assert [action[1] for action in taken] == [1, 2, 3, 3, 3]
    np.testing.assert_allclose(taken[4][0], state[4] - state[2], atol=1e-6)


@pytest.mark.parametrize(
    ("spoil", "code"),
    [({"states": np.zeros(9)}, "E304"), ({"images": {}}, "E201"), ({"task_description": "fail"}, "E704")],
    ids=["state", "pictures", "policy"],
)
def test_an_error_is_an_answer_and_the_conversation_goes_on(spoil, code):
    async def conversation(line):
        with pytest.raises(RuntimeError, match=rf"\[{code}\]") as caught:
            await line.act({**served(message()), **spoil})
        assert "secret" not in str(caught.value) and "Traceback" not in str(caught.value)
        return (await line.act(served(message())))["actions"]

    with serving(Failing()) as port:
        np.testing.assert_allclose(talk(port, conversation), expected()[0])


def test_what_is_no_envelope_ends_the_connection_not_the_server():
    async def conversation(line):
        await line._ws.send(b"\xc1")
        with pytest.raises(Exception, match="1007"):
            await line.recv(timeout=5)

    with serving() as port:
        talk(port, conversation)
        answer = talk(port, lambda line: line.send(MessageType.ERROR, {}))
        assert answer is not None


def test_names_of_another_benchmark_are_data():
    keys = WireKeys(
        images={"scene": "images>agentview", "wrist": "images>hand"},
        state={"states": ("hand", "opening")},
        prompt="task_description",
    )

    async def conversation(line):
        sent = served(message())
        sent["images"] = {"agentview": sent["images"]["scene"], "hand": sent["images"]["wrist"]}
        return (await line.act(sent))["actions"]

    with serving(harness_keys=keys) as port:
        np.testing.assert_allclose(talk(port, conversation), expected()[0])
    with pytest.raises(ConfigError, match="no key for wrist"):
        serving(harness_keys=WireKeys(images={"scene": "a"}, state={"b": ("hand", "opening")})).__enter__()

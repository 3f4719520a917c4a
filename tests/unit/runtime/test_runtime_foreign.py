"""A policy of another library behind openpi's protocol, written with openpi-client's own codec, is judged like ours."""

import asyncio
import functools
import json
import sys
import threading
import traceback
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from openpi_client import msgpack_numpy
from websockets.asyncio.server import serve

from embodia.core.config import from_json, to_json
from embodia.core.errors import ConfigError, ContractError, NotFiniteError, RemoteError, ShapeError, UnknownNameError
from embodia.core.specs import ActionPart, ActionSpec
from embodia.runtime.policy.keys import WireKeys, decode, encode, openpi_keys, require_keys, require_whole
from embodia.runtime.policy.remote import RemoteConfig, RemotePolicy

sys.path.insert(0, str(Path(__file__).parent))
from serving_toy import CHUNK, CONTRACT, Formula, observation

UNCHUNKED = replace(CONTRACT, action=replace(CONTRACT.action, chunk=0))


@contextmanager
def foreign(infer, metadata=None):
    """A server of openpi's kind: metadata first, then answers; a failure sends its trace as text and hangs up."""

    async def talk(socket):
        packer = msgpack_numpy.Packer()
        await socket.send(packer.pack(metadata or {}))
        async for data in socket:
            try:
                await socket.send(packer.pack(infer(msgpack_numpy.unpackb(data))))
            except Exception:
                await socket.send(traceback.format_exc())
                await socket.close(1011, "Internal server error")
                return

    async def work():
        async with serve(talk, "127.0.0.1", 0, compression=None, max_size=None) as server:
            port.append(server.sockets[0].getsockname()[1])
            started.set()
            await stop.wait()

    def run():
        asyncio.set_event_loop(loop)
        loop.run_until_complete(work())

    port, started, loop, stop = [], threading.Event(), asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield f"ws://127.0.0.1:{port[0]}"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


def libero_like(seen, asked):
    """Checks a request as a foreign policy would and answers with what it saw."""
    asked.append(sorted(seen))
    image, wrist, state = (seen[f"observation/{name}"] for name in ("image", "wrist_image", "state"))
    assert image.shape == (12, 16, 3) and image.dtype == np.uint8 and wrist.shape == (8, 8, 3)
    assert state.shape == (4,) and isinstance(seen["prompt"], str)
    row = [state[0], state[3] + image.mean() / 255, state[1] + wrist.mean() / 255, len(seen["prompt"]) / 100]
    actions = np.array(row)[None] + 0.01 * np.arange(CHUNK)[:, None]
    return {"actions": actions, "policy_timing": {"infer_ms": 1.0}}


def ours(url, **changes):
    return RemotePolicy(RemoteConfig(url=url, timeout_s=5, patience_s=1), **{"contract": UNCHUNKED, **changes})


def test_a_foreign_policy_acts_under_the_declared_contract():
    asked = []
    with foreign(functools.partial(libero_like, asked=asked)) as url:
        policy = ours(url)
        seen = observation(3)
        chunk, carry = policy.act(seen, None, np.random.default_rng(0))
        policy.close()
    np.testing.assert_allclose(chunk.actions, Formula().base(seen), atol=1e-6)
    assert carry is None and chunk.spec.chunk == CHUNK and chunk.actions.dtype == np.float32
    assert asked == [["observation/image", "observation/state", "observation/wrist_image", "prompt"]] * 3


def test_without_a_declaration_it_is_refused():
    with foreign(lambda seen: {}, {"robot": "arm"}) as url, pytest.raises(ContractError, match="E201"):
        ours(url, contract=None)


ANSWERS = {
    "no actions": ({"action": np.zeros((4, 4))}, ContractError),
    "too few dimensions": ({"actions": np.zeros((4, 3))}, ShapeError),
    "three axes": ({"actions": np.zeros((1, 4, 4))}, ShapeError),
    "empty": ({"actions": np.zeros((0, 4))}, ShapeError),
    "nan": ({"actions": np.full((4, 4), np.nan)}, NotFiniteError),
    "infinite in float32": ({"actions": np.full((4, 4), 1e300)}, NotFiniteError),
    "text": ({"actions": "left"}, ShapeError),
    "list": ([1, 2], ContractError),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_breaks_the_contract_is_a_typed_error(name):
    answer, kind = ANSWERS[name]
    with foreign(lambda seen: answer) as url:
        policy = ours(url)
        with pytest.raises(kind):
            policy.act(observation(), None, None)
        policy.close()


def test_a_foreign_failure_is_a_typed_error():
    with foreign(lambda seen: 1 / 0) as url:
        policy = ours(url)
        with pytest.raises(RemoteError, match="ZeroDivisionError"):
            policy.act(observation(), None, None)
        policy.close()


def test_chunks_of_different_lengths_do_not_make_a_batch():
    lengths = iter((4, 3))
    with foreign(lambda seen: {"actions": np.zeros((next(lengths), 4))}) as url:
        policy = ours(url)
        with pytest.raises(ShapeError, match=r"\[3, 4\]"):
            policy.act(observation(2), None, None)
        policy.close()


DROID = WireKeys(
    images={"wrist": "images>wrist"},
    state={"observation/gripper": ("opening",), "observation/hand": ("hand",)},
    prompt="task",
    actions="chunk",
    channels_first=True,
)


def test_names_are_data():
    def infer(seen):
        assert seen["images"]["wrist"].shape == (3, 8, 8) and seen["task"] == "open the drawer"
        return {"chunk": np.concatenate([seen["observation/hand"], seen["observation/gripper"]])[None]}

    with foreign(infer) as url:
        policy = ours(url, keys=from_json(WireKeys, json.loads(json.dumps(to_json(DROID)))))
        seen = observation(2)
        np.testing.assert_array_equal(policy.act(seen, None, None)[0].actions[:, 0], seen.state[:, 0])
        policy.close()


def test_a_message_is_decoded_to_what_was_encoded():
    contract = replace(CONTRACT, observation=replace(CONTRACT.observation, cameras=CONTRACT.observation.cameras[1:]))
    for history in (1, 3):
        seen = observation(2, history=history)
        found = decode(encode(seen, 1, DROID, CONTRACT.observation, history), DROID, contract)
        np.testing.assert_array_equal(found.images["wrist"], seen.images["wrist"][1:])
        np.testing.assert_array_equal(found.state, seen.state[1:])
        assert found.instruction == seen.instruction[1:]


def test_names_that_do_not_fit_the_contract_are_refused():
    spec = CONTRACT.observation
    with pytest.raises(UnknownNameError, match="Did you mean 'wrist'"):
        require_keys(WireKeys(images={"wrst": "a"}), spec)
    with pytest.raises(UnknownNameError, match="state part"):
        require_keys(WireKeys(state={"a": ("nothing",)}), spec)
    with pytest.raises(ConfigError, match="two things"):
        require_keys(WireKeys(images={"scene": "prompt"}), spec)
    with pytest.raises(ConfigError, match="no key for wrist, hand, opening"):
        require_whole(WireKeys(images={"scene": "a"}), spec)
    require_whole(openpi_keys(spec), spec)


def test_an_observation_without_a_camera_is_refused():
    seen = replace(observation(), images={})
    with pytest.raises(ContractError, match="observation/image"):
        encode(seen, 0, openpi_keys(CONTRACT.observation), CONTRACT.observation, 1)


def test_two_contracts_that_differ_are_refused():
    from serving_toy import serving

    other = replace(
        UNCHUNKED,
        action=ActionSpec(
            parts=(*UNCHUNKED.action.parts[:1], replace(UNCHUNKED.action.parts[1], polarity="positive_opens")),
            rate_hz=10,
        ),
    )
    assert isinstance(other.action.parts[0], ActionPart)
    with serving() as port, pytest.raises(ContractError, match="positive_opens.*positive_closes"):
        ours(f"ws://127.0.0.1:{port}", contract=other)


def test_the_evaluator_judges_a_foreign_policy_and_a_served_one_alike(tmp_path):
    sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))
    from evaluation_toy import CONTRACT as TOY
    from evaluation_toy import Honest, ToyVector

    from embodia.core.types import Observation
    from embodia.evaluation.plans import EvalConfig
    from embodia.evaluation.runner import evaluate
    from embodia.runtime.policy.background import running
    from embodia.runtime.policy.card import card_of
    from embodia.runtime.policy.server import PolicyServer, ServeConfig

    def infer(seen):
        state = seen["observation/state"][None, None]
        found = Observation(images={"top": seen["observation/image"][None, None]}, state=state)
        return {"actions": Honest().act(replace(found, instruction=(seen["prompt"],)), None, None)[0].actions[0]}

    config = EvalConfig(episodes=6, control_episodes=4, controls=("blank_image",), clips=0, filmed=0)
    inside = evaluate(Honest(), config, tmp_path / "inside", vector=ToyVector())
    with foreign(infer) as url:
        away = ours(url, contract=TOY)
        outside = evaluate(away, config, tmp_path / "outside", vector=ToyVector())
        away.close()
    with running(PolicyServer(Honest(), card_of(Honest()), np.random.default_rng, ServeConfig(port=0))) as port:
        away = RemotePolicy(RemoteConfig(url=f"ws://127.0.0.1:{port}"))
        served = evaluate(away, config, tmp_path / "served", vector=ToyVector())
        away.close()
    assert inside["success_rate"] == 1.0
    for report in (outside, served):
        for key in ("success_rate", "n", "interval", "per_task", "controls"):
            assert report[key] == inside[key], key

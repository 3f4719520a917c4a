"""A served policy answers as it does in process, to openpi's own client and to ours, and keeps sessions apart."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from openpi_client.action_chunk_broker import ActionChunkBroker
from openpi_client.websocket_client_policy import WebsocketClientPolicy

from embodia.core.config import to_json
from embodia.core.errors import ContractError, RemoteError
from embodia.core.protocols import Policy
from embodia.core.specs import require_match
from embodia.runtime.policy.card import from_metadata
from embodia.runtime.policy.remote import RemoteConfig, RemotePolicy

sys.path.insert(0, str(Path(__file__).parent))
from serving_toy import CHUNK, CONTRACT, Counter, Failing, Formula, Looking, expected, message, observation, serving


def theirs(port):
    return WebsocketClientPolicy("127.0.0.1", port)


def ours(port, **changes):
    return RemotePolicy(RemoteConfig(url=f"ws://127.0.0.1:{port}", **{"patience_s": 2.0, **changes}))


def test_openpis_client_is_answered():
    with serving() as port:
        client = theirs(port)
        for seed in range(3):
            answer = client.infer(message(seed))
            assert answer["actions"].dtype == np.float32 and answer["actions"].shape == (CHUNK, 4)
            np.testing.assert_array_equal(answer["actions"], expected(seed))
            assert answer["server_timing"]["infer_ms"] > 0


def test_openpis_broker_takes_the_chunk_apart():
    policy = Formula()
    with serving(policy) as port:
        broker = ActionChunkBroker(theirs(port), CHUNK)
        taken = [broker.infer(message())["actions"] for _ in range(2 * CHUNK)]
    np.testing.assert_array_equal(np.stack(taken), np.tile(expected(), (2, 1)))
    assert policy.calls == 2


def test_the_first_message_says_what_the_numbers_mean():
    with serving(Counter(), stateful=True) as port:
        card = from_metadata(theirs(port).get_server_metadata())
    require_match(card.contract, CONTRACT, left_name="the card", right_name="the policy")
    assert card.stateful and card.seeded and card.contract.action.chunk == CHUNK
    assert card.keys.images == {"scene": "observation/image", "wrist": "observation/wrist_image"}
    assert card.facts == {"name": "formula"}


def test_our_client_is_a_policy_and_answers_as_in_process():
    with serving() as port:
        policy = ours(port)
        assert isinstance(policy, Policy) and policy.contract == CONTRACT
        seen = observation(5)
        chunk, carry = policy.act(seen, None, np.random.default_rng(0))
        policy.close()
    inside, _ = Formula().act(seen, None, np.random.default_rng(0))
    np.testing.assert_array_equal(chunk.actions, inside.actions)
    assert carry is None and chunk.valid.all() and chunk.spec == CONTRACT.action
    assert len(policy.round_trips_s) == 5


def test_the_seed_of_a_decision_crosses_the_wire():
    with serving(Formula(noise=1.0)) as port:
        policy = ours(port)
        first, second, other = (
            policy.act(observation(2), None, np.random.default_rng(seed))[0].actions for seed in (3, 3, 4)
        )
        policy.close()
    np.testing.assert_array_equal(first, second)
    assert (first != other).all() and (first[0] != first[1]).any()


def test_equal_conversations_give_equal_actions_and_named_sessions_differ():
    with serving(Formula(noise=1.0), seed=5) as port:
        talks = [
            [theirs_at(port, path).infer(message())["actions"] for _ in range(1)] for path in ("", "", "?session=2")
        ]
        client = theirs(port)
        moving = [client.infer(message())["actions"] for _ in range(2)]
    np.testing.assert_array_equal(talks[0], talks[1])
    np.testing.assert_array_equal(moving[0], talks[0][0])
    assert (talks[0][0] != talks[2][0]).all() and (moving[0] != moving[1]).all()


def theirs_at(port, path):
    return WebsocketClientPolicy(f"ws://127.0.0.1:{port}/{path}")


def test_each_connection_is_an_episode_of_its_own():
    with serving(Counter(), stateful=True) as port:
        first, second = theirs(port), theirs(port)
        counts = [
            client.infer(message())["actions"][0, 0] - expected()[0, 0] for client in (first, first, second, first)
        ]
        first.infer({"embodia/reset": True})
        counts.append(first.infer(message())["actions"][0, 0] - expected()[0, 0])
    np.testing.assert_allclose(counts, [0, 1, 0, 2, 0], atol=1e-6)


def test_our_client_keeps_the_episodes_of_a_batch_apart():
    rng = np.random.default_rng(0)
    with serving(Counter(), stateful=True) as port:
        policy, inside = ours(port), Counter()
        carry = other = twin = None
        for step in range(3):
            seen = observation(3, seed=step)
            chunk, carry = policy.act(seen, carry, rng)
            same, twin = inside.act(seen, twin, rng)
            np.testing.assert_array_equal(chunk.actions, same.actions)
        alone, other = policy.act(observation(2), other, rng)
        np.testing.assert_array_equal(alone.actions, inside.act(observation(2), None, rng)[0].actions)
        del carry, other
        again, _ = policy.act(observation(3), None, rng)
        np.testing.assert_array_equal(again.actions, inside.act(observation(3), None, rng)[0].actions)
        policy.close()


def test_history_crosses_the_wire():
    with serving(Looking()) as port:
        policy = ours(port)
        seen = observation(2, history=3)
        chunk, _ = policy.act(seen, None, np.random.default_rng(0))
        single = theirs(port).infer(message())["actions"]
        policy.close()
    assert policy.history == 3
    np.testing.assert_array_equal(chunk.actions, Looking().act(seen, None, np.random.default_rng(0))[0].actions)
    assert single[0, 1] == 1, "an openpi client sends the present only"


WRONG = {
    "no picture": (lambda m: m.pop("observation/image"), "E201"),
    "no sentence": (lambda m: m.pop("prompt"), "E201"),
    "picture of another size": (lambda m: m.update({"observation/image": np.zeros((9, 16, 3), np.uint8)}), "E304"),
    "float picture": (lambda m: m.update({"observation/image": np.zeros((12, 16, 3), np.float32)}), "E304"),
    "empty picture": (lambda m: m.update({"observation/image": np.zeros((0, 12, 16, 3), np.uint8)}), "E304"),
    "long state": (lambda m: m.update({"observation/state": np.zeros(5)}), "E304"),
    "scalar state": (lambda m: m.update({"observation/state": np.float64(1)}), "E304"),
    "text state": (lambda m: m.update({"observation/state": "1234"}), "E304"),
    "nan": (lambda m: m.update({"observation/state": np.array([0, 0, np.nan, 0])}), "E303"),
    "too large for float32": (lambda m: m.update({"observation/state": np.full(4, 1e300)}), "E303"),
    "sentence is a number": (lambda m: m.update({"prompt": 3}), "E304"),
    "two histories": (lambda m: m.update({"observation/state": np.zeros((2, 4))}), "E304"),
    "seed is text": (lambda m: m.update({"embodia/seed": "1"}), "E201"),
    "seed of 64 bits": (lambda m: m.update({"embodia/seed": 2**63}), "E201"),
}


@pytest.fixture(scope="module")
def failing_port():
    with serving(Failing()) as port:
        yield port


@pytest.mark.parametrize("name", WRONG)
def test_a_message_that_breaks_the_contract_is_refused_with_its_code(name, failing_port):
    spoil, code = WRONG[name]
    sent = message()
    spoil(sent)
    with pytest.raises(RuntimeError, match=rf"\[{code}\]"):
        theirs(failing_port).infer(sent)


def test_what_is_no_map_is_refused(failing_port):
    with pytest.raises(RuntimeError, match=r"\[E201\]"):
        theirs(failing_port).infer([1, 2])


@pytest.mark.parametrize("words", ["fail", "nan"])
def test_no_trace_leaves_the_process(words, failing_port, caplog):
    with pytest.raises(RuntimeError) as caught:
        theirs(failing_port).infer(message(words=words))
    text = str(caught.value)
    assert "[E704]" in text and "secret" not in text and "Traceback" not in text and ".py" not in text
    assert "a decision of the served policy failed" in caplog.text
    np.testing.assert_array_equal(theirs(failing_port).infer(message())["actions"], expected())


def test_our_client_raises_and_goes_on_after_a_failure(failing_port):
    policy = ours(failing_port)
    with pytest.raises(RemoteError, match="E704"):
        policy.act(observation(words="fail"), None, None)
    chunk, _ = policy.act(observation(), None, None)
    policy.close()
    np.testing.assert_array_equal(chunk.actions[0], expected())


def test_a_deadline_is_kept_and_a_late_answer_is_never_taken_for_another(failing_port):
    policy = ours(failing_port, timeout_s=0.2)
    start = time.monotonic()
    with pytest.raises(RemoteError, match="did not answer in 0.2 s"):
        policy.act(observation(words="slow"), None, None)
    assert time.monotonic() - start < 5
    time.sleep(1.2)
    chunk, _ = policy.act(observation(seed=7), None, None)
    policy.close()
    np.testing.assert_array_equal(chunk.actions[0], expected(seed=7))


def test_many_clients_at_once():
    def talk(number):
        client = theirs(port)
        return [client.infer(message(seed=number))["actions"] for _ in range(10)]

    with serving(sessions=8) as port, ThreadPoolExecutor(8) as pool:
        for number, answers in enumerate(pool.map(talk, range(8))):
            np.testing.assert_array_equal(answers, np.tile(expected(number), (10, 1, 1)))


def test_a_server_that_says_nothing_needs_a_declaration():
    with pytest.raises(ContractError, match="does not say what its numbers mean"):
        from embodia.runtime.policy.card import agree

        agree(None, None, None)


def test_a_card_that_is_broken_is_a_typed_error():
    with serving() as port:
        metadata = theirs(port).get_server_metadata()
    card = from_metadata(metadata)
    assert to_json(card) == {key: value for key, value in metadata["embodia"].items() if key != "format"}
    broken = [{"embodia": 3}, {"embodia": {**metadata["embodia"], "format": 9}}, {"embodia": {"format": 1}}, [1]]
    broken.append({"embodia": {**metadata["embodia"], "history": "x"}})
    for item in broken:
        with pytest.raises(RemoteError):
            from_metadata(item)
    assert from_metadata({"robot": "arm"}) is None
    assert replace(card, facts={}) != card

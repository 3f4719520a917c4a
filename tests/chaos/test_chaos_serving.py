"""Either side of a conversation dies, hangs or talks nonsense: the other gets a typed error in time and goes on."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit" / "runtime"))
from serving_toy import Failing, Formula, expected, make_server, message, observation, serving

from embodia.core.errors import EmbodiaError, RemoteError
from embodia.io import wire
from embodia.runtime.policy.background import running
from embodia.runtime.policy.remote import RemoteConfig, RemotePolicy

ROOT = Path(__file__).resolve().parents[2]
CHILD = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from serving_toy import Failing, make_server
server = make_server(Failing(), port=int(sys.argv[2]))
asyncio.run(server.run(lambda port: print(port, flush=True)))
"""


@contextlib.contextmanager
def child(port=0):
    """A server in a process of its own: the process and its port."""
    words = [sys.executable, "-c", CHILD, str(ROOT / "tests" / "unit" / "runtime"), str(port)]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env)
    try:
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def ours(port, **changes):
    return RemotePolicy(RemoteConfig(url=f"ws://127.0.0.1:{port}", **{"timeout_s": 5, "patience_s": 10, **changes}))


def act(policy, **kind):
    return policy.act(observation(**kind), None, None)[0].actions[0]


def raw(port):
    return connect(f"ws://127.0.0.1:{port}", proxy=None, compression=None, max_size=None, close_timeout=0.2)


def test_a_killed_server_is_a_typed_error_and_its_successor_is_found():
    with child() as (process, port):
        policy = ours(port, patience_s=0.2)
        np.testing.assert_array_equal(act(policy), expected())
        process.kill()
        process.wait()
        start = time.monotonic()
        with pytest.raises(RemoteError):
            act(policy)
        assert time.monotonic() - start < 10
    with child(port):
        for seed in range(3):
            np.testing.assert_array_equal(act(policy, seed=seed), expected(seed))
    policy.close()


def test_a_server_killed_while_it_thinks_is_a_typed_error():
    with child() as (process, port):
        policy = ours(port, patience_s=0.2)
        threading.Timer(0.3, process.kill).start()
        with pytest.raises(RemoteError):
            act(policy, words="slow")
        policy.close()


def test_a_restart_between_two_decisions_goes_unnoticed():
    with child() as (process, port):
        policy = ours(port, patience_s=30)
        act(policy)
        process.kill()
        process.wait()
    with child(port):
        np.testing.assert_array_equal(act(policy, seed=4), expected(4))
    policy.close()


def test_a_stopped_server_runs_into_the_deadline():
    with child() as (process, port):
        policy = ours(port, timeout_s=0.5)
        act(policy)
        process.send_signal(signal.SIGSTOP)
        start = time.monotonic()
        with pytest.raises(RemoteError, match=r"did not answer in 0.5 s"):
            act(policy)
        assert 0.4 < time.monotonic() - start < 8
        process.send_signal(signal.SIGCONT)
        np.testing.assert_array_equal(act(policy, seed=2), expected(2))
        policy.close()


def test_nobody_there_is_a_typed_error():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        with pytest.raises(RemoteError, match="cannot be reached"):
            ours(held.getsockname()[1], patience_s=0.1)


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", b""])
def test_another_service_is_a_typed_error(greeting):
    def answer():
        line, _ = listener.accept()
        with line:
            line.recv(100)
            line.sendall(greeting)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        with pytest.raises(RemoteError):
            ours(listener.getsockname()[1], patience_s=0, timeout_s=2)
        thread.join(5)


def test_clients_that_die_while_the_policy_thinks_leave_no_session_behind():
    with serving(Failing(), sessions=4) as port:
        for _ in range(12):
            deadline = time.monotonic() + 20
            while True:
                try:
                    with raw(port) as line:
                        line.recv()
                        line.send(wire.pack(message(words="slow" if _ % 4 == 0 else "go")))
                        line.socket.shutdown(socket.SHUT_RDWR)
                    break
                except WebSocketException:
                    assert time.monotonic() < deadline, "a session is still held"
                    time.sleep(0.05)
        policy = ours(port, patience_s=20)
        np.testing.assert_array_equal(act(policy), expected())
        policy.close()


def mutated(rng, seeds):
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.randint(1, 5)):
        place = rng.randrange(len(data) + 1)
        if rng.random() < 0.5 and place < len(data):
            data[place] = rng.randrange(256)
        else:
            data[place : place + rng.randint(0, 6)] = rng.randbytes(rng.randint(0, 6))
    return bytes(data)


def bombard(count, seed):
    """Nonsense to a live server; every answer is a chunk, or a coded refusal and a closed connection."""
    rng = random.Random(seed)
    seeds = [wire.pack(message()), wire.pack({"embodia/reset": True}), wire.pack({**message(), "embodia/seed": 3})]
    found = {"answered": 0, "refused": 0}
    with serving(Formula()) as port:
        line = None
        for _ in range(count):
            if line is None:
                line = raw(port).__enter__()
                line.recv(timeout=10)
            data = mutated(rng, seeds)
            line.send(data.decode("latin-1") if rng.random() < 0.02 else data)
            answer = line.recv(timeout=10)
            if isinstance(answer, str):
                assert answer.startswith("[E") and "Traceback" not in answer and len(answer) < 1000, answer
                found["refused"] += 1
                line.__exit__(None, None, None)
                line = None
            else:
                wire.unpack(answer)
                found["answered"] += 1
        policy = ours(port)
        np.testing.assert_array_equal(act(policy), expected())
        policy.close()
        if line is not None:
            line.__exit__(None, None, None)
    return found


def test_a_server_survives_nonsense():
    found = bombard(400, seed=1)
    assert min(found.values()) > 5


@pytest.mark.long
def test_a_server_survives_much_nonsense():
    found = bombard(20_000, seed=2)
    assert sum(found.values()) == 20_000


def bad_server(answer):
    """A server that sends `answer` for everything, the first message included when it is a pair."""
    import asyncio

    from websockets.asyncio.server import serve

    async def talk(line):
        first, later = answer
        await line.send(first)
        async for _ in line:
            await line.send(later)

    async def work():
        async with serve(talk, "127.0.0.1", 0, compression=None) as server:
            port.append(server.sockets[0].getsockname()[1])
            ready.set()
            await asyncio.sleep(600)

    port, ready = [], threading.Event()
    threading.Thread(target=lambda: asyncio.run(work()), daemon=True).start()
    assert ready.wait(10)
    return port[0]


def test_our_client_survives_a_server_that_talks_nonsense():
    rng, good = random.Random(3), wire.pack({"actions": np.zeros((4, 4))})
    from embodia.runtime.policy.card import card_of, to_metadata

    hello = wire.pack(to_metadata(card_of(Formula())))
    typed = 0
    for number in range(60):
        first, later = (mutated(rng, [hello]), good) if number % 2 else (hello, mutated(rng, [good]))
        try:
            policy = ours(bad_server((first, later)), timeout_s=3, patience_s=0)
            chunk = act(policy)
            assert chunk.shape[-1] == 4 and np.isfinite(chunk).all()
            policy.close()
        except EmbodiaError:
            typed += 1
    assert typed > 20


def test_oversized_and_idle_connections_do_not_fill_the_memory():
    server = make_server(sessions=4)
    with running(server) as port:
        before = psutil.Process().memory_info().rss
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
        for _ in range(4):
            with raw(port) as line, contextlib.suppress(WebSocketException, OSError):
                line.recv()
                line.send(b"\0" * (wire.DEFAULT.bytes + 1))
                line.recv(timeout=5)
        policy = ours(port)
        np.testing.assert_array_equal(act(policy), expected())
        policy.close()
        grown = psutil.Process().memory_info().rss - before
        for item in idle:
            item.close()
    assert grown < 256 * 2**20

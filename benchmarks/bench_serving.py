"""What a network costs a decision: `python benchmarks/bench_serving.py [out.json]`.

The same policy is asked in process, through our client and through openpi's own, server and client in two processes
on one machine. `silent` does no arithmetic, so its times are those of the protocol; `act` is the tiny size of ACT.
Turns are taken (one decision in process, one by each client) so that all see the same load of the machine.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from openpi_client.websocket_client_policy import WebsocketClientPolicy

from embodia.core.invent import invent_observation
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.envs.rollout import torch_generator
from embodia.evaluation.facts import run_facts
from embodia.evaluation.subjects import Silent
from embodia.io import atomic
from embodia.policies import PolicySpec, make
from embodia.runtime.policy.card import card_of
from embodia.runtime.policy.keys import encode, openpi_keys
from embodia.runtime.policy.remote import RemoteConfig, RemotePolicy
from embodia.runtime.policy.server import PolicyServer, ServeConfig

DECISIONS, WARM_UP, BLOCK = 300, 30, 200
SHOWN = ("p50_ms", "p99_ms", "processor_ms")
CASES = (("silent", 96), ("silent", 224), ("act", 96))


def contract(pixels: int) -> Contract:
    """A gripper arm with two cameras."""
    seen = ObservationSpec(
        cameras=tuple(CameraSpec(name=name, height=pixels, width=pixels) for name in ("scene", "wrist")),
        state=(StatePart(name="hand", dim=7), StatePart(name="opening", dim=1)),
        rate_hz=10,
    )
    parts = (
        ActionPart(name="move", dim=6, representation="ee_position_delta"),
        ActionPart(name="grip", dim=1, representation="gripper", polarity="positive_closes"),
    )
    return Contract(observation=seen, action=ActionSpec(parts=parts, rate_hz=10), embodiment="arm")


def policy(name: str, pixels: int) -> Any:
    """The policy of a case, with random weights."""
    if name == "silent":
        return Silent(contract(pixels), 10)
    return make(PolicySpec(name=name, size="tiny", contract=contract(pixels)), seed=0).eval()


def serve(name: str, pixels: int) -> None:
    """Serve a case and print the port."""
    torch.set_num_threads(1)
    served = policy(name, pixels)
    served.act(invent_observation(served.contract, 1), None, torch_generator(0))
    server = PolicyServer(served, card_of(served), torch_generator, ServeConfig(port=0))
    asyncio.run(server.run(lambda port: print(port, flush=True)))


@contextmanager
def server(name: str, pixels: int) -> Iterator[tuple[psutil.Process, int]]:
    """Another process that serves a case, and its port."""
    words = [sys.executable, __file__, "serve", name, str(pixels)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield psutil.Process(process.pid), int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


def figures(seconds: list[float]) -> dict[str, float]:
    """Milliseconds: median, 99th percentile, most."""
    found = np.array(seconds[WARM_UP:]) * 1e3
    return {"p50_ms": float(np.median(found)), "p99_ms": float(np.percentile(found, 99)), "max_ms": float(found.max())}


def processor_ms(ask: Callable[[], Any], server: psutil.Process) -> float:
    """Processor milliseconds a decision, this process and the server together; they hardly depend on the load."""
    start, other = time.process_time(), sum(server.cpu_times()[:2])
    for _ in range(BLOCK):
        ask()
    return 1e3 * (time.process_time() - start + sum(server.cpu_times()[:2]) - other) / BLOCK


def measure(name: str, pixels: int) -> dict[str, Any]:
    """All three ways of asking one case, in turn."""
    inside = policy(name, pixels)
    spec = inside.contract.observation
    seen = invent_observation(inside.contract, 1)
    message = encode(seen, 0, openpi_keys(spec), spec, 1)
    with server(name, pixels) as (process, port), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        ours = RemotePolicy(RemoteConfig(url=f"ws://127.0.0.1:{port}"))
        theirs = WebsocketClientPolicy("127.0.0.1", port)
        ways: dict[str, Callable[[], Any]] = {
            "in_process": lambda: inside.act(seen, None, torch_generator(0))[0].actions[0],
            "our_client": lambda: ours.act(seen, None, torch_generator(0))[0].actions[0],
            "openpi_client": lambda: theirs.infer(message)["actions"],
        }
        same = np.array_equal(ways["in_process"](), ways["our_client"]())
        times: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(DECISIONS + WARM_UP):
            for way, ask in ways.items():
                start = time.perf_counter()
                ask()
                times[way].append(time.perf_counter() - start)
        cost = {way: processor_ms(ask, process) for way, ask in ways.items()}
        ours.close()
    found: dict[str, Any] = {way: {**figures(taken), "processor_ms": cost[way]} for way, taken in times.items()}
    for way in ("our_client", "openpi_client"):
        for key in SHOWN:
            found[way][f"overhead_{key}"] = found[way][key] - found["in_process"][key]
    return {**found, "same_actions": same, "request_bytes": sum(np.asarray(v).nbytes for v in message.values())}


def main() -> None:
    """Measure every case, print a table, and write JSON when a path is given."""
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2], int(sys.argv[3]))
        return
    torch.set_num_threads(1)
    start, rows = time.perf_counter(), {}
    for name, pixels in CASES:
        rows[f"{name}/{pixels}"] = row = measure(name, pixels)
        for way in ("in_process", "our_client", "openpi_client"):
            shown = "   ".join(f"{key[:-3]} {row[way][key]:7.2f} ms" for key in SHOWN)
            print(f"{name:<8}{pixels:>4}  {way:<14} {shown}", flush=True)
    if len(sys.argv) > 1:
        facts = {
            **run_facts("python benchmarks/bench_serving.py results/serving.json"),
            "load": os.getloadavg()[0],
            "n": DECISIONS,
            "latency": rows,
            "seconds": time.perf_counter() - start,
            "seed": 0,
            "notes": "Loopback, one thread each; cases are policy/pixels, two cameras. The machine was busy "
            "(`load` on 2 cores), so wall times are the other jobs' as much as ours; the three ways took turns. "
            "processor_ms is client and server together and hardly depends on the load. same_actions: equal to the bit "
            "through our client.",
        }
        atomic.write_json(Path(sys.argv[1]), facts)


if __name__ == "__main__":
    main()

"""LeRobot's ACT and Diffusion Policy beside ours: the same episodes, the same budget, the same judge, paired.

Run: `python benchmarks/peer/peer_desk.py --peer VENV/bin/python --out runs/peer_desk`; VENV has LeRobot 0.6.1 with its
training extra, msgpack and websockets. Writes results/peer_desk.json. Each stage is done once, so the command can be
repeated after an interruption. The budget is far too small for either side to show its best: this is the road, and the
cost of a sample, on two cores; what counts is in "contenders", and in "paired" what chance leaves of a difference.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from contenders import BATCH, EXECUTE, LEARNING_RATE, PEERS, SAMPLES, SERVED
from cost import once
from embodia_recipes.desk import VIEW

from embodia.envs import EnvConfig
from embodia.evaluation.compare import compare, read_run
from embodia.evaluation.results import write_result
from embodia.generate.collect import CollectConfig, collect
from embodia.generate.demonstrate import EpisodeConfig
from embodia.generate.disturb import NoiseConfig
from embodia.io.jsonio import read_json

HERE = Path(__file__).parent
TASK, DEMONSTRATIONS, JUDGED, CONTROLLED, HORIZON = "reach/red-cube", 80, 60, 20, 60
PAIRS = {"act": "act", "diffusion_policy": "diffusion"}
"""Our design -> the peer's."""
QUIET = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parents[1] / "src")}
PATIENCE_S = 300.0


def main() -> None:
    """All stages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", required=True, help="the interpreter that has LeRobot")
    parser.add_argument("--out", type=Path, default=Path("runs/peer_desk"))
    parser.add_argument("--result", type=Path, default=Path("results/peer_desk.json"))
    options = parser.parse_args()
    data, out = options.out / "data", options.out
    collect(episodes(), data)
    found: dict[str, dict[str, Any]] = {}
    for mine, theirs in PAIRS.items():
        cost = once([sys.executable, str(HERE / "train_ours.py"), mine, str(data), str(out / mine)], out / mine, QUIET)
        judge(["--checkpoint", str(out / mine)], data, out / mine)
        found[f"embodia {mine}"] = contender(out / mine, cost)
        folder = out / f"lerobot_{theirs}"
        trained = [options.peer, str(HERE / "train_peer.py"), theirs, str(data), str(folder / "train")]
        cost = once(trained, folder, QUIET)
        with served(options.peer, folder / "train", data) as address:
            judge(["--remote", address], data, folder)
        found[f"lerobot {theirs}"] = contender(folder, cost)
    store(options.result, out, found)


def episodes() -> CollectConfig:
    """One task, one camera of 64 pixels, a picture at every step, because LeRobot's reader expects one."""
    return CollectConfig(
        family="desk",
        env=EnvConfig(cameras=(replace(VIEW, height=64, width=64),), tasks=(TASK,)),
        episode=EpisodeConfig(limit=80, settle=3, noise=NoiseConfig(share=0.8)),
        episodes=DEMONSTRATIONS,
        workers=1,
    )


def judge(which: list[str], data: Path, folder: Path) -> None:
    """`embodia evaluate` on held-out seeds, the same for every contender."""
    command = [sys.executable, "-m", "embodia.cli", "evaluate", *which, "--data", str(data)]
    command += ["--episodes", str(JUDGED), "--control-episodes", str(CONTROLLED), "--execute", str(EXECUTE)]
    command += ["--controls", "blank_image", "random_policy", "--horizon", str(HORIZON), "--workers", "1"]
    once([*command, "--out", str(folder / "report")], folder / "judged", QUIET)


@contextmanager
def served(peer: str, run: Path, data: Path) -> Iterator[str]:
    """The peer's policy behind a socket for as long as it is judged."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [peer, str(HERE / "serve_peer.py"), str(run), str(data), str(port)]
    with subprocess.Popen(command, env={**os.environ, **QUIET}) as server:
        try:
            wait_for(port, server)
            yield SERVED.format(port=port)
        finally:
            server.terminate()


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    """Return when something listens there. Raises `RuntimeError` when the server ended or patience did."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.5)
    raise RuntimeError("the peer's policy is not served")


def contender(folder: Path, cost: dict[str, float]) -> dict[str, Any]:
    """What one side reached and what its training took."""
    report = read_json(folder / "report" / "report.json")
    rates = {key: report[key] for key in ("success_rate", "n", "interval")}
    controls = {name: entry["success_rate"] for name, entry in report["controls"].items()}
    return {**rates, "controls": controls, "training": {**cost, "samples_per_processor_s": pace(cost)}}


def pace(cost: dict[str, float]) -> float:
    """Samples a processor second, start-up included."""
    return round(SAMPLES / cost["processor_s"], 1)


def store(path: Path, out: Path, found: dict[str, dict[str, Any]]) -> None:
    """The result file: our ACT under the shared keys, all contenders and the paired tests beside it."""
    sides = {
        mine: (read_run(out / f"lerobot_{theirs}" / "report"), read_run(out / mine / "report"))
        for mine, theirs in PAIRS.items()
    }
    paired = {f"embodia {mine} minus lerobot {PAIRS[mine]}": compare(*runs)["overall"] for mine, runs in sides.items()}
    report = read_json(out / "act" / "report" / "report.json")
    notes = [
        *report["notes"],
        f"{DEMONSTRATIONS} demonstrations, {SAMPLES} samples in batches of {BATCH}, peak rate {LEARNING_RATE} on both "
        "sides; each side has its own loop, reader, network and augmentation.",
        "Not equal work: the peer has a ResNet-18 in 32-bit numbers, ours a keypoint eye or a shallow stem in bfloat16 "
        "where the processor has it; results/speed.json compares the same network.",
        "Processor seconds count the whole training process, imports included; memory is its largest resident size.",
    ]
    command = "python benchmarks/peer/peer_desk.py --peer VENV/bin/python"
    peer = {"package": "lerobot 0.6.1", "settings": {name: list(flags) for name, flags in PEERS.items()}}
    write_result(path, {**report, "notes": notes, "command": command}, contenders=found, paired=paired, peer=peer)


if __name__ == "__main__":
    main()

"""Ratios of speed against the peers, same machine, same run, alternating: `python benchmarks/speed --peer PYTHON`.

Each side of a case is a process that waits; one repetition of ours, one of the peer's, and so on, so that whatever else
the machine does falls on both alike. Processor time is compared where a case is one process, wall time where it is
several; medians over the repetitions. Each case has a gate of equal work, and a ratio whose gate fails is printed as
void. Writes results/speed.json; a case that was measured before is kept unless it is asked for again.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import CAMERAS

from embodia.evaluation.facts import run_facts
from embodia.io.atomic import write_json
from embodia.io.jsonio import read_json

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, kw_only=True)
class Case:
    """A ratio: the peer's cases it is compared with (the fastest counts), the clock, the target, what must be equal."""

    number: int
    what: str
    peers: tuple[str, ...]
    target: float
    clock: str = "cpu_s"
    gate: str = "none"
    repeats: int = 5
    here: bool = False
    """Whether the peer runs in our interpreter: it is Gymnasium, and both sides then have one MuJoCo."""


CASES = {
    "sample": Case(number=1, what="random sample, one at a time", peers=("sample",), target=4.0, gate="samples"),
    "batch": Case(number=2, what="random batch of 64", peers=("batch",), target=1.3, gate="samples"),
    "loader": Case(
        number=3,
        what="loader, two workers, decoded cache after the first epoch",
        peers=("loader_stock", "loader_lance"),
        target=8.0,
        clock="wall_s",
    ),
    "first_batch": Case(
        number=4, what="process start to first batch", peers=("first_batch",), target=3.0, clock="wall_s"
    ),
    "record": Case(
        number=5, what="recording, pictures a second", peers=("record",), target=3.0, clock="wall_s", gate="videos"
    ),
    "record_small": Case(
        number=5, what="recording, profile small", peers=("record",), target=3.0, clock="wall_s", gate="videos"
    ),
    "act_train": Case(number=6, what="ACT training step, fp32", peers=("act_train",), target=1.3, gate="parity_act"),
    "act_train_bf16": Case(
        number=6, what="ACT training step, bf16 against fp32", peers=("act_train",), target=2.5, gate="parity_act"
    ),
    "diffusion_train": Case(
        number=7,
        what="Diffusion Policy training step, fp32",
        peers=("diffusion_train",),
        target=2.0,
        gate="parity_diffusion_policy",
        repeats=3,
    ),
    "act_chunk": Case(number=8, what="ACT new chunk", peers=("act_chunk",), target=1.5, gate="parity_act"),
    "diffusion_chunk": Case(
        number=8,
        what="Diffusion Policy new chunk, 10 steps",
        peers=("diffusion_chunk",),
        target=4.0,
        gate="parity_diffusion_policy",
        repeats=3,
    ),
    "queued": Case(number=9, what="queued action", peers=("queued",), target=20.0),
    "vector_state": Case(
        number=10,
        what="8 cheetahs, a new action at every step",
        peers=("vector_state",),
        target=3.0,
        clock="wall_s",
        gate="states",
        here=True,
    ),
    "vector_state_chunk": Case(
        number=10,
        what="8 cheetahs, chunks of 8 actions",
        peers=("vector_state",),
        target=3.0,
        clock="wall_s",
        gate="states",
        here=True,
    ),
    "vector_pixels": Case(
        number=10,
        what="8 environments of two pictures",
        peers=("vector_pixels",),
        target=5.0,
        clock="wall_s",
        gate="pictures",
        here=True,
    ),
}

CAUSES = {
    "record": "Pictures are kept nearly as they were (39.9 dB against 30.0 dB), so the files are larger "
    "by design; the profile small is the one of equal quality.",
    "act_train": "86 % of our step are the peer's matrix products and convolutions too, at 90 % of what the "
    "core can do; nothing else is large. Next: ReLU, dropout and residual in one pass.",
    "act_train_bf16": "A tenth of the step converts weights and gradients between 32 and 16 bits. Next: 16-bit "
    "weights kept beside their 32-bit masters.",
    "diffusion_train": "What is left are matrix products; the widest level reads 84 MB of weights three times a "
    "step for 16 steps of input. Next: the middle levels as products too, and 16-bit weights.",
    "vector_state": "Gymnasium's own step of a cheetah, which both sides pay, is 34 us (physics alone 23); a slot with "
    "all that is round it 54. The caller spends 13 us a slot, messages are a byte. Next: the 20 us round the step.",
    "vector_pixels": "Drawing is 4 of the 22 us that a worker spends on a slot, copying into shared memory 3; the "
    "caller spends 13 us a slot on the round and 9 on the batch. Next: fewer records a step.",
}
"""Where a ratio falls short of the one wanted: why, and the next step."""


class Side:
    """A waiting process that does one repetition when told to."""

    def __init__(self, python: str, script: str, case: str, folder: Path) -> None:
        settings = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "HF_HOME": str(folder / "hub")}
        if python != sys.executable:
            settings.pop("PYTHONPATH", None)
        command = [python, str(HERE / script), case, str(folder)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(command, text=True, env=settings, **pipes)
        self._answer("ready")

    def measure(self) -> dict[str, float]:
        """One repetition."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return self._answer("units")

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()

    def _answer(self, key: str) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{") and key in (found := json.loads(line)):
                return found
        raise SystemExit(f"{self._process.args} ended with status {self._process.wait()}")


def measured(case: str, peer_python: str, folder: Path) -> dict[str, Any]:
    """One row of the table."""
    facts = CASES[case]
    python = sys.executable if facts.here else peer_python
    peers = {name: Side(python, "peer.py", name, folder) for name in facts.peers}
    sides = {"ours": Side(sys.executable, "ours.py", case, folder)} | peers
    spent: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(facts.repeats):
        for name, side in sides.items():
            found = side.measure()
            spent[name].append(1e3 * found[facts.clock] / found["units"])
    for side in sides.values():
        side.close()
    medians = {name: statistics.median(values) for name, values in spent.items()}
    best = min(facts.peers, key=medians.__getitem__)
    equal, why = gate(facts.gate, case, best, folder)
    ratio = medians[best] / medians["ours"]
    worst = min(b / a for a, b in zip(spent["ours"], spent[best], strict=True))
    return {
        "number": facts.number,
        "what": facts.what,
        "clock": facts.clock.removesuffix("_s"),
        "ms_a_unit": {name: round(value, 4) for name, value in medians.items()},
        "all_ms": {name: [round(value, 4) for value in values] for name, values in spent.items()},
        "peer": best,
        "ratio": round(ratio, 2),
        "worst_pair": round(worst, 2),
        "target": facts.target,
        "n": facts.repeats,
        "equal_work": equal,
        "gate": why,
        "cause": CAUSES.get(case, ""),
        "load": round(os.getloadavg()[0], 1),
    }


def gate(kind: str, case: str, peer: str, folder: Path) -> tuple[bool, str]:
    """Whether both sides did the same work, and how that is known."""
    if kind == "none":
        return True, "same batch size, workers and window by construction"
    if kind.startswith("parity"):
        found = read_json(HERE.parents[1] / "results" / f"{kind}.json")
        return True, f"same weights in, same numbers out: results/{kind}.json, tolerance {found['tolerance']}"
    with np.load(folder / f"{case}-ours.npz") as ours, np.load(folder / f"{peer}-peer.npz") as theirs:
        if kind == "videos":
            sizes = {name: float(side["bytes"]) / 1e6 for name, side in (("ours", ours), ("peer", theirs))}
            quality = {name: float(side["psnr_db"]) for name, side in (("ours", ours), ("peer", theirs))}
            text = ", ".join(f"{name} {sizes[name]:.2f} MB at {quality[name]:.1f} dB" for name in sizes)
            return sizes["ours"] <= sizes["peer"] and quality["ours"] >= quality["peer"] - 0.1, text
        if kind == "states":
            apart = float(np.abs(ours["state"] - theirs["state"]).max())
            return apart < 1e-5, f"states after the last step differ by at most {apart:.1e}"
        if kind == "pictures":
            same = all(np.array_equal(ours[name], theirs[name]) for name in CAMERAS)
            return same, "pictures after the last step equal"
        pixels = max(int(np.abs(ours[name].astype(int) - theirs[name]).max()) for name in ("front", "wrist"))
        numbers = all(np.array_equal(ours[name], theirs[name]) for name in ("actions", "padded"))
        return pixels <= 2 and numbers, f"actions and padding equal, pictures within {pixels} of 255 levels"


def main() -> None:
    """Measure the chosen cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", default=os.environ.get("EMBODIA_PEER_PYTHON", ""), help="interpreter with LeRobot")
    parser.add_argument("--only", nargs="*", choices=sorted(CASES), default=sorted(CASES, key=list(CASES).index))
    parser.add_argument("--folder", type=Path, default=Path("runs/speed"), help="data and weights of the comparison")
    parser.add_argument("--out", type=Path, default=Path("results/speed.json"))
    options = parser.parse_args()
    if not options.peer:
        raise SystemExit("--peer PYTHON: an interpreter with lerobot 0.6.1 and lerobot-lancedb 0.3.1")
    options.folder.mkdir(parents=True, exist_ok=True)
    folder = options.folder.resolve()
    Side(options.peer, "peer.py", "prepare", folder).close()
    for name in options.only:
        row = measured(name, options.peer, folder)
        known = read_json(options.out) if options.out.exists() else {"rows": {}}
        rows = known["rows"] | {name: row}
        write_json(options.out, {**header(), "rows": rows})
        verdict = "" if row["equal_work"] else "  VOID"
        print(
            f"{row['number']:>2} {row['what']:<58}{row['ratio']:>7.2f}x  target {row['target']:g}x{verdict}", flush=True
        )


def header() -> dict[str, Any]:
    """What stands above the rows."""
    facts = run_facts("python benchmarks/speed --peer PYTHON")
    facts["versions"] |= {"lerobot": "0.6.1", "lerobot-lancedb": "0.3.1"}
    note = "ratio: median of the peer over median of ours; worst_pair: the least favourable neighbouring pair; n pairs"
    return {**facts, "notes": f"{note}; one thread a process; all_ms has every repetition"}


if __name__ == "__main__":
    main()

"""Runs a script in the interpreter that has the peer installed; everything crosses as .npz and .safetensors."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def run_peer(script: str, request: dict, inputs: dict[str, np.ndarray], folder: Path):
    """Weights (torch) and outputs (numpy) of the peer's model for `request` and `inputs`; skips without a peer."""
    np.savez(folder / "inputs.npz", **inputs)
    run_script(script, request, folder)
    with np.load(folder / "outputs.npz") as outputs:
        return load_file(folder / "weights.safetensors"), dict(outputs)


def run_script(script: str, request: dict, folder: Path) -> None:
    """Run `script` beside this file with the request in `folder`; skips without a peer, fails with its last words."""
    python = os.environ.get("EMBODIA_PEER_PYTHON")
    if not python:
        pytest.skip("set EMBODIA_PEER_PYTHON to an interpreter with lerobot 0.6.1 to compare with it")
    (folder / "request.json").write_text(json.dumps(request))
    settings = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub")}
    settings.pop("PYTHONPATH", None)
    command = [python, str(HERE / script), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, env=settings)
    assert done.returncode == 0, done.stderr[-3000:]


def difference(ours, theirs) -> float:
    """Largest absolute difference of two arrays of one shape."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
    return float(np.abs(ours - theirs).max())


def store(name: str, facts: dict, *, part: bool = False) -> None:
    """Keep a measured parity under results/ when asked to; a `part` leaves the differences of other parts there."""
    if os.environ.get("EMBODIA_STORE_RESULTS"):
        from embodia.io.atomic import write_json

        file, key = ROOT / "results" / name, "largest_absolute_difference"
        if part and file.is_file():
            facts = {**facts, key: {**json.loads(file.read_text())[key], **facts[key]}}
        write_json(ROOT / "results" / name, facts)

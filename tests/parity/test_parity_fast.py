"""FAST against an independent implementation: the same fit, the same ids, the same chunks back.

The peer is LeRobot's MolmoAct2 tokenizer; a handful of its answers are stored beside this file, so that the default
tests compare with it where it is not installed.
"""

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch

from embodia.parts.tokenizers.fast import FastTokenizer

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "unit" / "parts"))
from peer import run_script, store
from trajectories import smooth

STORED = Path(__file__).parent / "fast_reference.json"
CASES = {"5 Hz": (5, 7, 1024), "20 Hz": (20, 4, 1024), "50 Hz": (50, 14, 2048)}


def chunks(case: str, count: int, seed: int) -> np.ndarray:
    rate, dim, _ = CASES[case]
    return smooth(count, rate, dim=dim, seed=seed).numpy().astype(np.float64)


def ours(case: str) -> FastTokenizer:
    rate, dim, vocabulary = CASES[case]
    tokenizer = FastTokenizer(rate, dim, vocabulary, alphabet="bytes", length=2 * rate * dim)
    tokenizer.fit(torch.from_numpy(chunks(case, 400, 0)))
    return tokenizer


def compare(case: str, folder: Path) -> tuple[dict[str, float], dict]:
    others = chunks(case, 100, 1)
    folder.mkdir()
    np.savez(folder / "inputs.npz", fitted=chunks(case, 400, 0), others=others)
    run_script("peer_fast.py", {"scale": 10, "vocabulary": CASES[case][2]}, folder)
    with np.load(folder / "outputs.npz") as stored:
        theirs = dict(stored)
    tokenizer = ours(case)
    ids = tokenizer.encode(torch.from_numpy(others))[:, : theirs["ids"].shape[1]].numpy()
    decoded = tokenizer.decode(torch.from_numpy(theirs["ids"])).numpy()
    same = (ids == theirs["ids"]).all(1)
    readable = theirs["decoded"].any((1, 2))  # the peer answers with zeros where it cannot read its own ids
    facts = {
        "rows": len(ids),
        "rows_with_equal_ids": int(same.sum()),
        "rows_the_peer_cannot_read_back": int((~readable).sum()),
        "largest_difference_of_chunks": float(np.abs(decoded - theirs["decoded"])[readable].max()),
        "tokens_a_chunk": float((theirs["ids"] >= 0).sum(1).mean()),
    }
    sample = {"ids": theirs["ids"][:3].tolist(), "decoded": np.round(theirs["decoded"][:3, :, 0], 6).tolist()}
    return facts, sample


@pytest.mark.long
def test_equal_ids_and_chunks(tmp_path):
    found = {case: compare(case, tmp_path / str(index)) for index, case in enumerate(CASES)}
    facts = {case: numbers for case, (numbers, _) in found.items()}
    store("parity_fast.json", {
        "peer": "lerobot 0.6.1, MolmoAct2's UniversalActionProcessor, fitted on the same chunks",
        "cases": facts,
        "command": "EMBODIA_STORE_RESULTS=1 python -m pytest -m long tests/parity/test_parity_fast.py",
        "versions": {"tokenizers": version("tokenizers"), "scipy": version("scipy"), "lerobot": "0.6.1"},
        "seed": 0,
        "notes": "alphabet 'bytes'; one second of smooth movement at each rate, 400 chunks fitted, 100 others compared",
    })  # fmt: skip
    if os.environ.get("EMBODIA_STORE_RESULTS"):
        STORED.write_text(json.dumps({case: sample for case, (_, sample) in found.items()}) + "\n")
    for numbers in facts.values():
        assert numbers["rows_with_equal_ids"] == numbers["rows"], facts
        assert numbers["largest_difference_of_chunks"] <= 1e-5, facts


@pytest.mark.parametrize("case", ["5 Hz", "20 Hz"])
def test_stored_answers_of_the_peer(case):
    stored = json.loads(STORED.read_text())[case]
    tokenizer, theirs = ours(case), torch.tensor(stored["ids"])
    ids = tokenizer.encode(torch.from_numpy(chunks(case, 100, 1)))[:3, : theirs.shape[1]]
    assert torch.equal(ids, theirs)
    readable = np.array([bool(np.any(row)) for row in stored["decoded"]])
    decoded = tokenizer.decode(theirs)[:, :, 0].numpy()
    assert readable.any()
    assert np.allclose(decoded[readable], np.array(stored["decoded"])[readable], atol=1e-5)

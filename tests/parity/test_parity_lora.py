"""LoRA adapters that peft wrote, merged here and by peft: the same weights."""

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from embodia.weights import _folders

sys.path.insert(0, str(Path(__file__).parent))
from peer import difference, run_script, store

BOTH = ["q_proj", "v_proj"]
CASES = {
    "plain": {"r": 3, "lora_alpha": 5, "target_modules": BOTH},
    "patterns": {
        "r": 3, "lora_alpha": 5, "target_modules": BOTH, "use_rslora": True,
        "rank_pattern": {"layers.1.q_proj": 2}, "alpha_pattern": {"layers.1.q_proj": 7},
    },
    "dora": {"r": 3, "lora_alpha": 5, "target_modules": BOTH, "use_dora": True},
    "saved": {"r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], "modules_to_save": ["head"]},
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_merged_as_peft_merges(case, tmp_path):
    run_script("peer_lora.py", CASES[case], tmp_path)
    ours, theirs = _folders.read_weights(tmp_path), load_file(tmp_path / "merged.safetensors")
    base = load_file(tmp_path / "model.safetensors")
    assert ours.keys() == theirs.keys() == base.keys()
    assert max(difference(base[name], theirs[name]) for name in base) > 0.1
    found = max(difference(ours[name], theirs[name]) for name in ours)
    store("parity_lora.json", {
        "peer": "peft 0.21.2: merge_and_unload",
        "largest_absolute_difference": {case: found},
        "tolerance": 1e-5,
        "precision": "float32",
        "command": "EMBODIA_STORE_RESULTS=1 python -m pytest tests/parity/test_parity_lora.py",
        "versions": {"torch": torch.__version__, "peft": "0.21.2"},
        "seed": 3,
        "notes": "a small model: one rank; ranks and alphas of single layers, rank-stabilised; DoRA; one saved whole",
    }, part=True)  # fmt: skip
    assert found <= 1e-5

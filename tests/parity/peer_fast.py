"""The peer's side of the FAST comparison: MolmoAct2's own implementation inside LeRobot, fitted on the same chunks."""

import json
import sys
from pathlib import Path

import numpy as np
from lerobot.policies.molmoact2.molmoact2_hf_model.action_tokenizer import UniversalActionProcessor

folder = Path(sys.argv[1])
request = json.loads((folder / "request.json").read_text())
with np.load(folder / "inputs.npz") as stored:
    fitted, others = stored["fitted"], stored["others"]
peer = UniversalActionProcessor.fit(list(fitted), scale=request["scale"], vocab_size=request["vocabulary"])
rows = peer(others)
decoded = peer.decode(rows, time_horizon=others.shape[1], action_dim=others.shape[2])
ids = np.full((len(rows), max(len(row) for row in rows)), -1)
for index, row in enumerate(rows):
    ids[index, : len(row)] = row
np.savez(folder / "outputs.npz", ids=ids, decoded=decoded, low=peer.min_token)

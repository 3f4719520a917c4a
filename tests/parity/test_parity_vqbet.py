"""VQ-BeT's quantiser and action head against LeRobot's: same weights in, same codes, chunks, losses out."""

import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch

from embodia.core.specs import ActionPart, ActionSpec
from embodia.core.types import ActionChunk, TokenGroup
from embodia.parts.compose import Context
from embodia.parts.decoders.offset import OffsetConfig, OffsetDecoder
from embodia.parts.tokenizers.rvq import ResidualConfig, ResidualTokenizer

sys.path.insert(0, str(Path(__file__).parent))
from peer import difference, run_peer, store


def renamed(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The peer's names to ours; running counts of the codebooks stay behind."""
    found = {}
    for name, tensor in weights.items():
        part, rest = name.split(".", 1)
        if part == "map_to_cbet_preds_bin":
            found[f"classes.{rest.removeprefix('0.')}"] = tensor
        elif part == "map_to_cbet_preds_offset":
            found[f"offsets.{rest.removeprefix('0.')}"] = tensor
        elif rest.startswith(("encoder.", "decoder.")):
            found[f"tokenizer.coder.{rest}"] = tensor
        elif rest.endswith("_codebook.embed"):
            found[f"tokenizer.coder.quantizer.books.{rest.split('.')[2]}.vectors"] = tensor[0]
    return found


def compare(sizes: dict, chunk: int, dim: int, width: int, folder: Path) -> dict[str, float]:
    rng = np.random.default_rng(3)
    features = rng.normal(size=(64, width)).astype(np.float32)
    actions = rng.uniform(-1, 1, (64, chunk, dim)).astype(np.float32)
    request = {"config": {**sizes, "gpt_output_dim": width, "action_chunk_size": chunk}, "action_dim": dim, "seed": 5}
    weights, theirs = run_peer("peer_vqbet.py", request, {"features": features, "actions": actions}, folder)
    codes = ResidualConfig(
        codes=sizes["vqvae_n_embed"], hidden=sizes["vqvae_enc_hidden_dim"], width=sizes["vqvae_embedding_dim"]
    )
    settings = OffsetConfig(levels=(5.0, 0.5), temperature=0.1, at="drawn")
    head = OffsetDecoder(
        ResidualTokenizer(chunk, dim, codes), width, read="readout", chunk=chunk, dim=dim, config=settings
    )
    loaded = head.load_state_dict(renamed(weights), strict=False)
    assert not loaded.unexpected_keys and not loaded.missing_keys
    drawn = torch.from_numpy(theirs["drawn"])
    head._drawn = lambda logits, rng: drawn[:, None]
    tokens = torch.from_numpy(features)[:, None]
    group = TokenGroup(name="readout", tokens=tokens, mask=None, attends_to=("readout",))
    part = ActionPart(name="joint", dim=dim, representation="joint_position", units="rad")
    truth = ActionChunk(
        actions=torch.from_numpy(actions),
        valid=torch.ones(64, chunk, dtype=torch.bool),
        spec=ActionSpec(parts=(part,), rate_hz=10, chunk=chunk),
    )
    with torch.no_grad():
        logits, offsets = head(Context(groups={"readout": group}))
        ids = head.tokenizer.encode(truth.actions)
        terms = head.loss_terms(Context(groups={"readout": group}), truth, None)
    assert np.array_equal(head._codes(ids)[:, 0].numpy(), theirs["codes"])
    return {
        "decoded": difference(head.tokenizer.decode(ids).detach(), theirs["decoded"]),
        "logits": difference(logits[:, 0], theirs["logits"]),
        "predicted": difference(head.actions(drawn[:, None], offsets).detach(), theirs["predicted"]),
        "classification": difference(terms["class"].mean(), theirs["classification"]),
        "offset": difference(terms["offset"].mean(), theirs["offset"]),
    }


def test_small_head_equals_lerobot(tmp_path):
    sizes = {"vqvae_n_embed": 8, "vqvae_enc_hidden_dim": 32, "vqvae_embedding_dim": 16}
    found = compare(sizes, chunk=3, dim=4, width=24, folder=tmp_path)
    assert max(found.values()) <= 1e-4, found


@pytest.mark.long
def test_published_head_equals_lerobot(tmp_path):
    sizes = {"vqvae_n_embed": 16, "vqvae_enc_hidden_dim": 128, "vqvae_embedding_dim": 256}
    found = compare(sizes, chunk=5, dim=2, width=512, folder=tmp_path)
    store("parity_vqbet.json", {
        "peer": "lerobot 0.6.1, VQ-BeT's residual quantiser and action head with the default sizes",
        "largest_absolute_difference": found,
        "tolerance": 1e-4,
        "precision": "float32",
        "command": "EMBODIA_STORE_RESULTS=1 python -m pytest -m long tests/parity/test_parity_vqbet.py",
        "versions": {"torch": version("torch"), "lerobot": "0.6.1"},
        "seed": 5,
        "notes": "random weights; equal codes of 64 chunks; losses at the codes that the peer drew",
    })  # fmt: skip
    assert max(found.values()) <= 1e-4, found

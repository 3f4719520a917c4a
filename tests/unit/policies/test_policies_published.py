"""Sizes of `paper` presets against those that the authors' own configurations state; facts of the headers."""

import re
import sys
from functools import reduce
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
from bodies import gripper_arm

from embodia.policies import PolicySpec, complete

POLICIES = Path(__file__).parents[3] / "src" / "embodia" / "policies"

STATED = {
    "act": {"chunk": 100, "width": 512, "heads": 8, "hidden": 3200, "encoder_layers": 4, "latent": 32},
    "arm4r": {"gpt.model.width": 768, "gpt.model.depth": 12, "gpt.model.heads": 12, "gpt.history": 16, "chunk": 16},
    "bet": {"trunk.model.width": 120, "trunk.model.depth": 6, "trunk.model.heads": 6, "clusters": 64, "chunk": 10},
    "chatvla": {"net.width": 1024, "net.depth": 24, "net.heads": 16, "vlm.model.base.width": 1536},
    "cogact": {"net.width": 768, "net.depth": 12, "net.heads": 12, "diffusion.guidance": 1.5, "chunk": 16},
    "diffusion_transformer": {"denoiser.depth": 8, "denoiser.heads": 4, "denoiser.width": 256, "denoiser.dropout": 0.3},
    "dreamvla": {"chunk": 3, "gpt.model.width": 1024, "gpt.model.depth": 24, "gpt.history": 10, "dream": 9},
    "forcevla": {"chunk": 50, "guide.experts": 4, "guide.heads": 8},
    "gr1": {
        "gpt.model.width": 384,
        "gpt.model.depth": 12,
        "gpt.resampler.depth": 3,
        "gpt.resampler.sizes.heads": 4,
        "gpt.resampler.sizes.head_dim": 128,
        "gpt.history": 10,
        "later": (3,),
    },
    "hpt": {"width": 256, "depth": 16, "heads": 8, "tokens": 16, "hidden": (256, 128), "chunk": 8},
    "hume": {"chunk": 16, "cascade.candidates": 5, "eye.width": 384, "eye.depth": 12},
    "octo": {"chunk": 4, "history": 2, "width": 384, "depth": 12, "heads": 6, "diffusion.train_steps": 20},
    "robodual": {"chunk": 8, "denoiser.width": 256, "denoiser.depth": 6, "denoiser.heads": 8},
    "rvt": {"views.size": 220, "views.patch": 11, "views.stem": 64, "views.layers.width": 512, "keys.turns": 72},
    "trajectory_transformer": {
        "history": 20,
        "model.width": 128,
        "model.depth": 3,
        "model.heads": 1,
        "model.dropout": 0.1,
        "head.error.error": "l2",
    },
    "uniact": {"codes": 256, "code_width": 128, "chunk": 4},
    "up_vla": {"chunk": 10, "codes.codes": 8192},
    "vima": {"layers.width": 768, "layers.heads": 24, "depth": 11},
}
"""What public configurations say, by the name of a policy and the path in its `Config`."""

FIELDS = ("Title", "Year", "Source", "Composition", "Published", "Ours", "Deviations")


def header(name):
    text = (POLICIES / f"{name}.py").read_text()
    return text[3 : text.index('"""', 3)]


@pytest.mark.parametrize("name", sorted(STATED))
def test_paper_presets_hold_the_authors_sizes(name):
    config = complete(PolicySpec(name=name, size="paper", contract=gripper_arm())).config
    found = {path: reduce(getattr, path.split("."), config) for path in STATED[name]}
    assert found == STATED[name]


@pytest.mark.parametrize("name", sorted(path.stem for path in POLICIES.glob("[a-z]*.py")))
def test_headers_are_whole_and_their_years_are_those_of_their_numbers(name):
    text = header(name)
    lines = {key: re.search(rf"^{key}: (.+)$", text, re.MULTILINE) for key in FIELDS}
    assert all(lines.values()), [key for key, line in lines.items() if line is None]
    number = re.search(r"arXiv (\d\d)\d\d\.\d{5}", lines["Source"][1])
    if number is not None:
        assert int(lines["Year"][1]) == 2000 + int(number[1])
    assert not re.search(r"arXiv(?! \d{4}\.\d{5})", lines["Source"][1])


def test_no_two_designs_of_one_paper_but_those_that_are():
    seen = {}
    for path in POLICIES.glob("[a-z]*.py"):
        number = re.search(r"arXiv (\d{4}\.\d{5})", header(path.stem))
        seen.setdefault(number[1] if number else path.stem, []).append(path.stem)
    shared = sorted(sorted(names) for names in seen.values() if len(names) > 1)
    assert shared == [["diffusion_policy", "diffusion_transformer"]]

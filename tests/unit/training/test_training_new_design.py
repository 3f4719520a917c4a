"""A made-up policy in a folder of its own touches one file and is everywhere: built, listed, found, trained, loaded."""

import numpy as np
import pytest
from training_world import CONTRACT, config, record

import embodia.policies
from embodia.cli.papers import headers
from embodia.cli.verbs import policies as verb
from embodia.cli.verbs import where
from embodia.core.invent import invent_observation
from embodia.data.mixture import Mixture
from embodia.policies import FOLDER, PolicySpec, complete
from embodia.training.checkpoint import load_policy, read_card
from embodia.training.loop import train

MADE_UP = '''
"""Made up: the state through one encoder to a regressed chunk.

Title: The Simplest Thing That Acts
Year: 2026
Source: nowhere
Composition: prop.linear -> bb.encoder -> head.regress [train: obj.reg]
Published: nothing
Ours: nothing
Deviations: none
"""

from dataclasses import dataclass

from embodia.nn.detr import LayerSizes
from embodia.nn.normalize import Normalizer
from embodia.parts.backbones.encoder import TransformerEncoder
from embodia.parts.compose import Composition, Parts, chunked
from embodia.parts.decoders.regression import ChunkRegression, RegressionConfig
from embodia.parts.encoders.state import StateToken


@dataclass(frozen=True, kw_only=True)
class Config:
    chunk: int = 4
    width: int = 16


def preset(size):
    return Config()


def build(contract, config, statistics=None):
    seen, known = contract.observation, statistics or {}
    sizes = LayerSizes(width=config.width, heads=2, hidden=32)
    parts = Parts(
        encoders={"state": StateToken(seen.state_dim, config.width)},
        backbone=TransformerEncoder(sizes, 1),
        decoder=ChunkRegression(sizes, RegressionConfig(layers=1), contract.action.dim, config.chunk),
        state=Normalizer(seen.state_dim, "mean_std", known.get("state")),
        action=Normalizer(contract.action.dim, "mean_std", known.get("action")),
    )
    return Composition(chunked(contract, config.chunk), parts)
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    place = tmp_path / "mine"
    place.mkdir()
    (place / "made_up.py").write_text(MADE_UP.lstrip(), encoding="utf-8")
    before = list(embodia.policies.__path__)
    embodia.policies.__path__.append(str(place))
    yield place
    embodia.policies.__path__[:] = before


def test_one_file_is_a_policy_everywhere(folder, tmp_path, capsys):
    assert "made_up" in FOLDER.names()
    spec = PolicySpec(name="made_up", size="tiny", contract=CONTRACT)
    mixture = Mixture([(record(tmp_path / "data"), 1.0)])
    result = train(config(steps=4), spec, mixture, tmp_path / "run")
    policy, loaded, _ = load_policy(tmp_path / "run")
    assert loaded.config == complete(spec).config and read_card(tmp_path / "run").policy.name == "made_up"
    chunk, _ = policy.act(invent_observation(CONTRACT, 2), None, None)
    assert result.steps == 4 and chunk.actions.shape == (2, 4, 2) and np.isfinite(chunk.actions).all()
    assert [found.name for found in where.find("simplest thing")] == ["made_up"]
    assert "made_up" in {header.name for header in headers()}
    assert verb.run(verb.Options(json=True)) == 0
    assert '"made_up"' in capsys.readouterr().out
    assert [path.name for path in folder.glob("*.py")] == ["made_up.py"]


def test_it_is_gone_with_its_folder():
    assert "made_up" not in FOLDER.names()

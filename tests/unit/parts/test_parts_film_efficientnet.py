"""RT-1's eye: a plain EfficientNet at the start, modulated by the sentence later, eight tokens a picture."""

import numpy as np
import pytest
import torch

from embodia.core.specs import CameraSpec, ObservationSpec
from embodia.core.types import Observation
from embodia.nn.token_learner import TokenLearner
from embodia.parts.encoders.film_efficientnet import FilmEfficientNet, FilmEfficientNetConfig

SIZES = FilmEfficientNetConfig(broad=0.25, deep=0.1, pixels=64, vector=16, tokens=3)


def spec(language: bool = True) -> ObservationSpec:
    cameras = tuple(CameraSpec(name=name, height=48, width=48) for name in ("front", "hand"))
    return ObservationSpec(cameras=cameras, state=(), rate_hz=10, language=language)


def seen(words: str = "open", steps: int = 2) -> Observation:
    rng = np.random.default_rng(0)
    images = {name: rng.integers(0, 256, (1, steps, 48, 48, 3), dtype=np.uint8) for name in ("front", "hand")}
    return Observation(images=images, instruction=(words,)).map(torch.from_numpy)


def embed(text: str) -> torch.Tensor:
    return torch.full((384,), float(len(text)) / 10)


@pytest.fixture
def eye() -> FilmEfficientNet:
    torch.manual_seed(0)
    return FilmEfficientNet(SIZES, spec(), 24, embed).eval()


def test_tokens_come_camera_by_camera_step_by_step(eye):
    group = eye(seen())
    assert group.tokens.shape == (1, 2 * 2 * 3, 24)
    later = eye(seen().map(lambda array: array[:, 1:]))
    assert torch.allclose(group.tokens[:, 6:], later.tokens, atol=1e-5)


def test_at_the_start_the_sentence_changes_nothing_and_then_it_does(eye):
    assert torch.equal(eye(seen("open")).tokens, eye(seen("close it")).tokens)
    eye(seen("open")).tokens.square().sum().backward()
    assert all(film.weight.grad.abs().sum() > 0 for film in eye.films)
    with torch.no_grad():
        for film in eye.films:
            film.weight.add_(0.3)
    assert not torch.allclose(eye(seen("open")).tokens, eye(seen("close it")).tokens)


def test_batch_norms_rest_while_it_learns(eye):
    before = {name: value.clone() for name, value in eye.net.state_dict().items() if "running" in name}
    eye.train()
    eye(seen())
    assert all(torch.equal(before[name], eye.net.state_dict()[name]) for name in before)
    assert not eye.net.training and eye.learner.training


def test_an_absent_camera_is_masked(eye):
    observation = seen()
    observation.masks["hand"] = torch.tensor([[True, False]])
    assert eye(observation).mask.tolist() == [[True] * 9 + [False] * 3]


def test_without_language_nothing_waits_for_a_sentence():
    eye = FilmEfficientNet(SIZES, spec(language=False), 24)
    assert eye.words is None and not any(p.requires_grad for p in eye.films.parameters())
    assert eye(seen()).tokens.shape == (1, 12, 24)


def test_token_learner_gives_weighted_means_of_cells():
    torch.manual_seed(0)
    learner, cells = TokenLearner(6, 3), torch.randn(2, 10, 6)
    weights = learner.weights(cells)
    assert torch.allclose(weights.sum(1), torch.ones(2, 3))
    expected = sum(weights[0, cell, 1] * cells[0, cell] for cell in range(10))
    assert torch.allclose(learner(cells)[0, 1], expected, atol=1e-6)
    shuffled = torch.randperm(10)
    assert torch.allclose(learner(cells[:, shuffled]), learner(cells), atol=1e-6), "cells have no order"


def test_rt1s_token_learner_has_34_thousand_parameters():
    assert sum(p.numel() for p in TokenLearner(512, 8).parameters()) == pytest.approx(34_000, rel=0.03)

"""A recurrent policy: moments in order, a sentence that stands beside each, eyes with and without words."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
from bodies import gripper_arm, statistics

from embodia.builders.recurrent import RecurrentConfig, conditioned_eyes, recurrent_policy
from embodia.core.invent import invent_observation
from embodia.parts.acting import Inference
from embodia.parts.decoders.pooled import PooledConfig
from embodia.parts.encoders.keypoint_stem import KeypointStemConfig
from embodia.parts.encoders.language import LanguageToken
from embodia.parts.encoders.resnet import ResNetConfig

BODY = gripper_arm(32, 2, True)
SMALL = ResNetConfig(norm="group", width=16)


def made(*, heard=True, ahead=(), history=2, memory="gru"):
    torch.manual_seed(0)
    eyes, width = conditioned_eyes(SMALL, replace(BODY.observation, language=False), 64, 16)
    config = RecurrentConfig(history=history, width=width, ahead=ahead, head=PooledConfig(memory=memory, carry=24))
    words = LanguageToken(width) if heard else None
    known = statistics(BODY)
    return recurrent_policy(BODY, 5, config, known, eyes=eyes, language=words, inference=Inference()).eval()


def seen(history=2, instruction="push the cube"):
    found = invent_observation(BODY, batch=2, history=history)
    return replace(found, instruction=(instruction,) * 2)


def acted(policy, observation):
    with torch.no_grad():
        return policy.decoder(policy.context(observation))


def test_a_resnet_decides_the_width_and_keypoints_are_given_one():
    spec = BODY.observation
    eyes, width = conditioned_eyes(SMALL, spec, 64, 16)
    assert (width, eyes.words.out_features) == (8 * SMALL.width, 16)
    assert conditioned_eyes(KeypointStemConfig(), spec, 64)[1] == 64
    assert conditioned_eyes(SMALL, replace(spec, language=False), 64)[0].words is None


@pytest.mark.parametrize("ahead", [(), (3, 6)])
@pytest.mark.parametrize("memory", ["gru", "lstm", "none"])
def test_a_chunk_comes_out_whatever_carries_the_history(ahead, memory):
    assert acted(made(ahead=ahead, memory=memory), seen()).shape == (2, 5, BODY.action.dim)


def test_what_is_said_matters_only_where_it_is_read():
    one, other = seen(), seen(instruction="open the drawer")
    deaf, hearing = made(heard=False), made()
    assert torch.equal(acted(deaf, one), acted(deaf, other))
    assert not torch.allclose(acted(hearing, one), acted(hearing, other))


def test_the_older_moment_is_remembered_and_its_place_counts():
    policy, now = made(heard=False), seen()
    swapped = replace(now, state=now.state[:, ::-1].copy())
    assert not torch.allclose(acted(policy, now), acted(policy, swapped))

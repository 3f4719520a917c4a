"""Moments as one sequence: their order, what each token depends on, and the middle of a picture."""

from dataclasses import replace

import pytest
import torch

from embodia.core.errors import ConfigError, ShapeError
from embodia.core.invent import invent_observation
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.nn.gpt import GptConfig
from embodia.parts.encoders.resnet import ResNetConfig
from embodia.parts.encoders.window import WindowConfig, WindowTokens, middle
from embodia.policies import PolicySpec, make, vq_bet

SEEN = ObservationSpec(
    cameras=(CameraSpec(name="top", height=32, width=48), CameraSpec(name="wrist", height=32, width=48)),
    state=(StatePart(name="joint", dim=3),),
    rate_hz=10,
    language=False,
)
BODY = Contract(
    observation=SEEN,
    action=ActionSpec(parts=(ActionPart(name="joint", dim=3, representation="joint_position"),), rate_hz=10),
    embodiment="arm",
)
SMALL = WindowConfig(history=3, keypoints=4, width=12)


def tokens(encoder, observation):
    with torch.no_grad():
        return encoder(observation.map(torch.as_tensor)).tokens


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return WindowTokens(ResNetConfig(norm="group", width=16), SEEN, SMALL).eval()


def test_moments_come_in_order_each_as_pictures_state_and_query(encoder):
    observation = invent_observation(BODY, 2, history=3)
    first = tokens(encoder, observation)
    assert first.shape == (2, 3 * 4, 12)
    assert torch.equal(first[:, 3::4], encoder.query.expand(2, 3, -1)), "the same query ends every moment"
    moved = replace(observation, state=observation.state + (torch.arange(3) == 1)[:, None].float().numpy())
    changed = (tokens(encoder, moved) != first).any(-1).any(0).nonzero().flatten().tolist()
    assert changed == [6], "the state of the second moment is its third token"
    turned = {**observation.images, "wrist": observation.images["wrist"][:, :, ::-1].copy()}
    changed = (tokens(encoder, replace(observation, images=turned)) != first).any(-1).any(0).nonzero().flatten()
    assert changed.tolist() == [1, 5, 9], "pictures of the second camera stand second"


def test_the_group_is_causal_and_needs_a_state(encoder):
    observation = invent_observation(BODY, 1, history=3).map(torch.as_tensor)
    assert encoder(observation).within == "causal"
    with pytest.raises(ShapeError, match="state"):
        encoder(replace(observation, state=None))


def test_the_middle_is_cut_out():
    pictures = torch.arange(6 * 8).view(1, 6, 8, 1).expand(-1, -1, -1, 3)
    cut = middle(pictures, (4, 2))
    assert cut.shape == (1, 4, 2, 3) and cut[0, 0, 0, 0] == 1 * 8 + 3
    assert middle(pictures, (0, 0)).shape == pictures.shape


def test_vq_bet_acts_on_what_it_saw_before():
    trunk = replace(vq_bet.Config().trunk, vision=ResNetConfig(norm="group", width=16))
    model = GptConfig(width=24, depth=1, heads=2, hidden=48, places=20, inputs=12, outputs=16)
    config = vq_bet.Config(trunk=replace(trunk, model=model), window=SMALL)
    policy = make(PolicySpec(name="vq_bet", size="paper", contract=BODY, config=config), seed=0).eval()
    observation = invent_observation(BODY, 1, history=3)
    older = replace(observation, state=observation.state.copy())
    older.state[:, 0] += 5.0
    with torch.no_grad():
        logits, _ = policy.decoder(policy.context(observation))
        other, _ = policy.decoder(policy.context(older))
    assert policy.history == 3 and logits.shape[1] == 1 and not torch.allclose(logits, other)
    with pytest.raises(ConfigError, match="window"):
        make(PolicySpec(name="vq_bet", size="paper", contract=BODY, config=replace(config, ahead=(4,))))

"""Waypoints: what is learned is where the state will be, and the token says it relative to where it is."""

import torch

from embodia.core.types import Observation, TokenGroup
from embodia.parts.encoders.waypoints import END, Waypoints


def groups_of(tokens):
    return {"image": TokenGroup(name="image", tokens=tokens, mask=None, attends_to=("image",))}


def test_the_goal_is_learned_from_where_episodes_end():
    torch.manual_seed(0)
    head = Waypoints(width=16, state_dim=2, ahead=(3, END), tokens=1)
    optimizer = torch.optim.Adam(head.parameters(), 3e-3)
    for _ in range(400):
        goal = torch.randn(64, 2)
        tokens = torch.nn.functional.pad(goal, (0, 14))[:, None]
        state = torch.zeros(64, 1, 2)
        _, estimate = head(groups_of(tokens), Observation(state=state))
        loss = head.loss(estimate, torch.stack([goal / 2, goal], dim=1)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.35


def test_the_token_depends_on_the_present_state_and_not_only_on_the_estimate():
    torch.manual_seed(0)
    head = Waypoints(width=16, state_dim=2, ahead=(3,), tokens=1)
    tokens = torch.randn(1, 1, 16)
    here, first = head(groups_of(tokens), Observation(state=torch.zeros(1, 1, 2)))
    there, second = head(groups_of(tokens), Observation(state=torch.ones(1, 1, 2)))
    torch.testing.assert_close(first, second)
    assert not torch.allclose(here.tokens, there.tokens)


def test_loss_is_one_number_a_sample():
    head = Waypoints(width=16, state_dim=2, ahead=(3, END), tokens=1)
    target = torch.randn(5, 2, 2)
    torch.testing.assert_close(head.loss(target + 0.5, target), torch.full((5,), 0.5))

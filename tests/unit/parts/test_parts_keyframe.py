"""The key-frame decoder: a hot place becomes steps towards it; the loss falls when the maps are right."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
from bodies import gripper_arm, statistics

from embodia.core.errors import ShapeError
from embodia.core.invent import invent_batch
from embodia.core.moments import AFTER_KEY, NEXT_KEY
from embodia.nn.tool import tool_of
from embodia.policies import PolicySpec, complete, make

BODY = gripper_arm()


@pytest.fixture(scope="module")
def policy():
    once = replace(complete(PolicySpec(name="rvt", size="tiny", contract=BODY)).config, stages=1)
    return make(PolicySpec(name="rvt", size="tiny", contract=BODY, config=once), statistics(BODY), seed=0).eval()


def batch_of(policy, seed=0):
    return invent_batch(policy.contract, 8, seed=seed, ahead=2).map(torch.from_numpy)


def test_it_asks_for_key_frames(policy):
    assert policy.ahead == (NEXT_KEY, AFTER_KEY)
    batch = batch_of(policy)
    with pytest.raises(ShapeError, match="key frame"):
        policy.loss_terms(replace(batch, ahead=None), None)
    assert {"heat", "grip"} <= set(policy.loss_terms(batch, None))


def test_it_learns_where_the_hand_goes_and_goes_there():
    torch.manual_seed(0)
    still = replace(complete(PolicySpec(name="rvt", size="tiny", contract=BODY)).config, jitter=0.0)
    policy = make(PolicySpec(name="rvt", size="tiny", contract=BODY, config=still), statistics(BODY), seed=0)
    batch = batch_of(policy)
    ahead = batch.ahead.clone()
    ahead[..., :3] = torch.rand(8, 1, 3) - 0.5
    ahead[..., 3] = (torch.arange(8) % 2).float()[:, None]
    batch = replace(batch, ahead=ahead)
    optimizer = torch.optim.Adam(policy.parameters(), 1e-3)
    for _ in range(60):
        optimizer.zero_grad()
        loss, _ = policy.loss(batch, torch.Generator().manual_seed(0))
        loss.backward()
        optimizer.step()
    policy.eval()
    with torch.no_grad():
        context = policy.context(batch.observation)
        found, _ = policy.decoder.targets(context, policy.decoder._maps(context), 1, None)
    assert (found[:, 0, :3] - ahead[:, 0, :3]).norm(dim=1).median() < 0.12
    assert ((found[:, 0, 4] > 0.5) == (ahead[:, 1, 3] > 0.8)).all()
    chunk = policy.act(batch.observation, None, None)[0].actions
    wanted = ahead[:, 0, :3] - batch.observation.state[:, -1, :3]
    along = torch.nn.functional.cosine_similarity(torch.from_numpy(chunk[..., :3].mean(1)), wanted)
    assert along.median() > 0.95


def test_a_second_look_is_finer(policy):
    config = replace(complete(PolicySpec(name="rvt", size="tiny", contract=BODY)).config, stages=2)
    two = make(PolicySpec(name="rvt", size="tiny", contract=BODY, config=config), statistics(BODY), seed=0).eval()
    batch = batch_of(two)
    assert "fine" in two.loss_terms(batch, torch.Generator().manual_seed(0))
    assert sum(p.numel() for p in two.parameters()) > 1.7 * sum(p.numel() for p in policy.parameters())
    with torch.no_grad():
        context = two.context(batch.observation)
        fine = two.decoder.targets(context, two.decoder._maps(context), 1, None)[0]
        two.decoder.net = None
        coarse = two.decoder.targets(context, two.decoder._maps(context), 1, None)[0]
    assert (fine[..., :3] - coarse[..., :3]).abs().max() <= 1.01 * two.decoder.reach / config.zoom


def test_the_cube_moves_in_training_and_the_truth_moves_with_it():
    config = replace(complete(PolicySpec(name="rvt", size="tiny", contract=BODY)).config, stages=1, jitter=0.25)
    policy = make(PolicySpec(name="rvt", size="tiny", contract=BODY, config=config), statistics(BODY), seed=0).eval()
    batch, net = batch_of(policy), policy.backbone
    still = policy.context(batch.observation).groups["cube"].tokens
    torch.testing.assert_close(still[:, 0], net.centre.expand(8, 3))
    policy.train()
    moved = policy.context(batch.observation).groups["cube"].tokens[:, 0] - net.centre
    policy.eval()
    assert 0 < moved.abs().max() <= net.jitter * net.reach and moved.std(0).min() > 0
    context = policy.context(batch.observation)
    cube = context.groups["cube"]
    away = replace(context, groups={**context.groups, "cube": replace(cube, tokens=cube.tokens + 0.1)})
    for one, other in ((context, away),):
        place = policy.decoder.targets(one, policy.decoder._maps(one), 1, None)[0][..., :3]
        shifted = policy.decoder.targets(other, policy.decoder._maps(other), 1, None)[0][..., :3]
        torch.testing.assert_close(shifted - place, torch.full_like(place, 0.1), atol=1e-5, rtol=0)


def test_rows_without_actions_cost_nothing(policy):
    batch = batch_of(policy)
    silent = replace(batch.chunk, valid=batch.chunk.valid & (torch.arange(8) > 3)[:, None])
    terms = policy.loss_terms(replace(batch, chunk=silent), None)
    for name, term in terms.items():
        assert (term[:4] == 0).all(), name
    assert (terms["heat"][4:] > 0).all()


def test_only_a_body_with_a_tool_in_its_state_can_think_in_key_frames():
    tool = tool_of(BODY)
    assert (tool.place, tool.opening, tool.move, tool.grip, tool.turn, tool.rest) == (0, 3, 0, 3, -1, ())

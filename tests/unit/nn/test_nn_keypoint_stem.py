"""The steered stem finds a dot it is asked for: the effect it exists for, learned in seconds."""

import torch
from torch import nn

from embodia.nn.keypoint_stem import KeypointStem


def scene(count, rng):
    """Dark pictures with a red and a green square; the condition says which is asked for, the target where it is."""
    x = torch.zeros(count, 3, 32, 32)
    places = torch.randint(0, 28, (count, 2, 2), generator=rng)
    for row in range(count):
        for colour in range(2):
            top, left = places[row, colour].tolist()
            x[row, colour, top : top + 4, left : left + 4] = 1.0
    asked = torch.randint(0, 2, (count,), generator=rng)
    target = places[torch.arange(count), asked].float() / 14 - 1
    return x.to(memory_format=torch.channels_last), nn.functional.one_hot(asked, 2).float(), target


def test_it_learns_to_point_at_what_the_condition_names():
    torch.manual_seed(0)
    stem = KeypointStem(2, 16, patch=4, channels=16, keypoints=8, cells=2, grid_channels=8)
    head = nn.Linear(16, 2)
    optimizer = torch.optim.Adam([*stem.parameters(), *head.parameters()], lr=5e-3)
    rng = torch.Generator().manual_seed(0)
    for _ in range(120):
        x, condition, target = scene(32, rng)
        loss = (head(stem(x, condition)[:, 0]) - target).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    x, condition, target = scene(128, rng)
    with torch.no_grad():
        found = head(stem(x, condition)[:, 0])
        other = head(stem(x, 1 - condition)[:, 0])
    error, wrong = (found - target).abs().mean(), (other - target).abs().mean()
    assert float(error) < 0.25, float(error)
    assert float(wrong) > 1.5 * float(error)

"""Chunks played one action at a time: the same actions, the policy asked only when due, carry handed on."""

import numpy as np
import pytest

from embodia.core.errors import ConfigError
from embodia.core.specs import ActionPart, ActionSpec
from embodia.core.types import ActionChunk, Observation
from embodia.runtime.policy.player import ChunkPlayer

SPEC = ActionSpec(parts=(ActionPart(name="joint", dim=2, representation="joint_delta"),), rate_hz=10, chunk=4)


class Counting:
    """Chunk k holds the numbers 10 k, 10 k + 1, ...; the carry counts decisions."""

    contract = None

    def act(self, observation, carry, rng):
        asked = 0 if carry is None else carry
        actions = (10 * asked + np.arange(4, dtype=np.float32))[None, :, None].repeat(2, -1)
        return ActionChunk(actions=actions, valid=np.ones((1, 4), bool), spec=SPEC), asked + 1


def play(player, ticks):
    sensed = []

    def sense():
        sensed.append(len(sensed))
        return Observation(state=np.zeros((1, 1, 2), np.float32))

    return [float(player.action(sense)[0]) for _ in range(ticks)], len(sensed)


@pytest.mark.parametrize(
    ("execute", "expected", "asked"),
    [(0, [0, 1, 2, 3, 10, 11], 2), (2, [0, 1, 10, 11, 20, 21], 3), (9, [0, 1, 2, 3, 10, 11], 2)],
)
def test_actions_come_in_order_and_the_policy_is_asked_when_due(execute, expected, asked):
    assert play(ChunkPlayer(Counting(), execute=execute), 6) == (expected, asked)


def test_reset_begins_anew():
    player = ChunkPlayer(Counting(), execute=3)
    play(player, 4)
    assert player.left == 2
    player.reset()
    assert player.left == 0 and play(player, 1) == ([0.0], 1)


def test_a_negative_number_is_refused():
    with pytest.raises(ConfigError):
        ChunkPlayer(Counting(), execute=-1)

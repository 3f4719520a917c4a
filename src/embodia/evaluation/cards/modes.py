"""Two equally good routes round an obstacle: does a policy keep to one of them, or drive through the middle?

The expert starts at the left, the goal is at the right, a round obstacle lies between; half of the demonstrations pass
above it, half below. The mean of the two routes runs through the obstacle, so a head that regresses to a mean fails
although its loss is low, and a head that draws from the distribution does not. Watch out: with the absolute error every
path between the two routes is equally good, so such a head may fall on either side or in the middle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from embodia.core.protocols import Policy, Rng
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.core.statistics import FeatureStatistics
from embodia.core.types import ActionChunk, Batch, Observation
from embodia.evaluation.statistics import Rate
from embodia.evaluation.summary import rate_entry

RADIUS = 0.3
"""Of the obstacle, which lies at the origin."""

SWING = 0.6
"""How far from the straight line a demonstration passes at its widest."""

GOAL = (1.0, 0.0)
NEAR = 0.2
"""A chunk reaches the goal when its last point is this close."""

PIXELS, RATE_HZ = 24, 10.0

CONTRACT = Contract(
    observation=ObservationSpec(
        cameras=(CameraSpec(name="top", height=PIXELS, width=PIXELS),),
        state=(StatePart(name="place", dim=2, units="m"),),
        rate_hz=RATE_HZ,
        language=False,
    ),
    action=ActionSpec(
        parts=(ActionPart(name="place", dim=2, representation="ee_position", units="m", low=-1.5, high=1.5),),
        rate_hz=RATE_HZ,
    ),
    embodiment="point",
)


def detour_statistics() -> dict[str, FeatureStatistics]:
    """Statistics of states and actions, for normalisation."""
    state = _feature((-1.1, -0.2), (-0.9, 0.2))
    return {"state": state, CONTRACT.action.statistics_key: _feature((-1.2, -0.8), (1.2, 0.8))}


def observations(rng: np.random.Generator, batch: int) -> Observation:
    """Starts at the left (B); the camera shows plain grey, because the place says it all."""
    start = np.array([-1.0, 0.0]) + rng.uniform(-1, 1, (batch, 2)) * np.array([0.1, 0.2])
    return Observation(
        images={"top": np.full((batch, 1, PIXELS, PIXELS, 3), 128, dtype=np.uint8)},
        state=start[:, None].astype(np.float32),
        embodiment=CONTRACT.embodiment,
        time_s=np.zeros((batch, 1)),
    )


def demonstrations(rng: np.random.Generator, batch: int, chunk: int, ahead: int = 0) -> Batch:
    """B starts with the expert's way to the goal in `chunk` points; above or below is a fair coin.

    `ahead` states to come are asked for by policies that estimate them; all of them are the goal, whatever the route.
    """
    seen = observations(rng, batch)
    assert seen.state is not None
    time = np.arange(1, chunk + 1) / chunk
    straight = seen.state + time[:, None] * (np.array(GOAL) - seen.state)
    side = np.where(rng.random(batch) < 0.5, 1.0, -1.0) * (1 + 0.1 * rng.standard_normal(batch))
    straight[..., 1] += side[:, None] * SWING * np.sin(np.pi * time)
    actions = (straight + 0.02 * rng.standard_normal(straight.shape)).astype(np.float32)
    action = replace(CONTRACT.action, chunk=chunk)
    goals = np.broadcast_to(np.array(GOAL, dtype=np.float32), (batch, ahead, 2)).copy() if ahead else None
    valid = np.ones((batch, chunk), dtype=bool)
    return Batch(observation=seen, chunk=ActionChunk(actions=actions, valid=valid, spec=action), ahead=goals)


def mode_card(policy: Policy, rng: Rng, starts: int = 400, seed: int = 0) -> dict[str, Any]:
    """What a policy trained on `demonstrations` does from `starts` new starts; one decision each, so n = starts.

    `rng` is what the policy's `act` takes. See `card_of` for the entries.
    """
    chunk, _ = policy.act(observations(np.random.default_rng(seed), starts), None, rng)
    return card_of(np.asarray(chunk.actions))


def card_of(actions: Any) -> dict[str, Any]:
    """Shares of chunks (N H 2), each with n and interval, and what they say.

    middle   passes through the obstacle: what no demonstration did
    above, below   passes it on that side
    goal     ends at the goal
    """
    distance = np.linalg.norm(_dense(actions), axis=-1).min(-1)
    height = actions[np.arange(len(actions)), np.abs(actions[..., 0]).argmin(-1), 1]
    through = distance < RADIUS
    shares = {
        "middle": through,
        "above": ~through & (height > 0),
        "below": ~through & (height <= 0),
        "goal": np.linalg.norm(actions[:, -1] - np.array(GOAL), axis=-1) < NEAR,
    }
    card = {name: rate_entry(Rate(successes=int(hit.sum()), n=len(hit))) for name, hit in shares.items()}
    return {**card, "finding": _finding(card)}


def _finding(card: Mapping[str, Mapping[str, Any]]) -> str:
    """Decided by the intervals, not by the shares."""
    if card["middle"]["interval"][0] > 0.5:
        return "averages: most chunks run through the obstacle"
    if card["middle"]["interval"][1] > 0.1:
        return "mixed: more than rarely through the obstacle"
    if min(card[side]["interval"][0] for side in ("above", "below")) > 0.1:
        return "keeps both routes"
    return "keeps to one route"


def _dense(actions: Any, between: int = 8) -> Any:
    """Points on the straight lines between a chunk's points, (N, (H - 1) * between, 2)."""
    share = np.arange(between)[:, None] / between
    lines = actions[:, :-1, None] + share * (actions[:, 1:, None] - actions[:, :-1, None])
    return lines.reshape(len(actions), -1, 2)


def _feature(low: tuple[float, float], high: tuple[float, float]) -> FeatureStatistics:
    centre = tuple((a + b) / 2 for a, b in zip(low, high, strict=True))
    spread = tuple((b - a) / 3.5 for a, b in zip(low, high, strict=True))
    return FeatureStatistics(count=1000, mean=centre, std=spread, minimum=low, maximum=high, q01=low, q99=high)

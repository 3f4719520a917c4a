"""Invented inputs: random records that fit a contract, so that anything can be tried without data.

Pure functions of the contract and a seed. Pictures are noise, sentences are plain; nothing here says how a policy does.
"""

from __future__ import annotations

import numpy as np

from embodia.core.seeds import generator
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, SenseSpec, StatePart
from embodia.core.types import ActionChunk, Array, Batch, Observation

SENTENCES = ("push the puck to the goal", "open the drawer", "press the button from above")
"""What invented observations say, in turn."""

ANSWERS = ("move above the puck", "pull the handle", "")
"""What is to be said to them, in turn."""


def invent_contract(pixels: int = 48, cameras: int = 2, language: bool = True) -> Contract:
    """A hand moved by small steps, with a gripper: four actions, four numbers of state, every sense there is.

    The senses are a depth picture a camera, 192 points, two pads, one wrist, and a tenth of a second of sound.
    """
    names = tuple(f"camera{index}" for index in range(cameras))
    depth = (SenseSpec(name="depth", shape=(pixels, pixels), units="m", camera=name, field_deg=45.0) for name in names)
    seen = ObservationSpec(
        cameras=tuple(CameraSpec(name=name, height=pixels, width=pixels) for name in names),
        state=(StatePart(name="hand", dim=3, units="m"), StatePart(name="opening", dim=1)),
        rate_hz=10,
        language=language,
        senses=(
            *depth,
            SenseSpec(name="points", shape=(192, 6), units="m"),
            SenseSpec(name="touch", shape=(2, 4, 4), units="N"),
            SenseSpec(name="wrench", shape=(6,), units="N"),
            SenseSpec(name="audio", shape=(400,), units="normalized"),
        ),
    )
    parts = (
        ActionPart(name="move", dim=3, representation="ee_position_delta", frame="world", scale=0.02),
        ActionPart(name="grip", dim=1, representation="gripper", polarity="positive_closes"),
    )
    return Contract(observation=seen, action=ActionSpec(parts=parts, rate_hz=10), embodiment="arm")


def invent_observation(contract: Contract, batch: int, *, history: int = 1, seed: int = 0) -> Observation:
    """A numpy observation (B T ...) with every camera and sense, the state, and an instruction with language."""
    rng, spec = generator(seed, "observation"), contract.observation
    shape = (batch, history)
    images = {
        camera.name: rng.integers(0, 256, (*shape, camera.height, camera.width, 3), dtype=np.uint8)
        for camera in spec.cameras
    }
    state = rng.normal(size=(*shape, spec.state_dim)).astype(np.float32) if spec.state_dim else None
    sentences = tuple(SENTENCES[index % len(SENTENCES)] for index in range(batch)) if spec.language else ()
    seen = Observation(images=images, state=state, instruction=sentences, embodiment=contract.embodiment)
    return seen.with_senses({sense: _invent_sense(sense, shape, seed) for sense in spec.senses})


def _invent_sense(sense: SenseSpec, lead: tuple[int, int], seed: int) -> Array:
    """Points on a desk before the mount, depths of a room, readings around zero."""
    rng, shape = generator(seed, sense.key), (*lead, *sense.shape)
    if sense.name == "points":
        low, high = (0.1, -0.4, 0.0, 0.0, 0.0, 0.0), (0.7, 0.4, 0.4, 1.0, 1.0, 1.0)
        return rng.uniform(low, high, shape).astype(np.float32)
    if sense.name == "depth":
        return rng.uniform(0.3, 1.5, shape).astype(np.float32)
    return rng.normal(size=shape).astype(np.float32)


def invent_batch(
    contract: Contract,
    batch: int,
    *,
    history: int = 1,
    seed: int = 0,
    padded: bool = True,
    ahead: int = 0,
    later: int = 0,
) -> Batch:
    """A numpy batch whose contract states its chunk; with `padded`, every second chunk ends early, as episodes do.

    `ahead` states and `later` sights to come are invented too, and something to say.
    """
    rng, spec = generator(seed, "actions"), contract.action
    low = np.array([part.low for part in spec.parts for _ in range(part.dim)])
    high = np.array([part.high for part in spec.parts for _ in range(part.dim)])
    actions = rng.uniform(low, high, (batch, spec.chunk, spec.dim)).astype(np.float32)
    lengths = np.where(np.arange(batch) % 2, rng.integers(1, spec.chunk + 1, batch), spec.chunk)
    valid = np.arange(spec.chunk) < lengths[:, None] if padded else np.ones((batch, spec.chunk), dtype=bool)
    last = actions[np.arange(batch), valid.sum(1) - 1][:, None]
    chunk = ActionChunk(actions=np.where(valid[..., None], actions, last), valid=valid, spec=spec)
    observation = invent_observation(contract, batch, history=history, seed=seed)
    states = rng.normal(size=(batch, ahead, contract.observation.state_dim)).astype(np.float32) if ahead else None
    return Batch(
        observation=observation,
        chunk=chunk,
        dataset=("invented",) * batch,
        ahead=states,
        later=invent_observation(contract, batch, history=later, seed=seed + 1) if later else None,
        answer=tuple(ANSWERS[index % len(ANSWERS)] for index in range(batch)),
    )

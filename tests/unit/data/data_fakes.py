"""A tiny data set for tests: two cameras, moving squares, known numbers."""

import numpy as np

from embodia.core.provenance import Provenance
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.data.episode import EpisodeData

SENTENCES = ("push the puck", "open the drawer")


def contract(size: int = 32, cameras: tuple[str, ...] = ("front", "wrist")) -> Contract:
    return Contract(
        observation=ObservationSpec(
            cameras=tuple(CameraSpec(name=name, height=size, width=size) for name in cameras),
            state=(StatePart(name="hand", dim=3, units="m"), StatePart(name="gripper", dim=1)),
            rate_hz=20.0,
        ),
        action=ActionSpec(
            parts=(
                ActionPart(name="move", dim=3, representation="ee_position_delta"),
                ActionPart(name="gripper", dim=1, representation="gripper", polarity="positive_closes"),
            ),
            rate_hz=20.0,
        ),
        embodiment="fake_arm",
    )


def provenance(**changes) -> Provenance:
    facts = {"environment": "fake", "profile": "faithful", "cameras": ("front", "wrist"), "versions": {"sim": "1"}}
    return Provenance(**(facts | changes))


def episode(seed: int = 0, length: int = 12, size: int = 32, cameras=("front", "wrist"), **changes) -> EpisodeData:
    rng = np.random.default_rng(seed)
    frames = {}
    for name in cameras:
        background = np.kron(rng.integers(0, 256, (4, 4, 3)), np.ones((size // 4, size // 4, 1))).astype(np.uint8)
        frames[name] = np.repeat(background[None], length, 0)
        for i in range(length):
            place = (3 * i + seed) % (size - 8)
            frames[name][i, place : place + 8, 4:12] = (250, 20, 20)
    facts = {
        "frames": frames,
        "state": rng.normal(size=(length, 4)).astype(np.float32),
        "actions": rng.uniform(-1, 1, (length, 4)).astype(np.float32),
        "instruction": SENTENCES[seed % 2],
        "task": ("push", "drawer")[seed % 2],
        "seed": seed,
        "success": True,
        "source": "expert",
    }
    return EpisodeData(**(facts | changes))

"""Records tiny episodes into the folder named on standard input until it is killed; acknowledges each.

One process imports, and forks one recorder per line of input, so that fifty kills cost one start.
"""

import os
import sys

import numpy as np

from embodia.core.provenance import Provenance
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.data.episode import EpisodeData
from embodia.data.recorder import Recorder

LENGTH, SIZE = 8, 16


def contract() -> Contract:
    camera = CameraSpec(name="front", height=SIZE, width=SIZE)
    parts = (ActionPart(name="move", dim=3, representation="ee_position_delta"),)
    observed = ObservationSpec(cameras=(camera,), state=(StatePart(name="hand", dim=2),), rate_hz=20)
    return Contract(observation=observed, action=ActionSpec(parts=parts, rate_hz=20), embodiment="arm")


def episode(number: int) -> EpisodeData:
    rng = np.random.default_rng(number)
    return EpisodeData(
        frames={"front": rng.integers(0, 256, (LENGTH, SIZE, SIZE, 3), dtype=np.uint8)},
        state=rng.normal(size=(LENGTH, 2)).astype(np.float32),
        actions=rng.uniform(-1, 1, (LENGTH, 3)).astype(np.float32),
        instruction=("push", "pull")[number % 2],
        task="push",
        seed=number,
        success=True,
    )


def open_recorder(root: str) -> Recorder:
    origin = Provenance(environment="none", profile="faithful", cameras=("front",))
    return Recorder(root, contract=contract(), provenance=origin)


def record_for_ever(root: str) -> None:
    os.write(1, b"start\n")
    recorder = open_recorder(root)
    while True:
        number = recorder.record(episode(len(recorder.rows)))
        os.write(1, f"ack {number}\n".encode())


def main() -> None:
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            record_for_ever(line.strip())
        os.write(1, f"pid {process}\n".encode())
        os.waitpid(process, 0)
        os.write(1, b"dead\n")


if __name__ == "__main__":
    main()

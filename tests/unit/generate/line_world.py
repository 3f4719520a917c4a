"""A bead on a line: the state is the sum of executed actions, the task is to bring it to 1; and who does it."""

import numpy as np

from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.core.types import Observation


class Line:
    contract = Contract(
        observation=ObservationSpec(
            cameras=(CameraSpec(name="eye", height=8, width=8),), state=(StatePart(name="x", dim=1),), rate_hz=10.0
        ),
        action=ActionSpec(parts=(ActionPart(name="dx", dim=1, representation="ee_position_delta"),), rate_hz=10.0),
        embodiment="bead",
    )

    def __init__(self):
        self.executed, self.drawn = [], 0

    def reset(self, task, seed):
        self.x, self.steps, self.executed, self.drawn = -seed / 10, 0, [], 0
        return self.sense()

    def sense(self):
        return Observation(state=np.full((1, 1, 1), self.x, np.float32), instruction=("Go.",))

    def step(self, action):
        self.executed.append(float(action[0]))
        self.x, self.steps = self.x + 0.1 * float(action[0]), self.steps + 1
        return self.sense(), self.x, False, False, {"success": abs(self.x - 1) < 0.06}

    def observe(self):
        self.drawn += 1
        return Observation(images={"eye": np.full((1, 1, 8, 8, 3), self.steps, np.uint8)})

    def instructions(self, task, split="canonical"):
        return ("Go.",)


class Steady:
    def begin(self):
        pass

    def act(self, env):
        return np.clip(np.array([(1 - env.x) * 10]), -1, 1).astype(np.float32)

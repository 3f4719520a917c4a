"""A small world for vectors, importable by worker processes: what it does depends on the task it plays."""

import os
import signal

import numpy as np

from embodia.core.errors import EnvironmentFailure
from embodia.core.provenance import Provenance
from embodia.core.specs import (
    ActionPart,
    ActionSpec,
    CameraSpec,
    Contract,
    ObservationSpec,
    SenseSpec,
    StatePart,
)
from embodia.core.types import Observation

TOUCH = SenseSpec(name="touch", shape=(2,))
TASKS = ("plain", "talks", "odd", "short", "dies", "breaks", "fails", "idle")


class Toy:
    """A walk of three numbers: noise of the seed plus the actions; the picture and the touch are made of the state."""

    def __init__(self, height=8, width=9):
        part = ActionPart(name="x", dim=3, representation="joint_position", units="none", low=-1.0, high=1.0)
        self.contract = Contract(
            observation=ObservationSpec(
                cameras=(CameraSpec(name="eye", height=height, width=width),),
                state=(StatePart(name="x", dim=3),),
                rate_hz=10.0,
                senses=(TOUCH,),
            ),
            action=ActionSpec(parts=(part,), rate_hz=10.0),
            embodiment="toy",
        )
        self.provenance = Provenance(environment="toy", profile="fast", cameras=("eye",))
        self.tasks = TASKS
        self.task, self.steps, self.shape = "", 0, (1, 1, height, width, 3)

    def reset(self, task, seed):
        if task == "idle" and seed == 13:
            raise EnvironmentFailure("thirteen cannot be reset")
        self.task, self.steps, self.rng = task, 0, np.random.default_rng(seed)
        self.place = self.rng.normal(size=3)
        return self.sense()

    def sense(self):
        kind = np.float64 if self.task == "odd" and self.steps == 4 else np.float32
        told = "Stop." if self.task == "talks" and self.steps % 5 > 2 else "Go."
        time_s = np.array([[self.steps / 10]])
        state = self.place.astype(kind)[None, None]
        return Observation(state=state, time_s=time_s, instruction=(told,), embodiment="toy")

    def step(self, action):
        self.steps += 1
        if self.task == "dies" and self.steps == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.task == "breaks" and self.steps == 2:
            raise ValueError("a bolt is loose")
        if self.task == "fails" and self.steps == 2:
            raise EnvironmentFailure("typed")
        self.place = self.place + action + 0.1 * self.rng.normal(size=3)
        truncated = self.steps >= (3 if self.task == "short" else 40)
        return self.sense(), float(self.place[0]), False, truncated, {"success": bool(self.place[1] > 1)}

    def observe(self):
        seen = self.sense()
        picture = np.full(self.shape, int(1000 * abs(self.place[2])) % 256, np.uint8)
        touch = np.array([[[self.place[0], self.steps]]], np.float32)
        return Observation(images={"eye": picture}, touch=touch, state=seen.state, time_s=seen.time_s)

    def judge(self, task):
        return bool(self.place[1] > 1) if task == self.task else bool(self.place[2] > 0)

    def instructions(self, task, split="canonical"):
        return ("Go.",)

    def scene_partners(self, task):
        return ()

    def close(self):
        pass


def toy(env):
    """In place of whatever environment."""
    return Toy()


def large_toy(env):
    """With a picture of twelve million bytes."""
    return Toy(2000, 2000)

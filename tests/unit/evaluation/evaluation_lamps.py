"""A board of three lamps and a lid that can be asked for anything in a row: the smallest chainable environment.

An action chooses what to touch: 0..2 a lamp, 3 the lid; a lamp under a closed lid cannot be touched.
"""

import numpy as np

from embodia.core.provenance import Provenance
from embodia.core.specs import ActionPart, ActionSpec, Contract, ObservationSpec, StatePart
from embodia.core.types import Observation
from embodia.envs.chaining import Case, Skill

LAMPS = ("red", "green", "blue")
TASKS = (*(f"{name}-{way}" for name in LAMPS for way in ("on", "off")), "lid-open", "lid-shut")
CONTRACT = Contract(
    observation=ObservationSpec(cameras=(), state=(StatePart(name="nothing", dim=1),), rate_hz=1.0),
    action=ActionSpec(
        parts=(ActionPart(name="touch", dim=1, representation="joint_position", low=0.0, high=4.0),), rate_hz=1.0
    ),
    embodiment="board",
)


def skill(task):
    thing, way = task.split("-")
    if thing == "lid":
        other = {"open": "shut", "shut": "open"}[way]
        return Skill(task=task, category="lid", cases=(Case(needs={"lid": other}, gives={"lid": way}),))
    other = {"on": "off", "off": "on"}[way]
    return Skill(task=task, category=thing, cases=(Case(needs={"lid": "open", thing: other}, gives={thing: way}),))


class Board:
    """The environment."""

    def __init__(self):
        self.contract, self.tasks = CONTRACT, TASKS
        self.provenance = Provenance(environment="board", profile="none", cameras=())
        self.state, self.task, self.log = {}, "", []

    def skills(self):
        return tuple(map(skill, TASKS))

    def starts(self):
        return tuple(
            {"lid": lid, "red": red, "green": "off", "blue": "off"} for lid in ("open", "shut") for red in ("on", "off")
        )

    def begin(self, start, task, seed):
        self.state, self.log = dict(start), []
        return self.ask(task)

    def ask(self, task):
        self.task = task
        return self.observe()

    def reset(self, task, seed):
        return self.begin(next(s for s in self.starts() if skill(task).cases[0].fits(s)), task, seed)

    def step(self, action):
        touched = int(action[0])
        self.log.append(touched)
        if touched == 3:
            self.state["lid"] = {"open": "shut", "shut": "open"}[self.state["lid"]]
        elif touched < 3 and self.state["lid"] == "open":
            name = LAMPS[touched]
            self.state[name] = {"on": "off", "off": "on"}[self.state[name]]
        return self.observe(), 0.0, False, False, {"success": self.judge(self.task)}

    def observe(self):
        return Observation(
            state=np.zeros((1, 1, 1), np.float32),
            instruction=(f"Make {self.task}.",),
            embodiment="board",
            time_s=np.zeros((1, 1)),
        )

    def instructions(self, task, split="canonical"):
        return (f"Make {task}.",) if split == "canonical" else ()

    def judge(self, task):
        thing, way = task.split("-")
        return self.state[thing] == way

    def scene_partners(self, task):
        return ()

    def close(self):
        pass


class BoardExpert:
    """Touches what its task names."""

    def __init__(self, task):
        self.which = (*LAMPS, "lid").index(task.split("-")[0])

    def begin(self):
        pass

    def act(self, env):
        assert isinstance(env, Board)
        return np.array([self.which], np.float32)

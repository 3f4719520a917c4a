"""A scene without physics that LIBERO's scripts can act in: the hand goes where it is told, what it grips follows.

Written to test scripts without the simulator; things fall straight down onto what is below when they are let go.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from scipy.spatial.transform import Rotation

from embodia.generate.experts._libero_boxes import heights, points_of
from embodia.generate.experts._libero_fixtures import about_up
from embodia.generate.experts._libero_hand import STEP_M, STEP_RAD, downward

SHARE = 0.25
"""How much of what an action asks for happens in one step."""


def block(centre, half, yaw=0.0):
    return points_of(np.array(centre, float), about_up(yaw), np.array(half, float))


class Toy:
    """Things (name -> points, the origin is their middle) on a table at height 0, regions (name -> middle, half)."""

    def __init__(self, things, regions=()):
        self.things = {name: np.array(points, float) for name, points in things.items()}
        self.origins = {name: (p.min(0) + p.max(0)) / 2 for name, p in self.things.items()}
        self.regions = dict(regions)
        self.bodies = {name: index for index, name in enumerate(self.things)}
        self.hand, self.attitude, self.gap = np.array([-0.2, 0.0, 0.4]), downward(np.pi / 2, np.eye(3)), 0.08
        self.home = (self.hand, self.attitude)
        self.gripped, self.fixed, self.steps = "", set(), 0
        self.data = SimpleNamespace(xipos=list(self.origins.values()), xaxis=[], xanchor=[])

    def place(self, name):
        return np.array(self.origins[name] if name in self.origins else self.regions[name][0])

    def extent(self, name):
        return np.array(self.regions[name][1])

    def axes(self, name):
        return np.eye(3)

    def points(self, name, body=""):
        return self.things[name]

    def others(self, *excluded):
        return np.concatenate([np.zeros((0, 3)), *(p for name, p in self.things.items() if name not in excluded)])

    def floor(self):
        return 0.0

    def owner(self, region):
        return next((name for name in self.things if region.startswith(f"{name}_")), "")

    def held(self, name):
        return self.gripped == name

    def holds(self, atom):
        _, name, goal = atom
        return not self.gripped and bool(np.linalg.norm((self.place(name) - self.place(goal))[:2]) < 0.03)

    def joint(self, name):
        return 0

    def between(self):
        """The thing between the pads, if any."""
        for name, points in self.things.items():
            seen = (points - self.hand) @ self.attitude
            if name not in self.fixed and (np.abs(seen) < [0.036, 0.009, 0.006]).all(axis=1).any():
                return name
        return ""

    def step(self, action):
        assert np.isfinite(action).all() and np.abs(action).max() <= 1.0 + 1e-6
        move = action[:3] * STEP_M * SHARE
        self.hand = self.hand + move
        turn = Rotation.from_rotvec(action[3:6] * STEP_RAD * SHARE).as_matrix()
        self.attitude = turn @ self.attitude
        shut = action[6] > 0
        self.gap = max(0.012 if self.gripped else 0.001, self.gap - 0.01) if shut else min(0.08, self.gap + 0.01)
        if shut and self.gap < 0.06 and not self.gripped:
            self.gripped = self.between()
        if not shut and self.gripped:
            self._drop(self.gripped)
            self.gripped = ""
        if self.gripped:
            self._shift(self.gripped, turn, move)
        self.steps += 1

    def _shift(self, name, turn, move):
        before = self.hand - move
        self.things[name] = (self.things[name] - before) @ turn.T + self.hand
        self.origins[name] = turn @ (self.origins[name] - before) + self.hand

    def _drop(self, name):
        middle = np.array([*self.origins[name][:2], 0.0])
        ground = block(middle - [0, 0, 0.002], [0.2, 0.2, 0.002])
        surface = heights(np.concatenate([self.others(name), ground]) - middle, 0.2)
        fall = np.array([0.0, 0.0, min(0.0, surface.landing(self.things[name] - middle))])
        self.things[name], self.origins[name] = self.things[name] + fall, self.origins[name] + fall

    def play(self, actions, limit=900):
        for count, action in enumerate(actions):
            assert count < limit, "a script has to end"
            self.step(action)


class ToyCabinet(Toy):
    """A drawer that opens towards -y; it follows a hand that grips its bar, and gives way to one that pushes it."""

    def __init__(self, stands=0.0):
        super().__init__({})
        self.bodies = {"wooden_cabinet_1": 0}
        self.stands = stands
        self.data.xaxis = [np.array([0.0, 1.0, 0.0])]
        self._hull = block([0, 0.2, 0.1], [0.12, 0.1, 0.1])
        self._bar = np.array([0.0, 0.07, 0.12])
        self._holding = False

    def angle(self, joint):
        return self.stands

    def bar(self):
        return self._bar + np.array([0, self.stands, 0])

    def points(self, name, body=""):
        drawer = np.concatenate(
            [block(self.bar(), [0.04, 0.008, 0.008]), block(self.bar() + np.array([0, 0.03, 0]), [0.1, 0.003, 0.03])]
        )
        return drawer if body else np.concatenate([self._hull, drawer])

    def others(self, *excluded):
        return self.points("wooden_cabinet_1")

    def step(self, action):
        before, gap = self.hand, self.gap
        super().step(action)
        closes_on = gap >= 0.03 > self.gap and np.linalg.norm(self.hand - self.bar()) < 0.025
        self._holding = action[6] > 0 and (self._holding or closes_on)
        if self._holding:
            self.stands += self.hand[1] - before[1]
        elif abs(self.hand[0] - self.bar()[0]) < 0.03 and abs(self.hand[2] - self.bar()[2]) < 0.03:
            self.stands = max(self.stands, self.hand[1] + 0.01 - self._bar[1])
        self.stands = float(np.clip(self.stands, -0.16, 0.01))


class ToyStove(Toy):
    """A knob with a blade on it that turns with the hand that grips it."""

    def __init__(self):
        super().__init__({"flat_stove_1": block([0.1, 0.2, 0.01], [0.2, 0.1, 0.01])})
        self.turned = 0.0
        self.data.xanchor, self.data.xaxis = [np.array([0.0, 0.2, 0.0])], [np.array([0.0, 0.0, 1.0])]

    def angle(self, joint):
        return self.turned

    def points(self, name, body=""):
        blade = block([0.0, 0.2, 0.045], [0.035, 0.012, 0.025], self.turned)
        return blade if body.endswith("button") else self.things[name]

    def step(self, action):
        before = np.arctan2(self.attitude[1, 0], self.attitude[0, 0])
        super().step(action)
        near = np.linalg.norm(self.hand[:2] - [0.0, 0.2]) < 0.03 and self.hand[2] < 0.09
        if near and action[6] > 0 and self.gap < 0.03:
            now = np.arctan2(self.attitude[1, 0], self.attitude[0, 0])
            self.turned += float((now - before + np.pi) % (2 * np.pi) - np.pi)


class ToyOven(Toy):
    """A door on a hinge at the origin, open along -y, that is pushed towards +x."""

    def __init__(self):
        super().__init__({"microwave_1": block([0.15, 0.12, 0.1], [0.14, 0.1, 0.1])})
        self.stands = -np.pi / 2
        self.data.xanchor, self.data.xaxis = [np.array([0.0, 0.0, 0.1])], [np.array([0.0, 0.0, 1.0])]

    def angle(self, joint):
        return self.stands

    def points(self, name, body=""):
        along = np.array([np.cos(self.stands), np.sin(self.stands), 0.0])
        door = block([*(0.13 * along[:2]), 0.1], [0.13, 0.01, 0.09], self.stands)
        return door if body else np.concatenate([self.things[name], door])

    def others(self, *excluded):
        return self.points("microwave_1")

    def step(self, action):
        super().step(action)
        at = self.hand[:2]
        reached = float(np.arctan2(at[1], at[0]))
        if 0.05 < np.linalg.norm(at) < 0.27 and -np.pi / 2 - 0.5 < reached:
            self.stands = float(np.clip(max(self.stands, min(reached, self.stands + 0.1)), -2.0, 0.0))

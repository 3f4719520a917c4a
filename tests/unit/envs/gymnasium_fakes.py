"""Environments for the tests of the Gymnasium adapter: pictures in a dictionary, success, discrete actions."""

from typing import ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces


class Pictures(gymnasium.Env):
    """Two pictures of one grey value and a position; success beyond 3, reported as "is_success"."""

    metadata: ClassVar = {"render_modes": ["rgb_array"], "render_fps": 20}

    def __init__(self, size=12, render_mode=None, width=2):
        picture = spaces.Box(0, 255, (size, size, 3), np.uint8)
        vectors = {"place": spaces.Box(-9, 9, (width,), np.float64), "speed": spaces.Box(-1, 1, (1,), np.float64)}
        self.observation_space = spaces.Dict({"left": picture, "right": picture, **vectors})
        self.action_space = spaces.Box(-1, 1, (width,), np.float32)
        self.render_mode, self.size, self.width = render_mode, size, width
        self.place = np.zeros(width)

    def seen(self, speed=0.0):
        shade = np.full((self.size, self.size, 3), int(10 * self.place.sum()) % 256, np.uint8)
        shade[0] += np.arange(self.size, dtype=np.uint8)[:, None]
        return {"left": shade, "right": 255 - shade, "place": self.place.copy(), "speed": np.array([speed])}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = self.np_random.uniform(0, 1, self.width)
        return self.seen(), {}

    def step(self, action):
        self.place = self.place + action
        return self.seen(float(action[0])), float(self.place[0]), False, False, {"is_success": self.place[0] > 3}

    def render(self):
        return np.full((self.size, self.size, 3), 7, np.uint8)


class Buttons(gymnasium.Env):
    """Two actions, not a box."""

    observation_space = spaces.Box(0, 1, (1,), np.float64)
    action_space = spaces.Discrete(2)


gymnasium.register("EmbodiaPictures-v0", Pictures)
gymnasium.register("EmbodiaWide-v0", Pictures, kwargs={"width": 3})
gymnasium.register("EmbodiaAgain-v0", Pictures)
gymnasium.register("EmbodiaButtons-v0", Buttons)

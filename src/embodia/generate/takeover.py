"""Demonstrations that begin where a policy's own mistakes have led: it acts for a while, then the expert takes over.

Source: Kelly et al. 2019, HG-DAgger, arXiv 1810.02890, after Ross et al. 2011, DAgger, arXiv 1011.0686. There a person
takes over who sees it go wrong; here the moment is drawn, and where the policy had already done its task nothing is
kept, so that most of what is recorded leads out of trouble. The one thing to watch: only what the expert does is
recorded, and its first frame is not the start of an episode.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from embodia.core.errors import ConfigError
from embodia.core.protocols import Carry, Policy
from embodia.core.seeds import derive_seed, generator
from embodia.core.types import Observation
from embodia.envs.protocol import Env
from embodia.envs.rollout import torch_generator

Novice: TypeAlias = Callable[[], Policy]
"""Loads the policy; called once in each worker."""


@dataclass(frozen=True, kw_only=True)
class TakeoverConfig:
    """Who acts first, and for how long.

    policy   the run or checkpoint that acts, as it was named
    after    fewest and most control steps before the expert takes over, drawn uniformly for each episode
    execute  actions of a chunk that are carried out before the policy looks again (0: all of it)
    """

    policy: str
    after: tuple[int, int] = (20, 200)
    execute: int = 8

    def __post_init__(self) -> None:
        if not 0 <= self.after[0] <= self.after[1] or self.execute < 0:
            raise ConfigError(f"{self.after} are not fewest and most steps", leaf="takeover.after")


class Takeover:
    """Lets `policy` act first; a pure function of task and seed."""

    def __init__(self, policy: Policy, config: TakeoverConfig) -> None:
        self._policy, self._config = policy, config

    def __call__(self, env: Env, sensed: Observation, task: str, seed: int) -> tuple[Observation, str]:
        """What is sensed when the expert takes over, and why it need not, or cannot; empty when it does."""
        low, high = self._config.after
        left = int(generator(seed, task, "takeover").integers(low, high + 1))
        rng = torch_generator(derive_seed(seed, task, "novice"))
        carry: Carry = None
        while left > 0:
            chunk, carry = self._policy.act(env.observe(), carry, rng)
            actions = np.asarray(chunk.actions, dtype=np.float32)[0]
            for action in actions[: self._config.execute or None][:left]:
                sensed, _, terminated, truncated, info = env.step(action)
                left -= 1
                if info["success"]:
                    return sensed, "the policy had done it"
                if terminated or truncated:
                    return sensed, "the episode ended before the expert took over"
        return sensed, ""

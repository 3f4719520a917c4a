"""Watches the loss and the pace: means between two reports, and a stop at the first number that is not finite.

On an accelerator, reading a number would make the host wait, so each step's figures are copied while the next step
is launched and looked at one step later; a checkpoint is never written before they were looked at (`settle`).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from embodia.core.clock import Clock
from embodia.core.errors import TrainingError


class Meter:
    """Collects the figures of steps; `describe(step)` says which samples a step saw, for the error message.

    `last` is the newest loss that was looked at.
    """

    def __init__(self, clock: Clock, batch_size: int, describe: Callable[[int], str], *, lag: int) -> None:
        self._clock, self._batch_size, self._describe, self._lag = clock, batch_size, describe, lag
        self._pending: deque[tuple[int, tuple[str, ...], Tensor, torch.cuda.Event | None]] = deque()
        self._sums: dict[str, float] = {}
        self._steps = 0
        self.last = float("nan")
        self._began_s = clock.now_s()

    def add(self, step: int, figures: Mapping[str, Tensor]) -> None:
        """Note the figures of step `step`. Raises `TrainingError` naming the step and its samples."""
        values = torch.stack([figure.detach().float() for figure in figures.values()])
        event = None
        if values.is_cuda:
            values = values.to("cpu", non_blocking=True)
            event = torch.cuda.Event()
            event.record()
        self._pending.append((step, tuple(figures), values, event))
        self._look(self._lag)

    def settle(self) -> None:
        """Look at everything noted so far."""
        self._look(0)

    def report(self) -> dict[str, float]:
        """Means since the last report, and samples per second since then."""
        self.settle()
        now_s = self._clock.now_s()
        means = {name: total / self._steps for name, total in self._sums.items()}
        pace = self._steps * self._batch_size / max(now_s - self._began_s, 1e-9)
        self._sums, self._steps, self._began_s = {}, 0, now_s
        return {**means, "samples_per_s": pace}

    def _look(self, keep: int) -> None:
        while len(self._pending) > keep:
            step, names, values, event = self._pending.popleft()
            if event is not None:
                event.synchronize()
            self._steps += 1
            for name, value in zip(names, values.tolist(), strict=True):
                if not math.isfinite(value):
                    raise TrainingError(
                        f"{name} is {value} at step {step}, which saw {self._describe(step)}",
                        leaf=name,
                        cure="Lower the learning rate or look at these samples; the newest checkpoint is from before.",
                    )
                self.last = value if name == "loss" else self.last
                self._sums[name] = self._sums.get(name, 0.0) + value

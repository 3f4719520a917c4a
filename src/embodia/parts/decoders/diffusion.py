"""A chunk by denoising (head.diffusion): learn the noise, then walk back from noise to actions.

Trained as a DDPM, sampled by DDIM in fewer steps (schedules are diffusers'). The density of a chunk has no closed form,
so there is no `log_prob`; what reinforcement learning needs, the density of one noisy walk step by step (DPPO, Ren et
al. 2024), is `walk` and `walk_log_prob`. Predictions of clean actions are clipped to -1..1: normalise by range.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from embodia.core.protocols import Context
from embodia.core.types import ActionChunk
from embodia.nn.noise import integers, normal
from embodia.nn.reduce import Reduction, reduce_chunk
from embodia.nn.unet1d import UNet1d


@dataclass(frozen=True, kw_only=True)
class DiffusionConfig:
    """`widths` of the U-Net's levels; `train_steps` of the forward process, `sample_steps` of the walk back.

    `floor` is the least deviation of a step in `walk`, in normalised units (DPPO's sigma_min).
    """

    widths: tuple[int, ...] = (256, 512, 1024)
    kernel: int = 5
    groups: int = 8
    time_width: int = 256
    train_steps: int = 100
    sample_steps: int = 10
    schedule: Literal["squaredcos_cap_v2", "linear"] = "squaredcos_cap_v2"
    prediction: Literal["epsilon", "sample"] = "epsilon"
    clip: float = 1.0
    floor: float = 0.1
    reduction: Reduction = "sample"


class ChunkDiffusion(nn.Module):
    """A U-Net denoiser over (B H A) under the flattened tokens of all groups."""

    signal: Tensor

    def __init__(self, config: DiffusionConfig, action_dim: int, chunk: int, condition_width: int) -> None:
        super().__init__()
        from diffusers import DDPMScheduler

        self.config = config
        self.shape = (chunk, action_dim)
        self.net = UNet1d(action_dim, condition_width, config.widths, config.kernel, config.groups, config.time_width)
        scheduler: Any = DDPMScheduler(**self._schedule())
        self.register_buffer("signal", scheduler.alphas_cumprod.clone(), persistent=False)

    def loss_terms(self, context: Context, chunk: ActionChunk, rng: torch.Generator | None) -> Mapping[str, Tensor]:
        """{"denoise": (B,)}: squared error at a random time; padded steps never count."""
        noise = normal(tuple(chunk.actions.shape), chunk.actions, rng)
        time = integers(self.config.train_steps, (len(noise),), noise, rng)
        return {"denoise": self.error(context, chunk, noise, time)}

    def error(self, context: Context, chunk: ActionChunk, noise: Tensor, time: Tensor) -> Tensor:
        """(B,) error for given noise (B H A) and time (B)."""
        signal = self.signal[time][:, None, None]
        noisy = signal.sqrt() * chunk.actions + (1 - signal).sqrt() * noise
        target = noise if self.config.prediction == "epsilon" else chunk.actions
        difference = self.net(noisy, time, self.condition(context)) - target
        return reduce_chunk(difference.square(), chunk.valid, self.config.reduction)

    def sample(
        self,
        context: Context,
        rng: torch.Generator | None,
        n: int = 1,
        steps: int | None = None,
        prefix: Tensor | None = None,
    ) -> Tensor:
        """(B n H A) by DDIM from noise; a `prefix` (B P A) is put back, noised to the level, before each step."""
        fixed = self.condition(context).repeat_interleave(n, dim=0)
        noise = normal((len(fixed), *self.shape), fixed, rng)
        kept = None if prefix is None else prefix.repeat_interleave(n, dim=0)
        return self.denoise(fixed, noise, steps, kept).unflatten(0, (-1, n))

    def denoise(self, fixed: Tensor, noise: Tensor, steps: int | None = None, prefix: Tensor | None = None) -> Tensor:
        """From `noise` (B H A) to a chunk (B H A), without further randomness (DDIM, eta 0)."""
        scheduler = self._sampler(steps)
        x = noise
        for time in scheduler.timesteps:
            if prefix is not None:
                x = self._hold(x, prefix, noise, int(time))
            x = scheduler.step(self._predict(x, int(time), fixed), int(time), x).prev_sample
        return x if prefix is None else torch.cat([prefix, x[:, prefix.shape[1] :]], dim=1)

    def condition(self, context: Context) -> Tensor:
        """What the U-Net is told, made once a decision: the groups' tokens, flattened, through the FiLM layers."""
        flat = torch.cat([group.tokens.flatten(1) for group in context.groups.values()], dim=-1)
        return self.net.film.condition(flat)

    def walk(self, context: Context, rng: torch.Generator | None, steps: int | None = None) -> Tensor:
        """A stochastic walk from noise to a chunk with all its stations, (B steps+1 H A), noise first (DDIM, eta 1)."""
        fixed = self.condition(context)
        stations = [normal((len(fixed), *self.shape), fixed, rng)]
        for time, before in self._pairs(steps):
            mean, deviation = self._transition(stations[-1], time, before, fixed)
            stations.append(mean + deviation * normal(tuple(mean.shape), mean, rng))
        return torch.stack(stations, dim=1)

    def walk_log_prob(self, context: Context, stations: Tensor) -> Tensor:
        """Log density of each step of a walk given the station before, (B steps); differentiable in the policy."""
        fixed = self.condition(context)
        terms = []
        for index, (time, before) in enumerate(self._pairs(stations.shape[1] - 1)):
            mean, deviation = self._transition(stations[:, index], time, before, fixed)
            distance = (stations[:, index + 1] - mean) / deviation
            density = -0.5 * distance.square() - math.log(deviation * math.sqrt(2 * math.pi))
            terms.append(density.flatten(1).sum(-1))
        return torch.stack(terms, dim=1)

    def _transition(self, x: Tensor, time: int, before: int, fixed: Tensor) -> tuple[Tensor, float]:
        """Mean (B H A) and deviation of the station at time `before` (-1: clean) given `x` at `time`."""
        now, then = float(self.signal[time]), float(self.signal[before]) if before >= 0 else 1.0
        prediction = self._predict(x, time, fixed)
        if self.config.prediction == "epsilon":
            prediction = (x - math.sqrt(1 - now) * prediction) / math.sqrt(now)
        clean = prediction.clamp(-self.config.clip, self.config.clip)
        variance = (1 - then) / (1 - now) * (1 - now / then)
        noise = (x - math.sqrt(now) * clean) / math.sqrt(1 - now)
        mean = math.sqrt(then) * clean + math.sqrt(max(1 - then - variance, 0.0)) * noise
        return mean, max(math.sqrt(variance), self.config.floor)

    def _pairs(self, steps: int | None) -> list[tuple[int, int]]:
        times = [int(time) for time in self._sampler(steps).timesteps]
        return list(zip(times, [*times[1:], -1], strict=True))

    def _predict(self, x: Tensor, time: int, fixed: Tensor) -> Tensor:
        return self.net(x, torch.full((len(x),), time, device=x.device), fixed)

    def _hold(self, x: Tensor, prefix: Tensor, noise: Tensor, time: int) -> Tensor:
        signal, length = self.signal[time], prefix.shape[1]
        noised = signal.sqrt() * prefix + (1 - signal).sqrt() * noise[:, :length]
        return torch.cat([noised, x[:, length:]], dim=1)

    def _sampler(self, steps: int | None) -> Any:
        from diffusers import DDIMScheduler

        scheduler: Any = DDIMScheduler(**self._schedule(), set_alpha_to_one=True)
        scheduler.set_timesteps(steps or self.config.sample_steps)
        return scheduler

    def _schedule(self) -> dict[str, Any]:
        return {
            "num_train_timesteps": self.config.train_steps,
            "beta_schedule": self.config.schedule,
            "prediction_type": self.config.prediction,
            "clip_sample": True,
            "clip_sample_range": self.config.clip,
        }

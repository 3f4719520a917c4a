"""A chunk by denoising (head.diffusion): learn the noise, then walk back from noise to actions.

Trained as a DDPM, sampled by DDIM or DPM-Solver in fewer steps (schedules and solvers are diffusers'). The network is
handed in: a U-Net, an MLP, a transformer, or a language model that denoises inside its own sequence. The density of a
chunk has no closed form, so there is no `log_prob`; what reinforcement learning needs, the density of one noisy walk
step by step (DPPO, Ren et al. 2024), is `walk` and `walk_log_prob`. Predictions of clean actions are clipped to -1..1:
normalise by range.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from embodia.core.errors import ConfigError
from embodia.core.protocols import Context
from embodia.core.types import ActionChunk
from embodia.nn.noise import integers, normal, uniform
from embodia.nn.reduce import Reduction, reduce_chunk
from embodia.parts.decoders.told import condition_on


class Denoiser(Protocol):
    """A network that says what is noise in noisy actions; the same interface as a flow's velocity field."""

    def condition(self, context: Context, n: int = 1) -> Any:
        """What all steps and n samples share, made once; samples of one batch entry are adjacent rows."""
        ...

    def __call__(self, condition: Any, noisy: Tensor, time: Tensor) -> Tensor:
        """Prediction (B H A) at noisy actions (B H A) and times (B,); rows do not influence one another."""
        ...


@dataclass(frozen=True, kw_only=True)
class DiffusionConfig:
    """How a chunk is noised, what the network says about it, and how the walk back goes.

    train_steps   of the forward process; `sample_steps` of the walk back, by `solver`
    prediction    the noise, the clean actions, or v = sqrt(a) noise - sqrt(1 - a) actions (Salimans and Ho 2022)
    clip          largest clean action the walk believes in; 0 = any
    draws         pairs of noise and time a sample in training; the observation is read once for all of them
    drop          how often training hides the condition; `guidance` 1 = none (Ho and Salimans 2022)
    floor         least deviation of a step in `walk`, in normalised units (DPPO's sigma_min)
    """

    train_steps: int = 100
    sample_steps: int = 10
    schedule: Literal["squaredcos_cap_v2", "linear"] = "squaredcos_cap_v2"
    solver: Literal["ddim", "dpm"] = "ddim"
    prediction: Literal["epsilon", "sample", "v_prediction"] = "epsilon"
    clip: float = 1.0
    draws: int = 1
    drop: float = 0.0
    guidance: float = 1.0
    floor: float = 0.1
    reduction: Reduction = "sample"


class ChunkDiffusion(nn.Module):
    """A chunk (B H A) drawn by the denoiser `net` under what it reads of the context.

    `read` names the groups the network sees, empty = all. With `config.drop` the tokens of those groups, all of width
    `blank`, are now and then replaced by one learned token, which is what guidance compares with.
    """

    signal: Tensor

    def __init__(
        self,
        config: DiffusionConfig,
        net: nn.Module,
        action_dim: int,
        chunk: int,
        *,
        read: tuple[str, ...] = (),
        blank: int = 0,
    ) -> None:
        super().__init__()
        from diffusers import DDPMScheduler

        if bool(config.drop) != bool(blank) or (config.guidance != 1.0 and not config.drop):
            raise ConfigError("guidance needs training with a dropped condition, and its width", leaf="drop")
        self.config = config
        self.shape = (chunk, action_dim)
        self.read = read
        self.net = net
        self.blank = nn.Parameter(0.02 * torch.randn(blank)) if blank else None
        scheduler: Any = DDPMScheduler(**self._schedule(), clip_sample=False)
        self.register_buffer("signal", scheduler.alphas_cumprod.clone(), persistent=False)

    def loss_terms(self, context: Context, chunk: ActionChunk, rng: torch.Generator | None) -> Mapping[str, Tensor]:
        """{"denoise": (B,)}: squared error at a random time; padded steps never count."""
        rows = (len(chunk.actions) * self.config.draws,)
        noise = normal((*rows, *chunk.actions.shape[1:]), chunk.actions, rng)
        time = integers(self.config.train_steps, rows, noise, rng)
        if self.blank is not None:
            hidden = uniform((len(chunk.actions),), noise, rng) < self.config.drop
            context = self._blanked(context, hidden)
        return {"denoise": self.error(context, chunk, noise, time)}

    def error(self, context: Context, chunk: ActionChunk, noise: Tensor, time: Tensor) -> Tensor:
        """(B,) error for given noise (B*k H A) and time (B*k): the mean over k draws a sample."""
        draws = len(noise) // len(chunk.actions)
        actions, valid = chunk.actions.repeat_interleave(draws, 0), chunk.valid.repeat_interleave(draws, 0)
        signal = self.signal[time][:, None, None]
        noisy = signal.sqrt() * actions + (1 - signal).sqrt() * noise
        target = {
            "epsilon": noise,
            "sample": actions,
            "v_prediction": signal.sqrt() * noise - (1 - signal).sqrt() * actions,
        }[self.config.prediction]
        difference = self.net(condition_on(self.net, self.read, context, draws), noisy, time) - target
        return reduce_chunk(difference.square(), valid, self.config.reduction).view(-1, draws).mean(1)

    def sample(
        self,
        context: Context,
        rng: torch.Generator | None,
        n: int = 1,
        steps: int | None = None,
        prefix: Tensor | None = None,
    ) -> Tensor:
        """(B n H A) from noise; a `prefix` (B P A) is put back, noised to the level, before each step."""
        like = next(iter(context.groups.values())).tokens.float()
        noise = normal((len(like) * n, *self.shape), like, rng)
        kept = None if prefix is None else prefix.repeat_interleave(n, dim=0)
        return self.denoise(self.condition(context, n), noise, steps, kept).unflatten(0, (-1, n))

    def denoise(self, fixed: Any, noise: Tensor, steps: int | None = None, prefix: Tensor | None = None) -> Tensor:
        """From `noise` (B H A) to a chunk (B H A), without further randomness (DDIM with eta 0, or DPM-Solver++)."""
        scheduler = self._sampler(steps)
        x = noise
        for time in scheduler.timesteps:
            if prefix is not None:
                x = self._hold(x, prefix, noise, int(time))
            x = scheduler.step(self._predict(x, int(time), fixed), time, x).prev_sample
        return x if prefix is None else torch.cat([prefix, x[:, prefix.shape[1] :]], dim=1)

    def condition(self, context: Context, n: int = 1) -> tuple[Any, ...]:
        """What the network is told, made once a decision: with guidance also what it is told when told nothing."""
        told = condition_on(self.net, self.read, context, n)
        if self.blank is None or self.config.guidance == 1.0:
            return (told,)
        rows = len(next(iter(context.groups.values())).tokens)
        everyone = torch.ones(rows, dtype=torch.bool, device=self.blank.device)
        return told, condition_on(self.net, self.read, self._blanked(context, everyone), n)

    def walk(self, context: Context, rng: torch.Generator | None, steps: int | None = None) -> Tensor:
        """A stochastic walk from noise to a chunk with all its stations, (B steps+1 H A), noise first (DDIM, eta 1)."""
        fixed = self.condition(context)
        like = next(iter(context.groups.values())).tokens.float()
        stations = [normal((len(like), *self.shape), like, rng)]
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

    def _transition(self, x: Tensor, time: int, before: int, fixed: Any) -> tuple[Tensor, float]:
        """Mean (B H A) and deviation of the station at time `before` (-1: clean) given `x` at `time`."""
        now, then = float(self.signal[time]), float(self.signal[before]) if before >= 0 else 1.0
        clean = self._clean(self._predict(x, time, fixed), x, now)
        if self.config.clip:
            clean = clean.clamp(-self.config.clip, self.config.clip)
        variance = (1 - then) / (1 - now) * (1 - now / then)
        noise = (x - math.sqrt(now) * clean) / math.sqrt(1 - now)
        mean = math.sqrt(then) * clean + math.sqrt(max(1 - then - variance, 0.0)) * noise
        return mean, max(math.sqrt(variance), self.config.floor)

    def _clean(self, prediction: Tensor, x: Tensor, signal: float) -> Tensor:
        """The clean actions that a prediction at `x` stands for."""
        if self.config.prediction == "epsilon":
            return (x - math.sqrt(1 - signal) * prediction) / math.sqrt(signal)
        if self.config.prediction == "v_prediction":
            return math.sqrt(signal) * x - math.sqrt(1 - signal) * prediction
        return prediction

    def _pairs(self, steps: int | None) -> list[tuple[int, int]]:
        times = [int(time) for time in self._sampler(steps).timesteps]
        return list(zip(times, [*times[1:], -1], strict=True))

    def _predict(self, x: Tensor, time: int, fixed: tuple[Any, ...]) -> Tensor:
        times = torch.full((len(x),), time, device=x.device)
        told = self.net(fixed[0], x, times)
        if len(fixed) == 1:
            return told
        untold = self.net(fixed[1], x, times)
        return untold + self.config.guidance * (told - untold)

    def _blanked(self, context: Context, hidden: Tensor) -> Context:
        """The context with the tokens of the groups that are read replaced in the rows that are `hidden` (B,)."""
        groups = dict(context.groups)
        for name in self.read or tuple(groups):
            tokens = torch.where(hidden[:, None, None], self.blank, groups[name].tokens)  # type: ignore[arg-type]
            groups[name] = replace(groups[name], tokens=tokens)
        return replace(context, groups=groups)  # type: ignore[type-var]

    def _hold(self, x: Tensor, prefix: Tensor, noise: Tensor, time: int) -> Tensor:
        signal, length = self.signal[time], prefix.shape[1]
        noised = signal.sqrt() * prefix + (1 - signal).sqrt() * noise[:, :length]
        return torch.cat([noised, x[:, length:]], dim=1)

    def _sampler(self, steps: int | None) -> Any:
        from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

        if self.config.solver == "dpm":
            scheduler: Any = DPMSolverMultistepScheduler(**self._schedule())
        else:
            clip = {"clip_sample": self.config.clip > 0, "clip_sample_range": self.config.clip}
            scheduler = DDIMScheduler(**self._schedule(), **clip, set_alpha_to_one=True)
        scheduler.set_timesteps(steps or self.config.sample_steps)
        return scheduler

    def _schedule(self) -> dict[str, Any]:
        return {
            "num_train_timesteps": self.config.train_steps,
            "beta_schedule": self.config.schedule,
            "prediction_type": self.config.prediction,
        }

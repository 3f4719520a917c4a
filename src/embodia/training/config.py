"""How a training run is configured, and how its budget is counted.

One frozen record: the command line is derived from it, it is written into every checkpoint, and a resumed run is
compared with it. The thing to watch: a budget in steps or samples is bit-exact, a budget in seconds follows the clock
and is not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from embodia.core.clock import Clock
from embodia.core.config import to_json
from embodia.core.errors import ConfigError
from embodia.data.transforms.augment import AugmentConfig

_MAY_CHANGE = (
    "steps samples max_seconds log_every save_every validate_every keep_last keep_every prefetch workers resume"
)
MAY_CHANGE = frozenset(f"{_MAY_CHANGE} tensorboard parallel device".split())
"""Fields that a resumed run may change; every other difference would silently make another run of it.

A longer budget stretches the schedule from there on; another device or number of processes rounds differently.
"""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything about a training run that is not the policy and not the data.

    steps               optimizer steps to take; bit-exact
    samples             budget in samples, turned into steps; bit-exact
    max_seconds         budget in wall-clock seconds, resumes counted together: the schedule follows the elapsed
                        fraction
    batch_size          samples of one optimizer step, over all processes and accumulated parts together
    accumulate          parts that a step's batch is cut into, to fit the memory
    weights_from        run or checkpoint of the same design whose weights the policy begins with; empty: random ones
    fresh               name prefixes of tensors that begin at random all the same, and learn whatever else stands still
    eyes_from           folders of runs whose eyes the policy begins with (see `training.start`); empty begins at random
    frozen              name prefixes of parameters that do not learn
    lora                name prefixes of parts that learn by low-rank updates of their linear layers, else frozen
    lora_rank           width of those updates
    lora_alpha          they count lora_alpha / lora_rank times
    seed                root of data order, initial weights, dropout, noise and augmentation
    learning_rate       peak rate
    slow_factor         factor on the rate of pretrained parts, and of parameters whose name begins with one of `slow`
    slow                name prefixes of parameters that learn at the slow rate
    schedule            shape of the rate after the warm-up
    warmup_steps        steps of linear rise from zero; None means a twentieth of the steps, at most 500
    final_factor        fraction of the peak rate that cosine and linear end at
    weight_decay        AdamW's decay, on matrices and kernels only: never on biases, norms, embeddings, single vectors
    betas               AdamW's memory of gradients and of their squares
    epsilon             AdamW's smallest denominator
    clip_norm           largest gradient norm; 0 does not clip
    ema_decay           decay of the averaged weights, which rise faster at the start; 0 keeps none
    precision           "auto" takes bf16 where the processor has it; weights and optimizer stay fp32
    compile             torch.compile each repeated block of the network: slower start, faster steps
    channels_last       convolution kernels in channels-last order
    device              "auto" takes an accelerator when there is one
    parallel            "auto" is DDP under torchrun and nothing otherwise; "fsdp" shards weights and optimizer
    augment             change training pictures at random
    augmentation        how far they may change
    validation_fraction share of the episodes held out, by a pure function of the seed; 0 holds out none
    validation_batches  batches in one validation
    validate_every      steps between validations; None means ten in the run
    save_every          steps between checkpoints; None means ten in the run
    keep_last           newest checkpoints kept beside the best
    keep_every          checkpoints at multiples of so many steps stay for good, to see what more training buys
    log_every           steps between lines of metrics.jsonl
    prefetch            batches prepared ahead of the step
    workers             threads that read and decode; 0 reads in the thread that prepares
    tensorboard         also write TensorBoard files, when it is installed
    resume              continue from the newest complete checkpoint of the folder, if there is one
    """

    steps: int | None = None
    samples: int | None = None
    max_seconds: float | None = None
    batch_size: int = 64
    accumulate: int = 1
    weights_from: str = ""
    fresh: tuple[str, ...] = ()
    eyes_from: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()
    lora: tuple[str, ...] = ()
    lora_rank: int = 16
    lora_alpha: float = 32.0
    seed: int = 0
    learning_rate: float = 3e-4
    slow_factor: float = 0.1
    slow: tuple[str, ...] = ()
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_steps: int | None = None
    final_factor: float = 0.0
    weight_decay: float = 1e-2
    betas: tuple[float, float] = (0.9, 0.95)
    epsilon: float = 1e-8
    clip_norm: float = 1.0
    ema_decay: float = 0.999
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    compile: bool = False
    channels_last: bool = False
    device: str = "auto"
    parallel: Literal["auto", "none", "ddp", "fsdp"] = "auto"
    augment: bool = True
    augmentation: AugmentConfig = field(default_factory=AugmentConfig)
    validation_fraction: float = 0.1
    validation_batches: int = 8
    validate_every: int | None = None
    save_every: int | None = None
    keep_last: int = 2
    keep_every: int | None = None
    log_every: int = 10
    prefetch: int = 2
    workers: int = 1
    tensorboard: bool = True
    resume: bool = True

    def __post_init__(self) -> None:
        if self.steps is None and self.samples is None and self.max_seconds is None:
            raise ConfigError("a run needs a budget", leaf="steps", cure="Set steps, samples or max_seconds.")
        for name in ("steps", "samples", "max_seconds", "batch_size", "accumulate", "learning_rate", "lora_rank"):
            _at_least(name, getattr(self, name), strict=True)
        for name in ("log_every", "keep_last", "keep_every", "validation_batches", "save_every", "validate_every"):
            _at_least(name, getattr(self, name), strict=True)
        for name in ("warmup_steps", "weight_decay", "clip_norm", "slow_factor", "prefetch", "workers"):
            _at_least(name, getattr(self, name), strict=False)
        for name in ("ema_decay", "validation_fraction"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 0 and below 1", leaf=name)
        if self.fresh and not self.weights_from:
            raise ConfigError("without weights_from everything is random", leaf="fresh")
        if self.batch_size % self.accumulate:
            raise ConfigError(f"batch_size {self.batch_size} is not a multiple of {self.accumulate}", leaf="accumulate")

    @property
    def step_limit(self) -> int | None:
        """Steps allowed by `steps` and `samples`, the smaller of the two; None when only the clock limits the run."""
        from_samples = None if self.samples is None else math.ceil(self.samples / self.batch_size)
        limits = [limit for limit in (self.steps, from_samples) if limit is not None]
        return min(limits, default=None)


def _at_least(name: str, value: float | None, *, strict: bool) -> None:
    if value is not None and (value < 0 or (strict and value == 0) or not math.isfinite(value)):
        raise ConfigError(f"{name} must be {'above' if strict else 'at least'} 0, got {value!r}", leaf=name)


def require_same_run(saved: TrainConfig, wanted: TrainConfig, *, file: str) -> None:
    """Raise `ConfigError` naming each field that would make a resumed run another run."""
    a, b = to_json(saved), to_json(wanted)
    found = [f"{key}: saved {a[key]!r}, asked {b[key]!r}" for key in a if key not in MAY_CHANGE and a[key] != b[key]]
    if found:
        raise ConfigError(
            "the run in this folder has another configuration: " + "; ".join(found),
            file=file,
            leaf=found[0].split(":")[0],
            cure="Use the same values, or another folder.",
        )


class Budget:
    """How much of the run is over, as a fraction of its steps, its seconds, or the larger of the two.

    `spent_s` are the seconds that earlier, interrupted parts of the run took.
    """

    def __init__(self, config: TrainConfig, clock: Clock, spent_s: float = 0.0) -> None:
        self.step_limit = config.step_limit
        self.max_seconds = config.max_seconds
        self._clock = clock
        self._origin_s = clock.now_s() - spent_s

    @property
    def seconds(self) -> float:
        """Seconds of training so far, over all parts of the run."""
        return self._clock.now_s() - self._origin_s

    def fraction(self, step: int) -> float:
        """Part of the run that is over before step `step`, 0 to 1."""
        parts = [0.0]
        if self.step_limit is not None:
            parts.append(step / self.step_limit)
        if self.max_seconds is not None:
            parts.append(self.seconds / self.max_seconds)
        return min(1.0, max(parts))

    def progress(self, step: int) -> tuple[int, int]:
        """(done, total) for a progress bar: in seconds where the clock limits the run, in steps otherwise."""
        if self.max_seconds is None:
            return step, self.step_limit or step
        total = math.ceil(self.max_seconds)
        return round(self.fraction(step) * total), total

    def left_s(self, step: int, since_step: int, since_s: float) -> float | None:
        """Estimated seconds to the end, from the pace since `since_step`; None before the first step."""
        clock_left = None if self.max_seconds is None else max(0.0, self.max_seconds - self.seconds)
        if self.step_limit is None or step <= since_step:
            return clock_left
        pace_s = (self.seconds - since_s) / (step - since_step)
        steps_left = (self.step_limit - step) * pace_s
        return steps_left if clock_left is None else min(steps_left, clock_left)

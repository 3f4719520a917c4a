"""The training loop: take a batch, take a step, now and then measure, report and save.

It takes factories, so that the same two pages train any policy on any source of batches. Nothing here knows how batches
are made, how many processes there are, or what a checkpoint holds. What to watch: a budget in steps repeats bit for bit
whatever kills it; a budget in seconds does not, because its schedule follows the clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from embodia.core.clock import Clock, SystemClock
from embodia.data.mixture import Mixture
from embodia.policies import PolicySpec
from embodia.training import parallel, schedule
from embodia.training.checkpoint import FOLDER_NAME, Store
from embodia.training.config import Budget, TrainConfig
from embodia.training.factories import Factories
from embodia.training.feed import Augment, Feed, to_torch
from embodia.training.heap import keep_heap
from embodia.training.meter import Meter
from embodia.training.metrics import Metrics, Progress, silent, time_left
from embodia.training.resume import resume
from embodia.training.sources import from_mixture
from embodia.training.state import Learner

_TENTHS = 10
_REPORT_S = 0.25


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a run ended; `best` is the checkpoint to use: of the smallest validation loss, or the newest without any."""

    steps: int
    samples: int
    seconds: float
    best: Path
    latest: Path
    best_loss: float | None


def train(
    config: TrainConfig,
    spec: PolicySpec,
    mixture: Mixture,
    out: Path,
    progress: Progress = silent,
    augment: Augment | None = None,
) -> Result:
    """Train the policy `spec` on `mixture` into the folder `out`; continue the run in `out` if there is one.

    Raises `ContractError` when policy and data disagree, and what `fit` raises.
    """
    return fit(config, from_mixture(config, spec, mixture, augment), out, progress)


def fit(
    config: TrainConfig, make: Factories, out: Path, progress: Progress = silent, clock: Clock | None = None
) -> Result:
    """Train until the budget is spent; continue the run in `out` if there is one.

    Raises `TrainingError` for a loss that is not finite, `StorageError` when the disk refuses (the checkpoints written
    before stay usable), `ConfigError` when `out` holds another run.
    """
    keep_heap()
    with parallel.start(config) as place:
        learner = Learner(config, make.policy, place)
        store = Store(out / FOLDER_NAME, keep_last=config.keep_last, keep_every=config.keep_every)
        resume(learner, store, make.card)
        run = _Run(learner, store, make, progress, clock or SystemClock())
        rates = schedule.from_config(config)
        try:
            while (over := run.fraction()) < 1.0:
                figures = learner.advance(run.feed, config.learning_rate * rates.factor(learner.step, over))
                run.after_step(figures)
            return run.end()
        finally:
            run.close()


class _Run:
    """What surrounds the steps: the budget, the figures, the validations, the checkpoints."""

    def __init__(self, learner: Learner, store: Store, make: Factories, progress: Progress, clock: Clock) -> None:
        config, place = learner.config, learner.parallel
        self.learner, self.store, self.make, self.progress, self.clock = learner, store, make, progress, clock
        self.config, self.place = config, place
        self.budget = Budget(config, clock, learner.seconds)
        self.origin = (learner.step, learner.seconds)
        self.meter = Meter(clock, config.batch_size, make.describe, lag=1 if place.device.type == "cuda" else 0)
        self.metrics = None
        if place.leads:
            self.metrics = Metrics(store.folder.parent, start_step=learner.step, tensorboard=config.tensorboard)
        self.tenth = int(_TENTHS * self.fraction())
        self.reported_s = clock.now_s()
        self.feed = self._open_feed()

    def fraction(self) -> float:
        """Part of the budget that is spent, the same on every rank."""
        over = self.budget.fraction(self.learner.step)
        return over if self.config.max_seconds is None else self.place.lead(over)

    def after_step(self, figures: Mapping[str, Tensor]) -> None:
        """Note the figures; report, validate and save where it is time."""
        step = self.learner.step
        self.meter.add(step - 1, figures)
        over = self.fraction()
        if step % self.config.log_every == 0:
            self._log()
        crossed, self.tenth = int(_TENTHS * over) > self.tenth, int(_TENTHS * over)
        better = self._due(self.config.validate_every, crossed) and self._validate()
        if over < 1.0 and (better or self._due(self.config.save_every, crossed)):
            self._save()
        self._tell()

    def end(self) -> Result:
        """Leave a checkpoint of the last step, validated, and say how it went."""
        learner = self.learner
        if self.store.latest_step() != learner.step:
            if learner.validation_loss is None:
                self._validate()
            self._save()
        latest = self.store.complete()[-1]
        return Result(
            steps=learner.step,
            samples=learner.step * self.config.batch_size,
            seconds=self.budget.seconds,
            best=self.store.best() or latest,
            latest=latest,
            best_loss=learner.best_loss,
        )

    def close(self) -> None:
        """Stop preparing batches and flush the figures."""
        self.feed.close()
        if self.metrics is not None:
            self.metrics.close()

    def _open_feed(self) -> Feed:
        config, place = self.config, self.place
        start = self.learner.step * config.accumulate
        return Feed(
            self.make.batches(start, place.rank, place.world_size),
            device=place.device,
            seed=config.seed,
            rank=place.rank,
            start=start,
            ahead=config.prefetch,
            augment=self.make.augment,
        )

    def _due(self, every: int | None, crossed: bool) -> bool:
        return crossed if every is None else self.learner.step % every == 0

    def _validate(self) -> bool:
        if self.make.validation is None:
            return False
        batches = self.make.validation(self.place.rank, self.place.world_size)
        loss = self.learner.validate(to_torch(batch, self.place.device) for batch in batches)
        self._write({"validation_loss": loss})
        return self.learner.note(loss)

    def _save(self) -> None:
        self.meter.settle()
        self.learner.seconds = self.budget.seconds
        tensors = self.learner.tensors()
        if self.place.leads:
            self.store.save(tensors=tensors, facts=self.learner.facts(), card=self.make.card)
        self.place.wait()

    def _log(self) -> None:
        figures = {name: self.place.mean(value) for name, value in self.meter.report().items()}
        figures["learning_rate"] = self.learner.optimizer.param_groups[-1]["lr"]
        figures["seconds"] = self.budget.seconds
        figures["waited_s"] = self.feed.waited_s
        self._write(figures)

    def _write(self, figures: Mapping[str, float]) -> None:
        if self.metrics is not None:
            self.metrics.add(self.learner.step, figures)

    def _tell(self) -> None:
        now_s = self.clock.now_s()
        if not self.place.leads or (
            now_s - self.reported_s < _REPORT_S and self.budget.fraction(self.learner.step) < 1
        ):
            return
        self.reported_s = now_s
        step, (origin, origin_s) = self.learner.step, self.origin
        pace = (step - origin) * self.config.batch_size / max(self.budget.seconds - origin_s, 1e-9)
        left = time_left(self.budget.left_s(step, origin, origin_s))
        done, total = self.budget.progress(step)
        self.progress(f"loss {self.meter.last:.4g}, {pace:.0f} samples/s, {left} left", done, total)

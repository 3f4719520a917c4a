"""What changes while training: the policy's weights, the optimizer, the averages, the step.

`Learner.advance` is one optimizer step. Its random numbers come from generators of (seed, batch index, rank), set anew
for every batch, so the state of a run is its tensors and one number: the step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from embodia.core.errors import CheckpointError
from embodia.core.seeds import derive_seed
from embodia.core.types import Batch
from embodia.training import optim, precision
from embodia.training.config import TrainConfig
from embodia.training.ema import Ema
from embodia.training.parallel import Parallel, repeated_blocks

Tensors = dict[str, dict[str, Tensor]]
"""Name of a file -> name of a tensor -> tensor."""


class Objective(nn.Module):
    """The number to be minimised, a policy's weighted loss terms, as one module that can be made parallel."""

    def __init__(self, policy: nn.Module) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, batch: Batch, rng: torch.Generator) -> dict[str, Tensor]:
        """Means over the batch: "loss" to be minimised, and every term as "loss/<name>", unweighted and detached."""
        total, terms = self.policy.loss(batch, rng)  # type: ignore[operator]
        return {"loss": total, **{f"loss/{name}": term for name, term in terms.items()}}


class Learner:
    """A policy in training. `step` counts finished steps, `seconds` the time of earlier parts of the run.

    `validation_loss` is of this very step, or None; `best_loss` is the smallest one seen so far.
    """

    def __init__(self, config: TrainConfig, make_policy: Callable[[], nn.Module], parallel: Parallel) -> None:
        self.config, self.parallel = config, parallel
        self.step, self.seconds = 0, 0.0
        self.validation_loss: float | None = None
        self.best_loss: float | None = None
        self.policy = _build(config, make_policy, parallel.device)
        self.network = parallel.wrap(Objective(self.policy))
        self.optimizer = optim.build(self.policy, config)
        self._parameters = list(optim.trainable(self.policy).values())
        self._draws = torch.Generator(parallel.device)
        self.ema = Ema(self.policy, config.ema_decay)
        self.dtype = precision.choose(config, parallel.device)

    def advance(self, batches: Iterator[Batch], rate: float) -> dict[str, Tensor]:
        """One optimizer step at learning rate `rate`; the means of its losses and the gradient norm, on the device."""
        self.network.train()
        parts = [self._part(next(batches), part) for part in range(self.config.accumulate)]
        norm = optim.clip(self._parameters, self.config.clip_norm or float("inf"))
        optim.set_rate(self.optimizer, rate)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.ema.update(self.step)
        self.step, self.validation_loss = self.step + 1, None
        means = {name: torch.stack([part[name] for part in parts]).mean() for name in parts[0]}
        return {**means, "gradient_norm": self.parallel.gather(norm)}

    @torch.no_grad()
    def validate(self, batches: Iterator[Batch]) -> float:
        """Mean loss over `batches` of the averaged weights (of the weights, without averages), with fixed noise."""
        self.network.eval()
        losses = []
        with self.ema.applied():
            for index, batch in enumerate(batches):
                rng = self._reseed("validation", index)
                with precision.autocast(self.parallel.device, self.dtype):
                    losses.append(float(self.network(batch, rng)["loss"]))
        return self.parallel.mean(sum(losses) / len(losses))

    def note(self, loss: float) -> bool:
        """Remember the validation loss of this step; True if it is the smallest so far."""
        better = self.best_loss is None or loss < self.best_loss
        self.validation_loss, self.best_loss = loss, loss if better else self.best_loss
        return better

    def tensors(self) -> Tensors:
        """Everything to be kept, whole and on the CPU; every rank must call."""
        gather = self.parallel.gather
        model = {name: gather(item) for name, item in self.policy.state_dict().items()}
        optimizer = {name: gather(item) for name, item in optim.state_tensors(self.policy, self.optimizer)}
        averages = {name: gather(item) for name, item in self.ema.shadows.items()}
        optimizer["rng/torch"] = torch.get_rng_state()
        found: Tensors = {"model": model, "optimizer": optimizer}
        return {**found, "ema": averages} if averages else found

    def facts(self) -> dict[str, Any]:
        """The numbers to be kept beside the tensors."""
        return {
            "step": self.step,
            "samples": self.step * self.config.batch_size,
            "next_batch": self.step * self.config.accumulate,
            "seconds": self.seconds,
            "seed": self.config.seed,
            "validation_loss": self.validation_loss,
            "best_loss": self.best_loss,
        }

    def load(self, tensors: Tensors, facts: Mapping[str, Any], *, file: str) -> None:
        """Become what was saved. Raises `CheckpointError` naming the first tensor that does not fit."""
        scatter = self.parallel.scatter
        put(self.policy.state_dict(), tensors["model"], scatter=scatter, file=f"{file}/model.safetensors")
        if self.ema.shadows:
            put(self.ema.shadows, tensors.get("ema", {}), scatter=scatter, file=f"{file}/ema.safetensors")
        moments = dict(tensors["optimizer"])
        torch.set_rng_state(moments.pop("rng/torch"))
        likes = optim.trainable(self.policy)
        placed = {name: scatter(item, likes.get(name.partition("/")[2], item)) for name, item in moments.items()}
        optim.load_state(self.policy, self.optimizer, placed, file=f"{file}/optimizer.safetensors")
        self.step, self.seconds = int(facts["step"]), float(facts["seconds"])
        self.validation_loss, self.best_loss = facts["validation_loss"], facts["best_loss"]

    def _part(self, batch: Batch, part: int) -> dict[str, Tensor]:
        rng = self._reseed("step", self.step * self.config.accumulate + part)
        last = part == self.config.accumulate - 1
        with self.parallel.quiet(self.network, last=last):
            with precision.autocast(self.parallel.device, self.dtype):
                losses = self.network(batch, rng)
            (losses["loss"] / self.config.accumulate).backward()
        return {name: loss.detach() for name, loss in losses.items()}

    def _reseed(self, purpose: str, index: int) -> torch.Generator:
        seed = derive_seed(self.config.seed, purpose, index, self.parallel.rank)
        torch.manual_seed(seed)
        return self._draws.manual_seed(seed)


def put(
    targets: Mapping[str, Tensor],
    sources: Mapping[str, Tensor],
    *,
    file: str,
    scatter: Callable[[Tensor, Tensor], Tensor] = lambda whole, like: whole,
) -> None:
    """Copy `sources` into `targets` in place.

    Raises `CheckpointError` naming a tensor that is missing, left over, or of another shape (both shapes are named).
    """
    for name in sorted(targets.keys() ^ sources.keys()):
        side = "missing in the file" if name in targets else "unknown to this policy"
        raise CheckpointError(f"tensor is {side}", file=file, leaf=name)
    for name, target in targets.items():
        if sources[name].shape != target.shape:
            raise CheckpointError(
                f"the file has shape {tuple(sources[name].shape)}, this policy {tuple(target.shape)}",
                file=file,
                leaf=name,
            )
    with torch.no_grad():
        for name, target in targets.items():
            target.copy_(scatter(sources[name], target))


def _build(config: TrainConfig, make_policy: Callable[[], nn.Module], device: torch.device) -> nn.Module:
    torch.manual_seed(derive_seed(config.seed, "weights"))
    policy = make_policy().to(device)
    if config.channels_last:
        policy = policy.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if config.compile:
        for block in repeated_blocks(policy):
            block.compile()
    return policy

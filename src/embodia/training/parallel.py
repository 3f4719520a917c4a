"""One process or many: DDP until the weights no longer fit, then FSDP2, both started by `torchrun`.

The rest of the package sees five verbs: wrap, gather, scatter, mean, agree. Every rank computes its own share of each
batch from the same pure order, gradients are averaged over ranks, so W ranks take the step that one process with the
whole batch would take. Weights enter and leave the disk whole, so a checkpoint does not remember how many ranks wrote
it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from embodia.core.errors import ConfigError, TrainingError
from embodia.training.config import TrainConfig

Mode = Literal["none", "ddp", "fsdp"]


class Parallel:
    """This process's place among all processes of the run: `rank`, `world_size`, `device`, `mode`."""

    def __init__(self, *, rank: int, world_size: int, device: torch.device, mode: Mode) -> None:
        self.rank, self.world_size, self.device, self.mode = rank, world_size, device, mode

    @property
    def leads(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def wrap(self, module: nn.Module) -> nn.Module:
        """`module` made parallel; under FSDP2 its parameters become shards in place, in plain memory order."""
        if self.mode == "ddp":
            ids = [self.device.index] if self.device.type == "cuda" else None
            return DistributedDataParallel(module, device_ids=ids, gradient_as_bucket_view=True)
        if self.mode == "fsdp":
            for parameter in module.parameters():
                parameter.data = parameter.data.contiguous()
            mesh = init_device_mesh(self.device.type, (self.world_size,))
            for block in repeated_blocks(module):
                fully_shard(block, mesh=mesh)
            fully_shard(module, mesh=mesh)
        return module

    def quiet(self, network: nn.Module, *, last: bool) -> AbstractContextManager[None]:
        """Context of one accumulated part: gradients are exchanged only in the last one."""
        if isinstance(network, FSDPModule):
            network.set_requires_gradient_sync(last)
        if isinstance(network, DistributedDataParallel) and not last:
            return network.no_sync()
        return nullcontext()

    def gather(self, tensor: Tensor) -> Tensor:
        """The whole tensor on the CPU; every rank must call, in the same order."""
        whole = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        return whole.detach().cpu()

    def scatter(self, whole: Tensor, like: Tensor) -> Tensor:
        """`whole` on this rank's device, sharded like `like`."""
        if isinstance(like, DTensor) and whole.shape == like.shape:
            return distribute_tensor(whole.to(self.device), like.device_mesh, like.placements)
        return whole.to(like.device)

    def mean(self, value: float) -> float:
        """The mean of a number over all ranks."""
        if self.world_size == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return float(total) / self.world_size

    def lead(self, value: float) -> float:
        """Rank 0's number, for decisions that follow the clock."""
        if self.world_size == 1:
            return value
        number = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.broadcast(number, src=0)
        return float(number)

    def agree(self, text: str, what: str) -> None:
        """Raise `TrainingError` unless all ranks hold the same `text`."""
        if self.world_size == 1:
            return
        number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "little")
        found = torch.tensor([number, -number], dtype=torch.int64, device=self.device)
        dist.all_reduce(found, op=dist.ReduceOp.MAX)
        if int(found[0]) != -int(found[1]):
            raise TrainingError(f"the ranks disagree about {what}", leaf=what)

    def wait(self) -> None:
        """Wait until every rank is here."""
        if self.world_size > 1:
            dist.barrier()


@contextmanager
def start(config: TrainConfig) -> Iterator[Parallel]:
    """Join the processes that `torchrun` started, or stand alone; a process group that exists already is used and left.

    Raises `ConfigError` where the configuration and the number of processes do not fit.
    """
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    device = choose_device(config.device)
    if world_size == 1:
        if config.parallel in ("ddp", "fsdp"):
            raise ConfigError(
                f"{config.parallel} needs several processes",
                leaf="parallel",
                cure="Start with torchrun --nproc-per-node N.",
            )
        yield Parallel(rank=0, world_size=1, device=device, mode="none")
        return
    mode: Mode = "ddp" if config.parallel == "auto" else config.parallel
    if mode == "none":
        raise ConfigError(f"torchrun started {world_size} processes, but parallel is 'none'", leaf="parallel")
    if config.batch_size % (world_size * config.accumulate):
        raise ConfigError(
            f"batch_size {config.batch_size} does not divide over {world_size} processes x {config.accumulate} parts",
            leaf="batch_size",
        )
    joined = dist.is_initialized()
    if not joined:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Parallel(rank=dist.get_rank(), world_size=world_size, device=device, mode=mode)
    finally:
        if not joined:
            dist.destroy_process_group()


def choose_device(name: str) -> torch.device:
    """The device of a name; "auto" is this process's GPU, or the CPU."""
    if name != "auto":
        try:
            return torch.device(name)
        except RuntimeError as error:
            raise ConfigError(f"unknown device {name!r}", leaf="device", cure="Use auto, cpu or cuda.") from error
    if not torch.cuda.is_available():
        return torch.device("cpu")
    index = int(os.environ.get("LOCAL_RANK", "0"))
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def repeated_blocks(module: nn.Module) -> list[nn.Module]:
    """The outermost members of module lists that hold weights: the blocks that are sharded and compiled one by one."""
    lists = [part for part in module.modules() if isinstance(part, nn.ModuleList)]
    members = [block for part in lists for block in part if any(True for _ in block.parameters())]
    inside = {id(inner) for block in members for inner in block.modules() if inner is not block}
    return [block for block in members if id(block) not in inside]

"""Two gloo processes against one: the same losses and moments; whole checkpoints; exact resumes; refusals."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from training_world import LOW_RANK, config, factories, parallel_config, parallel_factories

from embodia.core.errors import ConfigError
from embodia.io.tensors import load_tensors
from embodia.training import metrics, parallel
from embodia.training.checkpoint import Store, load_policy
from embodia.training.loop import fit

pytestmark = pytest.mark.xdist_group("torchrun")
HERE = Path(__file__).parent
SOURCE = HERE.parents[2] / "src"


def torchrun(out, *jobs):
    """Run `parallel_child.py` in two processes on a free port."""
    environment = {**os.environ, "PYTHONPATH": f"{SOURCE}{os.pathsep}{HERE}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += [
        "--rdzv-backend",
        "c10d",
        "--rdzv-endpoint",
        "localhost:0",
        str(HERE / "parallel_child.py"),
        str(out),
        *jobs,
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One process, DDP and FSDP2 over the same steps, FSDP2 once more in two parts."""
    out = tmp_path_factory.mktemp("parallel")
    for steps, folder in ((4, "none"), (1, "none_one")):
        chosen = parallel_config(steps=steps)
        fit(chosen, parallel_factories(chosen), out / folder)
    chosen = parallel_config(steps=4, **LOW_RANK)
    fit(chosen, parallel_factories(chosen), out / "low")
    jobs = ["ddp:low_ddp:4:lora", "fsdp:low_fsdp:4:lora"]
    jobs += ["ddp:ddp:4", "ddp:ddp_one:1", "fsdp:fsdp:4", "fsdp:fsdp_one:1", "fsdp:parts:2", "fsdp:parts:4"]
    torchrun(out, *jobs)
    return out


def newest(folder):
    return Store(folder / "checkpoints").latest()


@pytest.mark.parametrize("mode", ["ddp", "fsdp"])
def test_two_processes_take_the_step_of_one(runs, mode):
    alone = load_tensors(newest(runs / "none_one") / "optimizer.safetensors")
    shared = load_tensors(newest(runs / f"{mode}_one") / "optimizer.safetensors")
    assert alone.keys() == shared.keys()
    for name in (name for name in alone if name.startswith("exp_avg")):
        np.testing.assert_allclose(shared[name], alone[name], rtol=2e-3, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("mode", ["ddp", "fsdp"])
def test_losses_agree_over_steps_and_only_one_rank_writes(runs, mode):
    alone, shared = (metrics.read(runs / name) for name in ("none", mode))
    assert [line["step"] for line in alone] == [line["step"] for line in shared]
    for key in ("loss", "gradient_norm", "validation_loss"):
        left, right = ([line[key] for line in lines if key in line] for lines in (alone, shared))
        assert left == pytest.approx(right, rel=2e-3)


@pytest.mark.parametrize("mode", ["ddp", "fsdp"])
def test_low_rank_updates_learn_the_same_in_two_processes(runs, mode):
    alone, shared = (load_policy(runs / name)[0].state_dict() for name in ("low", f"low_{mode}"))
    begun = parallel_factories(parallel_config(steps=4)).policy().state_dict()
    assert alone.keys() == shared.keys() == begun.keys()
    for name, tensor in alone.items():
        torch.testing.assert_close(shared[name], tensor, rtol=2e-3, atol=1e-6)


def test_sharded_weights_are_one_whole_file_that_one_process_loads(runs):
    policy, _, _ = load_policy(runs / "fsdp")
    alone, _, _ = load_policy(runs / "none")
    shapes = {name: value.shape for name, value in alone.state_dict().items()}
    assert {name: value.shape for name, value in policy.state_dict().items()} == shapes
    names = {path.name for path in newest(runs / "fsdp").iterdir()}
    files = {"model.safetensors", "ema.safetensors", "optimizer.safetensors"}
    assert names == files | {"state.json", "spec.json", "manifest.json"}


def test_a_sharded_run_resumes_to_the_same_bits(runs):
    for name in ("model", "ema", "optimizer"):
        whole, parts = (load_tensors(newest(runs / run) / f"{name}.safetensors") for run in ("fsdp", "parts"))
        assert whole.keys() == parts.keys()
        assert all(whole[key].tobytes() == parts[key].tobytes() for key in whole if key != "rng/torch")


def test_a_sharded_checkpoint_goes_on_in_one_process(runs):
    chosen = parallel_config(steps=5, parallel="fsdp")
    store = Store(runs / "fsdp" / "checkpoints")
    card = parallel_factories(chosen).card
    place = parallel.Parallel(rank=0, world_size=1, device=torch.device("cpu"), mode="none")
    from embodia.training.resume import resume
    from embodia.training.state import Learner

    learner = Learner(chosen, parallel_factories(chosen).policy, place)
    resume(learner, store, card)
    assert learner.step == 4
    learner.advance(iter_batches(chosen, 8), 1e-3)


def iter_batches(chosen, start):
    from embodia.training.feed import to_torch

    return (to_torch(batch, torch.device("cpu")) for batch in parallel_factories(chosen).batches(start, 0, 1))


def test_a_mode_that_needs_torchrun_says_so(tmp_path):
    with pytest.raises(ConfigError, match="torchrun"):
        fit(config(parallel="ddp"), factories(config(parallel="ddp")), tmp_path)


def test_a_batch_that_does_not_divide_is_refused_before_anything_starts(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ConfigError) as caught, parallel.start(config(batch_size=8, accumulate=2)):
        pass
    assert caught.value.leaf == "batch_size"
    with pytest.raises(ConfigError) as caught, parallel.start(config(parallel="none")):
        pass
    assert caught.value.leaf == "parallel"


def test_an_unknown_device_is_refused():
    with pytest.raises(ConfigError, match="tpuu"):
        parallel.choose_device("tpuu")
    assert parallel.choose_device("cpu") == torch.device("cpu")


def test_blocks_are_the_outermost_members_of_lists():
    inner = nn.ModuleList([nn.Linear(2, 2)])
    block = nn.ModuleDict({"inner": inner})
    model = nn.ModuleDict({"layers": nn.ModuleList([block, nn.ReLU()]), "head": nn.Linear(2, 2)})
    assert parallel.repeated_blocks(model) == [block]

"""A process that imports once and then forks one training run per line of input, so that many can be killed quickly.

Argument 1 is the data set. A line is "<folder> <sync> <mode>": train in `folder`; at the `sync`-th durable write kill
yourself (-1: never); mode "forgetful" loses the optimizer's moments on resume, to show that the comparison can fail.
Answers are "pid <n>", "began", "saved <step>" after each acknowledged checkpoint, and "ended <wait status>".
"""

import os
import signal
import sys
import traceback
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit" / "training"))

from training_world import config, noise, record, spec

from embodia.data.dataset import Dataset
from embodia.data.mixture import Mixture
from embodia.io import atomic
from embodia.training.checkpoint import Store
from embodia.training.loop import train
from embodia.training.state import Learner

__all__ = ["chosen", "record", "spec"]
STEPS, SAVE_EVERY = 16, 2
torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)


def say(text):
    os.write(1, f"{text}\n".encode())


def chosen():
    return config(steps=STEPS, save_every=SAVE_EVERY, validate_every=6, accumulate=2, prefetch=2)


def arm(kth):
    """Die inside the `kth` durable write."""
    real, count = atomic._sync, iter(range(10**9))

    def sync(descriptor):
        if next(count) == kth:
            os.kill(os.getpid(), signal.SIGKILL)
        real(descriptor)

    atomic._sync = sync


def acknowledge():
    real = Store.save

    def save(self, **what):
        folder = real(self, **what)
        say(f"saved {what['facts']['step']}")
        return folder

    Store.save = save


def forget():
    real = Learner.load

    def load(self, tensors, facts, *, file):
        kept = {"rng/torch": tensors["optimizer"]["rng/torch"]}
        real(self, {**tensors, "optimizer": kept}, facts, file=file)

    Learner.load = load


def work(data, folder, kth, mode):
    if kth >= 0:
        arm(kth)
    if mode == "forgetful":
        forget()
    acknowledge()
    say("began")
    train(chosen(), spec(), Mixture([(Dataset.open(data), 1.0)]), Path(folder), augment=noise)


def main(data):
    say("ready")
    for line in sys.stdin:
        folder, kth, mode = line.split()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                work(data, folder, int(kth), mode)
                status = 0
            except Exception:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        say(f"pid {pid}")
        say(f"ended {os.waitpid(pid, 0)[1]}")


if __name__ == "__main__":
    main(sys.argv[1])

"""Training under kill -9: whatever instant it dies at, the resumed run ends in the bits of the undisturbed one.

A third of the kills are placed inside the writing of a checkpoint, the rest at random instants of the run. After every
kill the newest complete checkpoint must load and be at least as new as the last one that was acknowledged.
"""

import hashlib
import json
import os
import platform
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import training_zygote as zygote

from embodia.data.dataset import Dataset
from embodia.data.loader import Loader
from embodia.data.mixture import Mixture
from embodia.evaluation.statistics import wilson
from embodia.io import atomic
from embodia.io.tensors import load_tensors
from embodia.training.checkpoint import Store, load_policy, read, versions

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
pytestmark = pytest.mark.xdist_group("chaos_training")
NEXT_IDS = 100


class Zygote:
    """The parent's end of `training_zygote.py`."""

    def __init__(self, data):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")}
        command = [sys.executable, str(HERE / "training_zygote.py"), str(data)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def run(self, folder, *, sync=-1, delay_s=None, mode="exact"):
        """One run; (died by SIGKILL, last acknowledged step, seconds). Killed `delay_s` after it began, if given."""
        self.process.stdin.write(f"{folder} {sync} {mode}\n")
        self.process.stdin.flush()
        pid, began_s, acknowledged = None, None, 0
        while True:
            word, _, rest = self.process.stdout.readline().rstrip("\n").partition(" ")
            assert word, "the zygote died"
            if word == "saved":
                acknowledged = int(rest)
            elif word == "pid":
                pid = int(rest)
            elif word == "began":
                began_s = time.perf_counter()
            elif word == "ended":
                status = int(rest)
                assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the run failed by itself"
                return os.WIFSIGNALED(status), acknowledged, time.perf_counter() - (began_s or 0.0)
            if delay_s is not None and pid is not None and began_s is not None:
                time.sleep(delay_s)
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                delay_s = None

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(timeout=60)


def fingerprint(folder, data):
    """SHA-256 over weights, optimizer, averages, random state, and the ids of the next hundred samples."""
    newest = Store(folder / "checkpoints").latest()
    digest = hashlib.sha256()
    for path in sorted(newest.glob("*.safetensors")):
        for name, value in sorted(load_tensors(path).items()):
            digest.update(f"{path.name}/{name}/{value.dtype}/{value.shape}".encode() + value.tobytes())
    state = json.loads((newest / "state.json").read_text())
    chosen = zygote.chosen()
    training, _ = Mixture([(Dataset.open(data), 1.0)]).split(chosen.seed, chosen.validation_fraction)
    part = chosen.batch_size // chosen.accumulate
    loader = Loader(training, batch_size=part, chunk=zygote.spec().config.chunk, seed=chosen.seed, workers=0)
    steps = range(state["next_batch"], state["next_batch"] + -(-NEXT_IDS // part))
    digest.update(np.concatenate([loader.samples(step).frame for step in steps])[:NEXT_IDS].tobytes())
    return digest.hexdigest()


@dataclass
class World:
    """The data set, the undisturbed run's fingerprint, and how long it took."""

    zygote: Zygote
    root: Path
    data: Path
    reference: str = ""
    seconds: float = 0.0
    syncs: int = 0
    equal: int = 0
    trials: int = 0
    began_s: float = field(default_factory=time.perf_counter)
    kills: list = field(default_factory=list)

    def check_survivor(self, folder, acknowledged):
        store = Store(folder / "checkpoints")
        step = store.latest_step() or 0
        assert step >= acknowledged, f"acknowledged {acknowledged}, found {step}"
        if step:
            read(store.latest())
            load_policy(store.latest())

    def trial(self, name, rng, kills, mode="exact"):
        """A run killed `kills` times (fewer if it ends before), then finished; its fingerprint."""
        folder, newest = self.root / name, 0
        for _ in range(kills):
            inside = rng.randrange(3) == 0
            how = {"sync": rng.randrange(self.syncs)} if inside else {"delay_s": rng.uniform(0, self.seconds)}
            died, acknowledged, _ = self.zygote.run(folder, mode=mode, **how)
            newest = max(newest, acknowledged)
            self.check_survivor(folder, newest)
            if not died:
                break
            self.kills.append("write" if inside else "instant")
        self.zygote.run(folder, mode=mode)
        return fingerprint(folder, self.data)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("chaos")
    zygote.record(root / "toy", episodes=8)
    one = World(zygote=Zygote(root / "toy"), root=root, data=root / "toy")
    died, acknowledged, _ = one.zygote.run(root / "undisturbed")
    assert not died and acknowledged == zygote.STEPS
    one.reference = fingerprint(root / "undisturbed", one.data)
    _, _, one.seconds = one.zygote.run(root / "timed")
    one.syncs = 12 * zygote.STEPS // zygote.SAVE_EVERY
    yield one
    one.zygote.close()


def test_the_undisturbed_run_repeats(world):
    assert fingerprint(world.root / "timed", world.data) == world.reference


def test_ten_kills_end_in_the_same_bits(world):
    rng = random.Random(20261121)
    while len(world.kills) < 10:
        world.equal += world.trial(f"trial{world.trials}", rng, kills=4) == world.reference
        world.trials += 1
        assert world.equal == world.trials
        assert world.trials < 20, "the kills never hit"
    assert set(world.kills) == {"write", "instant"}


def test_a_resume_that_forgets_the_optimizer_is_noticed(world):
    """The comparison can fail: a kill with a planted defect ends in other bits."""
    folder = world.root / "forgetful"
    died, acknowledged, _ = world.zygote.run(folder, sync=50)
    assert died and acknowledged
    world.zygote.run(folder, mode="forgetful")
    same = fingerprint(folder, world.data) == world.reference
    if os.environ.get("EMBODIA_STORE_RESULTS"):
        command = "EMBODIA_STORE_RESULTS=1 python -m pytest tests/chaos/test_chaos_training.py"
        store(world, summary(int(same), 1), 20261121, command)
    assert not same


@pytest.mark.long
def test_two_hundred_kills_and_the_result_file(world):
    rng = random.Random(1)
    world.kills.clear()
    world.equal = world.trials = 0
    while len(world.kills) < 200:
        world.equal += world.trial(f"long{world.trials}", rng, kills=5) == world.reference
        world.trials += 1
    kept = list(world.kills)
    forgotten = [world.trial(f"planted{number}", rng, kills=3, mode="forgetful") for number in range(10)]
    world.kills = kept
    same = sum(found == world.reference for found in forgotten)
    store(world, summary(same, 10), 1, "python -m pytest -m long tests/chaos/test_chaos_training.py")
    assert world.equal == world.trials
    assert same < 10


def summary(equal, trials):
    bounds = wilson(equal, trials)
    return {"success_rate": equal / trials, "n": trials, "interval": [float(bounds[0]), float(bounds[1])]}


def store(world, planted, seed, command):
    """Keep what was measured; a run counts as success when it ended in the bits of the undisturbed one."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    kills = world.kills
    found = {
        **summary(world.equal, world.trials),
        "controls": {"resume without the optimizer's moments": planted},
        "per_task": {kind: {"kills": kills.count(kind), "lost_checkpoints": 0} for kind in ("instant", "write")},
        "seconds": round(time.perf_counter() - world.began_s, 1),
        "versions": versions(),
        "command": command,
        "commit": commit.stdout.strip(),
        "seed": seed,
        "hardware": f"{platform.machine()}, {os.cpu_count()} cores, no accelerator",
        "notes": f"{len(kills)} kills (SIGKILL) in {world.trials} runs, each finished and compared with the "
        "undisturbed run: SHA-256 over weights, optimizer, averages, random state and the next "
        f"{NEXT_IDS} sample ids. After every kill the newest complete checkpoint loaded and was no older than the "
        "last acknowledged one.",
    }
    atomic.write_json(ROOT / "results" / "chaos_training.json", found)

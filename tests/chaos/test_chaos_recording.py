"""kill -9 while recording: what was acknowledged is there, whole, and recording goes on."""

import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from embodia.core.errors import MissingFileError
from embodia.data.dataset import Dataset
from embodia.data.validate import validate
from embodia.io.atomic import write_json

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from recording_child import episode, open_recorder  # noqa: E402

KILLS_A_SET = 10
EPISODES_A_TRIAL = 6


@pytest.fixture
def folder(tmp_path):
    """A folder in memory where there is one: a kill does not tell it from a disk, and syncing costs nothing."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as name:
        yield Path(name)


class Nursery:
    """Starts recorders and kills them."""

    def __init__(self) -> None:
        source = str(HERE.parent.parent / "src")
        settings = {**os.environ, "PYTHONPATH": source}
        command = [sys.executable, str(HERE / "recording_child.py")]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=settings
        )

    def pace_s(self, root: Path) -> float:
        """Seconds that a recorder takes here from its start to the last of `EPISODES_A_TRIAL` acknowledgements."""
        began_s = time.monotonic()
        self._process.stdin.write(f"{root}\n")
        seen, victim = 0, 0
        while seen < EPISODES_A_TRIAL:
            words = self._process.stdout.readline().split()
            seen += words[0] == "ack"
            victim = int(words[1]) if words[0] == "pid" else victim
        took_s = time.monotonic() - began_s
        os.kill(victim, signal.SIGKILL)
        while self._process.stdout.readline().split() != ["dead"]:
            pass
        return took_s

    def trial(self, root: Path, delay_s: float) -> list[int]:
        """Record into `root`, kill after `delay_s`, return the acknowledged episode numbers."""
        self._process.stdin.write(f"{root}\n")
        seen = [self._process.stdout.readline().split() for _ in range(2)]
        victim = next(int(words[1]) for words in seen if words[0] == "pid")
        time.sleep(delay_s)
        os.kill(victim, signal.SIGKILL)
        acknowledged = [int(words[1]) for words in seen if words[0] == "ack"]
        while (words := self._process.stdout.readline().split()) != ["dead"]:
            assert words, "the recorder ended by itself"
            if words[0] == "ack":
                acknowledged.append(int(words[1]))
        return acknowledged

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=10)


def opened(root: Path) -> int:
    """Episodes of the set as it lies there, each compared with what was given to the recorder."""
    try:
        data = Dataset.open(root, cache_bytes=0)
    except MissingFileError:
        return 0
    for number in range(len(data.episodes)):
        given = episode(number)
        np.testing.assert_array_equal(data.actions(number), given.actions)
        np.testing.assert_array_equal(data.states(number), given.state)
        assert data.episodes[number].instruction == given.instruction
    data.batch(np.arange(data.frames), 4)
    return len(data.episodes)


def run(folder: Path, kills: int, seed: int) -> dict:
    """Kill `kills` recorders; the facts of the run."""
    rng = np.random.default_rng(seed)
    nursery, facts = Nursery(), {"kills": kills, "acknowledged": 0, "lost": 0, "unacknowledged": 0, "findings": 0}
    expected = 0
    try:
        longest_s = nursery.pace_s(folder / "pace")
        for kill in range(kills):
            root = folder / f"set-{kill // KILLS_A_SET}"
            expected = 0 if kill % KILLS_A_SET == 0 else expected
            acknowledged = nursery.trial(root, float(rng.uniform(0, longest_s)))
            assert acknowledged == list(range(expected, expected + len(acknowledged)))
            found = opened(root)
            facts["acknowledged"] += len(acknowledged)
            facts["lost"] += max(0, expected + len(acknowledged) - found)
            facts["unacknowledged"] += max(0, found - expected - len(acknowledged))
            expected = found
            open_recorder(str(root)).close()
            assert not list(root.rglob("*.tmp"))
            if found:
                facts["findings"] += len(validate(root, decode=True))
                assert opened(root) == found
    finally:
        nursery.close()
    return facts


def test_nothing_acknowledged_is_lost(folder):
    facts = run(folder, kills=50, seed=0)
    assert facts["lost"] == 0 and facts["findings"] == 0
    # one episode may be committed and not yet acknowledged when the kill comes, never more
    assert facts["unacknowledged"] <= facts["kills"]
    assert facts["acknowledged"] > 50
    if os.environ.get("EMBODIA_STORE_RESULTS"):
        keep(facts)


@pytest.mark.long
def test_nothing_acknowledged_is_lost_in_many_kills(folder):
    facts = run(folder, kills=1000, seed=1)
    assert facts["lost"] == 0 and facts["findings"] == 0
    if os.environ.get("EMBODIA_STORE_RESULTS"):
        keep(facts)


def keep(facts: dict) -> None:
    """Store the run; zero in n kills bounds the chance of a loss by 3 / n (95 %)."""
    write_json(HERE.parent.parent / "results" / "chaos_recording.json", {
        **facts,
        "n": facts["kills"],
        "chance_of_loss_below": 3 / facts["kills"],
        "command": "EMBODIA_STORE_RESULTS=1 python -m pytest tests/chaos/test_chaos_recording.py",
        "hardware": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {"python": platform.python_version()},
        "seed": 0 if facts["kills"] == 50 else 1,
        "notes": "kill -9 at a uniformly random instant of recovery or recording; every acknowledged episode is then "
        "read back and compared, and the set validated with every frame decoded",
    })  # fmt: skip

"""Freed memory stays with the process: a second block of the same size costs no new pages."""

import ctypes
import subprocess
import sys

import pytest

from embodia.training import heap

SCRIPT = """
import ctypes, resource
from embodia.training.heap import keep_heap
kept = {call}
library, faults = ctypes.CDLL(None), []
library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
library.free.argtypes = [ctypes.c_void_p]
for _ in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = library.malloc(64_000_000)
    ctypes.memset(block, 1, 64_000_000)
    library.free(block)
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(int(kept), faults[-1])
"""
GNU = sys.platform.startswith("linux") and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")


def measured(call):
    done = subprocess.run([sys.executable, "-c", SCRIPT.format(call=call)], capture_output=True, text=True, check=True)
    kept, faults = done.stdout.split()
    return bool(int(kept)), int(faults)


@pytest.mark.skipif(not GNU, reason="needs the GNU C library")
def test_blocks_are_used_again():
    assert measured("keep_heap()") == (True, pytest.approx(0, abs=50))
    assert measured("False")[1] > 1000


def test_elsewhere_it_does_nothing(monkeypatch):
    monkeypatch.setattr(heap.sys, "platform", "darwin")
    assert not heap.keep_heap()

"""What made a result: versions, commit, machine.

Equal on the same machine and checkout, so reports stay byte-identical."""

from __future__ import annotations

import os
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("embodia", "torch", "numpy", "transformers", "diffusers", "av", "mujoco", "metaworld", "gymnasium", "scipy")


def run_facts(command: str) -> dict[str, Any]:
    """The keys `versions`, `command`, `commit` and `hardware` of every result; `command` as a reader would type it."""
    return {"versions": versions(), "command": command, "commit": commit(), "hardware": hardware()}


def versions() -> dict[str, str]:
    """Installed versions of the packages that shape a result; those not installed are left out."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """The checkout's commit, marked when tracked files differ from it; "unknown" outside a checkout."""
    head = _git("rev-parse", "HEAD")
    if not head:
        return "unknown"
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return f"{head} with local changes" if changed else head


def hardware() -> dict[str, str]:
    """Processor, usable cores, memory and accelerators in words."""
    found = {"processor": _processor(), "cores": f"{len(os.sched_getaffinity(0))} cores"}
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    found["memory"] = f"{memory / 2**30:.0f} GiB memory"
    accelerators = _accelerators()
    return {**found, "accelerator": accelerators} if accelerators else found


def _git(*arguments: str) -> str:
    here = Path(__file__).parent
    try:
        done = subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else os.uname().machine


def _accelerators() -> str:
    import torch

    return ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))

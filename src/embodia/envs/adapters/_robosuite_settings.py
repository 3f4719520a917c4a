"""robosuite's private settings, for its own adapter and for the benchmarks built on it.

The one thing to watch: they are read once, when robosuite is first imported.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def without_log_file() -> None:
    """Give robosuite, unless the user wrote one, private settings that keep its log out of the shared /tmp."""
    name = "robosuite.macros_private"
    found = importlib.util.find_spec("robosuite")
    folders = found.submodule_search_locations if found else None
    if name in sys.modules or any(Path(folder, "macros_private.py").exists() for folder in folders or ()):
        return
    settings = ModuleType(name)
    vars(settings).update(CONSOLE_LOGGING_LEVEL=None, FILE_LOGGING_LEVEL=None)
    sys.modules[name] = settings

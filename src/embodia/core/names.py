"""Look-up by name: the file name is the name.

One folder holds one kind of thing; a name is accepted only when it is `[a-z0-9_]+` and a file of exactly that name lies
in exactly that folder. Names that come with a checkpoint or a data set go through the same door, so no text from a file
can become an import path.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import re
from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType

from embodia.core.errors import UnknownNameError

_PLAIN = re.compile(r"[a-z0-9_]+")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, or None when nothing is near."""
    names = {one.lower(): one for one in known}
    found = difflib.get_close_matches(name.lower(), list(names), n=1, cutoff=0.5)
    return names[found[0]] if found else None


def unknown(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """The error for a name that does not exist, with the nearest name or the list as its cure."""
    names = sorted(known)
    near = nearest(name, names)
    cure = f"Did you mean {near!r}?" if near else f"Known: {', '.join(names[:20])}"
    return UnknownNameError(f"unknown {kind} {name!r}", cure=cure)


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A package whose modules are the registry of one kind of thing.

    `kind` is the word used in messages ("policy"); `package` is a literal of the library, never a text from a file.
    """

    kind: str
    package: str

    def names(self) -> tuple[str, ...]:
        """All names in the folder, sorted."""
        package = importlib.import_module(self.package)
        found = (info.name for info in pkgutil.iter_modules(package.__path__))
        return tuple(sorted(name for name in found if not name.startswith("_")))

    def load(self, name: str) -> ModuleType:
        """The module of that name. Raises `UnknownNameError` for anything that is not a file in this folder."""
        if not _PLAIN.fullmatch(name) or name not in self.names():
            raise unknown(self.kind, name, self.names())
        return importlib.import_module(f"{self.package}.{name}")

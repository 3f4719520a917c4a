"""Several links between the same two systems as one: a trajectory and features, features and dynamics."""

from __future__ import annotations

from torch import nn

from embodia.core.errors import ConfigError
from embodia.core.protocols import Groups
from embodia.core.types import Message, TokenGroup


class JoinedLinks(nn.Module):
    """All of `links` in order; their messages must not share the name of an array. The slowest gives the rate."""

    def __init__(self, *links: nn.Module) -> None:
        super().__init__()
        self.links = nn.ModuleList(links)
        self.rate_hz = min(float(link.rate_hz) for link in links)  # type: ignore[arg-type]

    def emit(self, upper: Groups) -> Message:
        """The arrays of all. Raises `ConfigError` when two links use one name."""
        arrays: dict[str, object] = {}
        for link in self.links:
            for name, array in link.emit(upper).arrays.items():  # type: ignore[operator]
                if name in arrays:
                    raise ConfigError("two links write into one array of the message", leaf=name)
                arrays[name] = array
        return Message(arrays=arrays)

    def absorb(self, groups: Groups, message: Message) -> dict[str, TokenGroup]:
        """What one link returns, the next takes."""
        found = dict(groups)
        for link in self.links:
            found = link.absorb(found, message)  # type: ignore[operator]
        return found

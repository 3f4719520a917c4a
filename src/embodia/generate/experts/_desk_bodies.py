"""Which script does a task of Desk that only some bodies can do.

The one thing to watch: a script may begin in any state of the world, because it is begun again after a failure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from embodia.envs.desk.tasks._spoken import Spoken
from embodia.generate.experts import _desk_pair as pair
from embodia.generate.experts._desk_hand import Hand
from embodia.generate.experts._desk_motion import Actions

SCRIPTS: Mapping[str, Callable[[Hand, Spoken], Actions]] = MappingProxyType({"handover": pair.hand_over})
"""Family -> its script."""

"""Which script does a task of Desk that only some bodies can do.

The one thing to watch: a script may begin in any state of the world, because it is begun again after a failure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from embodia.envs.desk.tasks._spoken import Spoken
from embodia.generate.experts import _desk_drive as drive
from embodia.generate.experts import _desk_pair as pair
from embodia.generate.experts._desk_hand import Hand
from embodia.generate.experts._desk_motion import Actions


def _errand(hand: Hand, task: Spoken) -> Actions:
    yield from (drive.press_button if task.request.verb == "drive-press" else drive.pick_up)(hand, task)


SCRIPTS: Mapping[str, Callable[[Hand, Spoken], Actions]] = MappingProxyType(
    {"handover": pair.hand_over, "navigate": drive.navigate, "errand": _errand}
)
"""Family -> its script."""

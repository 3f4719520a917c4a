"""Visual profiles: how pictures are drawn, by name, because a policy that sees is trained for one of them.

On a CPU nearly all drawing time goes into shadow maps, multisampling and reflections, not into pixels. `faithful` is
what the benchmark itself draws; `fast` switches those three off. The one thing to watch: a policy trained under one
profile may fail under the other, so the name is part of the contract and of the provenance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from embodia.core.names import unknown


@dataclass(frozen=True, kw_only=True)
class VisualProfile:
    """Switches of a rasteriser; None leaves a setting as the benchmark has it."""

    name: str
    multisamples: int | None = None
    shadow_map_px: int | None = None
    shadows: bool = True
    reflections: bool = True


PROFILES: Mapping[str, VisualProfile] = MappingProxyType(
    {
        "faithful": VisualProfile(name="faithful"),
        "fast": VisualProfile(name="fast", multisamples=0, shadow_map_px=512, shadows=False, reflections=False),
    }
)


def profile(name: str) -> VisualProfile:
    """The profile of that name. Raises `UnknownNameError`."""
    if name not in PROFILES:
        raise unknown("visual profile", name, PROFILES)
    return PROFILES[name]

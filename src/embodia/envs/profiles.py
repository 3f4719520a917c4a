"""Visual profiles: how pictures are drawn, by name, because a policy that sees is trained for one of them.

On a CPU nearly all drawing time goes into shadow maps, multisampling and reflections, not into pixels. `faithful` is
what the benchmark itself draws; `fast` switches those three off. Then meshes cost most where a scene has hundreds of
thousands of triangles; `coarse` draws them with corners no closer than a small picture can show. The one thing to
watch: a policy trained under one profile may fail under the other, so the name is part of the contract and of the
provenance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from embodia.core.names import unknown


@dataclass(frozen=True, kw_only=True)
class VisualProfile:
    """Switches of a rasteriser; None leaves a setting as the benchmark has it.

    `mesh_cell_m` is the edge of the cubes in which all corners of a mesh become one, in metres.
    """

    name: str
    multisamples: int | None = None
    shadow_map_px: int | None = None
    shadows: bool = True
    reflections: bool = True
    mesh_cell_m: float | None = None


_FAST = VisualProfile(name="fast", multisamples=0, shadow_map_px=512, shadows=False, reflections=False)
PROFILES: Mapping[str, VisualProfile] = MappingProxyType(
    {
        "faithful": VisualProfile(name="faithful"),
        "fast": _FAST,
        "coarse": replace(_FAST, name="coarse", mesh_cell_m=0.006),
    }
)


def profile(name: str) -> VisualProfile:
    """The profile of that name. Raises `UnknownNameError`."""
    if name not in PROFILES:
        raise unknown("visual profile", name, PROFILES)
    return PROFILES[name]

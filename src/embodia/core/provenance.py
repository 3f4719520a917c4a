"""Where pictures and success come from: written into every data set, checkpoint and result.

The simulator's version and the drawing profile are hidden variables of the field (one MuJoCo release moved LIBERO by
seven points), so they travel with everything and a difference is refused unless asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from embodia.core.errors import ProfileError


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Facts about the environment that made the pictures.

    `environment` family ("metaworld"), visual `profile`, `cameras` in order, package `versions`, `success_rule`
    in words.
    """

    environment: str
    profile: str
    cameras: tuple[str, ...]
    versions: Mapping[str, str] = field(default_factory=dict)
    success_rule: str = ""


def require_same_profile(trained: Provenance, evaluated: Provenance, *, allow: bool = False) -> tuple[str, ...]:
    """The differences that matter to a policy that sees; raises `ProfileError` naming them unless `allow`."""
    found = []
    for name in ("environment", "profile", "cameras"):
        a, b = getattr(trained, name), getattr(evaluated, name)
        if a != b:
            found.append(f"{name}: trained on {a!r}, evaluated on {b!r}")
    for package in sorted(trained.versions.keys() & evaluated.versions.keys()):
        if trained.versions[package] != evaluated.versions[package]:
            found.append(f"{package}: {trained.versions[package]} against {evaluated.versions[package]}")
    if found and not allow:
        raise ProfileError("; ".join(found), cure="Pass --allow-other-profile to measure the difference on purpose.")
    return tuple(found)

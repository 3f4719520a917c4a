"""Which simulator packages are installed: one of the field's hidden variables, so it travels with every result."""

from __future__ import annotations

from importlib import metadata


def installed(*packages: str) -> dict[str, str]:
    """Package name -> version, packages that are not installed left out."""
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found

"""Environments: the protocol, one file for each benchmark, and what runs many of them at once.

`make("metaworld", EnvConfig(...))` is the one door. A family is a file in `adapters/` with a function
`build(config) -> Env`; its package is an optional extra, and a missing one is answered with the command that
installs it.
"""

from __future__ import annotations

from embodia.core.names import Folder
from embodia.envs.protocol import CameraView, Env, EnvConfig

FOLDER = Folder(kind="environment", package="embodia.envs.adapters")


def make(family: str, config: EnvConfig | None = None) -> Env:
    """The environment of that family. Raises `UnknownNameError`, `MissingExtraError` or `EnvironmentFailure`."""
    env: Env = FOLDER.load(family).build(config or EnvConfig())
    return env


__all__ = ["FOLDER", "CameraView", "Env", "EnvConfig", "make"]

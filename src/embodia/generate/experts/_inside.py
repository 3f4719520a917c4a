"""How an expert gets at the world behind an environment, or says that it cannot act there."""

from __future__ import annotations

from typing import TypeVar

from embodia.core.errors import ConfigError
from embodia.envs.protocol import Env
from embodia.envs.simulated import SimulatedEnv

World = TypeVar("World")


def adapter(env: Env, kind: type[World], family: str) -> World:
    """`env` as the adapter that the experts of `family` know. Raises `ConfigError`."""
    if not isinstance(env, kind) or env.provenance.environment != family:
        raise ConfigError(f"an expert of {family} cannot act in {env.provenance.environment!r}")
    return env


def scene(env: Env, kind: type[World], family: str) -> World:
    """The simulation inside `env`, of the kind that the experts of `family` know. Raises `ConfigError`."""
    simulation = adapter(env, SimulatedEnv, family).simulation
    if not isinstance(simulation, kind):
        raise ConfigError(f"an expert of {family} cannot act on {type(simulation).__name__}")
    return simulation

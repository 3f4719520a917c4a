"""The typed contract of an observation and an action, from the data set to the motor.

One silent disagreement here (delta read as absolute, a gripper with the other sign, another control rate) costs five
to a hundred points of success, so every seam compares two contracts with `require_match` and names both sides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Literal

from embodia.core.errors import ConfigError, ContractError

Representation = Literal[
    "joint_position",
    "joint_delta",
    "joint_velocity",
    "joint_torque",
    "ee_position",
    "ee_position_delta",
    "ee_rotation",
    "ee_rotation_delta",
    "gripper",
    "base_velocity",
    "hand_joint_position",
    "force",
]
Frame = Literal["none", "world", "base", "tool", "camera"]
Rotation = Literal["none", "axis_angle", "euler_xyz", "quat_xyzw", "quat_wxyz", "rot6d"]
Polarity = Literal["none", "positive_closes", "positive_opens"]
Sense = Literal["depth", "points", "touch", "wrench", "audio"]
Units = Literal["normalized", "m", "rad", "m/s", "rad/s", "N", "Nm", "none"]


@dataclass(frozen=True, kw_only=True)
class ActionPart:
    """A run of action dimensions that mean one thing.

    `low` and `high` bound every dimension of the part, in `units`; `scale` says what one normalised unit is physically
    (for example 0.01 m per step), 0 when unknown.
    """

    name: str
    dim: int
    representation: Representation
    frame: Frame = "none"
    rotation: Rotation = "none"
    polarity: Polarity = "none"
    units: Units = "normalized"
    low: float = -1.0
    high: float = 1.0
    scale: float = 0.0

    def __post_init__(self) -> None:
        if self.dim < 1 or not self.low < self.high:
            raise ConfigError(f"action part {self.name!r} needs dim >= 1 and low < high", leaf=self.name)
        if (self.representation == "gripper") != (self.polarity != "none"):
            raise ConfigError("a gripper, and only a gripper, states its polarity", leaf=self.name)


@dataclass(frozen=True, kw_only=True)
class ActionSpec:
    """What an action vector means: parts in order, control rate, chunk length, statistics key.

    `chunk` is the number of consecutive actions a policy emits (0 = not chunked, as in an environment); where a chunk
    runs past the end of an episode its tail repeats the last action and `ActionChunk.valid` is False there. `recorded`
    False: who acts can be moved, but nobody writes its actions down, as with a person in a video.
    """

    parts: tuple[ActionPart, ...]
    rate_hz: float
    chunk: int = 0
    statistics_key: str = "action"
    recorded: bool = True

    def __post_init__(self) -> None:
        _require_rate(self.rate_hz)
        if self.chunk < 0 or (self.recorded and not self.parts):
            raise ConfigError("a recorded action has at least one part, and no chunk is negative", leaf="parts")

    @cached_property
    def dim(self) -> int:
        """Number of action dimensions."""
        return sum(part.dim for part in self.parts)

    @property
    def dimension_names(self) -> tuple[str, ...]:
        """One name a dimension: the part's name, numbered where it has several."""
        return tuple(part.name if part.dim == 1 else f"{part.name}_{i}" for part in self.parts for i in range(part.dim))


@dataclass(frozen=True, kw_only=True)
class CameraSpec:
    """One camera: uint8 RGB, upright, `height` x `width` pixels. `profile` is the visual profile it was drawn with."""

    name: str
    height: int
    width: int
    profile: str = "faithful"

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 1:
            raise ConfigError(f"camera {self.name!r} has {self.height} x {self.width} pixels", leaf=self.name)


@dataclass(frozen=True, kw_only=True)
class StatePart:
    """A run of proprioceptive dimensions that mean one thing."""

    name: str
    dim: int
    units: Units = "none"
    frame: Frame = "none"

    def __post_init__(self) -> None:
        if self.dim < 1:
            raise ConfigError(f"state part {self.name!r} needs dim >= 1", leaf=self.name)


@dataclass(frozen=True, kw_only=True)
class SenseSpec:
    """A sense beside pictures and proprioception: float32 of `shape` at every time step.

    depth    (H W) metres along the optical axis of `camera`, 0 where nothing is; `field_deg` is the vertical field of
             view of that camera, 0 when unknown
    points   (N 6) x y z in the frame of the first mount (m), then r g b in 0..1
    touch, wrench, audio   as the body has them, for example (2 4 4) N, (6) N and Nm, (samples)
    """

    name: Sense
    shape: tuple[int, ...]
    units: Units = "none"
    camera: str = ""
    field_deg: float = 0.0

    def __post_init__(self) -> None:
        if not self.shape or min(self.shape) < 1:
            raise ConfigError(f"sense {self.key!r} has the shape {self.shape}", leaf=self.key)
        if (self.name == "depth") != bool(self.camera):
            raise ConfigError("a depth picture, and only that, names its camera", leaf=self.key)
        if self.name == "points" and (len(self.shape) != 2 or self.shape[1] != 6):
            raise ConfigError(f"points are (N 6), got {self.shape}", leaf=self.key)

    @property
    def key(self) -> str:
        """One name a sense: `touch`, `depth.front`."""
        return f"{self.name}.{self.camera}" if self.camera else self.name

    @property
    def size(self) -> int:
        """Numbers at one time step."""
        return math.prod(self.shape)


@dataclass(frozen=True, kw_only=True)
class ObservationSpec:
    """What an observation holds: cameras, proprioception, further senses, an instruction or not, and the rate."""

    cameras: tuple[CameraSpec, ...]
    state: tuple[StatePart, ...]
    rate_hz: float
    language: bool = True
    senses: tuple[SenseSpec, ...] = ()

    def __post_init__(self) -> None:
        _require_rate(self.rate_hz)
        keys = [sense.key for sense in self.senses]
        if len(set(keys)) != len(keys):
            raise ConfigError(f"one sense is named twice in {keys}", leaf="senses")

    @property
    def state_dim(self) -> int:
        """Number of proprioceptive dimensions."""
        return sum(part.dim for part in self.state)

    @property
    def camera_names(self) -> tuple[str, ...]:
        """Camera names in order."""
        return tuple(camera.name for camera in self.cameras)

    def sense(self, name: Sense) -> SenseSpec | None:
        """The first sense of that name, None where the body lacks it."""
        return next((sense for sense in self.senses if sense.name == name), None)


@dataclass(frozen=True, kw_only=True)
class Contract:
    """An observation and an action together, on one embodiment."""

    observation: ObservationSpec
    action: ActionSpec
    embodiment: str

    @property
    def of_data(self) -> Contract:
        """The contract of recorded data: the same, but without parts of an action where actions are not recorded."""
        return self if self.action.recorded else replace(self, action=replace(self.action, parts=()))


def require_match(
    left: Contract, right: Contract, *, left_name: str, right_name: str, other_profile: bool = False
) -> None:
    """Raise `ContractError` that names both sides and every difference; the chunk length alone may differ.

    A policy may use fewer cameras than an environment offers: cameras are compared by name, those that only the side
    with more cameras has are ignored. `other_profile` lets their visual profiles differ. Every sense of `left`
    must be in `right` too; further ones of `right` are ignored, and so are fields of view that one side does not know.
    """
    found = [*_action_differences(left.action, right.action), *_observation_differences(left, right, other_profile)]
    if left.embodiment != right.embodiment:
        found.append(f"embodiment: {left.embodiment!r} against {right.embodiment!r}")
    if found:
        raise ContractError(
            f"{left_name} and {right_name} do not agree: " + "; ".join(found),
            leaf=found[0].split(":")[0],
            cure=f"Convert one side, or use a policy and data made for {right_name}.",
        )


def _require_rate(rate_hz: float) -> None:
    if not 0 < rate_hz < math.inf:
        raise ConfigError(f"a rate is positive and finite, got {rate_hz!r}", leaf="rate_hz")


def _differences(left: object, right: object, where: str) -> list[str]:
    names = (field.name for field in fields(left))  # type: ignore[arg-type]
    pairs = ((name, getattr(left, name), getattr(right, name)) for name in names)
    return [f"{where}.{name}: {a!r} against {b!r}" for name, a, b in pairs if a != b]


def _parts_differences(left: tuple[object, ...], right: tuple[object, ...], where: str) -> list[str]:
    if len(left) != len(right):
        return [f"{where}: {len(left)} parts against {len(right)}"]
    return [
        text for i, (a, b) in enumerate(zip(left, right, strict=True)) for text in _differences(a, b, f"{where}[{i}]")
    ]


def _action_differences(left: ActionSpec, right: ActionSpec) -> list[str]:
    found = _parts_differences(left.parts, right.parts, "action.parts")
    if left.rate_hz != right.rate_hz:
        found.append(f"action.rate_hz: {left.rate_hz!r} against {right.rate_hz!r}")
    if left.statistics_key != right.statistics_key:
        found.append(f"action.statistics_key: {left.statistics_key!r} against {right.statistics_key!r}")
    return found


def _observation_differences(left: Contract, right: Contract, other_profile: bool) -> list[str]:
    a, b = left.observation, right.observation
    found = _parts_differences(a.state, b.state, "observation.state")
    if a.rate_hz != b.rate_hz:
        found.append(f"observation.rate_hz: {a.rate_hz!r} against {b.rate_hz!r}")
    if a.language != b.language:
        found.append(f"observation.language: {a.language!r} against {b.language!r}")
    mine, theirs = ({camera.name: camera for camera in spec.cameras} for spec in (a, b))
    shared = mine.keys() & theirs.keys()
    if len(shared) < min(len(mine), len(theirs)):
        found.append(f"observation.cameras: {sorted(mine)} against {sorted(theirs)}")
    for name in sorted(shared):
        camera = replace(mine[name], profile=theirs[name].profile) if other_profile else mine[name]
        found.extend(_differences(camera, theirs[name], f"observation.cameras[{name}]"))
    return found + _sense_differences(a, b)


def _sense_differences(left: ObservationSpec, right: ObservationSpec) -> list[str]:
    offered = {sense.key: sense for sense in right.senses}
    found = [f"observation.senses: {s.key!r} is missing" for s in left.senses if s.key not in offered]
    for sense in left.senses:
        if sense.key in offered:
            other = offered[sense.key]
            known = min(sense.field_deg, other.field_deg) > 0
            mine = sense if known else replace(sense, field_deg=other.field_deg)
            found.extend(_differences(mine, other, f"observation.senses[{sense.key}]"))
    return found

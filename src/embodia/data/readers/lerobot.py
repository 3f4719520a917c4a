"""The contract of a data set that LeRobot recorded: read what it says, ask for what it does not.

Its `info.json` names the dimensions of an action, but not whether they are absolute or deltas, of joints or of the
hand, nor which sign closes the gripper; guessing that is how policies silently fail, so the caller states it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from embodia.core.errors import ContractError, CorruptFileError, VersionError
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.data import layout
from embodia.io.jsonio import read_json

_CAMERA = "observation.images."


def contract_of(
    root: str | Path, *, action: tuple[ActionPart, ...], state: tuple[StatePart, ...] | None = None
) -> Contract:
    """The contract of the set at `root`, with the meaning of its actions given.

    `state` defaults to one part without units. Raises `ContractError` when the dimensions do not add up, a `DataError`
    naming file and leaf for an `info.json` that cannot be understood, `VersionError` for another layout.
    """
    path = Path(root) / layout.INFO
    info = read_info(root)
    features = info["features"]
    rate_hz = float(info["fps"])
    state_dim = _dim(features, layout.STATE, path)
    parts = state if state is not None else (StatePart(name="state", dim=state_dim),) if state_dim else ()
    spec = ActionSpec(parts=action, rate_hz=rate_hz, recorded=bool(action))
    for name, found, given in (
        (layout.ACTION, _dim(features, layout.ACTION, path), spec.dim),
        (layout.STATE, state_dim, sum(part.dim for part in parts)),
    ):
        if found != given:
            raise ContractError(f"{given} dimensions given, the set has {found}", file=path, leaf=f"features.{name}")
    cameras = tuple(_camera(name, feature, path) for name, feature in features.items() if name.startswith(_CAMERA))
    observation = ObservationSpec(cameras=cameras, state=parts, rate_hz=rate_hz)
    return Contract(observation=observation, action=spec, embodiment=str(info.get("robot_type") or "unknown"))


def read_info(root: str | Path) -> dict[str, Any]:
    """`meta/info.json`, with `fps` and `features` checked. Raises as `contract_of`."""
    path = Path(root) / layout.INFO
    info = read_json(path)
    if not isinstance(info, dict):
        raise CorruptFileError("is not an object", file=path)
    if info.get("codebase_version") != layout.LAYOUT_VERSION:
        found = info.get("codebase_version")
        raise VersionError(f"layout {found!r}, expected {layout.LAYOUT_VERSION!r}", file=path, leaf="codebase_version")
    rate = info.get("fps")
    if not isinstance(rate, int | float) or isinstance(rate, bool) or not 0 < rate <= sys.float_info.max:
        raise CorruptFileError(f"expected a positive rate, got {rate!r}", file=path, leaf="fps")
    features = info.get("features")
    if not isinstance(features, dict) or not all(isinstance(item, dict) for item in features.values()):
        raise CorruptFileError("expected an object of objects", file=path, leaf="features")
    return info


def _dim(features: dict[str, Any], name: str, path: Path) -> int:
    if name not in features:
        return 0
    shape = features[name].get("shape")
    if not isinstance(shape, list) or len(shape) != 1 or not isinstance(shape[0], int):
        raise CorruptFileError(f"expected a vector, got shape {shape!r}", file=path, leaf=f"features.{name}.shape")
    return shape[0]


def _camera(name: str, feature: dict[str, Any], path: Path) -> CameraSpec:
    match feature.get("shape"), feature.get("dtype"):
        case [int(height), int(width), 3], "video" if min(height, width) > 0:
            return CameraSpec(name=name[len(_CAMERA) :], height=height, width=width)
        case shape, kind:
            message = f"expected a video (H, W, 3), got {kind!r} {shape!r}"
            raise CorruptFileError(message, file=path, leaf=f"features.{name}")

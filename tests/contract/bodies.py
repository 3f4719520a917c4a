"""Bodies for tests: a small one with two cameras and a gripper, and those of published parameter counts."""

from collections.abc import Mapping
from typing import Any

from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.core.statistics import FeatureStatistics


def gripper_arm(pixels: int = 48, cameras: int = 2, language: bool = True) -> Contract:
    """A hand moved by small steps, with a gripper: four actions, four numbers of state."""
    seen = ObservationSpec(
        cameras=tuple(CameraSpec(name=f"camera{index}", height=pixels, width=pixels) for index in range(cameras)),
        state=(StatePart(name="hand", dim=3, units="m"), StatePart(name="opening", dim=1)),
        rate_hz=10,
        language=language,
    )
    parts = (
        ActionPart(name="move", dim=3, representation="ee_position_delta", frame="world"),
        ActionPart(name="grip", dim=1, representation="gripper", polarity="positive_closes"),
    )
    return Contract(observation=seen, action=ActionSpec(parts=parts, rate_hz=10), embodiment="arm")


def published_body(stated: Mapping[str, Any]) -> Contract:
    """The body that a published number of parameters is counted with."""
    part = ActionPart(name="joint", dim=stated["actions"], representation="joint_position", units="rad", low=-4, high=4)
    size = {"height": stated["height"], "width": stated["width"]}
    seen = ObservationSpec(
        cameras=tuple(CameraSpec(name=f"camera{index}", **size) for index in range(stated["cameras"])),
        state=(StatePart(name="joint", dim=stated["state"], units="rad"),),
        rate_hz=50,
        language=stated["language"],
    )
    return Contract(observation=seen, action=ActionSpec(parts=(part,), rate_hz=50), embodiment="published")


def statistics(contract: Contract) -> dict[str, FeatureStatistics]:
    """Made-up but plausible statistics for both features, other for every dimension."""
    sizes = {"state": contract.observation.state_dim, contract.action.statistics_key: contract.action.dim}
    return {name: _feature(dim) for name, dim in sizes.items()}


def _feature(dim: int) -> FeatureStatistics:
    steps = range(1, dim + 1)
    return FeatureStatistics(
        count=100,
        mean=tuple(0.01 * k for k in steps),
        std=tuple(0.5 + 0.1 * k for k in steps),
        minimum=tuple(-1.0 - 0.1 * k for k in steps),
        maximum=tuple(1.0 + 0.1 * k for k in steps),
        q01=tuple(-0.9 - 0.1 * k for k in steps),
        q99=tuple(0.9 + 0.1 * k for k in steps),
    )

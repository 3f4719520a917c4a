"""Bodies for tests: a small one with two cameras and a gripper, and those of published parameter counts."""

from collections.abc import Mapping
from typing import Any

from embodia.core.invent import invent_contract
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.core.statistics import FeatureStatistics

gripper_arm = invent_contract


def published_body(stated: Mapping[str, Any]) -> Contract:
    """The body that a published number of parameters is counted with; "hand": the small one, its tool moved freely."""
    if stated.get("hand"):
        return gripper_arm(stated["height"], stated["cameras"], stated["language"])
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

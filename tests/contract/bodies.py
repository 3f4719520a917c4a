"""Bodies for tests: a small one with two cameras and a gripper, and those of published parameter counts."""

from collections.abc import Mapping
from typing import Any

from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, SenseSpec, StatePart
from embodia.core.statistics import FeatureStatistics


def gripper_arm(pixels: int = 48, cameras: int = 2, language: bool = True) -> Contract:
    """A hand moved by small steps, with a gripper: four actions, four numbers of state, every sense there is."""
    seen = ObservationSpec(
        cameras=tuple(CameraSpec(name=f"camera{index}", height=pixels, width=pixels) for index in range(cameras)),
        state=(StatePart(name="hand", dim=3, units="m"), StatePart(name="opening", dim=1)),
        rate_hz=10,
        language=language,
        senses=all_senses(pixels, cameras),
    )
    parts = (
        ActionPart(name="move", dim=3, representation="ee_position_delta", frame="world", scale=0.02),
        ActionPart(name="grip", dim=1, representation="gripper", polarity="positive_closes"),
    )
    return Contract(observation=seen, action=ActionSpec(parts=parts, rate_hz=10), embodiment="arm")


def all_senses(pixels: int, cameras: int) -> tuple[SenseSpec, ...]:
    """A depth picture a camera, 192 points, two pads, one wrist, a tenth of a second of sound."""
    depth = (
        SenseSpec(name="depth", shape=(pixels, pixels), units="m", camera=f"camera{index}", field_deg=45.0)
        for index in range(cameras)
    )
    return (
        *depth,
        SenseSpec(name="points", shape=(192, 6), units="m"),
        SenseSpec(name="touch", shape=(2, 4, 4), units="N"),
        SenseSpec(name="wrench", shape=(6,), units="N"),
        SenseSpec(name="audio", shape=(400,), units="normalized"),
    )


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

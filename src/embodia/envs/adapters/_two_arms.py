"""Two arms of six joints with a gripper each, left before right, as the ALOHA family of robots has them."""

from __future__ import annotations

from embodia.core.specs import ActionPart, StatePart

SIDES = ("left", "right")
_JOINTS = 6


def joint_actions(limit_rad: float) -> tuple[ActionPart, ...]:
    """For each side joint positions (6) within plus and minus `limit_rad` and a gripper, 0 shut to 1 open."""
    return tuple(part for side in SIDES for part in (_arm(side, limit_rad), _gripper(side)))


def joint_state() -> tuple[StatePart, ...]:
    """For each side joint positions (6) and the gripper's opening."""
    return tuple(
        part
        for side in SIDES
        for part in (
            StatePart(name=f"{side}_arm", dim=_JOINTS, units="rad"),
            StatePart(name=f"{side}_gripper", dim=1, units="normalized"),
        )
    )


def _arm(side: str, limit_rad: float) -> ActionPart:
    return ActionPart(
        name=f"{side}_arm",
        dim=_JOINTS,
        representation="joint_position",
        units="rad",
        low=-limit_rad,
        high=limit_rad,
    )


def _gripper(side: str) -> ActionPart:
    return ActionPart(name=f"{side}_gripper", dim=1, representation="gripper", polarity="positive_opens", low=0.0)

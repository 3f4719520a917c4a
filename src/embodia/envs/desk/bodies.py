"""Who acts on the desk: five bodies as data. The geometry is our own, of primitive shapes.

Joint chains are (offset from the link before, axis); all joints turn. The tool point lies between the pads, its z axis
points out of the gripper and its y axis is the direction in which the gripper closes. The one thing to watch: arm6
closes with a negative gripper action, and runs at half the rate of arm7.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from embodia.core.names import unknown
from embodia.core.specs import Polarity
from embodia.envs.desk.scenes import Rgba, Vector

X, Y, Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
LEASH_M = 0.03
"""How far the commanded tool point may run ahead of the tool when something blocks it."""


@dataclass(frozen=True, kw_only=True)
class Joint:
    """A turning joint at `offset_m` in the frame of the link before, with its link drawn as a capsule to `reach_m`."""

    offset_m: Vector
    axis: Vector
    low_rad: float
    high_rad: float
    reach_m: Vector
    radius_m: float = 0.045
    mass_kg: float = 1.0
    stiffness: float = 2000.0
    damping: float = 130.0
    torque_nm: float = 60.0


@dataclass(frozen=True, kw_only=True)
class Gripper:
    """Two pads that slide towards each other; `opening_m` is the clear width when open, `force_n` the most one pad
    pushes. `pad_m` are half sizes: along x, along the closing direction, along z."""

    opening_m: float = 0.08
    pad_m: Vector = (0.011, 0.006, 0.028)
    palm_m: Vector = (0.022, 0.05, 0.022)
    reach_m: float = 0.10
    stiffness: float = 600.0
    damping: float = 12.0
    force_n: float = 25.0
    friction: float = 1.5
    rgba: Rgba = (0.16, 0.16, 0.18, 1.0)


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A chain of joints with a gripper, mounted at `base_m` on the table or on a moving base.

    `home` are the joint angles at which an episode starts; `low_m` and `high_m` bound the commanded tool point in the
    frame of the mount.
    """

    joints: tuple[Joint, ...]
    home: tuple[float, ...]
    gripper: Gripper
    base_m: Vector
    low_m: Vector
    high_m: Vector
    rgba: Rgba = (0.85, 0.85, 0.87, 1.0)
    floating: bool = False


@dataclass(frozen=True, kw_only=True)
class Body:
    """One or two arms, perhaps on wheels, with a control rate and a gripper polarity.

    Scales say what a normalised action of 1 is in one control step: `step_m`, `turn_rad` about the vertical,
    `joint_rad`; `tilt_rad` is the absolute tilt of 1. `recorded` False: data of this body carry no actions.
    """

    name: str
    arms: tuple[Arm, ...]
    rate_hz: float
    polarity: Polarity
    step_m: float
    turn_rad: float
    joint_rad: float
    tilt_rad: float = 2.0
    wheels: bool = False
    drive_m_s: float = 0.6
    spin_rad_s: float = 1.5
    recorded: bool = True

    @property
    def joint_count(self) -> int:
        """Arm joints, all arms together."""
        return sum(len(arm.home) for arm in self.arms)


def body(name: str) -> Body:
    """The body of that name. Raises `UnknownNameError`."""
    if name not in BODIES:
        raise unknown("body", name, BODIES)
    return BODIES[name]


def _arm7(base_m: Vector) -> Arm:
    big, wide = 2.8, 2.9
    return Arm(
        joints=(
            Joint(offset_m=(0.0, 0.0, 0.12), axis=Z, low_rad=-wide, high_rad=wide, reach_m=(0.0, 0.0, 0.18), mass_kg=2),
            Joint(offset_m=(0.0, 0.0, 0.18), axis=Y, low_rad=-2.0, high_rad=2.0, reach_m=(0.0, 0.0, 0.2), mass_kg=1.5),
            Joint(offset_m=(0.0, 0.0, 0.2), axis=Z, low_rad=-big, high_rad=big, reach_m=(0.0, 0.0, 0.2)),
            Joint(offset_m=(0.0, 0.0, 0.2), axis=Y, low_rad=0.1, high_rad=2.7, reach_m=(0.0, 0.0, 0.2)),
            Joint(offset_m=(0.0, 0.0, 0.2), axis=Z, low_rad=-big, high_rad=big, reach_m=(0.0, 0.0, 0.19), mass_kg=0.7),
            Joint(offset_m=(0.0, 0.0, 0.19), axis=Y, low_rad=-2.4, high_rad=2.4, reach_m=(0.0, 0.0, 0.05), mass_kg=0.5),
            Joint(
                offset_m=(0.0, 0.0, 0.05),
                axis=Z,
                low_rad=-wide,
                high_rad=wide,
                reach_m=(0.0, 0.0, 0.02),
                radius_m=0.04,
                mass_kg=0.3,
            ),
        ),
        home=(0.0, 0.4401, 0.0, 1.9021, 0.0, 0.7994, 0.0),
        gripper=Gripper(),
        base_m=base_m,
        low_m=(0.22, -0.42, 0.016),
        high_m=(0.82, 0.42, 0.5),
    )


BODIES: Mapping[str, Body] = MappingProxyType(
    {
        "arm7": Body(
            name="arm7",
            arms=(_arm7((-0.5, 0.0, 0.0)),),
            rate_hz=20.0,
            polarity="positive_closes",
            step_m=0.02,
            turn_rad=0.12,
            joint_rad=0.08,
        ),
    }
)

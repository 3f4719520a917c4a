"""What the hand feels: the wrench at its wrist and the pressure on its pads, summed over contacts.

The one thing to watch: this is what the world does to the hand, without the hand's own weight and inertia, as a sensor
reads after its tool has been compensated.
"""

from __future__ import annotations

from collections.abc import Iterator

import mujoco
import numpy as np
import numpy.typing as npt

from embodia.envs.desk.world import World

GRID = (4, 4)
"""Cells of a pad: across (tool x) and along (tool z)."""
Floats = npt.NDArray[np.float64]


def wrench(world: World, arm: int = 0) -> npt.NDArray[np.float32]:
    """Force (N) and torque (Nm) on the hand at the wrist, in the axes of the tool: (6,)."""
    site = world.model.site(f"arm{arm}/wrist").id
    place, axes = world.data.site_xpos[site], world.data.site_xmat[site].reshape(3, 3)
    hand = world.geoms("hand" if arm == 0 else f"hand{arm}")
    force, torque = np.zeros(3), np.zeros(3)
    for pair, where, push in _pushes(world):
        if hand[pair[0]] == hand[pair[1]]:
            continue
        mine = push if hand[pair[1]] else -push
        force += mine
        torque += np.cross(where - place, mine)
    return np.concatenate([force @ axes, torque @ axes]).astype(np.float32)


def touch(world: World, arm: int = 0) -> npt.NDArray[np.float32]:
    """Normal force in each cell of both pads, N: (2 4 4), the pad on the positive y side first."""
    found = np.zeros((2, *GRID), np.float32)
    pads = [world.model.geom(f"arm{arm}/pad{side}").id for side in (0, 1)]
    half = world.arms[arm].arm.gripper.pad_m
    for number, (pair, where, push) in enumerate(_pushes(world)):
        for side, pad in enumerate(pads):
            if pad not in pair:
                continue
            frame = world.data.contact.frame[number].reshape(3, 3)
            local = (where - world.data.geom_xpos[pad]) @ world.data.geom_xmat[pad].reshape(3, 3)
            across, along = (
                min(GRID[k] - 1, max(0, int(GRID[k] * 0.5 * (1.0 + local[axis] / half[axis]))))
                for k, axis in enumerate((0, 2))
            )
            found[side, across, along] += abs(float(push @ frame[0]))
    return found


def _pushes(world: World) -> Iterator[tuple[list[int], Floats, Floats]]:
    """Each contact: its two geoms, where it is, and the force that the first exerts on the second, in world axes."""
    world.refresh()
    data, found = world.data, np.zeros(6)
    for number in range(data.ncon):
        mujoco.mj_contactForce(world.model, data, number, found)
        frame = data.contact.frame[number].reshape(3, 3)
        yield data.contact.geom[number].tolist(), data.contact.pos[number], found[:3] @ frame

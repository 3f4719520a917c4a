"""What an expert of LIBERO sees of a scene: places, boxes, joints, the hand, and whether predicates hold.

The one thing to watch: positions are read from the last physics step; nothing here moves anything.
"""

from __future__ import annotations

import mujoco
import numpy as np

from embodia.core.errors import EnvironmentFailure
from embodia.envs.adapters._libero_bddl import Atom
from embodia.envs.adapters._libero_sim import Simulation
from embodia.generate.experts._libero_boxes import BELOW, Floats, points_of

_FINGERS = (
    ("gripper0_leftfinger", "gripper0_finger_joint1_tip"),
    ("gripper0_rightfinger", "gripper0_finger_joint2_tip"),
)


class World:
    """A LIBERO scene, read-only."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.model, self.data = simulation.model, simulation.data
        self.bodies = simulation.bodies
        root = {int(self.model.body_rootid[body]): name for name, body in self.bodies.items()}
        self._geoms: dict[str, list[int]] = {name: [] for name in self.bodies}
        for geom in range(self.model.ngeom):
            name = root.get(int(self.model.body_rootid[self.model.geom_bodyid[geom]]), "")
            if name and (self.model.geom_contype[geom] or self.model.geom_conaffinity[geom]):
                self._geoms[name].append(geom)

        self._fingers = [[self.model.body(part).id for part in finger] for finger in _FINGERS]

    @property
    def hand(self) -> Floats:
        """The point between the fingertips (3,)."""
        return np.array(self.data.site_xpos[self.simulation.hand_site])

    @property
    def attitude(self) -> Floats:
        """The hand's rotation (3 3): columns are the opening, across it, and outwards."""
        return np.array(self.data.site_xmat[self.simulation.hand_site]).reshape(3, 3)

    @property
    def home(self) -> tuple[Floats, Floats]:
        """Place (3,) and attitude (3 3) of the hand when the episode began, before anybody else may have moved it."""
        return self.simulation.home

    @property
    def gap(self) -> float:
        """How far apart the fingers are, metres."""
        return float(np.abs(self.data.qpos[self.simulation.finger_joints]).sum())

    def held(self, name: str) -> bool:
        """Whether both fingers touch a thing."""
        contact = self.data.contact
        bodies = self.model.geom_bodyid[np.stack([contact.geom1, contact.geom2], axis=1)]
        mine = self.model.body_rootid[bodies] == self.model.body_rootid[self.bodies[name]]
        other = np.where(mine[:, 0], bodies[:, 1], bodies[:, 0])[mine.any(axis=1)]
        return all(np.isin(other, finger).any() for finger in self._fingers)

    def holds(self, atom: Atom) -> bool:
        """Whether one predicate of the goal holds now."""
        return self.simulation.holds((atom,))

    def place(self, name: str) -> Floats:
        """Where a thing or a region is (3,)."""
        if name in self.bodies:
            return np.array(self.data.xpos[self.bodies[name]])
        return np.array(self.data.site_xpos[self._site(name)])

    def axes(self, name: str) -> Floats:
        """The rotation (3 3) of a thing or a region."""
        if name in self.bodies:
            return np.array(self.data.xmat[self.bodies[name]]).reshape(3, 3)
        return np.array(self.data.site_xmat[self._site(name)]).reshape(3, 3)

    def extent(self, region: str) -> Floats:
        """Half lengths (3,) of a region along its own axes."""
        return np.array(self.model.site_size[self._site(region)])

    def owner(self, region: str) -> str:
        """The thing that a region belongs to; empty for a place on the table."""
        return next((name for name in self.bodies if region.startswith(f"{name}_")), "")

    def joint(self, name: str) -> int:
        """Number of a joint. Raises `EnvironmentFailure` where there is none of that name."""
        number = mujoco.mj_name2id(self.model, mujoco.mjtObj.mjOBJ_JOINT, name)
        if number < 0:
            raise EnvironmentFailure(f"the scene has no joint {name!r}", file=self.simulation.path)
        return int(number)

    def angle(self, joint: int) -> float:
        """Where a joint of one degree of freedom stands, radians or metres."""
        return float(self.data.qpos[self.model.jnt_qposadr[joint]])

    def points(self, name: str, body: str = "") -> Floats:
        """Points through all boxes of a thing (P 3), or of one of its bodies."""
        wanted = [g for g in self._geoms[name] if not body or self.model.body(self.model.geom_bodyid[g]).name == body]
        return np.concatenate([self._points_of(geom) for geom in wanted]) if wanted else np.zeros((0, 3))

    def others(self, *excluded: str) -> Floats:
        """Points through all things but the `excluded` (P 3)."""
        found = [self.points(name) for name in self.bodies if name not in excluded]
        return np.concatenate([np.zeros((0, 3)), *found])

    def floor(self) -> float:
        """Height of the surface that the lowest thing stands on."""
        return min((float(self.points(name)[:, 2].min()) for name in self.bodies if self._geoms[name]), default=BELOW)

    def _points_of(self, geom: int) -> Floats:
        kind, size = self.model.geom_type[geom], self.model.geom_size[geom]
        half = size
        if kind != mujoco.mjtGeom.mjGEOM_BOX:
            half = np.array([size[0], size[0], max(size[0], size[1])])
        return points_of(self.data.geom_xpos[geom], self.data.geom_xmat[geom].reshape(3, 3), half)

    def _site(self, name: str) -> int:
        number = mujoco.mj_name2id(self.model, mujoco.mjtObj.mjOBJ_SITE, name)
        if number < 0:
            raise EnvironmentFailure(f"the scene has no place {name!r}", file=self.simulation.path)
        return int(number)

"""robosuite's scripts on kinematics alone: grippers that turn and shut, objects that are held and fall."""

from types import SimpleNamespace

import numpy as np
import pytest

from embodia.core.errors import ConfigError
from embodia.envs import EnvConfig, make
from embodia.envs.adapters.robosuite import BODIES, FAMILIES, Scene
from embodia.envs.simulated import SimulatedEnv, body_of
from embodia.generate import experts
from embodia.generate.experts.robosuite import _arm, _square_up

TABLE_M, HALF_M = 0.8, 0.02
PIECES = {
    "Lift": {"cube_main": 4},
    "Stack": {"cubeA_main": 4},
    "PickPlaceCan": {"Can_main": 0},
    "NutAssemblySquare": {"SquareNut_main": 2},
}
"""Task -> what is grasped -> in how many directions it can be (0: all)."""


def turned(yaw):
    return np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1.0]])


DOWN = np.diag([1.0, -1.0, -1.0])


class Workshop(Scene):
    """Hands that go where they are told: one unit is 0.01 m and 0.1 rad a step; the gripper needs three steps."""

    def __init__(self, task, views, profile):
        self.task, self.env = task, self
        self.robots = [SimpleNamespace(eef_site_id=arm) for arm in range(2 if task == "TwoArmLift" else 1)]
        self.sim = SimpleNamespace(data=self)
        self.object_id, self.table_offset = 0, np.array([0.0, 0.0, TABLE_M])

    def reset(self, seed):
        rng = np.random.default_rng(seed)
        arms = len(self.robots)
        self.hands = np.stack([[-0.1, 0.3 - 0.6 * arm, 1.1] for arm in range(arms)])
        self.yaws, self.shut = rng.uniform(-0.4, 0.4, arms), np.zeros(arms, int)
        self.piece = np.array([*rng.uniform(-0.1, 0.1, 2), TABLE_M + HALF_M])
        self.turn, self.held, self.grips = float(rng.uniform(-0.7, 0.7)), False, []
        self.other = np.array([0.15, 0.2, TABLE_M + 0.025])
        self.target_bin_placements = [np.array([0.1, 0.25, TABLE_M])]

    @property
    def site_xpos(self):
        return self.hands

    @property
    def site_xmat(self):
        return np.stack([(turned(yaw) @ DOWN).ravel() for yaw in self.yaws])

    def get_body_xpos(self, name):
        if "finger" in name:
            arm, side = int(name[7]), 1 if "left" in name else -1
            return self.hands[arm] + 0.02 * side * turned(self.yaws[arm])[:, 0]
        return {"cubeB_main": self.other, "peg1": self.other}.get(name, self.piece).copy()

    def get_body_xmat(self, name):
        return turned(self.turn)

    def get_site_xpos(self, name):
        if name.startswith("pot_handle"):
            return self.piece + turned(self.turn) @ [0.0, 0.15 - 0.3 * int(name[-1]), 0.0]
        return self.piece + turned(self.turn) @ [0.05 * ("handle" in name), 0.0, 0.0]

    def graspable(self, arm):
        """Whether an arm is where a grasp has to be, with its fingers across the thing."""
        opening = self.get_body_xpos(f"gripper{arm}_leftfinger") - self.hands[arm]
        across = np.arctan2(opening[1], opening[0]) - self.turn
        if self.task == "TwoArmLift":
            spot, ways = self.get_site_xpos(f"pot_handle{arm}"), 2
            across += np.pi / 2
        else:
            ways = PIECES[self.task][next(iter(PIECES[self.task]))]
            spot = self.get_site_xpos("SquareNut_handle_site") if ways == 2 else self.piece
            across += np.pi / 2 * (ways == 2)
        off = 0.0 if not ways else abs((across + np.pi / ways) % (2 * np.pi / ways) - np.pi / ways)
        return np.linalg.norm(self.hands[arm] - spot) < 0.02 and off < 0.12

    def step(self, action):
        each = action.reshape(-1, 7)
        self.grips.append(each[:, 6].copy())
        self.shut = np.where(each[:, 6] > 0, self.shut + 1, 0)
        arms = range(len(self.robots))
        if self.held and not all(self.shut):
            self.dropped = self.piece[2] - TABLE_M - HALF_M
        self.held = all(self.shut >= 3) and (self.held or all(self.graspable(arm) for arm in arms))
        moved, turn = 0.01 * each[:, :3], 0.1 * each[:, 5]
        self.hands, self.yaws = self.hands + moved, self.yaws + turn
        if self.held:
            self.piece = self.piece + moved.mean(axis=0)
            arm = self.hands[0] - self.piece
            self.piece, self.turn = self.hands[0] - turned(float(turn[0])) @ arm, self.turn + float(turn[0])
        else:
            on = np.linalg.norm(self.piece[:2] - self.other[:2]) < 0.02 and self.task == "Stack"
            self.piece[2] = max(self.piece[2] - 0.05, TABLE_M + HALF_M + 0.045 * on)
        return 0.0, True

    def holds(self, task):
        if task in ("Lift", "TwoArmLift"):
            return bool(self.piece[2] > TABLE_M + HALF_M + 0.04)
        goal = self.target_bin_placements[0] if task == "PickPlaceCan" else self.other
        near = np.linalg.norm(self.piece[:2] - goal[:2]) < (0.03 if task != "Stack" else 0.02)
        high = self.piece[2] > TABLE_M + 0.06 if task == "Stack" else self.piece[2] < TABLE_M + 0.05
        return bool(near and high and not self.held)

    def proprioception(self):
        return np.zeros(16 * len(self.robots))

    def close(self):
        pass


def play(task, seed, steps=400):
    env = SimulatedEnv(FAMILIES[body_of((task,), BODIES)], EnvConfig(success_ends=False), Workshop)
    expert = experts.make("robosuite", task)
    env.reset(task, seed)
    expert.begin()
    done = [env.step(expert.act(env))[4]["success"] for _ in range(steps)]
    return done, env.simulation


@pytest.mark.parametrize("task", ["Lift", "Stack", "PickPlaceCan", "NutAssemblySquare", "TwoArmLift"])
@pytest.mark.parametrize("seed", range(4))
def test_a_script_does_its_task_on_a_table_without_physics(task, seed):
    done, _ = play(task, seed)
    assert done[-1] and not done[0]


@pytest.mark.parametrize("task", ["Stack", "PickPlaceCan", "NutAssemblySquare"])
def test_what_is_placed_is_let_go_once(task):
    grips = np.stack(play(task, 0)[1].grips)[:, 0]
    assert grips[0] == grips[-1] == -1.0 and np.count_nonzero(np.diff(grips)) == 2


@pytest.mark.parametrize(("task", "height"), [("Stack", 0.045), ("PickPlaceCan", 0.06), ("NutAssemblySquare", 0.04)])
def test_nothing_is_dropped_from_high_up(task, height):
    assert height - 0.02 < play(task, 1)[1].dropped < height + 0.03


def test_a_lifted_thing_is_never_let_go():
    grips = np.stack(play("TwoArmLift", 0)[1].grips)
    assert (grips[:, 0] == grips[:, 1]).all() and np.count_nonzero(np.diff(grips[:, 0])) == 1


def tilted(axis, angle):
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return (np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross) @ DOWN


@pytest.mark.parametrize("axis", [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.6, 0.8, 0.0)])
def test_a_hand_that_leans_is_turned_upright(axis):
    pose = tilted(axis, 0.3)
    for _ in range(60):
        world = SimpleNamespace(sim=SimpleNamespace(data=SimpleNamespace(site_xmat=pose.reshape(1, 9))))
        asked = _arm(world, SimpleNamespace(eef_site_id=0), np.zeros(3), 0.0, 1.0)[3:6]
        size = float(np.linalg.norm(asked))
        if size > 1e-9:
            pose = tilted(asked / size, 0.1 * size) @ DOWN @ pose
    np.testing.assert_allclose(pose[:, 2], [0, 0, -1], atol=1e-3)


@pytest.mark.parametrize("yaw", np.linspace(-3.1, 3.1, 13))
def test_the_nut_is_turned_to_a_side_of_the_peg_within_reach(yaw):
    sites = {"SquareNut_center_site": np.zeros(3), "SquareNut_handle_site": turned(yaw) @ [0.05, 0, 0]}
    world = SimpleNamespace(sim=SimpleNamespace(data=SimpleNamespace(get_site_xpos=sites.__getitem__)))
    side = (yaw + float(_square_up(world)[0])) / (np.pi / 2)
    assert side == pytest.approx(round(side)) and round(side) % 4 != 0
    assert abs(_square_up(world)[0]) <= np.pi / 2 + 1e-6


def test_other_worlds_are_refused():
    with pytest.raises(ConfigError, match="cannot act in 'dots'"):
        experts.make("robosuite", "Lift").act(make("dots"))

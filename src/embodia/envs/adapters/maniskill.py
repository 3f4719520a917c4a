"""ManiSkill 3: the twenty-three tasks whose robots and objects come with the package, on seven bodies.

Actions are absolute joint positions, what its motion-planning experts speak; one environment holds tasks of one body,
by default the single Panda arm with its gripper. Goal marks are drawn.
The one thing to watch: episodes are longer than the benchmark's for reinforcement learning (50 steps for most), as its
own imitation baselines play them, because planned motions take 70 to 240 steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from embodia.core.specs import ActionPart, StatePart
from embodia.envs.adapters._maniskill_sim import Scene
from embodia.envs.protocol import CameraView, EnvConfig
from embodia.envs.sentences import read
from embodia.envs.simulated import Family, SimulatedEnv, body_of

SENTENCES = read(__package__, "_maniskill_language.json")
RATE_HZ = 20.0
HORIZONS: Mapping[str, int] = MappingProxyType(
    {
        "PickCube": 150,
        "PushCube": 150,
        "PullCube": 150,
        "StackCube": 250,
        "PullCubeTool": 300,
        "LiftPegUpright": 300,
        "PokeCube": 150,
        "RollBall": 80,
        "PlaceSphere": 250,
        "PegInsertionSide": 300,
        "PlugCharger": 300,
        "StackPyramid": 400,
        "FMBAssembly1Easy": 500,
        "PushT": 100,
        "DrawTriangle": 300,
        "TwoRobotPickCube": 100,
        "TwoRobotStackCube": 100,
        "PickCubeSO100": 50,
        "SO100GraspCube": 64,
        "UnitreeG1PlaceAppleInBowl": 100,
        "UnitreeG1TransportBox": 100,
        "RotateValveLevel0": 80,
        "TriFingerRotateCubeLevel0": 250,
    }
)
"""Task -> control steps of an episode."""
_LIMIT_RAD = 3.8


@dataclass(frozen=True, kw_only=True)
class Body:
    """A robot, how many of it, and its tasks; `fingers` is 1 where a gripper action follows the joints."""

    tasks: tuple[str, ...]
    joints: int
    fingers: int = 0
    arms: int = 1


BODIES: Mapping[str, Body] = MappingProxyType(
    {
        "panda_joints": Body(tasks=tuple(HORIZONS)[:13], joints=7, fingers=1),
        "panda_stick": Body(tasks=("PushT", "DrawTriangle"), joints=7),
        "two_pandas_joints": Body(tasks=("TwoRobotPickCube", "TwoRobotStackCube"), joints=7, fingers=1, arms=2),
        "so100": Body(tasks=("PickCubeSO100", "SO100GraspCube"), joints=6),
        "unitree_g1": Body(tasks=("UnitreeG1PlaceAppleInBowl", "UnitreeG1TransportBox"), joints=25),
        "dclaw": Body(tasks=("RotateValveLevel0",), joints=9),
        "trifinger": Body(tasks=("TriFingerRotateCubeLevel0",), joints=9),
    }
)


def _parts(body: Body) -> tuple[ActionPart, ...]:
    joints = ActionPart(
        name="joint_position",
        dim=body.joints,
        representation="joint_position",
        units="rad",
        low=-_LIMIT_RAD,
        high=_LIMIT_RAD,
    )
    gripper = ActionPart(name="gripper", dim=1, representation="gripper", polarity="positive_opens")
    return ((joints, gripper) if body.fingers else (joints,)) * body.arms


def _state(body: Body) -> tuple[StatePart, ...]:
    joints = StatePart(name="joint_position", dim=body.joints, units="rad")
    fingers = StatePart(name="finger_position", dim=2, units="m")
    return ((joints, fingers) if body.fingers else (joints,)) * body.arms


def _family(name: str, body: Body) -> Family:
    return Family(
        environment="maniskill",
        body=name,
        packages=("mani-skill", "sapien", "mplib"),
        sentences={task: SENTENCES[task] for task in body.tasks},
        parts=_parts(body),
        state=_state(body),
        rate_hz=RATE_HZ,
        horizon=max(HORIZONS[task] for task in body.tasks),
        horizons=HORIZONS,
        views=MappingProxyType(
            {
                "base": CameraView(name="base", source="base_camera"),
                "wide": CameraView(name="wide", source="render_camera"),
            }
        ),
        default_cameras=("wide",) if body.arms == 1 else ("base",),
        success_rule="the benchmark's own evaluation of the task says success, at any step of the episode",
    )


FAMILIES: Mapping[str, Family] = MappingProxyType({name: _family(name, body) for name, body in BODIES.items()})


def build(config: EnvConfig) -> SimulatedEnv:
    """A ManiSkill environment of the body its tasks need; by default the single Panda. Raises `ConfigError`."""
    body = body_of(config.tasks, {name: found.tasks for name, found in BODIES.items()})
    return SimulatedEnv(FAMILIES[body], config, partial(Scene, arms=BODIES[body].arms))

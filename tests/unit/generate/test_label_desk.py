"""Labels of Desk against the simulator: boxes hold the pixels, the tool is where it is said, words follow the hand."""

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="MuJoCo is not installed")

from embodia.core.errors import EnvironmentFailure, UnknownNameError
from embodia.envs import EnvConfig, make
from embodia.envs.desk.raster.frames import Raster
from embodia.envs.desk.raster.points import pixels_of, points_from_depth
from embodia.envs.protocol import CameraView
from embodia.generate import experts, label
from embodia.generate.demonstrate import EpisodeConfig, demonstrate
from embodia.generate.label.desk import boxes_of

ABOVE = {"lookat_m": (0, 0, 0), "distance_m": 0.9, "azimuth_deg": 180, "elevation_deg": -60}
VIEW = CameraView(name="over", height=48, width=64, **ABOVE)
ENV = EnvConfig(cameras=(VIEW,), success_ends=False)
SHORT = EpisodeConfig(limit=90, settle=2)


def shown(task, seed=0, labelled=True):
    env = make("desk", ENV)
    labeller = label.make("desk", ENV) if labelled else None
    attempt = demonstrate(env, experts.make("desk", task), task, seed, SHORT, labeller)
    env.close()
    assert attempt.success
    return attempt.episode


@pytest.fixture(scope="module")
def placed():
    return shown("place/red-cube/bowl")


def test_sub_tasks_follow_the_hand(placed):
    steps = list(dict.fromkeys(placed.answers["subtask"]))
    assert steps == [
        "move above the red cube",
        "go down to the red cube",
        "grasp the red cube",
        "lift the red cube",
        "carry the red cube over the bowl",
        "lower the red cube",
        "let go and move up",
    ]
    assert set(placed.answers["plan"]) == {" ".join(f"{i}. {step}" for i, step in enumerate(steps, 1))}


def test_texts_agree_with_the_recorded_actions(placed):
    names = placed.answers["subtask"]
    closing = placed.actions[:, 5] > 0
    assert all(closing[place] for place, name in enumerate(names) if name.startswith(("grasp", "lift", "carry")))
    assert not any(closing[place] for place, name in enumerate(names) if name.startswith(("move above", "go down")))
    down = [place for place, name in enumerate(names) if name == "go down to the red cube"]
    assert all("down" in placed.answers["motion"][place] for place in down[:2])
    assert placed.answers["relation"][names.index("lower the red cube")] == "grasped"


def test_labels_change_nothing_else(placed):
    bare = shown("place/red-cube/bowl", labelled=False)
    np.testing.assert_array_equal(bare.actions, placed.actions)
    np.testing.assert_array_equal(bare.frames["over"], placed.frames["over"])
    assert bare.answers == {} and shown("place/red-cube/bowl").answers == placed.answers


@pytest.mark.parametrize(
    ("task", "steps"),
    [
        ("reach/red-cube", ["reach for the red cube"]),
        ("push/red-cube/left", ["move beside the red cube", "push the red cube to the left"]),
        ("push/red-cube/mark", ["push the red cube onto the mark"]),
        ("button/red", ["move above the red button", "press the red button"]),
        ("drawer/open/red", ["grasp the handle of the red drawer", "pull the red drawer open"]),
        ("drawer/close/red", ["push the red drawer shut"]),
        ("drawer/put/red-cube/blue", ["carry the red cube over the blue drawer"]),
        ("switch/on/red", ["push the lever of the red switch over"]),
        ("peg/red-peg/blue-socket", ["push the red peg into the blue socket"]),
    ],
)
def test_every_verb_says_what_it_does(task, steps):
    said = list(dict.fromkeys(shown(task).answers["subtask"]))
    assert [step for step in said if step in steps] == steps
    assert not any("{" in step for step in said)


def test_pixels_are_the_inverse_of_points():
    env = make("desk", ENV)
    env.reset("reach/red-cube", 3)
    world = env.world
    world.refresh()
    raster = Raster(world.model, (VIEW,))
    depth, eye = raster.draw(world.data)["over"].depth, raster.eye(world.data, "over")
    points, there = points_from_depth(depth, eye)
    rows, columns = np.nonzero(there)
    found = pixels_of(points[there], eye, *depth.shape)
    np.testing.assert_allclose(found, np.stack([columns + 0.5, rows + 0.5], 1), atol=1e-3)


def test_a_box_holds_its_thing_and_nothing_less():
    segments = np.full((6, 8), -1, np.int32)
    segments[2:4, 1:6], segments[0, 7] = 3, 4
    geoms = {"big": np.arange(6) == 3, "speck": np.arange(6) == 4, "hidden": np.arange(6) == 5}
    assert boxes_of(segments, geoms) == {"big": (1, 2, 5, 3)}


def test_boxes_lie_on_the_colour_they_name(placed):
    first = placed.answers["boxes"][0]
    box = next(text for text in first.split(", ") if text.startswith("the red cube"))
    left, top, right, bottom = (int(number) for number in box.split("[")[1].rstrip("]").split())
    middle = placed.frames["over"][0][(top + bottom) // 2, (left + right) // 2].astype(int)
    assert middle[0] > 2 * middle[1] and middle[0] > 2 * middle[2]


def test_only_desk_is_labelled_and_only_its_own_experts():
    with pytest.raises(UnknownNameError):
        label.make("metaworld", EnvConfig())
    env = make("desk", ENV)
    env.reset("reach/red-cube", 0)
    with pytest.raises(EnvironmentFailure, match="expert of desk"):
        label.make("desk", ENV).note(env, object())

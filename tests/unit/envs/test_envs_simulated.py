"""The generic environment on a toy scene whose every number is known."""

import json
from dataclasses import replace

import numpy as np
import pytest

from embodia.core.errors import (
    ConfigError,
    ContractError,
    EnvironmentFailure,
    NotFiniteError,
    ShapeError,
    UnknownNameError,
)
from embodia.core.specs import ActionPart, StatePart
from embodia.envs import sentences
from embodia.envs.conformance import check_env
from embodia.envs.protocol import CameraView, EnvConfig
from embodia.envs.sentences import Sentences
from embodia.envs.simulated import Family, SimulatedEnv, body_of

FAMILIES = ("metaworld", "ogbench", "robosuite", "fetch", "adroit", "franka_kitchen", "maniskill")


def words(name):
    return Sentences(canonical=(f"Go {name}.",), train=(f"Move {name}.",), held_out=(f"Walk {name}.",))


FAMILY = Family(
    environment="toy",
    body="point",
    packages=("numpy", "no-such-package"),
    sentences={"right": words("right"), "left": words("left"), "nowhere": words("nowhere")},
    parts=(
        ActionPart(name="move", dim=1, representation="ee_position_delta", frame="world", low=-0.5, high=0.5),
        ActionPart(name="grip", dim=1, representation="gripper", polarity="positive_closes"),
    ),
    state=(StatePart(name="place", dim=1, units="m"),),
    rate_hz=10.0,
    horizon=8,
    horizons={"left": 3},
    partners={"right": ("left",)},
    views={"eye": CameraView(name="eye"), "other": CameraView(name="other")},
    default_cameras=("eye",),
    success_rule="further than one metre on its side",
)


class Line:
    """A point on a line that starts within a millimetre of zero."""

    built = []  # noqa: RUF012

    def __init__(self, task, views, profile):
        self.task, self.views, self.closed = task, views, False
        Line.built.append(task)

    def reset(self, seed):
        self.x = np.random.default_rng(seed).uniform(-1e-3, 1e-3)
        self.actions = []

    def step(self, action):
        self.actions.append(action)
        self.x += action[0]
        return -abs(self.x), self.x < 5.0

    def holds(self, task):
        return {"right": self.x > 1.0, "left": self.x < -1.0, "nowhere": False}[task]

    def proprioception(self):
        return np.array([self.x])

    def draw(self):
        def picture(view):
            image = np.zeros((view.height, view.width, 3), np.uint8)
            image[: view.height // 2] = 200
            return image

        return {view.name: picture(view) for view in self.views}

    def close(self):
        self.closed = True


def env(**options):
    return SimulatedEnv(FAMILY, EnvConfig(**options), Line)


def test_it_keeps_every_promise_of_the_protocol():
    made = env(height=16, width=24)
    assert set(check_env(made, made.tasks)) >= {"protocol", "repeats", "images"}


def test_actions_are_cut_to_the_bounds_of_their_part():
    made = env()
    made.reset("right", 0)
    made.step(np.array([3.0, -7.0], np.float32))
    np.testing.assert_array_equal(made.simulation.actions[0], [0.5, -1.0])
    with pytest.raises(ShapeError):
        made.step(np.zeros(3, np.float32))
    with pytest.raises(NotFiniteError):
        made.step(np.array([np.nan, 0.0], np.float32))


def test_success_ends_an_episode_unless_told_otherwise():
    for ends in (True, False):
        made = env(success_ends=ends)
        made.reset("right", 0)
        results = [made.step(np.array([0.5, 0.0])) for _ in range(3)]
        assert results[0][4]["success"] is False and results[0][2] is False
        assert results[2][2] is ends and results[2][4]["success"] is True


def test_horizons_are_the_tasks_own_then_the_families_then_the_callers():
    lengths = []
    for task, horizon in (("left", 0), ("right", 0), ("right", 2)):
        made = env(horizon=horizon)
        made.reset(task, 0)
        count = 1
        while not made.step(np.zeros(2))[3]:
            count += 1
        lengths.append(count)
    assert lengths == [3, 8, 2]


def test_a_partner_is_asked_for_in_the_scene_of_another_task():
    made = env()
    Line.built.clear()
    first = made.reset("left@right", 0)
    assert Line.built == ["right"] and first.instruction == ("Go left.",) and made.task == "left"
    for _ in range(3):
        result = made.step(np.array([-0.5, 0.0]))
    assert result[4]["success"] and made.judge("left") and not made.judge("right")
    assert made.scene_partners("right") == ("left",) and made.scene_partners("left@right") == ("right",)
    for wrong in ("nowhere@right", "right@left", "right@up"):
        with pytest.raises(UnknownNameError):
            made.reset(wrong, 0)


def test_a_scene_is_kept_until_another_is_needed():
    made = env()
    Line.built.clear()
    made.reset("right", 0)
    first = made.simulation
    made.reset("left@right", 1)
    assert made.simulation is first
    made.reset("left", 1)
    assert first.closed and Line.built == ["right", "left"]
    made.close()
    made.close()
    with pytest.raises(EnvironmentFailure):
        made.observe()


def test_diverged_physics_truncates_and_never_counts_as_success():
    made = env(horizon=100)
    made.reset("right", 0)
    made.simulation.x = 4.9
    _, _, terminated, truncated, info = made.step(np.array([0.5, 0.0]))
    assert truncated and not terminated and info == {"success": False, "unstable": True}


def test_the_provenance_says_what_was_drawn_and_by_which_packages():
    made = env(cameras=("other",), profile="faithful", tasks=("left",))
    assert made.tasks == ("left",) and made.contract.observation.camera_names == ("other",)
    assert made.provenance.profile == "faithful" and set(made.provenance.versions) == {"numpy"}
    assert made.contract.embodiment == "point" and made.contract.action.dim == 2


def test_wrong_names_are_refused_when_it_is_built():
    for options in ({"tasks": ("rigth",)}, {"cameras": ("ear",)}, {"profile": "vast"}, {"options": {"speed": "1"}}):
        with pytest.raises(UnknownNameError):
            env(**options)


def test_a_scene_that_draws_nothing_is_found_out():
    class Dark(Line):
        def draw(self):
            return {view.name: np.zeros((view.height, view.width, 3), np.uint8) for view in self.views}

    with pytest.raises(ContractError, match="images"):
        check_env(SimulatedEnv(FAMILY, EnvConfig(), Dark))


def test_a_scene_that_remembers_is_found_out():
    class Leaky(Line):
        start = 0.0

        def reset(self, seed):
            super().reset(seed)
            Leaky.start += 0.01
            self.x += Leaky.start

    with pytest.raises(ContractError, match="repeats"):
        check_env(SimulatedEnv(FAMILY, EnvConfig(), Leaky))


def test_the_body_follows_from_the_tasks():
    bodies = {"arm": ("lift", "stack"), "arms": ("lift_together",)}
    assert body_of((), bodies) == "arm"
    assert body_of(("lift_together",), bodies) == "arms"
    assert body_of(("stack@lift",), bodies) == "arm"
    with pytest.raises(ConfigError, match="one body"):
        body_of(("lift", "lift_together"), bodies)
    with pytest.raises(UnknownNameError):
        body_of(("lfit",), bodies)


def test_sentences_must_not_stand_in_two_splits():
    with pytest.raises(ConfigError):
        Sentences(canonical=("a",), train=("b",), held_out=("b",))
    with pytest.raises(ConfigError):
        Sentences(canonical=("a", "c"), train=(), held_out=())
    assert words("up").of("held_out") == ("Walk up.",)


@pytest.mark.parametrize("file", [f"_{family}_language.json" for family in FAMILIES])
def test_every_family_says_enough(file):
    table = sentences.read("embodia.envs.adapters", file)
    assert table
    for task, said in table.items():
        assert len(said.train) >= 3 and len(said.held_out) >= 2, task
        for sentence in (*said.canonical, *said.train, *said.held_out):
            assert sentence == sentence.strip() and sentence[0].isupper() and sentence.endswith("."), sentence
    canonical = {said.canonical for said in table.values()}
    trained = {sentence for said in table.values() for sentence in (*said.canonical, *said.train)}
    held_out = {sentence for said in table.values() for sentence in said.held_out}
    assert not trained & held_out and len(canonical) >= 0.9 * len(table)


def test_a_table_is_read_as_it_is_written(tmp_path, monkeypatch):
    (tmp_path / "toypackage").mkdir()
    (tmp_path / "toypackage" / "__init__.py").write_text("")
    text = json.dumps({"a": {"canonical": "A.", "train": ["B."], "held_out": ["C."]}})
    (tmp_path / "toypackage" / "said.json").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    table = sentences.read("toypackage", "said.json")
    assert table["a"] == Sentences(canonical=("A.",), train=("B.",), held_out=("C.",))
    with pytest.raises(ConfigError):
        replace(table["a"], train=("A.",))

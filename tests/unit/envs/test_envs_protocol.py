import pytest

from embodia import envs
from embodia.core import config as core_config
from embodia.core.errors import ConfigError, UnknownNameError
from embodia.envs.protocol import CameraView, EnvConfig, chosen, resolve_views

KNOWN = {"wide": CameraView(name="wide", source="corner2"), "near": CameraView(name="near", lookat_m=(0.0, 0.6, 0.1))}


def test_config_survives_json_with_names_and_views():
    config = EnvConfig(cameras=("wide", CameraView(name="own", crop=(4, 2), render=(140, 140))), tasks=("reach",))
    assert core_config.from_json(EnvConfig, core_config.to_json(config)) == config


def test_views_by_name_take_the_configured_size():
    views = resolve_views(EnvConfig(height=64, width=96), KNOWN, ("wide", "near"))
    assert [(view.name, view.height, view.width) for view in views] == [("wide", 64, 96), ("near", 64, 96)]
    assert views[0].source == "corner2" and views[1].lookat_m == (0.0, 0.6, 0.1)


def test_own_view_keeps_its_size():
    own = CameraView(name="own", height=32, width=32)
    assert resolve_views(EnvConfig(cameras=(own,)), KNOWN, ("wide",)) == (own,)


def test_unknown_camera_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="wide"):
        resolve_views(EnvConfig(cameras=("wyde",)), KNOWN, ())


def test_two_cameras_of_one_name_are_refused():
    with pytest.raises(ConfigError, match="one name"):
        resolve_views(EnvConfig(cameras=("wide", CameraView(name="wide"))), KNOWN, ())


@pytest.mark.parametrize(
    "wrong",
    [
        {"height": 4},
        {"render": (200, 128)},
        {"render": (140, 140), "crop": (13, 0)},
        {"crop": (1, 0)},
        {"render": (140, 140), "crop": (-1, 0)},
    ],
)
def test_views_that_cannot_be_drawn_are_refused(wrong):
    with pytest.raises(ConfigError):
        CameraView(name="c", **wrong)


def test_descriptions_tell_views_apart():
    views = [
        CameraView(name="a"),
        CameraView(name="a", source="corner"),
        CameraView(name="a", lookat_m=(0.0, 0.0, 0.0)),
        CameraView(name="a", lookat_m=(0.0, 0.0, 0.0), distance_m=2.0),
        CameraView(name="a", lookat_m=(0.0, 0.0, 0.0), azimuth_deg=3.0),
        CameraView(name="a", render=(256, 256)),
        CameraView(name="a", render=(256, 256), crop=(0, 0)),
        CameraView(name="a", render=(256, 256), crop=(1, 0)),
    ]
    assert len({view.describe() for view in views}) == len(views)
    assert views[0].describe() == "a"


def test_chosen_means_all_when_nothing_is_named():
    assert chosen("task", (), ("a", "b")) == ("a", "b")
    assert chosen("task", ("b",), ("a", "b")) == ("b",)
    with pytest.raises(UnknownNameError):
        chosen("task", ("drawer-opne",), ("drawer-open",))


def test_make_refuses_anything_but_a_file_of_the_folder():
    for name in ("nowhere", "os.path", "../metaworld", "_private"):
        with pytest.raises(UnknownNameError):
            envs.make(name)

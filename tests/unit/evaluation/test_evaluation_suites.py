"""Suites: names, protocols and task lists as published."""

import pytest

from embodia.core.config import from_json, to_json
from embodia.core.errors import ConfigError, UnknownNameError
from embodia.envs.protocol import EnvConfig
from embodia.evaluation import suites
from embodia.evaluation.suites import Suite, load, names

PLAIN = {"name": "toy", "family": "toy", "source": "A toy, 2026", "protocol": "two episodes"}


def test_every_suite_is_found_by_its_own_name():
    assert len(set(names())) == len(names())
    for name in names():
        suite = load(name)
        assert suite.name == name and name.split("/")[0] in suites.FOLDER.names()
        assert suite.source and suite.protocol and suite.episodes >= 1


def test_groups_are_parts_of_the_tasks():
    for suite in map(load, names()):
        for part in suite.groups.values():
            assert part and set(part) <= set(suite.env.tasks)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("metaworld/mt11", "metaworld/mt1"),
        ("metawrld", "metaworld"),
        ("metaworld", "metaworld/"),
        ("../x/y", "unknown suite"),
    ],
)
def test_a_wrong_name_is_answered_with_a_near_one(name, near):
    with pytest.raises(UnknownNameError, match=near):
        load(name)


@pytest.mark.parametrize("variant", ["mt10", "mt25", "mt50", "ml10", "ml45"])
def test_metaworld_task_lists_are_the_packages(variant):
    env_dict = pytest.importorskip("metaworld.env_dict")
    suite, published = load(f"metaworld/{variant}"), getattr(env_dict, f"{variant.upper()}_V3")
    if variant.startswith("mt"):
        assert set(suite.env.tasks) == {name.removesuffix("-v3") for name in published}
        assert len(suite.env.tasks) == int(variant[2:])
        return
    for part in ("train", "test"):
        assert set(suite.groups[part]) == {name.removesuffix("-v3") for name in published[part]}
    assert len(suite.groups["train"]) == int(variant[2:])


def test_config_is_the_published_protocol_unless_told_otherwise():
    suite = load("metaworld/mt10")
    config = suite.config()
    assert (config.episodes, config.env.horizon, config.env.tasks) == (50, 500, suite.env.tasks)
    assert config.suite["name"] == "metaworld/mt10" and config.sentences == "canonical"
    part = suite.config(episodes=3, tasks=("reach",))
    assert (part.episodes, part.control_episodes, part.env.tasks) == (3, 3, ("reach",))


def test_a_suite_without_episodes_is_refused():
    with pytest.raises(ConfigError, match="at least one episode"):
        Suite(**PLAIN, env=EnvConfig(), episodes=0)


def test_env_settings_of_a_suite_survive_json():
    for suite in map(load, names()):
        assert from_json(EnvConfig, to_json(suite.env)) == suite.env

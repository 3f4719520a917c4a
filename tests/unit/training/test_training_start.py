"""Eyes handed from run to run: what is taken, what stays random, what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from training_world import config, spec

from embodia.core.errors import ConfigError, MissingFileError
from embodia.parts.encoders.keypoint_stem import KeypointStemConfig
from embodia.policies import make
from embodia.training.checkpoint import load_policy
from embodia.training.loop import train
from embodia.training.sources import from_mixture
from embodia.training.start import inherit_eyes, keypoint_eyes

EYE = KeypointStemConfig(channels=8, keypoints=4, grid_channels=8, condition=8)


def seeing(eye=EYE, width=16):
    plain = spec(width=width)
    return replace(plain, config=replace(plain.config, vision=eye))


@pytest.fixture(scope="module")
def run(mixture, tmp_path_factory):
    folder = tmp_path_factory.mktemp("taught")
    train(config(steps=3), seeing(), mixture, folder)
    return str(folder)


def loaded(folder):
    return load_policy(Path(folder))[0]


def eye_of(policy):
    ((_, eye),) = keypoint_eyes(policy).items()
    return eye.state_dict()


def test_an_eye_of_the_same_sizes_is_taken_whole_and_nothing_else_is(run):
    policy = make(seeing(), seed=5)
    before = {name: tensor.clone() for name, tensor in policy.state_dict().items()}
    assert inherit_eyes(policy, [run]) == {"encoders.image": 1.0}
    taught, after = eye_of(loaded(run)), policy.state_dict()
    for name, tensor in after.items():
        inside = name.removeprefix("encoders.image.")
        wanted = taught[inside] if inside != name else before[name]
        assert torch.equal(tensor, wanted), name


def test_weights_that_lead_into_another_width_stay_random(run):
    policy = make(seeing(width=24), seed=5)
    before = {name: tensor.clone() for name, tensor in eye_of(policy).items()}
    ((name, share),) = inherit_eyes(policy, [run]).items()
    taught, after = eye_of(loaded(run)), eye_of(policy)
    changed = {key for key, tensor in after.items() if not torch.equal(tensor, before[key])}
    assert name == "encoders.image" and 0.3 < share < 1.0
    assert "stems.0.detectors" in changed and "stems.0.body.0.weight" in changed
    assert "position" not in changed and "stems.0.points.2.weight" not in changed
    assert all(torch.equal(after[key], taught[key]) for key in changed)


def test_steering_is_kept_between_eyes_that_hear_and_eyes_that_do_not(run):
    taught = eye_of(loaded(run))
    for hears in (False, True):
        (eye,) = keypoint_eyes(make(seeing(), seed=5)).values()
        before = eye.stems[0].steer.weight.clone()
        state = {name: tensor for name, tensor in taught.items() if not (hears and name == "still")}
        eye.inherit(state)
        assert torch.equal(eye.stems[0].steer.weight, before) is hears
        assert torch.equal(eye.stems[0].detectors, taught["stems.0.detectors"])


def test_of_several_taught_eyes_the_one_of_our_size_is_taken(run, mixture, tmp_path):
    small = replace(EYE, channels=4)
    train(config(steps=2), seeing(small), mixture, tmp_path)
    policy = make(seeing(small), seed=5)
    assert inherit_eyes(policy, [run, str(tmp_path)]) == {"encoders.image": 1.0}
    assert torch.equal(eye_of(policy)["stems.0.detectors"], eye_of(loaded(tmp_path))["stems.0.detectors"])
    with pytest.raises(ConfigError, match="4, 6") as caught:
        inherit_eyes(make(seeing(replace(EYE, channels=6))), [run])
    assert caught.value.leaf == "encoders.image"


def test_a_run_without_eyes_is_refused_and_a_policy_without_eyes_is_not(run, mixture, tmp_path):
    train(config(steps=1), spec(), mixture, tmp_path / "blind")
    with pytest.raises(ConfigError, match="no keypoint eyes"):
        inherit_eyes(make(seeing()), [str(tmp_path / "blind")])
    assert inherit_eyes(make(spec()), [run]) == {}
    with pytest.raises(MissingFileError):
        inherit_eyes(make(seeing()), [str(tmp_path / "nowhere")])


def test_training_begins_with_them_and_goes_on_with_what_it_learned(run, mixture, tmp_path):
    steady = {"eyes_from": (run,), "schedule": "constant", "warmup_steps": 0}
    begun = from_mixture(config(steps=2, **steady), seeing(), mixture).policy()
    assert all(torch.equal(a, b) for a, b in zip(eye_of(begun).values(), eye_of(loaded(run)).values(), strict=True))
    train(config(steps=2, **steady), seeing(), mixture, tmp_path / "parts")
    again = train(config(steps=4, **steady), seeing(), mixture, tmp_path / "parts")
    whole = train(config(steps=4, **steady), seeing(), mixture, tmp_path / "whole")
    first, second = (loaded(found.latest).state_dict() for found in (again, whole))
    assert all(np.array_equal(first[name].numpy(), second[name].numpy()) for name in first)
    assert not torch.equal(first["encoders.image.position"], eye_of(begun)["position"])

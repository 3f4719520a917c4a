"""Fine-tuning: beginning with another run's weights, parts that stand still, parts that learn by low-rank updates."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training_world import LOW_RANK, STATISTICS, config, spec

from embodia.core.errors import CheckpointError, ConfigError
from embodia.io.tensors import load_tensors
from embodia.policies import bet, make
from embodia.training.checkpoint import load_policy
from embodia.training.loop import train
from embodia.training.sources import from_mixture
from embodia.training.start import inherit_weights

STEADY = {"schedule": "constant", "warmup_steps": 0}


@pytest.fixture(scope="module")
def run(mixture, tmp_path_factory):
    folder = tmp_path_factory.mktemp("taught")
    train(config(steps=3), spec(), mixture, folder)
    return str(folder)


def loaded(folder):
    return load_policy(Path(folder))[0].state_dict()


def test_a_run_begins_with_the_weights_of_another(run, mixture):
    begun = from_mixture(config(weights_from=run), spec(), mixture).policy()
    assert all(torch.equal(tensor, loaded(run)[name]) for name, tensor in begun.state_dict().items())
    assert all(item.requires_grad for item in begun.parameters())


def test_units_are_those_of_the_new_data(run):
    one = (1.0, 1.0, 1.0)
    moved = {**STATISTICS, "state": replace(STATISTICS["state"], mean=(5.0, 5.0, 5.0), std=one)}
    policy = make(spec(), moved, seed=5)
    units = {name: tensor.clone() for name, tensor in policy.state_dict().items() if "_units." in name}
    inherit_weights(policy, run)
    after = policy.state_dict()
    assert units and all(torch.equal(after[name], tensor) for name, tensor in units.items())
    assert any(not torch.equal(loaded(run)[name], tensor) for name, tensor in units.items())
    assert torch.equal(after["decoder.head.weight"], loaded(run)["decoder.head.weight"])


def test_what_shall_be_fresh_stays_random(run):
    policy = make(spec(), seed=5)
    before = policy.state_dict()["decoder.head.weight"].clone()
    inherit_weights(policy, run, fresh=("decoder.head",))
    assert torch.equal(policy.state_dict()["decoder.head.weight"], before)
    assert torch.equal(policy.state_dict()["decoder.queries"], loaded(run)["decoder.queries"])
    with pytest.raises(ConfigError, match="'decoder.hand'"):
        inherit_weights(make(spec()), run, fresh=("decoder.hand",))


def test_another_size_or_design_is_refused_by_the_first_tensor_that_does_not_fit(run):
    with pytest.raises(CheckpointError, match="--fresh") as caught:
        inherit_weights(make(spec(width=24)), run)
    assert caught.value.leaf == "encoders.state.position" and caught.value.file == run
    with pytest.raises(CheckpointError, match="no such tensor"):
        inherit_weights(make(replace(spec(), name="bet", config=bet.preset("tiny"))), run)
    with pytest.raises(ConfigError, match="weights_from"):
        config(fresh=("decoder",))


def test_frozen_parts_stand_still_and_others_learn(run, mixture, tmp_path):
    found = train(config(steps=2, weights_from=run, frozen=("encoders.image",)), spec(), mixture, tmp_path)
    before, after = loaded(run), loaded(found.latest)
    still = {name for name in before if torch.equal(before[name], after[name])}
    assert {name for name in before if name.startswith("encoders.image")} <= still
    assert "decoder.head.weight" not in still


def test_what_is_fresh_learns_whatever_else_stands_still(run, mixture):
    fresh = {"weights_from": run, "fresh": ("decoder.head",)}
    for still in ({"frozen": ("",)}, {**LOW_RANK, "lora": ("",)}):
        policy = from_mixture(config(**fresh, **still), spec(), mixture).policy()
        learning = {name for name, item in policy.named_parameters() if item.requires_grad}
        whole = {name for name in learning if not name.endswith((".up", ".down"))}
        assert whole == {"decoder.head.weight", "decoder.head.bias"}
        assert ("backbone.layers.0.attention.out.up" in learning) is ("lora" in still)


def test_low_rank_updates_change_matrices_by_their_rank_and_leave_a_plain_checkpoint(run, mixture, tmp_path):
    found = train(config(steps=4, weights_from=run, **LOW_RANK), spec(), mixture, tmp_path)
    before, after = loaded(run), loaded(found.latest)
    assert before.keys() == after.keys()
    for name in before:
        change = after[name] - before[name]
        if name.startswith(("backbone", "decoder")):
            rank = torch.linalg.matrix_rank(change, atol=1e-6) if change.ndim == 2 else 0
            adapted = name.endswith(".weight") and change.ndim == 2
            assert (0 < rank <= 2) if adapted else not change.any(), name
    assert (after["encoders.state.project.weight"] - before["encoders.state.project.weight"]).any()
    stored = load_tensors(found.latest / "model.safetensors", framework="torch")
    assert torch.equal(stored["decoder.head.base"], before["decoder.head.weight"])


def test_a_run_with_low_rank_updates_resumes_to_the_same_bits_and_can_be_gone_on_from(run, mixture, tmp_path):
    parts = {**LOW_RANK, **STEADY, "weights_from": run}
    train(config(steps=2, **parts), spec(), mixture, tmp_path / "parts")
    again = train(config(steps=4, **parts), spec(), mixture, tmp_path / "parts")
    whole = train(config(steps=4, **parts), spec(), mixture, tmp_path / "whole")
    first, second = loaded(again.latest), loaded(whole.latest)
    assert all(torch.equal(first[name], second[name]) for name in first)
    begun = from_mixture(config(weights_from=str(tmp_path / "whole")), spec(), mixture).policy().state_dict()
    best = loaded(tmp_path / "whole")
    assert all(torch.equal(begun[name], best[name]) for name in begun)


def test_updates_of_pretrained_parts_learn_at_the_full_rate(run, mixture):
    from embodia.training import optim

    policy = from_mixture(config(weights_from=run, **LOW_RANK), spec(), mixture).policy()
    policy.backbone.pretrained = True
    slow = [group for group in optim.build(policy, config()).param_groups if group["factor"] != 1.0]
    assert slow == []
    policy.encoders["image"].pretrained = True
    assert any(group["factor"] == config().slow_factor for group in optim.build(policy, config()).param_groups)

"""Checkpoints: what comes back, what is kept, and every kind of damage answered by name."""

import errno
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from training_world import PROVENANCE, STATISTICS, config, factories, samples, spec

from embodia.core.errors import (
    CheckpointError,
    ConfigError,
    CorruptFileError,
    MissingFileError,
    StorageError,
    UnknownNameError,
    VersionError,
)
from embodia.io import atomic, manifest
from embodia.io.tensors import load_tensors, save_tensors
from embodia.training import checkpoint
from embodia.training.checkpoint import Card, Store, find, load_policy, read_card, step_of
from embodia.training.loop import fit
from embodia.training.parallel import Parallel
from embodia.training.state import Learner, put


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    run = config(steps=6, save_every=2, validate_every=3, keep_last=2)
    fit(run, factories(run), out)
    return out


@pytest.fixture
def folder(trained, tmp_path):
    """A private copy of a complete checkpoint."""
    source, target = Store(trained / "checkpoints").latest(), tmp_path / "step-000000006"
    target.mkdir()
    for path in source.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


def edit(folder, change):
    """Change spec.json and sign the folder anew, as someone with write access could."""
    path = folder / "spec.json"
    raw = json.loads(path.read_text())
    change(raw)
    path.write_text(json.dumps(raw))
    manifest.write_manifest(folder)


def observation():
    image, state, _ = samples(seed=5, size=4)
    from embodia.core.types import Observation

    return Observation(images={"front": image}, state=state, instruction=("",) * 4)


def test_a_run_folder_and_a_checkpoint_folder_give_the_same_policy(trained):
    from_run, the_spec, provenance = load_policy(trained)
    from_step, _, _ = load_policy(find(trained))
    a, _ = from_run.act(observation(), None, None)
    b, _ = from_step.act(observation(), None, None)
    assert np.array_equal(a.actions, b.actions)
    assert the_spec == spec() and provenance == PROVENANCE and not from_run.training


def test_averaged_weights_are_preferred_and_can_be_declined(folder):
    own = load_tensors(folder / "model.safetensors", "torch")
    averages = load_tensors(folder / "ema.safetensors", "torch")
    name = next(iter(averages))
    assert not torch.equal(own[name], averages[name])
    assert torch.equal(load_policy(folder)[0].state_dict()[name], averages[name])
    assert torch.equal(load_policy(folder, averaged=False)[0].state_dict()[name], own[name])


def test_the_card_says_what_the_policy_is_and_how_it_was_made(trained):
    card = read_card(trained)
    assert card.statistics == STATISTICS and card.training.steps == 6
    raw = json.loads((find(trained) / "spec.json").read_text())
    assert raw["versions"]["torch"] == torch.__version__.split("+")[0] or raw["versions"]["torch"] == torch.__version__
    assert {"embodia", "numpy", "safetensors"} <= raw["versions"].keys() | {"embodia"}


def test_statistics_travel_inside_the_weights(folder):
    policy, _, _ = load_policy(folder)
    raw = json.loads((folder / "spec.json").read_text())
    assert raw["statistics"]["state"]["count"] == STATISTICS["state"].count
    torch.testing.assert_close(
        policy.state_units.do(torch.tensor([[0.5, 0.5, 0.5]])), torch.full((1, 3), 0.5), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("name", ["model.safetensors", "ema.safetensors", "optimizer.safetensors", "state.json"])
def test_one_flipped_bit_is_found_and_the_file_named(folder, name):
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(CorruptFileError) as caught:
        load_policy(folder)
    assert caught.value.file.endswith(name)


def test_a_truncated_file_is_named_even_when_the_manifest_was_rewritten(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CorruptFileError) as caught:
        load_policy(folder)
    assert caught.value.file.endswith("model.safetensors")
    manifest.write_manifest(folder)
    with pytest.raises(CorruptFileError) as caught:
        load_policy(folder)
    assert caught.value.file.endswith("model.safetensors")


def test_a_missing_file_is_named(folder):
    (folder / "ema.safetensors").unlink()
    with pytest.raises(MissingFileError) as caught:
        load_policy(folder)
    assert caught.value.file.endswith("ema.safetensors")


def test_no_checkpoint_at_all_is_said_plainly(tmp_path):
    with pytest.raises(MissingFileError, match="no complete checkpoint"):
        load_policy(tmp_path)


@pytest.mark.parametrize("name", ["atc", "os.system", "../act", "act\n", "ACT", ""])
def test_a_policy_name_goes_through_the_folder(folder, name):
    edit(folder, lambda raw: raw["policy"].update(name=name))
    with pytest.raises(UnknownNameError) as caught:
        load_policy(folder)
    if name == "atc":
        assert "Did you mean 'act'?" in str(caught.value)


def test_an_unknown_format_is_a_version_error(folder):
    edit(folder, lambda raw: raw.update(format=99))
    with pytest.raises(VersionError, match="99"):
        load_policy(folder)


@pytest.mark.parametrize("key", ["policy", "provenance", "statistics", "training", "datasets"])
def test_a_missing_entry_is_named(folder, key):
    edit(folder, lambda raw: raw.pop(key))
    with pytest.raises(CheckpointError) as caught:
        load_policy(folder)
    assert caught.value.leaf == key


@pytest.mark.parametrize(
    ("change", "leaf"),
    [
        (lambda raw: raw["policy"]["config"].update(width="wide"), "config.width"),
        (lambda raw: raw["policy"]["config"].update(widht=16), "config"),
        (lambda raw: raw["policy"]["contract"].pop("embodiment"), "contract"),
        (lambda raw: raw["provenance"].update(profile=3), "provenance.profile"),
        (lambda raw: raw["statistics"]["state"].update(mean=0.5), "statistics.state.mean"),
        (lambda raw: raw.update(datasets="x"), "datasets"),
        (lambda raw: raw.update(statistics=[1]), "statistics"),
    ],
)
def test_a_mistyped_entry_is_named(folder, change, leaf):
    edit(folder, change)
    with pytest.raises((ConfigError, CheckpointError)) as caught:
        load_policy(folder)
    assert leaf in (caught.value.leaf or "")
    assert caught.value.file.endswith("spec.json")


def test_a_description_that_is_no_object_is_refused(folder):
    (folder / "spec.json").write_text("[1, 2]")
    manifest.write_manifest(folder)
    with pytest.raises(CheckpointError):
        load_policy(folder)


def test_another_width_names_the_tensor_and_both_shapes(folder):
    edit(folder, lambda raw: raw["policy"]["config"].update(hidden=64))
    with pytest.raises(CheckpointError, match=r"the file has shape .*32.*this policy .*64") as caught:
        load_policy(folder)
    assert caught.value.leaf.endswith(("weight", "bias"))


def test_a_tensor_too_few_or_too_many_is_named(folder):
    path = folder / "model.safetensors"
    tensors = load_tensors(path, "torch")
    gone = sorted(tensors)[3]
    save_tensors(path, {name: item for name, item in tensors.items() if name != gone})
    (folder / "ema.safetensors").unlink()
    manifest.write_manifest(folder)
    with pytest.raises(CheckpointError, match="missing") as caught:
        load_policy(folder)
    assert caught.value.leaf == gone
    save_tensors(path, {**tensors, "extra": torch.zeros(1)})
    manifest.write_manifest(folder)
    with pytest.raises(CheckpointError, match="unknown") as caught:
        load_policy(folder)
    assert caught.value.leaf == "extra"


def test_nothing_is_copied_when_something_does_not_fit():
    target = {"a": torch.zeros(2), "b": torch.zeros(3)}
    with pytest.raises(CheckpointError):
        put(target, {"a": torch.ones(2), "b": torch.ones(4)}, file="x")
    assert torch.equal(target["a"], torch.zeros(2))


def learner(**changes):
    run = config(**changes)
    make = factories(run)
    return Learner(run, make.policy, Parallel(rank=0, world_size=1, device=torch.device("cpu"), mode="none")), make


def save(store, one, make, step, loss):
    one.step, one.validation_loss = step, loss
    return store.save(tensors=one.tensors(), facts=one.facts(), card=make.card)


def test_the_last_and_the_best_are_kept_and_ties_go_to_the_earlier(tmp_path):
    store = Store(tmp_path, keep_last=2)
    one, make = learner()
    for step, loss in enumerate([0.5, 0.2, 0.2, None, 0.4, 0.3], start=1):
        save(store, one, make, step, loss)
    assert [path.name for path in store.complete()] == ["step-000000002", "step-000000005", "step-000000006"]
    assert store.best().name == "step-000000002" and store.latest_step() == 6
    assert find(tmp_path) == store.best()


def test_milestones_stay(tmp_path):
    store = Store(tmp_path, keep_last=1, keep_every=2)
    one, make = learner()
    for step in range(1, 6):
        save(store, one, make, step, None)
    assert [step_of(path) for path in store.complete()] == [2, 4, 5]


def test_an_unfinished_folder_is_never_the_latest_and_is_tidied(tmp_path):
    store = Store(tmp_path)
    one, make = learner()
    kept = save(store, one, make, 1, None)
    torn = save(store, one, make, 2, None)
    (torn / "manifest.json").unlink()
    (tmp_path / ".step-000000003.abcd1234.tmp").mkdir()
    assert store.latest() == kept
    store.tidy()
    assert [path.name for path in tmp_path.iterdir()] == [kept.name]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("kth", range(0, 12, 2))
def test_a_full_disk_is_a_storage_error_that_loses_nothing(tmp_path, monkeypatch, code, kth):
    store = Store(tmp_path)
    one, make = learner()
    safe = save(store, one, make, 1, 0.5)
    before = {path.name: path.read_bytes() for path in safe.iterdir()}
    calls = iter(range(1000))
    real = atomic._sync

    def failing(descriptor):
        if next(calls) == kth:
            raise OSError(code, "injected")
        real(descriptor)

    monkeypatch.setattr(atomic, "_sync", failing)
    with pytest.raises(StorageError, match=r"step-000000001 is complete"):
        save(store, one, make, 2, 0.4)
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in safe.iterdir()} == before
    assert store.latest() == safe and [path.name for path in tmp_path.iterdir()] == [safe.name]
    assert one.step == 2
    save(store, one, make, 2, 0.4)
    assert store.latest_step() == 2


def test_a_disk_that_is_full_from_the_start_says_that_nothing_is_safe(tmp_path, monkeypatch):
    one, make = learner()

    def failing(descriptor):
        raise OSError(errno.ENOSPC, "injected")

    monkeypatch.setattr(atomic, "_sync", failing)
    with pytest.raises(StorageError, match="no checkpoint exists yet"):
        save(Store(tmp_path), one, make, 1, None)


def test_a_card_survives_json():
    card = Card(policy=spec(), provenance=PROVENANCE, statistics=None, datasets=({"path": "a", "frames": 3},))
    raw = json.loads(json.dumps(checkpoint.card_to_json(card)))
    assert checkpoint.card_from_json(raw, file="spec.json") == card
    assert checkpoint.card_from_json({**raw, "statistics": None}, file="x") == replace(card, statistics=None)


def test_other_frozen_weights_than_trained_with_are_refused(folder):
    named = {"package": "sentences", "version": "1.2", "sha256": "0" * 64}
    edit(folder, lambda raw: raw.update(borrowed={"language": named}))
    with pytest.raises(CheckpointError, match="trained with sentences==1.2") as caught:
        load_policy(folder)
    assert caught.value.leaf == "borrowed.language" and "pip install" in caught.value.cure

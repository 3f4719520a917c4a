"""Training from recorded data sets: shares of ranks, held-out episodes, refusals, resumes through the real loader."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from training_world import CONTRACT, PROVENANCE, config, noise, record, spec

from embodia.core.errors import ContractError, TrainingError
from embodia.data.mixture import Mixture
from embodia.data.transforms.augment import AugmentConfig
from embodia.io.tensors import load_tensors
from embodia.parts.compose import Composition
from embodia.policies import PolicySpec
from embodia.training import sources
from embodia.training.checkpoint import load_policy, read_card
from embodia.training.feed import to_torch
from embodia.training.loop import train
from embodia.training.sources import from_mixture, identity, outline


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return record(tmp_path_factory.mktemp("data") / "toy")


@pytest.fixture
def mixture(dataset):
    return Mixture([(dataset, 1.0)])


def states(batches, count):
    return [next(batches).observation.state for _ in range(count)]


def test_it_trains_and_the_checkpoint_carries_the_facts_of_the_data(mixture, dataset, tmp_path):
    result = train(config(steps=8), spec(), mixture, tmp_path)
    policy, _, provenance = load_policy(tmp_path)
    card = read_card(tmp_path)
    assert result.best_loss is not None and provenance == PROVENANCE
    assert card.statistics["action"] == dataset.statistics["action"]
    assert card.datasets[0]["frames"] == 120 and card.datasets[0]["sha256"] == identity(dataset, 1)["sha256"]
    assert policy.contract.action.chunk == 4


def test_a_resume_through_the_loader_is_exact(mixture, tmp_path):
    steady = {"schedule": "constant", "warmup_steps": 0}
    train(config(steps=8, **steady), spec(), mixture, tmp_path / "whole", augment=noise)
    for steps in (4, 8):
        last = train(config(steps=steps, **steady), spec(), mixture, tmp_path / "parts", augment=noise)
    for name in ("model", "ema", "optimizer"):
        whole, parts = (
            load_tensors(tmp_path / run / "checkpoints" / last.latest.name / f"{name}.safetensors")
            for run in ("whole", "parts")
        )
        assert all(whole[key].tobytes() == parts[key].tobytes() for key in whole)


def test_the_ranks_together_see_the_batch_of_one(mixture):
    make = from_mixture(config(batch_size=8), spec(), mixture)
    alone = np.concatenate(states(make.batches(3, 0, 1), 2))
    shared = [states(make.batches(3, rank, 2), 2) for rank in (0, 1)]
    together = np.concatenate([part for pair in zip(*shared, strict=True) for part in pair])
    assert np.array_equal(alone, together)


def test_accumulated_parts_are_consecutive_pieces_of_the_same_order(mixture):
    whole = from_mixture(config(batch_size=8), spec(), mixture)
    parts = from_mixture(config(batch_size=8, accumulate=4), spec(), mixture)
    assert np.array_equal(
        np.concatenate(states(whole.batches(2, 0, 1), 1)), np.concatenate(states(parts.batches(8, 0, 1), 4))
    )
    assert sorted(whole.describe(2).split("; ")) == sorted(parts.describe(2).split("; "))


def test_held_out_episodes_are_never_trained_on(mixture, dataset):
    chosen = config(batch_size=10, validation_fraction=0.34)
    make = from_mixture(chosen, spec(), mixture)
    seen = {row.tobytes() for state in states(make.batches(0, 0, 1), 30) for row in state}
    held = {row.tobytes() for batch in make.validation(0, 1) for row in batch.observation.state}
    everything = {dataset.states(row.index)[i : i + 1].tobytes() for row in dataset.episodes for i in range(row.length)}
    assert held and not seen & held and seen | held == everything
    assert from_mixture(config(validation_fraction=0.0), spec(), mixture).validation is None


def test_augmentation_can_be_switched_off(mixture):
    assert from_mixture(config(), spec(), mixture, noise).augment is noise
    usual = from_mixture(config(augmentation=AugmentConfig(shift=0.25)), spec(), mixture).augment
    batch = to_torch(next(from_mixture(config(), spec(), mixture).batches(0, 0, 1)), torch.device("cpu"))
    changed = usual(batch, torch.Generator().manual_seed(0)).observation.images["front"]
    assert changed.shape == batch.observation.images["front"].shape
    assert not torch.equal(changed, batch.observation.images["front"])
    assert from_mixture(config(augment=False), spec(), mixture, noise).augment is None


def test_a_policy_for_another_body_is_refused_and_both_sides_named(mixture):
    other = replace(spec(), contract=replace(CONTRACT, embodiment="other"))
    with pytest.raises(ContractError, match=r"policy act and the data do not agree: embodiment"):
        from_mixture(config(), other, mixture)


def test_a_bad_number_names_set_episode_and_frame(mixture, tmp_path):
    def poison(batch, rng):
        return replace(batch, chunk=replace(batch.chunk, actions=batch.chunk.actions * float("nan")))

    with pytest.raises(TrainingError, match=r"at step 0, which saw toy: episode \d frame \d+"):
        train(config(), spec(), mixture, tmp_path, augment=poison)


def test_identity_follows_the_content_and_not_the_place(dataset, tmp_path):
    again = record(tmp_path / "toy")
    assert identity(again, 5) == identity(dataset, 5)
    assert identity(record(tmp_path / "other" / "toy", seed=1), 5)["sha256"] != identity(dataset, 5)["sha256"]


def test_a_policy_hears_every_sentence_before_it_learns(mixture, monkeypatch):
    heard = []
    monkeypatch.setattr(Composition, "fit_sentences", lambda self, wordings: heard.append(wordings))
    one = SimpleNamespace(episodes=[SimpleNamespace(instruction="open")] * 2, paraphrases={"open": ("pull",), "x": ()})
    two = SimpleNamespace(
        episodes=[SimpleNamespace(instruction=said) for said in ("open", "close", "")],
        paraphrases={"open": ("pull", "draw"), "close": ("shut",)},
    )
    from_mixture(config(), spec(), mixture).policy()
    assert heard == [{}]
    told = sources._wordings(SimpleNamespace(datasets=(one, two)))
    assert told == {"open": ("pull", "draw"), "close": ("shut",)}


def test_the_outline_needs_no_memory():
    paper = outline(PolicySpec(name="act", size="paper", contract=CONTRACT))
    assert paper.contract.action.chunk == 100
    assert all(parameter.is_meta for parameter in paper.parameters())

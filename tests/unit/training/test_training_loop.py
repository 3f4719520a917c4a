"""The loop: it learns, repeats bit for bit, resumes bit for bit, obeys its budget, stops at bad numbers."""

import json
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from training_world import batch_of, checkpoint_names, config, factories, noise, sample_ids, samples

from embodia.core.clock import SimulatedClock
from embodia.core.errors import ConfigError, TrainingError
from embodia.io.tensors import load_tensors
from embodia.training import metrics
from embodia.training.checkpoint import Store
from embodia.training.feed import Feed, to_torch
from embodia.training.loop import fit

CPU = torch.device("cpu")


def bits(out):
    """Every tensor of the newest checkpoint, as bytes."""
    folder = Store(out / "checkpoints").latest()
    return {
        f"{path.stem}/{name}": (value.dtype.str, value.tobytes())
        for path in sorted(folder.glob("*.safetensors"))
        for name, value in load_tensors(path).items()
    }


def run(out, **changes):
    chosen = config(**changes)
    return fit(chosen, factories(chosen, augment=noise), out)


class Interrupt(Exception):
    pass


def interrupted(out, after, **changes):
    """A run whose `after`-th batch raises, as if something had stopped it there."""
    chosen = config(**changes)
    make = factories(chosen, augment=noise)

    def batches(start, rank, world_size):
        for index, batch in enumerate(make.batches(start, rank, world_size), start=start):
            if index == after:
                raise Interrupt
            yield batch

    with pytest.raises(Interrupt):
        fit(chosen, replace(make, batches=batches), out)


def test_it_learns(tmp_path):
    chosen = config(steps=150, learning_rate=5e-3, save_every=50, validate_every=50)
    result = fit(chosen, factories(chosen, dropout=0.0), tmp_path)
    lines = [line["loss"] for line in metrics.read(tmp_path) if "loss" in line]
    assert np.mean(lines[-5:]) < 0.4 * lines[0]
    assert result.steps == 150 and result.samples == 1200 and result.best_loss < lines[0]


def test_equal_configurations_give_equal_bits_and_another_seed_does_not(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(tmp_path / name, seed=seed)
    assert bits(tmp_path / "a") == bits(tmp_path / "b") != bits(tmp_path / "c")


@pytest.mark.parametrize("after", [1, 5, 8, 11])
@pytest.mark.parametrize("extra", [{}, {"accumulate": 2, "ema_decay": 0.0}, {"precision": "bf16", "prefetch": 0}])
def test_a_resumed_run_ends_in_the_same_bits(tmp_path, after, extra):
    run(tmp_path / "whole", **extra)
    interrupted(tmp_path / "torn", after, **extra)
    run(tmp_path / "torn", **extra)
    assert bits(tmp_path / "whole") == bits(tmp_path / "torn")
    whole, torn = (metrics.read(tmp_path / name) for name in ("whole", "torn"))
    assert [line["step"] for line in whole] == [line["step"] for line in torn]
    assert [line.get("loss") for line in whole] == [line.get("loss") for line in torn]


def test_prefetching_changes_nothing(tmp_path):
    run(tmp_path / "ahead", prefetch=3)
    run(tmp_path / "in_place", prefetch=0)
    assert bits(tmp_path / "ahead") == bits(tmp_path / "in_place")


def test_accumulation_takes_the_same_step_as_one_large_batch(tmp_path):
    moments = []
    for parts in (1, 2, 4):
        chosen = config(steps=1, accumulate=parts, clip_norm=0.0)
        result = fit(chosen, factories(chosen, dropout=0.0, latent=False), tmp_path / str(parts))
        moments.append(load_tensors(result.latest / "optimizer.safetensors"))
    for other in moments[1:]:
        for name in (name for name in moments[0] if name.startswith("exp_avg")):
            np.testing.assert_allclose(other[name], moments[0][name], rtol=1e-3, atol=1e-7, err_msg=name)


def test_a_finished_run_is_left_alone(tmp_path):
    first = run(tmp_path)
    before = bits(tmp_path)
    again = run(tmp_path)
    assert bits(tmp_path) == before and again.steps == first.steps and again.best == first.best


def test_a_longer_budget_goes_on_from_where_the_run_ended(tmp_path):
    run(tmp_path, schedule="constant")
    run(tmp_path, steps=16, schedule="constant")
    assert checkpoint_names(tmp_path)[-1] == "step-000000016"


def test_another_configuration_or_a_forbidden_resume_is_refused(tmp_path):
    run(tmp_path)
    with pytest.raises(ConfigError, match="learning_rate: saved 0.003, asked 0.1"):
        run(tmp_path, learning_rate=0.1)
    with pytest.raises(ConfigError) as caught:
        run(tmp_path, resume=False)
    assert caught.value.leaf == "resume"


def test_another_policy_or_another_data_set_is_refused(tmp_path):
    run(tmp_path)
    chosen = config()
    make = factories(chosen)
    with pytest.raises(ConfigError) as caught:
        fit(chosen, replace(make, card=replace(make.card, datasets=({"path": "other"},))), tmp_path)
    assert caught.value.leaf == "datasets"
    with pytest.raises(ConfigError) as caught:
        fit(chosen, factories(chosen, dropout=0.3), tmp_path)
    assert caught.value.leaf == "policy"


@pytest.mark.parametrize("prefetch", [0, 2])
def test_a_loss_that_is_not_finite_names_step_and_samples(tmp_path, prefetch):
    image, state, actions = samples()
    chosen = config(steps=10, prefetch=prefetch, save_every=2)
    poisoned = sample_ids(5, chosen.batch_size)[3]
    seen_before = np.concatenate([sample_ids(i, chosen.batch_size) for i in range(5)])
    assert poisoned not in seen_before
    actions = actions.copy()
    actions[poisoned] = np.nan
    with pytest.raises(TrainingError, match=rf"at step 5.*{poisoned}"):
        fit(chosen, factories(chosen, data=(image, state, actions)), tmp_path)
    kept = Store(tmp_path / "checkpoints").latest()
    assert kept.name == "step-000000004"
    assert all(np.isfinite(item).all() for item in load_tensors(kept / "model.safetensors").values())


def test_data_that_ends_early_is_an_error(tmp_path):
    chosen = config()
    make = factories(chosen)
    short = replace(make, batches=lambda *place: islice(make.batches(*place), 3))
    with pytest.raises(TrainingError, match="ended before the budget"):
        fit(chosen, short, tmp_path)


class Ticking(SimulatedClock):
    """Every look at the clock takes ten milliseconds."""

    def now_s(self):
        self.sleep(0.01)
        return super().now_s()


def test_a_budget_in_seconds_ends_by_the_clock_and_the_rate_falls_with_it(tmp_path):
    chosen = config(steps=None, max_seconds=3.0, warmup_steps=0, save_every=None, validate_every=None, log_every=1)
    result = fit(chosen, factories(chosen), tmp_path, clock=Ticking())
    rates = [line["learning_rate"] for line in metrics.read(tmp_path) if "learning_rate" in line]
    assert result.seconds >= 3.0 and 5 < result.steps < 200
    assert rates == sorted(rates, reverse=True) and rates[0] > 0.9 * 3e-3 and rates[-1] < 0.1 * 3e-3
    validations = [line for line in metrics.read(tmp_path) if "validation_loss" in line]
    assert 9 <= len(validations) <= 11


def test_seconds_of_earlier_parts_count(tmp_path):
    clock = Ticking()
    chosen = config(steps=4, max_seconds=1000.0)
    fit(chosen, factories(chosen), tmp_path, clock=clock)
    spent = json.loads((Store(tmp_path / "checkpoints").latest() / "state.json").read_text())["seconds"]
    again = config(steps=8, max_seconds=1000.0)
    assert fit(again, factories(again), tmp_path, clock=Ticking()).seconds > spent


def test_the_best_checkpoint_is_of_the_smallest_validation_loss(tmp_path):
    chosen = config(steps=12, save_every=3, validate_every=3, keep_last=1)
    make = factories(chosen)
    levels = iter([3.0, 1.0, 2.0, 2.5])

    def held(rank, world_size):
        level = next(levels)
        batch = next(make.validation(0, 1))
        yield replace(batch, chunk=replace(batch.chunk, actions=batch.chunk.actions + np.float32(level)))

    result = fit(chosen, replace(make, validation=held), tmp_path)
    assert result.best.name == "step-000000006" and result.latest.name == "step-000000012"
    assert checkpoint_names(tmp_path) == ["step-000000006", "step-000000012"]


def test_without_validation_the_newest_is_the_best(tmp_path):
    chosen = config()
    result = fit(chosen, factories(chosen, validation=False), tmp_path)
    assert result.best == result.latest and result.best_loss is None


def test_progress_is_told_with_pace_and_time_left(tmp_path):
    told = []
    chosen = config()
    fit(chosen, factories(chosen), tmp_path, progress=lambda *words: told.append(words))
    text, done, total = told[-1]
    assert (done, total) == (12, 12) and "samples/s" in text and "left" in text and "loss" in text


def test_tensorboard_receives_the_same_figures(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run(tmp_path, tensorboard=True)
    board = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    shown = {event.step: event.value for event in board.Scalars("loss")}
    written = {line["step"]: line["loss"] for line in metrics.read(tmp_path) if "loss" in line}
    assert shown.keys() == written.keys()
    assert all(shown[step] == pytest.approx(written[step], rel=1e-5) for step in shown)


def test_metrics_survive_a_torn_last_line_and_drop_what_lies_beyond_the_checkpoint(tmp_path):
    path = tmp_path / metrics.FILE
    path.write_text('{"step": 1, "loss": 2.0}\n{"step": 5, "loss": 1.0}\n{"step": 6, "lo')
    assert [line["step"] for line in metrics.read(tmp_path)] == [1, 5]
    book = metrics.Metrics(tmp_path, start_step=4, tensorboard=False)
    book.add(5, {"loss": 0.5, "odd": float("inf")})
    book.close()
    assert metrics.read(tmp_path) == [{"step": 1, "loss": 2.0}, {"step": 5, "loss": 0.5, "odd": None}]


@pytest.mark.parametrize(("seconds", "words"), [(None, "?"), (5.2, "0:05"), (245, "4:05"), (3723, "1:02:03")])
def test_durations_for_people(seconds, words):
    assert metrics.time_left(seconds) == words


def test_the_feed_hands_over_tensors_in_order_and_errors_too():
    data = samples()

    def source():
        for index in range(3):
            yield batch_of(sample_ids(index, 4), data)
        raise KeyError("source")

    feed = Feed(source(), device=CPU, seed=0, ahead=2)
    for index in range(3):
        state = next(feed).observation.state
        assert np.array_equal(state.numpy(), data[1][sample_ids(index, 4)])
    with pytest.raises(KeyError):
        next(feed)
    feed.close()
    assert feed.waited_s > 0


def test_augmentation_is_a_function_of_seed_and_index_not_of_where_the_feed_began():
    data = samples()

    def source(start):
        return (batch_of(sample_ids(index, 4), data) for index in range(start, 6))

    def states(start, seed=3):
        feed = Feed(source(start), device=CPU, seed=seed, start=start, augment=noise)
        return [next(feed).observation.state for _ in range(6 - start)]

    whole, late = states(0), states(4)
    assert all(torch.equal(a, b) for a, b in zip(whole[4:], late, strict=True))
    assert not torch.equal(whole[0], states(0, seed=4)[0])
    assert not torch.equal(whole[0], to_torch(next(source(0)), CPU).observation.state)


@pytest.mark.parametrize("option", ["channels_last"])
def test_options_that_must_not_change_the_result_much(tmp_path, option):
    plain = run(tmp_path / "plain", steps=4)
    changed = run(tmp_path / "changed", steps=4, **{option: True})
    assert changed.best_loss == pytest.approx(plain.best_loss, rel=0.05)

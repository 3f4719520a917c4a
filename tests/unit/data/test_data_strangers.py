"""A data set from a stranger: whatever stands in its files, it opens or ends in one typed error, and is validated."""

import copy
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_fakes import contract, episode, provenance
from hypothesis import given, settings
from hypothesis import strategies as st

from embodia.core.errors import EmbodiaError
from embodia.data.dataset import Dataset
from embodia.data.recorder import Recorder
from embodia.data.running import Digest, RunningStatistics
from embodia.data.totals import summarise, summarise_images
from embodia.data.validate import validate

FILES = ("meta/info.json", "meta/stats.json", "meta/embodia.json")
STRANGE = (None, True, -1, 0, 2.5, "x", [], {}, [[]], {"x": 1}, 10**400, float("nan"), float("inf"), "../../etc")


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    root = tmp_path_factory.mktemp("strangers") / "set"
    with Recorder(root, contract=contract(), provenance=provenance(), cache_bytes=0) as recorder:
        for seed in range(2):
            recorder.record(episode(seed, length=6))
    return root


def leaves(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from leaves(item, (*path, key))


def planted(value, path, strange):
    if not path:
        return strange
    changed = copy.deepcopy(value)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = strange
    return changed


def opened(root):
    """What opening and reading everything once ends in: None, or the typed error."""
    try:
        dataset = Dataset.open(root)
        dataset.batch(np.arange(dataset.frames), 3, 1, None, None, ())
        assert dataset.statistics and dataset.paraphrases is not None
    except EmbodiaError as error:
        return error
    return None


@pytest.mark.parametrize(
    ("name", "path", "strange"),
    [
        ("meta/info.json", ("features", "observation.images.front", "shape", 0), "x"),
        ("meta/info.json", ("features", "observation.images.front", "shape", 1), -8),
        ("meta/info.json", ("fps",), 10**400),
        ("meta/stats.json", ("action", "count"), 10**400),
        ("meta/embodia.json", ("contract", "action", "rate_hz"), 10**400),
        ("meta/embodia.json", ("contract", "action", "parts", 0, "dim"), 0),
    ],
)
def test_a_value_that_once_crashed_names_its_file(clean, tmp_path, name, path, strange):
    shutil.copytree(clean, tmp_path / "set")
    spoiled = tmp_path / "set" / name
    spoiled.write_text(json.dumps(planted(json.loads(spoiled.read_text()), path, strange)))
    assert any(finding.file == str(spoiled) for finding in validate(tmp_path / "set"))


@settings(max_examples=50)
@given(st.data())
def test_a_strange_value_anywhere_is_never_a_crash(clean, data):
    name = data.draw(st.sampled_from(FILES))
    value = json.loads((clean / name).read_text())
    path = data.draw(st.sampled_from(list(leaves(value))))
    strange = data.draw(st.sampled_from(STRANGE))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "set"
        shutil.copytree(clean, root)
        (root / name).write_text(json.dumps(planted(value, path, strange)))
        findings, error = validate(root), opened(root)
    assert error is None or findings, f"{error} is not found by the validator"


@settings(max_examples=30)
@given(st.data())
def test_a_strange_cell_of_the_episode_table_is_never_a_crash(clean, data):
    table = pq.read_table(next(clean.glob("meta/episodes/**/*.parquet")))
    name = data.draw(st.sampled_from([name for name in table.column_names if not name.startswith("stats/")]))
    strange = data.draw(st.sampled_from([None, -1, 10**12, "x", "", 0.5, [], ["a", "b"], float("nan")]))
    changed = table.set_column(table.column_names.index(name), name, pa.array([strange]))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "set"
        shutil.copytree(clean, root)
        pq.write_table(changed, next(root.glob("meta/episodes/**/*.parquet")))
        findings, error = validate(root), opened(root)
    assert error is None or findings


@settings(max_examples=25)
@given(st.data())
def test_a_torn_or_flipped_file_is_never_a_crash(clean, data):
    files = sorted(path.relative_to(clean) for path in clean.rglob("*") if path.is_file())
    name = data.draw(st.sampled_from(files))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "set"
        shutil.copytree(clean, root)
        raw = bytearray((root / name).read_bytes())
        if data.draw(st.booleans()) and raw:
            raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        else:
            raw = raw[: data.draw(st.integers(0, len(raw)))]
        (root / name).write_bytes(bytes(raw))
        validate(root)
        opened(root)


VALUES = st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=40)


@given(VALUES, st.integers(1, 5))
def test_statistics_do_not_depend_on_how_frames_were_handed_over(values, pieces):
    frames = np.array(values)[:, None]
    whole, parts, merged = RunningStatistics(1), RunningStatistics(1), RunningStatistics(1)
    whole.add(frames)
    for piece in np.array_split(frames, pieces):
        parts.add(piece)
        other = RunningStatistics(1)
        other.add(piece)
        merged.merge(other)
    for found in (parts.result(), merged.result()):
        assert found.count == whole.count and found.minimum == whole.result().minimum
        np.testing.assert_allclose(found.mean, whole.result().mean, rtol=1e-9, atol=1e-6)
        np.testing.assert_allclose(found.std, whole.result().std, rtol=1e-6, atol=1e-3)
        np.testing.assert_allclose(found.q99, whole.result().q99, rtol=1e-9, atol=1e-9)


@given(VALUES)
def test_few_values_have_numpys_quantiles(values):
    digest = Digest()
    digest.add(np.array(values))
    fractions = (0.01, 0.25, 0.5, 0.99)
    np.testing.assert_allclose(digest.quantiles(fractions), np.quantile(values, fractions), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("draw", ["normal", "exponential", "standard_cauchy"])
def test_quantiles_of_many_values_are_within_a_thousandth_of_their_rank(draw):
    values = getattr(np.random.default_rng(4), draw)(size=60_000)
    digest = Digest()
    for piece in np.array_split(values, 37):
        digest.add(piece)
    ordered = np.sort(values)
    for fraction in (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999):
        rank = np.searchsorted(ordered, digest.quantiles((fraction,))[0]) / len(ordered)
        assert abs(rank - fraction) < max(2e-4, 2e-3 * np.sqrt(fraction * (1 - fraction)))


def test_spread_survives_a_large_offset():
    running = RunningStatistics(1)
    values = 1e8 + np.random.default_rng(0).normal(size=(5000, 1))
    for piece in np.array_split(values, 50):
        running.add(piece)
    assert running.result().std[0] == pytest.approx(values.std(), rel=1e-6)


@given(st.integers(1, 30), st.integers(0, 2**31))
def test_figures_of_an_episode_are_numpys(length, seed):
    values = np.random.default_rng(seed).normal(size=(length, 2)).astype(np.float32)
    found = summarise(values)
    np.testing.assert_allclose(found["mean"], values.astype(float).mean(0))
    np.testing.assert_allclose(found["q10"], np.quantile(values.astype(float), 0.1, axis=0))
    assert found["count"] == [length]


def test_figures_of_pictures_are_those_of_their_pixels():
    frames = np.random.default_rng(1).integers(0, 256, (9, 6, 5, 3), dtype=np.uint8)
    found, levels = summarise_images(frames), frames.reshape(-1, 3) / 255
    for name, expected in (("mean", levels.mean(0)), ("std", levels.std(0)), ("min", levels.min(0))):
        np.testing.assert_allclose(np.ravel(found[name]), expected, atol=1e-9)
    middle = np.quantile(levels, 0.5, axis=0, method="inverted_cdf")
    np.testing.assert_allclose(np.ravel(found["q50"]), middle, atol=1e-9)
    assert found["count"] == [9] and np.shape(found["mean"]) == (3, 1, 1)

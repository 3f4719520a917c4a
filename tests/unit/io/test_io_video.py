"""Videos: what goes in comes out, any frame by its index, bad files end in typed errors."""

import json

import av
import numpy as np
import pytest

from embodia.core.errors import CorruptFileError, MissingFileError, ShapeError, UnknownNameError
from embodia.io.frame_index import FrameIndex
from embodia.io.video import PROFILES, Video, decode_bytes, encode, encode_bytes, index_bytes, scan


def moving(length=20, height=32, width=48, seed=0):
    rng = np.random.default_rng(seed)
    base = np.kron(rng.integers(0, 256, (4, 6, 3)), np.ones((height // 4, width // 6, 1))).astype(np.uint8)
    frames = np.repeat(base[None], length, 0)
    for i in range(length):
        frames[i, 4:12, i : i + 8] = (255, 0, 30)
    return frames


def independent(path):
    """All frames as plain PyAV gives them."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_every_frame_equals_an_independent_decode(tmp_path, profile):
    frames = moving()
    index = encode(tmp_path / "v.mp4", frames, 20.0, profile)
    expected = independent(tmp_path / "v.mp4")
    video = Video(tmp_path / "v.mp4", index)
    assert len(video) == 20
    for i in (0, 3, 7, 19, 11):
        np.testing.assert_array_equal(video.frames([i])[0], expected[i])
    order = [5, 5, 0, 19, 18, 2]
    np.testing.assert_array_equal(video.frames(order), expected[order])
    np.testing.assert_array_equal(decode_bytes((tmp_path / "v.mp4").read_bytes(), index, where="v"), expected)


def test_lossless_is_lossless_and_train_is_near():
    frames = moving()
    for profile, limit in (("lossless", 0), ("train", 24)):
        data = encode_bytes(frames, 20.0, profile)
        decoded = decode_bytes(data, index_bytes(data, where="v"), where="v")
        assert np.abs(decoded.astype(int) - frames).max() <= limit
    error = np.mean((decoded.astype(float) - frames) ** 2)
    assert 10 * np.log10(255**2 / error) > 40


@pytest.mark.parametrize("fps", [1.0, 12.5, 20.0, 30.0, 80.0, 29.97])
def test_times_are_frame_number_over_rate(fps):
    data = encode_bytes(moving(40), fps)
    np.testing.assert_allclose(index_bytes(data, where="v").times_s, np.arange(40) / fps, atol=2e-4)


def test_a_single_frame_and_odd_sizes():
    frames = moving(1)[:, :31, :33]
    data = encode_bytes(frames, 20.0, "lossless")
    np.testing.assert_array_equal(decode_bytes(data, index_bytes(data, where="v"), where="v"), frames)


def test_random_access_reads_only_the_group(tmp_path):
    encode(tmp_path / "v.mp4", moving(40), 20.0)
    index = scan(tmp_path / "v.mp4")
    assert index.key[::4].all() and index.key.sum() == 10
    first, last = index.span(np.array([21, 22]))
    assert (first, last) == (index.offset[20], index.offset[22] + index.size[22])
    assert [list(run) for run in index.runs(np.array([1, 21, 22, 0]))] == [[0, 1], [20, 21, 22]]


def test_frames_in_another_decoding_order(tmp_path):
    frames = moving(30)
    path = tmp_path / "b.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=20, options={"preset": "medium", "bf": "3", "g": "12"})
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    expected = independent(path)
    video = Video(path)
    assert not np.array_equal(video.index.pts, np.sort(video.index.pts))
    for i in (0, 1, 2, 13, 29):
        np.testing.assert_array_equal(video.frames([i])[0], expected[i])


def test_index_survives_json(tmp_path):
    index = encode(tmp_path / "v.mp4", moving(), 20.0)
    index.save(tmp_path / "v.index.json")
    loaded = FrameIndex.load(tmp_path / "v.index.json")
    for name in ("codec", "width", "height", "fps", "file_bytes", "time_base_s", "extradata"):
        assert getattr(loaded, name) == getattr(index, name)
    for name in ("offset", "size", "key", "pts"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(index, name))


@pytest.mark.parametrize(
    ("leaf", "value"),
    [
        ("codec", 3),
        ("width", "wide"),
        ("offset", [1, "a"]),
        ("size", [0] * 20),
        ("pts", [1]),
        ("pts", [2**70] * 20),
        ("extradata", "%%%"),
        ("offset", [10**12] * 20),
        ("width", 10**7),
    ],
)
def test_a_bad_index_names_file_and_leaf(tmp_path, leaf, value):
    index = encode(tmp_path / "v.mp4", moving(), 20.0)
    path = tmp_path / "v.index.json"
    index.save(path)
    plain = json.loads(path.read_text())
    plain[leaf] = value
    path.write_text(json.dumps(plain))
    with pytest.raises(CorruptFileError, match=r"v\.index\.json"):
        FrameIndex.load(path)


def test_truncated_and_missing_videos(tmp_path):
    path = tmp_path / "v.mp4"
    with pytest.raises(MissingFileError, match=r"v\.mp4"):
        Video(path)
    index = encode(path, moving(), 20.0)
    good = path.read_bytes()
    for data in (b"", good[:40], good[: len(good) // 2], good[:-10], b"\0" * 500):
        path.write_bytes(data)
        with pytest.raises(CorruptFileError, match=r"v\.mp4"):
            Video(path, index)
        if data != good[:-10]:
            with pytest.raises(CorruptFileError, match=r"v\.mp4"):
                scan(path)


def test_damaged_frames_are_refused_or_decoded_never_a_surprise(tmp_path):
    path = tmp_path / "v.mp4"
    index = encode(path, moving(), 20.0)
    good = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(60):
        bad = bytearray(good)
        for _ in range(20):
            bad[rng.integers(0, len(bad))] = rng.integers(0, 256)
        path.write_bytes(bad)
        try:
            frames = Video(path, index).frames(range(20))
        except CorruptFileError as error:
            assert "v.mp4" in str(error)
        else:
            assert frames.shape == (20, 32, 48, 3)


def test_wrong_input_names_the_leaf(tmp_path):
    for frames in (moving().astype(np.float32), moving()[..., :2], moving()[:0], moving()[0]):
        with pytest.raises(ShapeError, match="frames"):
            encode(tmp_path / "v.mp4", frames, 20.0)
    with pytest.raises(ShapeError, match="even"):
        encode(tmp_path / "v.mp4", moving()[:, :31], 20.0, "web")
    with pytest.raises(UnknownNameError, match="lossless"):
        encode(tmp_path / "v.mp4", moving(), 20.0, "losless")
    assert list(tmp_path.iterdir()) == []
    encode(tmp_path / "v.mp4", moving(), 20.0)
    for bad in ([20], [-1], [0, 99]):
        with pytest.raises(ShapeError):
            Video(tmp_path / "v.mp4").frames(bad)
    assert Video(tmp_path / "v.mp4").frames([]).shape == (0, 32, 48, 3)

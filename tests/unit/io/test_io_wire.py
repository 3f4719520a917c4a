"""Wire messages: equal to two independent codecs, bounded, and closed to everything that is no plain value."""

import random
import tracemalloc

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from openpi_client import msgpack_numpy
from vla_eval.protocol.messages import Message, MessageType, pack_message, unpack_message
from vla_eval.protocol.numpy_codec import set_image_format

from embodia.core.errors import WireError
from embodia.io import wire
from embodia.io.wire import Limits, pack, unpack

NUMBERS = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(), st.text(max_size=20))
ARRAYS = st.sampled_from([np.dtype(name) for name in wire.DTYPES]).flatmap(
    lambda dtype: arrays(dtype, array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
)
VALUES = st.recursive(
    st.one_of(NUMBERS, ARRAYS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=12,
)


def same(left, right):
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, np.ndarray):
        return left.dtype == right.dtype and left.shape == right.shape and left.tobytes() == right.tobytes()
    return type(left) is type(right) and (left == right or left != left)


def observation():
    rng = np.random.default_rng(0)
    return {
        "observation/image": rng.integers(0, 256, (32, 32, 3), dtype=np.uint8),
        "observation/state": rng.normal(size=8),
        "prompt": "öffne die Schublade",
        "weight": np.float32(0.25),
    }


@settings(max_examples=150, deadline=None)
@given(VALUES)
def test_values_come_back(value):
    assert same(unpack(pack(value)), value)
    assert same(unpack(pack(value, text_keys=True)), value)


@settings(max_examples=100, deadline=None)
@given(VALUES)
def test_bytes_are_openpis(value):
    assert pack(value) == msgpack_numpy.packb(value)
    assert same(msgpack_numpy.unpackb(pack(value)), value)


def test_openpis_bytes_are_read():
    assert same(unpack(msgpack_numpy.packb(observation())), observation())


@pytest.mark.parametrize("form", ["raw", "png"])
def test_vla_evals_bytes_are_read(form):
    set_image_format(form)
    sent = {"images": {"a": observation()["observation/image"]}, "states": observation()["observation/state"]}
    found = unpack(pack_message(Message(MessageType.OBSERVATION, sent, 3)))
    set_image_format("png")
    assert found["type"] == "observation" and found["seq"] == 3 and same(found["payload"], sent)


def test_vla_eval_reads_ours():
    facts = {"type": "action", "payload": {"actions": np.eye(3, dtype=np.float32)}, "seq": 1, "timestamp": 0.0}
    assert same(unpack_message(pack(facts, text_keys=True)).payload, facts["payload"])


def test_arrays_are_views_that_cannot_be_written():
    found = unpack(pack({"a": np.arange(3)}))["a"]
    assert not found.flags.writeable


def array(**changes):
    facts = {"__ndarray__": True, "data": b"\0" * 8, "dtype": "<f4", "shape": [2]} | changes
    return msgpack.packb({key.encode(): value for key, value in facts.items()})


HOSTILE = {
    "empty": b"",
    "reserved byte": b"\xc1",
    "trailing bytes": msgpack.packb({}) + b"\0",
    "cut off": msgpack.packb({"a": [1, 2, 3]})[:-1],
    "bad text": b"\xa2\xff\xfe",
    "number as key": msgpack.packb({1: 2}),
    "bytes as key": msgpack.packb({b"a": 2}),
    "extension": msgpack.packb(msgpack.ExtType(5, b"x")),
    "timestamp": msgpack.packb(msgpack.Timestamp(1, 2)),
    "object dtype": array(dtype="|O", data=b"\0" * 16),
    "text dtype": array(dtype="<U1"),
    "complex dtype": array(dtype="<c8", shape=[1]),
    "structured dtype": array(dtype="f4,f4", shape=[1]),
    "swapped dtype": array(dtype=">f4"),
    "dtype is a list": array(dtype=[["a", "<f4"]]),
    "dtype is missing": msgpack.packb({b"__ndarray__": True, b"data": b"", b"shape": [0]}),
    "too few bytes": array(shape=[3]),
    "too many bytes": array(shape=[1]),
    "negative shape": array(shape=[-2]),
    "shape of bools": array(shape=[True, True], data=b"\0" * 4),
    "huge shape": array(shape=[2**31, 0], data=b""),
    "shape that overflows": array(shape=[2**30, 2**30, 2**30]),
    "nine dimensions": array(shape=[1] * 8 + [2]),
    "shape is text": array(shape="2"),
    "data is text": array(data="ab"),
    "number out of range": msgpack.packb({b"__npgeneric__": True, b"data": 300, b"dtype": "|u1"}),
    "text as number": msgpack.packb({b"__npgeneric__": True, b"data": "1", b"dtype": "<f4"}),
    "object as number": msgpack.packb({b"__npgeneric__": True, b"data": b"cos\nsystem", b"dtype": "|O"}),
    "picture that is none": msgpack.packb({"__image__": True, "format": "png", "data": b"GIF89a", "shape": [1, 1, 3]}),
    "picture without data": msgpack.packb({"__image__": True, "format": "png", "shape": [1, 1, 3]}),
    "a map where a list is due": msgpack.packb({b"__ndarray__": True, b"data": b"", b"dtype": "<f4", b"shape": {}}),
    "nested 17 deep": b"\x91" * 17 + b"\xc0",
    "nested 3000 deep": b"\x91" * 3000 + b"\xc0",
    "list of four billion": b"\xdd\xff\xff\xff\xff",
    "map of four billion": b"\xdf\xff\xff\xff\xff",
    "long text": msgpack.packb("x" * 70_000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_messages_are_refused(name):
    with pytest.raises(WireError):
        unpack(HOSTILE[name])


@pytest.mark.parametrize(
    "value",
    [object(), np.array([object()]), np.array(["a"]), np.zeros(2, ">f4"), np.zeros(2, complex), {1, 2}, 2**70],
    ids=["object", "object array", "text array", "swapped", "complex", "set", "huge"],
)
def test_what_is_no_plain_value_is_not_sent(value):
    with pytest.raises(WireError):
        pack({"a": value})


def test_sizes_are_bounded():
    small = Limits(bytes=100)
    with pytest.raises(WireError, match="at most 100"):
        pack(np.zeros(100), limits=small)
    with pytest.raises(WireError, match="at most 100"):
        unpack(pack(np.zeros(100)), limits=small)
    with pytest.raises(WireError, match="bytes, got str"):
        unpack("text")


def test_a_picture_is_measured_before_it_is_drawn():
    import io

    from PIL import Image

    data = io.BytesIO()
    Image.new("RGB", (4000, 4000)).save(data, "PNG")
    message = {"__image__": True, "format": "png", "data": data.getvalue(), "shape": [4000, 4000, 3]}
    with pytest.raises(WireError, match="4000 x 4000"):
        unpack(msgpack.packb(message))
    message["shape"] = [10, 10, 3]
    with pytest.raises(WireError):
        unpack(msgpack.packb(message), limits=Limits(bytes=2**26))


@pytest.mark.parametrize("element", [b"\x90", b"\x80", b"\xa3abc", b"\xcd\xff\xff", b"\xcb" + b"\1" * 8])
def test_a_message_of_many_small_values_does_not_fill_the_memory(element):
    inner = b"\xdc\xff\xff" + element * 65535
    hostile = b"\xdc\x00\x20" + inner * 32
    tracemalloc.start()
    with pytest.raises(WireError):
        unpack(hostile)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 * 2**20


def mutations(rng, seeds, count):
    for _ in range(count):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 6)):
            kind, place = rng.randint(0, 3), rng.randrange(len(data) + 1)
            if kind == 0 and place < len(data):
                data[place] = rng.randrange(256)
            elif kind == 1:
                data[place:place] = bytes(rng.randrange(256) for _ in range(rng.randint(1, 8)))
            elif kind == 2:
                del data[place : place + rng.randint(1, 8)]
            else:
                data[place:place] = data[: rng.randint(0, 40)]
        yield bytes(data)


def outcome(data):
    try:
        unpack(data)
    except WireError:
        return "refused"
    return "read"


def fuzz(count, seed):
    """Mutated and random messages; any exception but a WireError ends the test."""
    rng = random.Random(seed)
    picture = {"images": {"a": observation()["observation/image"]}}
    valid = [msgpack_numpy.packb(observation()), pack(observation(), text_keys=True), pack(np.zeros((2, 3)))]
    valid.append(pack_message(Message(MessageType.OBSERVATION, picture, 3)))
    seeds = [*valid * 8, *(item for item in HOSTILE.values() if 0 < len(item) < 5000)]
    found = {"refused": 0, "read": 0}
    for data in mutations(rng, seeds, count):
        found[outcome(data)] += 1
    for _ in range(count // 4):
        found[outcome(rng.randbytes(rng.randint(0, 64)))] += 1
    return found


def test_mutated_messages_are_read_or_refused():
    found = fuzz(20_000, seed=1)
    assert min(found.values()) > 500


@pytest.mark.long
def test_a_million_mutated_messages():
    found = fuzz(800_000, seed=2)
    assert sum(found.values()) == 1_000_000


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data):
    outcome(data)

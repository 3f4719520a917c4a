import os
import signal
import time

import pytest

from embodia.core.errors import ConfigError, WorkerError
from embodia.envs.workers import Pool, processors


def build(offset):
    def handle(request):
        if request == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if request == "sleep":
            time.sleep(60)
        if request == "typed":
            raise ConfigError("wrong", leaf="here")
        if request == "foreign":
            raise ValueError("from outside")
        return request + offset

    return handle


def build_quiet():
    heard = []

    def handle(request):
        heard.append(request)
        return tuple(heard) if request else None

    return handle


def build_badly():
    raise ConfigError("cannot be built")


@pytest.fixture
def pool():
    with Pool(build, [(10,), (20,)], name="adder", timeout_s=30.0) as made:
        yield made


def test_replies_by_worker(pool):
    pool.send(0, 1, doing="adding")
    pool.send(1, 1, doing="adding")
    assert pool.idle == ()
    assert pool.gather([0, 1]) == {0: 11, 1: 21}
    assert pool.idle == (0, 1)
    assert len(set(pool.pids)) == 2 and os.getpid() not in pool.pids


def test_a_worker_that_dies_is_named(pool):
    pool.send(1, "die", doing="resetting slots 3")
    with pytest.raises(WorkerError, match=r"adder 1 .*exit code -9.* died while resetting slots 3"):
        pool.gather([1])


def test_a_worker_that_was_killed_from_outside_is_named(pool):
    os.kill(pool.pids[0], signal.SIGKILL)
    with pytest.raises(WorkerError, match="adder 0"):
        pool.send(0, 1, doing="adding")
        pool.gather([0])


def test_a_worker_that_hangs_is_named():
    with Pool(build, [(0,)], name="sleeper", timeout_s=60.0) as pool:
        pool.send(0, 1, doing="adding")
        pool.gather([0])
        pool._timeout_s = 0.5
        pool.send(0, "sleep", doing=lambda: "thinking")
        with pytest.raises(WorkerError, match="sleeper 0 .* did not answer within 0.5 s while thinking"):
            pool.receive()


def test_errors_cross_the_process_border(pool):
    pool.send(0, "typed", doing="failing")
    with pytest.raises(ConfigError, match="wrong") as caught:
        pool.gather([0])
    assert caught.value.leaf == "here"
    pool.send(0, "foreign", doing="failing")
    with pytest.raises(WorkerError, match="ValueError: from outside"):
        pool.gather([0])
    pool.send(0, 5, doing="adding")
    assert pool.gather([0]) == {0: 15}


def test_answers_have_errors_among_them_and_lose_nothing(pool):
    pool.send(0, "typed", doing="failing")
    pool.send(1, 1, doing="adding")
    found = {}
    while pool.busy:
        found.update(pool.answers())
    assert isinstance(found[0], ConfigError) and found[1] == 21


def test_nothing_is_a_message_too():
    with Pool(build_quiet, [()]) as pool:
        for _ in range(2):
            pool.send(0, None, doing="ringing")
            assert pool.gather([0]) == {0: None}
        pool.send(0, 3, doing="asking")
        assert pool.gather([0]) == {0: (None, None, 3)}


def test_stopped_workers_take_no_requests(pool):
    pool.close()
    with pytest.raises(WorkerError, match="stopped"):
        pool.send(0, 1, doing="adding")


def test_what_cannot_be_built_is_the_builders_error():
    with Pool(build_badly, [()]) as pool:
        pool.send(0, 1, doing="anything")
        with pytest.raises(ConfigError, match="cannot be built"):
            pool.gather([0])


def test_close_ends_the_processes(pool):
    pids = pool.pids
    pool.close()
    pool.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_there_is_a_processor():
    assert processors() >= 1

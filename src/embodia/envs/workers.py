"""Worker processes that answer requests one at a time; a worker that dies or hangs is an error that names it.

Used by the vectorised environment and by collection. Processes are spawned, never forked, because threads of a network
library and graphics contexts do not survive a fork; so what a worker builds must be importable by name. A request or a
reply of None is one byte, for those who leave what they have to say in shared memory. The one thing to watch: a script
that makes a pool needs the usual `if __name__ == "__main__":`.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import select
import signal
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, TypeAlias

from embodia.core.errors import EmbodiaError, WorkerError

Handler: TypeAlias = Callable[[Any], Any]
"""What a worker does: request in, reply out; raises `EmbodiaError`."""

Doing: TypeAlias = str | Callable[[], str]
"""The phrase an error will use for what a worker was at, or who finds it out when an error needs it."""

DEFAULT_TIMEOUT_S = 600.0
_BELL, _LETTER = b"\0", b"\1"
_ONE_THREAD = {"LP_NUM_THREADS": "0", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def processors() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, kw_only=True)
class _Worker:
    name: str
    process: BaseProcess
    connection: Connection


class Pool:
    """Processes that each hold one handler, built there by `build(*arguments)`.

    `arguments` has one tuple a worker. Use as a context manager, or call `close`.
    """

    def __init__(
        self,
        build: Callable[..., Handler],
        arguments: Iterable[tuple[Any, ...]],
        *,
        name: str = "worker",
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._timeout_s = timeout_s
        self._busy: dict[int, tuple[Doing, float]] = {}
        self._workers: list[_Worker] = []
        self._waiting = select.poll()
        self._indices: dict[int, int] = {}
        for index, given in enumerate(arguments):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, build, given), name=f"{name} {index}", daemon=True)
            process.start()
            theirs.close()
            self._workers.append(_Worker(name=process.name, process=process, connection=ours))
            self._indices[ours.fileno()] = index

    def __len__(self) -> int:
        return len(self._workers)

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def busy(self) -> bool:
        """Whether any worker has a request."""
        return bool(self._busy)

    @property
    def idle(self) -> tuple[int, ...]:
        """Workers that have no request."""
        return tuple(index for index in range(len(self)) if index not in self._busy)

    @property
    def pids(self) -> tuple[int | None, ...]:
        """Process ids, in the order of the workers."""
        return tuple(worker.process.pid for worker in self._workers)

    def send(self, index: int, request: Any, *, doing: Doing) -> None:
        """Hand a request to an idle worker. Raises `WorkerError`."""
        if not self._workers:
            raise WorkerError("the workers were stopped", cure="Make a new pool.")
        connection = self._workers[index].connection
        self._busy[index] = (doing, time.monotonic() + self._timeout_s)
        try:
            _post(connection, request)
        except (BrokenPipeError, ConnectionError, EOFError) as error:
            raise self._lost(index, "died") from error
        self._waiting.register(connection.fileno(), select.POLLIN)

    def answers(self) -> list[tuple[int, Any]]:
        """Wait until at least one busy worker has answered; (worker, reply or error) in the order of the workers.

        An error is what the handler raised, or a `WorkerError` for a worker that died or ran out of time.
        """
        limit = min(deadline for _, deadline in self._busy.values())
        ready = self._waiting.poll(max(0.0, 1e3 * (limit - time.monotonic())))
        if not ready:
            late = min(self._busy, key=lambda index: self._busy[index][1])
            return [(late, self._lost(late, f"did not answer within {self._timeout_s:g} s"))]
        return [(index, self._reply(index)) for index in sorted(self._indices[number] for number, _ in ready)]

    def receive(self) -> list[tuple[int, Any]]:
        """`answers`, but raises the first error among them."""
        found = self.answers()
        for _, reply in found:
            if isinstance(reply, EmbodiaError):
                raise reply
        return found

    def gather(self, indices: Collection[int]) -> dict[int, Any]:
        """The replies of all these busy workers."""
        found: dict[int, Any] = {}
        while set(indices) - found.keys():
            found.update(self.receive())
        return found

    def close(self) -> None:
        """Stop the workers; may be called twice."""
        for worker in self._workers:
            worker.connection.close()
        for worker in self._workers:
            worker.process.join(timeout=5.0)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._workers.clear()
        self._busy.clear()
        self._indices.clear()

    def _reply(self, index: int) -> Any:
        connection = self._workers[index].connection
        try:
            reply = _fetch(connection)
        except (EOFError, ConnectionError) as error:
            lost = self._lost(index, "died")
            lost.__cause__ = error
            return lost
        self._waiting.unregister(connection.fileno())
        del self._busy[index]
        return reply

    def _lost(self, index: int, what: str) -> WorkerError:
        worker = self._workers[index]
        if what == "died":
            worker.process.join(timeout=2.0)
        else:
            worker.process.kill()
        with contextlib.suppress(KeyError):
            self._waiting.unregister(worker.connection.fileno())
        doing = self._busy.pop(index, ("idle", 0.0))[0]
        code = worker.process.exitcode
        return WorkerError(
            f"{worker.name} (process {worker.process.pid}, exit code {code}) {what} while "
            f"{doing if isinstance(doing, str) else doing()}",
            leaf=worker.name,
            cure="Often the machine ran out of memory; try fewer workers." if code == -signal.SIGKILL else None,
        )


def _post(connection: Connection, message: Any) -> None:
    os.write(connection.fileno(), _BELL if message is None else _LETTER)
    if message is not None:
        connection.send(message)


def _fetch(connection: Connection) -> Any:
    kind = os.read(connection.fileno(), 1)
    if not kind:
        raise EOFError
    return None if kind == _BELL else connection.recv()


def _serve(connection: Connection, build: Callable[..., Handler], arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name, value in _ONE_THREAD.items():
        os.environ.setdefault(name, value)
    handler: Handler | None = None
    while True:
        try:
            request = _fetch(connection)
        except (EOFError, OSError):
            return
        try:
            handler = handler or build(*arguments)
            reply = _answer(handler, request)
        except EmbodiaError as error:
            reply = error
        try:
            _post(connection, reply)
        except OSError:
            return


def _answer(handler: Handler, request: Any) -> Any:
    try:
        return handler(request)
    except EmbodiaError:
        raise
    except Exception as error:
        raise WorkerError(f"a worker failed with {type(error).__name__}: {error}") from error

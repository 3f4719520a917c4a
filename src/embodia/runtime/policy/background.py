"""A server in a thread of this process: for notebooks, for judging a policy through another library, for tests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress

from embodia.runtime.policy.server import PolicyServer

START_S = 30.0


@contextmanager
def running(server: PolicyServer) -> Iterator[int]:
    """The port of a server that listens while the block lasts. Raises what `PolicyServer.run` raises."""
    loop = asyncio.new_event_loop()
    port: Future[int] = Future()
    task = loop.create_task(server.run(port.set_result))
    thread = threading.Thread(target=_work, args=(loop, task, port), daemon=True, name="policy server")
    thread.start()
    try:
        yield port.result(START_S)
    finally:
        if not loop.is_closed():
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(task.cancel)
        thread.join(START_S)


def _work(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None], port: Future[int]) -> None:
    try:
        loop.run_until_complete(task)
    except asyncio.CancelledError:
        return
    except Exception as error:
        if port.done():
            raise
        port.set_exception(error)
    finally:
        loop.close()

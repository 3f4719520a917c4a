"""A policy behind a websocket: openpi's protocol on every path, vla-eval's on /vla-eval, /healthz for watchers.

Sockets live on the event loop, decisions in one thread beside it, so that pings and refusals go on while a policy
thinks. The one thing to watch: decisions of all sessions wait for one another; a slow policy needs one server a robot.
"""

from __future__ import annotations

import asyncio
import http
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from embodia.core.clock import Clock, SystemClock
from embodia.core.errors import ConfigError, EmbodiaError, MissingExtraError, PolicyError, WireError
from embodia.core.protocols import Policy
from embodia.io import wire
from embodia.runtime.policy.access import Access, admits, require_guard, server_tls
from embodia.runtime.policy.card import Card, to_metadata
from embodia.runtime.policy.keys import WireKeys, require_keys, require_whole, vla_eval_keys
from embodia.runtime.policy.session import Decisions, Harness, MakeRng, Session

if TYPE_CHECKING:
    from websockets.asyncio.server import Server, ServerConnection
    from websockets.http11 import Request, Response

HEALTH = ("/healthz", "/health")
HARNESS = "/vla-eval"
_INVALID, _INTERNAL, _LATER = 1007, 1011, 1013
_LONGEST_NAME = 64
_PATIENCE_S = 5.0
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """How a policy is served.

    host, port     loopback unless `access` has a token and a certificate; port 0 takes a free one
    seed           root of the sessions' randomness
    sessions       connections at once; more are answered 503
    limits         bounds of a message; sessions x limits.bytes bounds the memory that clients can take
    execute        actions of a chunk handed to a vla-eval harness before the policy looks again (0: all)
    harness_keys   names in a vla-eval harness's messages; None takes the contract's camera names
    ping_s         seconds between pings, and seconds to wait for an answer before a connection is dropped
    """

    host: str = "127.0.0.1"
    port: int = 8000
    access: Access = field(default_factory=Access)
    seed: int = 0
    sessions: int = 16
    limits: wire.Limits = wire.DEFAULT
    execute: int = 0
    harness_keys: WireKeys | None = None
    ping_s: float = 20.0

    def __post_init__(self) -> None:
        if self.sessions < 1 or self.execute < 0 or not 0 <= self.port < 2**16 or self.ping_s <= 0:
            raise ConfigError("sessions >= 1, execute >= 0, ping_s > 0 and a port are needed", leaf="serve")


class PolicyServer:
    """Serves one policy until it is cancelled; which policy, a client can neither choose nor change."""

    def __init__(
        self, policy: Policy, card: Card, make_rng: MakeRng, config: ServeConfig, *, clock: Clock | None = None
    ) -> None:
        require_guard(config.host, config.access)
        self._policy, self._card, self._make_rng, self._config = policy, card, make_rng, config
        self._clock = clock or SystemClock()
        self._harness_keys = config.harness_keys or vla_eval_keys(card.contract.observation)
        require_keys(self._harness_keys, card.contract.observation)
        require_whole(self._harness_keys, card.contract.observation)
        self._tls = server_tls(config.access)
        self._open = 0
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="policy")

    async def run(self, started: Callable[[int], None] | None = None) -> None:
        """Listen until cancelled; `started` gets the port. Raises `ConfigError` when the port cannot be had."""
        serve = _serve()
        try:
            listening = serve(
                self._converse,
                self._config.host,
                self._config.port,
                process_request=self._admit,
                ssl=self._tls,
                compression=None,
                max_size=self._config.limits.bytes,
                max_queue=1,
                ping_interval=self._config.ping_s,
                ping_timeout=self._config.ping_s,
                close_timeout=2,
                server_header=None,
                logger=_quiet(),
            )
            server: Server = await listening
        except OSError as error:
            raise ConfigError(f"cannot listen on {self._config.host}:{self._config.port}: {error}") from error
        try:
            if started is not None:
                started(int(server.sockets[0].getsockname()[1]))
            await server.serve_forever()
        finally:
            server.close()
            with suppress(TimeoutError):
                await asyncio.wait_for(server.wait_closed(), _PATIENCE_S)
            self._thread.shutdown(wait=False, cancel_futures=True)

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        if urlsplit(request.path).path in HEALTH:
            return connection.respond(http.HTTPStatus.OK, "OK\n")
        if not admits(self._config.access, _header(request)):
            _LOG.warning("refused a client without the token")
            return connection.respond(http.HTTPStatus.UNAUTHORIZED, "a token is needed\n")
        if self._open >= self._config.sessions:
            return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "all sessions are taken\n")
        return None

    async def _converse(self, socket: ServerConnection) -> None:
        from websockets.exceptions import ConnectionClosed

        if self._open >= self._config.sessions:
            await socket.close(_LATER, "all sessions are taken")
            return
        self._open += 1
        try:
            await self._dispatch(socket)
        except ConnectionClosed:
            _LOG.info("a client left")
        except Exception:
            _LOG.exception("a session failed")
            raise
        finally:
            self._open -= 1

    async def _dispatch(self, socket: ServerConnection) -> None:
        path = urlsplit(socket.request.path if socket.request else "/")
        name = parse_qs(path.query).get("session", [""])[0][:_LONGEST_NAME]
        decisions = Decisions(self._policy, self._make_rng, self._config.seed, name)
        if path.path.rstrip("/") == HARNESS:
            await self._harness(socket, Harness(decisions, self._card, self._harness_keys, self._config.execute))
        else:
            await self._openpi(socket, Session(decisions, self._card))

    async def _openpi(self, socket: ServerConnection, session: Session) -> None:
        await socket.send(wire.pack(to_metadata(self._card), limits=self._config.limits))
        async for data in socket:
            start = self._clock.now_s()
            try:
                reply = await self._think(lambda: session.answer(self._read(data)))  # noqa: B023
                reply["server_timing"] = {"infer_ms": 1e3 * (self._clock.now_s() - start)}
            except EmbodiaError as error:
                await socket.send(str(error))
                await socket.close(_code(error), "refused; the reason is in the frame before")
                return
            await socket.send(wire.pack(reply, limits=self._config.limits))

    async def _harness(self, socket: ServerConnection, harness: Harness) -> None:
        async for data in socket:
            try:
                reply = await self._think(lambda: harness.answer(self._read(data)))  # noqa: B023
            except EmbodiaError as error:
                await socket.close(_code(error), str(error)[:100])
                return
            if reply is not None:
                await socket.send(wire.pack(reply, limits=self._config.limits, text_keys=True))

    def _read(self, data: str | bytes) -> Any:
        if isinstance(data, str):
            raise WireError("a message is binary")
        return wire.unpack(data, limits=self._config.limits)

    async def _think(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _code(error: EmbodiaError) -> int:
    return _INTERNAL if isinstance(error, PolicyError) else _INVALID


def _header(request: Request) -> str | None:
    found = request.headers.get_all("Authorization")
    return found[0] if len(found) == 1 else None


def _serve() -> Any:
    try:
        from websockets.asyncio.server import serve
    except ImportError as error:
        raise MissingExtraError("websockets is not installed", cure="pip install -e '.[serve]'") from error
    return serve


def _quiet() -> logging.Logger:
    """The library's own log of handshakes that strangers break off is not worth a line each."""
    logger = logging.getLogger(f"{__name__}.websockets")
    logger.setLevel(logging.CRITICAL)
    return logger

"""A policy that lives behind openpi's websocket protocol, as a `Policy` of ours.

Whoever trained it, with whatever library, the evaluator asks it like any other. Every wait has a deadline; a lost,
late or refused answer is a typed error that closes the connection, and the next decision connects anew. The one thing
to watch: a server that keeps state needs a connection for each episode, so a batch of such episodes opens several.
"""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from embodia.core.clock import Clock, SystemClock
from embodia.core.errors import AccessError, ConfigError, EmbodiaError, MissingExtraError, RemoteError, ShapeError
from embodia.core.protocols import Carry, Rng
from embodia.core.specs import Contract
from embodia.core.types import ActionChunk, Observation
from embodia.io import wire
from embodia.runtime.policy.access import client_headers, client_tls, is_loopback
from embodia.runtime.policy.card import RESET, SEED, Card, agree, from_metadata
from embodia.runtime.policy.keys import WireKeys, encode, one_chunk, read_chunk

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0
_REFUSED = (401, 403)
_KEPT = 10_000


@dataclass(frozen=True, kw_only=True)
class RemoteConfig:
    """How a policy server is reached.

    url          ws://host:port, or wss:// with TLS
    token        sent as openpi's clients send theirs; None sends none
    authority    PEM file to check the server's certificate against; None takes the system's
    timeout_s    longest wait for an answer
    patience_s   how long to go on trying to connect: servers load for a while, and come back after a restart
    limits       bounds of a message, both ways
    """

    url: str
    token: str | None = None
    authority: Path | None = None
    timeout_s: float = 30.0
    patience_s: float = 30.0
    limits: wire.Limits = wire.DEFAULT

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("ws", "wss") or not parts.hostname:
            raise ConfigError(f"a policy server's address is ws://host:port, got {self.url!r}", leaf="remote")
        if self.timeout_s <= 0 or self.patience_s < 0:
            raise ConfigError("timeout_s > 0 and patience_s >= 0 are needed", leaf="remote")


class _BrokeOff(RemoteError):
    """The connection was lost before an answer."""


class Line:
    """One connection: `ask` a message, get an answer; opened when it is first needed, closed by any failure."""

    def __init__(self, config: RemoteConfig, *, clock: Clock | None = None) -> None:
        self._config, self._clock = config, clock or SystemClock()
        self._headers = client_headers(config.url, config.token)
        self._tls = client_tls(config.url, config.authority)
        self._socket: ClientConnection | None = None
        self._held = ExitStack()
        self.metadata: Any = None

    def open(self) -> None:
        """Connect and read the server's first message, trying again for `patience_s`.

        Raises `RemoteError`, `AccessError` for a refused token, `WireError` for a first message that is none.
        """
        if self._socket is not None:
            return
        start, pause = self._clock.now_s(), _FIRST_PAUSE_S
        while self._socket is None:
            try:
                self._socket = self._connect()
            except OSError as error:
                if self._clock.now_s() - start + pause > self._config.patience_s:
                    raise self._failure(f"cannot be reached: {error or type(error).__name__}") from error
                self._clock.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
        self.metadata = self._receive()

    def ask(self, message: Mapping[str, Any], *, again: bool = False) -> Any:
        """The answer to one message; with `again` it is asked once more when the connection was lost before an answer.

        Raises `RemoteError` (late, broken off, refused) and `WireError`.
        """
        from websockets.exceptions import ConnectionClosed

        data = wire.pack(dict(message), limits=self._config.limits)
        self.open()
        assert self._socket is not None
        try:
            with suppress(ConnectionClosed):
                self._socket.send(data)
            return self._receive()
        except _BrokeOff:
            if not again:
                raise
            return self.ask(message)

    def close(self) -> None:
        """Hang up; the next question connects anew."""
        if self._socket is not None:
            self._socket = None
            self._held.close()

    def _connect(self) -> ClientConnection:
        connect, errors = _websockets()
        try:
            opened = connect(
                self._config.url,
                additional_headers=self._headers,
                ssl=self._tls,
                compression=None,
                max_size=self._config.limits.bytes,
                open_timeout=self._config.timeout_s,
                close_timeout=1,
                ping_interval=None,
                proxy=None if is_loopback(urlsplit(self._config.url).hostname or "") else True,
            )
            return self._held.enter_context(opened)
        except errors.InvalidStatus as error:
            status = error.response.status_code
            if status in _REFUSED:
                raise AccessError("the server refused the token", file=self._config.url) from error
            raise OSError(f"answered {status}") from error
        except ssl.SSLCertVerificationError as error:
            raise AccessError(f"the server's certificate is not trusted: {error}", file=self._config.url) from error
        except errors.WebSocketException as error:
            raise self._failure(f"is no policy server: {error}") from error

    def _receive(self) -> Any:
        from websockets.exceptions import ConnectionClosed

        assert self._socket is not None
        try:
            data = self._socket.recv(timeout=self._config.timeout_s)
            if isinstance(data, str):
                raise self._failure(f"answered: {data[:500]}")
            return wire.unpack(data, limits=self._config.limits)
        except TimeoutError as error:
            self.close()
            raise self._failure(f"did not answer in {self._config.timeout_s:g} s") from error
        except ConnectionClosed as error:
            self.close()
            raise _BrokeOff("the policy server broke off", file=self._config.url) from error
        except EmbodiaError:
            self.close()
            raise

    def _failure(self, what: str) -> RemoteError:
        return RemoteError(f"the policy server {what}", file=self._config.url)


class RemotePolicy:
    """A policy behind a server; `contract` and `keys` are the server's own unless declared here.

    Raises `ContractError` when neither side says what the numbers mean, and what connecting raises.

    `metadata` is the server's first message, `round_trips_s` the newest waits for an answer.
    """

    def __init__(
        self,
        config: RemoteConfig,
        *,
        contract: Contract | None = None,
        keys: WireKeys | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._config, self._clock = config, clock or SystemClock()
        first = self._line()
        first.open()
        try:
            self.card: Card = agree(from_metadata(first.metadata), contract, keys)
        except EmbodiaError:
            first.close()
            raise
        self.metadata = first.metadata
        self.contract = self.card.contract
        self.history = self.card.history
        self._free = [first]
        self._shared = first
        self.round_trips_s: deque[float] = deque(maxlen=_KEPT)

    def act(self, observation: Observation, carry: Carry, rng: Rng) -> tuple[ActionChunk, Carry]:
        """The server's chunks for a batch, one question a row; the carry is the rows' connections where it keeps state.

        `rng` seeds the decisions where the server allows it. Raises `RemoteError`, `WireError`, `ContractError`,
        `ShapeError` and `NotFiniteError`.
        """
        rows = range(observation.batch_size)
        seeds = self._seeds(rng, len(rows))
        if not self.card.stateful:
            chunks = [self._decide(self._shared, observation, row, seeds[row], False) for row in rows]
            return self._joined(chunks), None
        lines = carry if carry is not None else _Lines(self, len(rows))
        chunks = [self._decide(lines.line(row), observation, row, seeds[row], carry is None) for row in rows]
        return self._joined(chunks), lines

    def close(self) -> None:
        """Hang up all connections that no episode holds."""
        for line in self._free:
            line.close()

    def take(self) -> Line:
        """A connection that no episode holds."""
        return self._free.pop() if self._free else self._line()

    def give(self, line: Line) -> None:
        """Back a connection whose episode has ended."""
        self._free.append(line)

    def _line(self) -> Line:
        return Line(self._config, clock=self._clock)

    def _decide(
        self, line: Line, observation: Observation, row: int, seed: int | None, begins: bool
    ) -> np.ndarray[Any, Any]:
        message = encode(observation, row, self.card.keys, self.contract.observation, self.card.history)
        message |= {} if seed is None else {SEED: seed}
        message |= {RESET: True} if begins else {}
        start = self._clock.now_s()
        answer = line.ask(message, again=not self.card.stateful)
        self.round_trips_s.append(self._clock.now_s() - start)
        return np.asarray(read_chunk(answer, self.card.keys, self.contract))

    def _seeds(self, rng: Rng, count: int) -> list[int | None]:
        if not self.card.seeded or rng is None:
            return [None] * count
        root = int(rng.initial_seed()) if hasattr(rng, "initial_seed") else int(rng.integers(2**63 - 1))
        return [(root + row) % 2**63 for row in range(count)]

    def _joined(self, chunks: list[np.ndarray[Any, Any]]) -> ActionChunk:
        lengths = {len(chunk) for chunk in chunks}
        if len(lengths) != 1:
            raise ShapeError(f"chunks of different lengths {sorted(lengths)} in one batch", file=self._config.url)
        return one_chunk(np.stack(chunks), self.contract)


class _Lines:
    """The connections of a batch of episodes; they go back when the batch is over."""

    def __init__(self, policy: RemotePolicy, count: int) -> None:
        self._policy = policy
        self._held = [policy.take() for _ in range(count)]

    def line(self, row: int) -> Line:
        return self._held[row]

    def __del__(self) -> None:
        for line in self._held:
            self._policy.give(line)


def _websockets() -> tuple[Any, Any]:
    try:
        from websockets import exceptions
        from websockets.sync.client import connect
    except ImportError as error:
        raise MissingExtraError("websockets is not installed", cure="pip install -e '.[serve]'") from error
    return connect, exceptions

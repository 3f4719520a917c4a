"""Who may speak to a server: strangers are refused before a byte of their message is decoded.

A server that anybody can reach without a token is the field's one copied hole, so there is no switch for it: beside
loopback, TLS and a token are needed together. An empty token is an error, never "no token".
"""

from __future__ import annotations

import hmac
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from embodia.core.errors import AccessError, MissingFileError
from embodia.io.jsonio import read_bytes

SHORTEST_TOKEN = 16
_SCHEMES = ("api-key", "bearer")


@dataclass(frozen=True, kw_only=True)
class Access:
    """What guards a server: a token of at least 16 characters, and a certificate with its key in PEM files."""

    token: str | None = None
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        if self.token is not None:
            require_token(self.token)
        if (self.certificate is None) != (self.key is None):
            raise AccessError("a certificate and its key come together", leaf="certificate")


def require_token(token: str) -> None:
    """Raise `AccessError` for a token that is empty, short, or would not survive a header."""
    if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        cure = 'python -c "import secrets; print(secrets.token_urlsafe(32))" makes one.'
        raise AccessError(f"a token has at least {SHORTEST_TOKEN} printable characters", leaf="token", cure=cure)


def require_guard(host: str, access: Access) -> None:
    """Raise `AccessError` when a server on `host` could be reached from outside without TLS and a token."""
    if is_loopback(host) or (access.token is not None and access.certificate is not None):
        return
    missing = [name for name, value in (("a token", access.token), ("TLS", access.certificate)) if value is None]
    raise AccessError(
        f"{host!r} can be reached from outside, and {' and '.join(missing)} is missing",
        leaf="host",
        cure="Bind to 127.0.0.1 (an ssh tunnel reaches it), or give --token-file, --certificate and --key.",
    )


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own; the empty one and 0.0.0.0 are not."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def admits(access: Access, authorization: str | None) -> bool:
    """Whether an Authorization header ("Api-Key TOKEN" or "Bearer TOKEN") carries the token, in constant time."""
    if access.token is None:
        return True
    scheme, _, given = (authorization or "").partition(" ")
    same = hmac.compare_digest(given.strip().encode("utf-8", "replace"), access.token.encode())
    return same and scheme.lower() in _SCHEMES


def server_tls(access: Access) -> ssl.SSLContext | None:
    """TLS of a server, None without a certificate. Raises `AccessError` for files that do not fit."""
    if access.certificate is None or access.key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(access.certificate, access.key)
    except (OSError, ssl.SSLError) as error:
        raise AccessError(f"the certificate cannot be used: {error}", file=access.certificate) from error
    return context


def client_tls(url: str, authority: Path | None) -> ssl.SSLContext | None:
    """TLS of a client: None for ws://, else checked against `authority` (PEM) or the system's. Raises `AccessError`."""
    if urlsplit(url).scheme != "wss":
        return None
    try:
        return ssl.create_default_context(cafile=None if authority is None else str(authority))
    except (OSError, ssl.SSLError) as error:
        raise AccessError(f"the authority's certificate cannot be used: {error}", file=authority) from error


def client_headers(url: str, token: str | None) -> dict[str, str]:
    """The header that carries a token. Raises `AccessError` when it would travel in the clear beyond this machine."""
    if token is None:
        return {}
    require_token(token)
    parts = urlsplit(url)
    if parts.scheme != "wss" and not is_loopback(parts.hostname or ""):
        raise AccessError("a token is sent over wss:// only, or to this machine", file=url, leaf="token")
    return {"Authorization": f"Api-Key {token}"}


def read_token(path: str | Path) -> str:
    """The token in a file. Raises `AccessError` when others may read the file or it holds no token."""
    path = Path(path)
    if not path.is_file():
        raise MissingFileError("file does not exist", file=path)
    if path.stat().st_mode & 0o077:
        raise AccessError("others may read this token", file=path, cure=f"chmod 600 {path}")
    try:
        token = read_bytes(path).decode().strip()
    except UnicodeDecodeError as error:
        raise AccessError("a token is text", file=path) from error
    require_token(token)
    return token

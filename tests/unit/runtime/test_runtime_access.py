"""Strangers are refused before their message is decoded, and a server that would be open to them does not start."""

import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from openpi_client.websocket_client_policy import WebsocketClientPolicy

sys.path.insert(0, str(Path(__file__).parent))
import serving_toy
from serving_toy import expected, make_server, message, observation, serving
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from embodia.core.errors import AccessError, ConfigError, MissingFileError, RemoteError
from embodia.io import wire
from embodia.runtime.policy.access import (
    Access,
    admits,
    client_headers,
    is_loopback,
    read_token,
    require_guard,
    server_tls,
)
from embodia.runtime.policy.background import running
from embodia.runtime.policy.remote import RemoteConfig, RemotePolicy

TOKEN = "0123456789abcdef-token"
SUBJECT = "subjectAltName=DNS:localhost,IP:127.0.0.1"
WRONG = [
    None,
    "",
    "Api-Key",
    "Api-Key ",
    f"Api-Key {TOKEN[:-1]}",
    f"Api-Key {TOKEN}x",
    TOKEN,
    f"Basic {TOKEN}",
    f"Api-Key{TOKEN}",
    f"Api-Key {TOKEN.upper()}",
    "Api-Key \u00e9" + TOKEN,
]


@pytest.fixture(scope="module")
def guarded():
    with serving(access=Access(token=TOKEN)) as port:
        yield port


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    made = subprocess.run(
        [*words.split(), "-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-addext", SUBJECT],
        capture_output=True,
    )
    if made.returncode:
        pytest.skip("no openssl to make a certificate with")
    return folder


@pytest.mark.parametrize("header", WRONG)
def test_only_the_token_opens(header):
    assert not admits(Access(token=TOKEN), header)


def test_the_token_opens_in_both_ways_of_writing():
    assert all(admits(Access(token=TOKEN), f"{scheme} {TOKEN}") for scheme in ("Api-Key", "Bearer", "api-key"))


def test_without_the_token_nothing_is_decoded(guarded, monkeypatch):
    read = []
    monkeypatch.setattr(wire, "unpack", lambda data, **_: read.append(data))
    refused = 0
    for header in [item for item in WRONG if item is None or item.isascii()] * 10:
        try:
            with connect(
                f"ws://127.0.0.1:{guarded}",
                additional_headers={} if header is None else {"Authorization": header},
                proxy=None,
            ) as socket:
                socket.send(b"\x80")
        except InvalidStatus as error:
            refused += error.response.status_code == 401
    assert refused == 100 and read == []


def test_two_headers_do_not_open(guarded):
    with (
        pytest.raises(InvalidStatus),
        connect(
            f"ws://127.0.0.1:{guarded}",
            additional_headers=[("Authorization", f"Api-Key {TOKEN}"), ("Authorization", "Api-Key x")],
            proxy=None,
        ),
    ):
        pass


def test_openpis_client_sends_its_key(guarded):
    client = WebsocketClientPolicy("127.0.0.1", guarded, api_key=TOKEN)
    np.testing.assert_array_equal(client.infer(message())["actions"], expected())


def test_our_client_with_and_without_the_token(guarded):
    url = f"ws://127.0.0.1:{guarded}"
    policy = RemotePolicy(RemoteConfig(url=url, token=TOKEN))
    np.testing.assert_array_equal(policy.act(observation(), None, None)[0].actions[0], expected())
    policy.close()
    for token in (None, "another token-of-length"):
        with pytest.raises(AccessError):
            RemotePolicy(RemoteConfig(url=url, token=token and token.replace(" ", "-")))


@pytest.mark.parametrize("path", ["/healthz", "/health"])
def test_health_answers_watchers_without_a_token(guarded, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{guarded}{path}", timeout=5) as answer:
        assert answer.status == 200 and answer.read() == b"OK\n"
        assert "server" not in {name.lower() for name in answer.headers}
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"http://127.0.0.1:{guarded}/healthz/..", timeout=5)


@pytest.mark.parametrize("host", ["0.0.0.0", "", "::", "192.168.1.5", "robot.example.org", "10.0.0.1"])
def test_a_server_open_to_strangers_does_not_start(host, certificate):
    tls = {"certificate": certificate / "cert.pem", "key": certificate / "key.pem"}
    for access in (Access(), Access(token=TOKEN), Access(**tls)):
        with pytest.raises(AccessError, match="can be reached from outside"):
            require_guard(host, access)
        with pytest.raises(AccessError):
            make_server(host=host, access=access)
    require_guard(host, Access(token=TOKEN, **tls))


def test_loopback_needs_no_guard():
    for host in ("127.0.0.1", "localhost", "::1", "[::1]", "127.8.8.8"):
        assert is_loopback(host)
        require_guard(host, Access())


@pytest.mark.parametrize("token", ["", " " * 20, "short", "a" * 15, "with space in the token", "ä" * 20, "line\n" * 5])
def test_a_token_that_guards_nothing_is_an_error(token):
    with pytest.raises(AccessError):
        Access(token=token)


def test_a_certificate_comes_with_its_key(tmp_path, certificate):
    with pytest.raises(AccessError):
        Access(certificate=certificate / "cert.pem")
    with pytest.raises(AccessError, match="cannot be used"):
        server_tls(Access(certificate=tmp_path / "no.pem", key=tmp_path / "no.pem"))


def test_a_token_never_travels_in_the_clear():
    with pytest.raises(AccessError, match="wss"):
        client_headers("ws://robot.example.org:8000", TOKEN)
    assert client_headers("wss://robot.example.org:8000", TOKEN) == {"Authorization": f"Api-Key {TOKEN}"}
    assert client_headers("ws://robot.example.org:8000", None) == {}


def test_a_token_file_is_its_owners(tmp_path):
    path = tmp_path / "token"
    with pytest.raises(MissingFileError):
        read_token(path)
    path.write_text(TOKEN + "\n")
    path.chmod(0o644)
    with pytest.raises(AccessError, match="others may read"):
        read_token(path)
    path.chmod(0o600)
    assert read_token(path) == TOKEN
    path.write_bytes(b"\xff" * 20)
    with pytest.raises(AccessError, match="text"):
        read_token(path)


def test_tls_with_a_token(certificate):
    access = Access(token=TOKEN, certificate=certificate / "cert.pem", key=certificate / "key.pem")
    with serving(access=access) as port:
        url = f"wss://localhost:{port}"
        policy = RemotePolicy(RemoteConfig(url=url, token=TOKEN, authority=certificate / "cert.pem"))
        np.testing.assert_array_equal(policy.act(observation(), None, None)[0].actions[0], expected())
        policy.close()
        with pytest.raises(AccessError, match="not trusted"):
            RemotePolicy(RemoteConfig(url=url, token=TOKEN, patience_s=0))
        with pytest.raises(RemoteError):
            RemotePolicy(RemoteConfig(url=f"ws://localhost:{port}", token=TOKEN, patience_s=0, timeout_s=2))


def test_sessions_are_counted():
    with serving(sessions=2) as port:
        held = [WebsocketClientPolicy("127.0.0.1", port) for _ in range(2)]
        with pytest.raises(RemoteError, match="503"):
            RemotePolicy(RemoteConfig(url=f"ws://127.0.0.1:{port}", patience_s=0))
        held.pop()._ws.close()
        policy = RemotePolicy(RemoteConfig(url=f"ws://127.0.0.1:{port}", patience_s=5))
        np.testing.assert_array_equal(policy.act(observation(), None, None)[0].actions[0], expected())
        policy.close()
        assert held


def test_a_port_that_is_taken_is_a_typed_error():
    with serving() as port, pytest.raises(ConfigError, match="cannot listen"), running(make_server(port=port)):
        pass


def test_an_address_that_is_none_is_a_typed_error():
    for url in ("http://localhost:8000", "localhost:8000", "ws://", "file:///etc"):
        with pytest.raises(ConfigError):
            RemoteConfig(url=url)


def test_the_runtime_starts_without_torch():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from serving_toy import *\n"
        "from embodia.runtime.policy.remote import RemoteConfig, RemotePolicy\n"
        "with serving() as port:\n"
        "    policy = RemotePolicy(RemoteConfig(url=f'ws://127.0.0.1:{port}'))\n"
        "    print(policy.act(observation(), None, None)[0].actions.shape, 'torch' in sys.modules)\n"
        "    policy.close()\n"
    )
    folder = serving_toy.__file__.rpartition("/")[0]
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "(1, 4, 4) False", done.stderr

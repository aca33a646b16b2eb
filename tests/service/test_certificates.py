"""Servers whose certificates are of a hospital's own authority, expired, or for another name."""

import ipaddress
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from openid import CLIENT, SECRET
from sites import MakeSite, free_port, sqlite_url

from ladnn.client import Client
from ladnn.errors import ConfigError, RemoteError
from ladnn.service.blobs import Blobs
from ladnn.service.tables import now

LOOPBACK = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
UNKNOWN = "of no authority known here: name the authority's file in "


class Authority:
    """Signs certificates, as a hospital's own authority does; `file` has its own."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Hospital")])
        self.file = folder / "authority.pem"
        self.file.write_bytes(self._sign(self._key, self._name, 30, x509.BasicConstraints(True, 0)))

    def issue(self, days: int, name: x509.GeneralName) -> Path:
        """A file with a certificate for `name` that ends in so many days, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
        path = self._folder / f"{days}-{name.value}.pem"
        path.write_bytes(
            self._sign(key, subject, days, x509.SubjectAlternativeName([name]))
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return path

    def _sign(
        self,
        key: ec.EllipticCurvePrivateKey,
        subject: x509.Name,
        days: int,
        extension: x509.ExtensionType,
    ) -> bytes:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now() - timedelta(days=60))
            .not_valid_after(now() + timedelta(days=days))
            .add_extension(extension, critical=True)
        )
        signed = builder.sign(self._key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM)


class Answers(BaseHTTPRequestHandler):
    """Says yes, as JSON, to whatever is asked; the description of a provider fits too."""

    def do_GET(self) -> None:
        where = f"https://127.0.0.1:{self.server.server_address[1]}"
        said = {"issuer": where, "authorization_endpoint": f"{where}/authorize", "id": "1"}
        self.send_response(200)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(json.dumps(said).encode())

    do_HEAD = do_GET  # noqa: N815  # the name that the server looks for

    def log_message(self, *_: object) -> None: ...


@contextmanager
def https(certificate: Path) -> Iterator[str]:
    """The address of a server that shows that certificate."""

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None: ...

    server = Quiet(("127.0.0.1", free_port()), Answers)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the machine that runs the tests names authorities."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def good(authority: Authority) -> Iterator[str]:
    with https(authority.issue(30, LOOPBACK)) as address:
        yield address


def never(_seconds: float) -> None:
    raise AssertionError("waits although waiting cannot help")


def ask_site(address: str) -> None:
    with Client(address, sleep=never) as client:
        assert client.prediction("1")["id"] == "1"


def ask_s3(address: str) -> None:
    Blobs("s3://bucket/x", address).require()


@pytest.fixture(params=[(ask_site, "SSL_CERT_FILE"), (ask_s3, "AWS_CA_BUNDLE")], ids=["site", "s3"])
def asked(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> tuple[Callable[[str], None], str]:
    """Asks a server something, and the variable that names further authorities."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "us-east-1")
    ask, variable = request.param
    return ask, variable


def test_an_unknown_authority_is_told_with_the_variable_that_makes_it_known(
    good: str, authority: Authority, asked, monkeypatch: pytest.MonkeyPatch
):
    ask, variable = asked
    with pytest.raises((RemoteError, ConfigError), match=f"{UNKNOWN}{variable}"):
        ask(good)
    monkeypatch.setenv(variable, str(authority.file))
    ask(good)


@pytest.mark.parametrize(
    ("days", "name", "told"),
    [
        (-1, LOOPBACK, "its certificate has expired: have it renewed"),
        (30, x509.DNSName("other.example.org"), "its certificate is for another name"),
    ],
)
def test_a_certificate_that_does_not_hold_is_told_with_its_fault(
    authority: Authority, asked, monkeypatch: pytest.MonkeyPatch, *, days: int, name, told: str
):
    ask, variable = asked
    monkeypatch.setenv(variable, str(authority.file))
    with (
        https(authority.issue(days, name)) as address,
        pytest.raises((RemoteError, ConfigError), match=told),
    ):
        ask(address)


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_of_authorities_that_cannot_be_used_is_named(
    good: str, asked, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None
):
    ask, variable = asked
    path = tmp_path / "authority.pem"
    if content:
        path.write_text(content)
    monkeypatch.setenv(variable, str(path))
    with pytest.raises((RemoteError, ConfigError), match=f"{variable} names {path}, which cannot"):
        ask(good)


def test_the_authorities_of_the_machine_are_believed_too(
    good: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(
        ssl.SSLContext,
        "load_default_certs",
        lambda context, *_: context.load_verify_locations(authority.file),
    )
    ask_site(good)


def test_the_log_says_why_a_provider_is_away_and_the_variable_mends_it(
    *,
    request: pytest.FixtureRequest,
    good: str,
    authority: Authority,
    make_site: MakeSite,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
):
    settings = {"oidc_client_id": CLIENT, "oidc_client_secret": SECRET, "log_level": "warning"}
    site = make_site(
        sqlite_url(request, tmp_path),
        oidc_issuer=good,
        oidc_roles=("radiology=clinician",),
        **settings,
    )
    assert site.client.get("/sign-in/provider").status_code == 502
    assert f"{UNKNOWN}SSL_CERT_FILE" in capfd.readouterr().out
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    assert site.client.get("/sign-in/provider").status_code == 303

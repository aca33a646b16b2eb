"""`ladnn serve` as a process: what it prints, that it needs no torch, how it ends."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path

import httpx
import pytest
from sites import PostgreSql, free_port, needs

from bundles import tiny_bundle
from ladnn.findings import RESEARCH_NOTICE
from ladnn.service.accounts.tokens import hash_of
from ladnn.service.champion import Champion
from ladnn.service.metrics import counted_together

WITHOUT_TORCH = """
import sys
class WithoutTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "timm"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, WithoutTorch())
from ladnn.cli import main
sys.argv = ["ladnn", *sys.argv[1:]]
main()
"""
SERVE = (sys.executable, "-c", WITHOUT_TORCH, "serve")


@contextmanager
def running(
    folder: Path, *options: str, temporary: Path | None = None, **settings: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`ladnn serve` in a folder, ready, and its address; killed at the end."""
    with started(folder, *options, temporary=temporary, **settings) as (process, address):
        wait_until_ready(process, address)
        yield process, address


@contextmanager
def started(
    folder: Path, *options: str, temporary: Path | None = None, **settings: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The same as soon as its process has begun."""
    port = free_port()
    environment = {key: value for key, value in os.environ.items() if key != "LADNN_CONFIG"}
    process = subprocess.Popen(
        [*SERVE, "--port", str(port), "--bundle", str(tiny_bundle(folder)), *options],
        cwd=folder,
        text=True,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=environment
        | {f"LADNN_{name.upper()}": value for name, value in settings.items()}
        | ({} if temporary is None else {"TMPDIR": str(temporary)}),
    )
    address = f"http://127.0.0.1:{port}"
    try:
        yield process, address
    finally:
        process.kill()
        process.wait()


def wait_until_ready(process: subprocess.Popen[str], address: str) -> None:
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[1]
        try:
            if httpx.get(f"{address}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    pytest.fail("the site did not get ready")


def told(process: subprocess.Popen[str]) -> str:
    """What it prints as soon as it answers."""
    assert process.stderr is not None
    lines = [process.stderr.readline()]
    while lines[-1] and RESEARCH_NOTICE not in lines[-1]:
        lines.append(process.stderr.readline())
    return "".join(lines)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_it_prints_an_address_at_which_it_answers_and_a_link_for_the_first_administrator(
    tmp_path: Path, workers: str
):
    with started(tmp_path, "--workers", workers) as (process, address):
        printed = told(process)
        assert httpx.get(f"{address}/healthz", timeout=60).status_code == 200
    assert f"LA-DNN is at {address}\n" in printed
    assert re.search(rf"{address}/setup/[\w-]{{43}}\n", printed)


def test_on_all_addresses_of_version_6_it_prints_one_of_them(tmp_path: Path):
    needs(socket.has_dualstack_ipv6() or None, "IPv6")
    with started(tmp_path, "--host", "::") as (process, _):
        printed = re.search(r"LA-DNN is at (http://\[::1\]:\d+)\n", told(process))
        assert printed is not None
        assert httpx.get(f"{printed[1]}/healthz", timeout=60).status_code == 200


@pytest.mark.parametrize("workers", ["1", "2"])
def test_it_answers_what_it_has_begun_and_ends_on_sigterm(
    tmp_path: Path, scan: bytes, workers: str
):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with running(tmp_path, "--workers", workers, temporary=temporary) as (process, address):
        request = httpx.Request(
            "POST", f"{address}/api/v1/predictions", files={"file": ("a.png", scan)}
        )
        with begun(request) as link:
            process.send_signal(signal.SIGTERM)
            while accepts(address):
                time.sleep(0.05)
            link.sendall(request.read())
            answer = HTTPResponse(link)
            answer.begin()
            assert answer.status == 201
            assert json.load(answer)["links"]
        printed = process.communicate(timeout=60)[1]
    assert process.returncode == 0
    assert "Traceback" not in printed
    assert list(temporary.iterdir()) == []


def test_a_site_that_was_killed_leaves_no_process_and_its_counters_go_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "restored afterwards")
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR")
    (tmp_path / "temporary").mkdir()
    with running(tmp_path, "--workers", "2", temporary=tmp_path / "temporary") as (
        process,
        address,
    ):
        [left] = (tmp_path / "temporary").glob("ladnn-metrics-*")
        with counted_together():
            assert left.exists()
        process.kill()
        assert eventually(lambda: not accepts(address))
    with counted_together():
        assert eventually(lambda: not is_left(left))
        [mine] = (tmp_path / "temporary").iterdir()
        with counted_together():
            assert mine.exists()
    assert list((tmp_path / "temporary").iterdir()) == []


def is_left(folder: Path) -> bool:
    """Whether a start leaves the folder where it is, as one of its processes has not ended yet."""
    with counted_together():
        return folder.exists()


@contextmanager
def begun(request: httpx.Request) -> Iterator[socket.socket]:
    """A connection on which the site has begun to read a request: it said so, by 100 Continue."""
    request.headers["expect"] = "100-continue"
    lines = [f"{request.method} {request.url.raw_path.decode()} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    with socket.create_connection((request.url.host, request.url.port or 80), timeout=60) as link:
        link.sendall("\r\n".join([*lines, "", ""]).encode())
        said = b""
        while not said.endswith(b"\r\n\r\n"):
            said += link.recv(1)
        assert said.startswith(b"HTTP/1.1 100 "), said
        yield link


def accepts(address: str) -> bool:
    """Whether the site still answers new requests; one that ends leaves them unanswered."""
    try:
        httpx.get(f"{address}/healthz", timeout=2)
    except httpx.TransportError:
        return False
    return True


PROXY, STRANGER, MONITOR = "127.0.0.1", "127.0.0.2", "203.0.113.7"
TESTS = 3  # that one address may ask for in a minute


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a site that believes one proxy and shows its metrics to one monitor."""
    limits = {"trusted_proxies": PROXY, "metrics_from": MONITOR}
    limits["visitor_tests_per_minute"] = str(TESTS)
    with running(tmp_path_factory.mktemp("proxied"), **limits) as (_, address):
        yield address


def asked(
    address: str, path: str, method: str = "GET", via: str = PROXY, **forwarded: str
) -> httpx.Response:
    """Ask from the address `via`, which says of others what is in `forwarded`."""
    headers = {f"x-forwarded-{name.strip('_')}": value for name, value in forwarded.items()}
    with httpx.Client(transport=httpx.HTTPTransport(local_address=via), timeout=60) as client:
        return client.request(method, address + path, headers=headers)


def begin(address: str, client: str, via: str = PROXY) -> int:
    """Begin a batch, which counts as a test."""
    return asked(address, "/api/v1/batches", "POST", via, for_=client).status_code


def test_each_client_of_a_trusted_proxy_has_limits_of_its_own(proxied: str):
    assert [begin(proxied, "198.51.100.1") for _ in range(TESTS + 1)] == [201] * TESTS + [429]
    assert begin(proxied, "198.51.100.2") == 201
    assert begin(proxied, "203.0.113.99, 198.51.100.1") == 429  # the client's own word before it


def test_who_is_no_trusted_proxy_cannot_be_others(proxied: str):
    answers = [begin(proxied, f"198.51.100.{10 + n}", STRANGER) for n in range(TESTS + 1)]
    assert answers == [201] * TESTS + [429]
    assert begin(proxied, "198.51.100.10") == 201  # who was named has not asked for anything


@pytest.mark.parametrize(
    ("via", "client", "status"),
    [
        (PROXY, MONITOR, 200),
        (PROXY, "198.51.100.3", 403),
        (PROXY, f"{MONITOR}, 198.51.100.3", 403),
        (STRANGER, MONITOR, 403),
        (STRANGER, f"{MONITOR}, {PROXY}", 403),
    ],
)
def test_the_metrics_are_for_the_client_that_a_trusted_proxy_names(
    proxied: str, via: str, client: str, status: int
):
    answer = asked(proxied, "/metrics", via=via, for_=client)
    assert answer.status_code == status
    assert ("ladnn_requests_total" in answer.text) == (status == 200)


@pytest.mark.parametrize(("via", "scheme"), [(PROXY, "https"), (STRANGER, "http")])
def test_the_scheme_is_that_which_a_trusted_proxy_names(proxied: str, via: str, scheme: str):
    answer = asked(proxied, "/about/", via=via, proto="https")
    assert answer.status_code == 307
    assert answer.headers["location"] == proxied.replace("http", scheme) + "/about"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--bundle", "nowhere"), "no bundle at nowhere"),
        (("--database-url", "nonsense"), "database_url is no URL"),
        (("--workers", "0"), "workers is 0"),
        (("--config", "nowhere.toml"), "cannot be read"),
        (("--storage", "s3://"), "storage is 's3://'"),
        (("--storage", "s3:///site"), "storage is 's3:///site'"),
        (("--host", "203.0.113.7"), "cannot listen on 203.0.113.7 port 8000"),
        (("--host", "no-such-host.invalid"), "cannot listen on no-such-host.invalid"),
        (("--database-url", "postgresql+psycopg://a@127.0.0.1:1/site"), "onnection refused"),
        (("--database-url", "postgresql+psycopg://a@no-such.invalid/site"), "no-such.invalid"),
    ],
)
def test_a_site_that_cannot_start_says_why_in_one_sentence(
    options: tuple[str, str], sentence: str, tmp_path: Path
):
    assert sentence in refused(tmp_path, *options)


def refused(folder: Path, *options: str, **settings: str) -> str:
    """The one sentence of a site that cannot start."""
    done = subprocess.run(
        [*SERVE, *options],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | {f"LADNN_{name.upper()}": value for name, value in settings.items()},
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    return done.stderr


def test_a_site_whose_port_is_taken_leaves_the_first_administrators_link_as_it_is(tmp_path: Path):
    with running(tmp_path) as (process, address):
        port = address.rpartition(":")[2]
        assert f"port {port}" in refused(tmp_path, "--port", port)
        process.send_signal(signal.SIGTERM)
        printed = process.communicate(timeout=60)[1]
    token = re.search(r"/setup/([\w-]{43})\n", printed)
    assert token is not None
    with sqlite3.connect(tmp_path / "site-data" / "site.db") as database:
        kept = database.execute("SELECT token_hash FROM one_time_tokens").fetchall()
    assert kept == [(hash_of(token[1]),)]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("ladnn@{}/nowhere", '"nowhere" does not exist'), ("stranger@{}/postgres", '"stranger"')],
)
def test_a_database_that_refuses_is_told_in_one_sentence(
    postgresql: PostgreSql, tmp_path: Path, name: str, sentence: str
):
    url = f"postgresql+psycopg://{name.format(f'127.0.0.1:{postgresql.port}')}"
    assert sentence in refused(tmp_path, database_url=url)


class Bundles:
    """What stands for bundles in the tests of the champion: names, built one by one."""

    def __init__(self) -> None:
        self.name, self.reports = "first", list[str]()

    def build(self, name: str) -> str:
        if name == "broken":
            raise OSError(name)
        return f"predictor of {name}"

    def report(self, name: str, _error: Exception) -> None:
        self.reports.append(name)

    def champion(self) -> Champion:
        return Champion(lambda: self.name, self.build, self.report, seconds=0.01)  # type: ignore[arg-type, return-value]


def eventually(true: Callable[[], bool]) -> bool:
    """Whether it becomes true within a minute."""
    deadline = time.monotonic() + 60
    while not true() and time.monotonic() < deadline:
        time.sleep(0.01)
    return true()


def test_a_new_champion_is_taken_up_once_it_is_built():
    bundles = Bundles()
    champion = bundles.champion()
    assert champion() == "predictor of first"
    bundles.name = "second"
    assert eventually(lambda: champion() == "predictor of second")
    champion.close()


def test_a_champion_that_cannot_be_loaded_leaves_the_old_one_at_work():
    bundles = Bundles()
    champion = bundles.champion()
    bundles.name = "broken"
    assert eventually(lambda: "broken" in bundles.reports)
    assert champion() == "predictor of first"
    bundles.name = "third"
    assert eventually(lambda: champion() == "predictor of third")
    champion.close()

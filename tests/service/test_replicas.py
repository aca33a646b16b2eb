"""nginx before two replicas on one database: a promotion while requests go on."""

import http.client
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from sites import PostgreSql, free_port, needs, served
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from bundles import tiny_bundle
from ladnn.service import models
from ladnn.service.app import create_app
from ladnn.service.database import Database
from ladnn.service.settings import Settings
from test_deploy import proxy_config

PROMPT = 10.0  # seconds after a promotion by which every replica answers with it


@contextmanager
def nginx(folder: Path, replicas: tuple[int, int]) -> Iterator[str]:
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    needs(program, "nginx")
    port = free_port()
    config = proxy_config(folder, port, replicas)
    server = subprocess.Popen([str(program), "-c", str(config), "-g", "daemon off;"])
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=20)


def test_a_promotion_reaches_both_replicas_in_time_and_no_request_is_lost(
    postgresql: PostgreSql, tmp_path: Path, scan: bytes
):
    bundle = tiny_bundle(tmp_path / "1", version="1")
    settings = Settings(
        database_url=postgresql.fresh("prepared"),
        storage=str(tmp_path / "files"),
        bundle=str(bundle),
        threads=1,
        log_level="error",
    )
    database = Database(settings.database_url)
    registry = models.site_registry(settings, database)
    label = registry.add(tiny_bundle(tmp_path / "2", bias=1.0, version="2"), {}, by="a", why="b")
    with ExitStack() as stack:
        replicas = [served(create_app(settings), lifespan="on") for _ in range(2)]
        addresses = [stack.enter_context(replica) for replica in replicas]
        ports = tuple(int(address.rsplit(":", 1)[1]) for address in addresses)
        proxy = stack.enter_context(nginx(tmp_path, ports))  # type: ignore[arg-type]
        answers: list[tuple[float, int, str]] = []
        stop = threading.Event()
        asking = threading.Thread(target=ask, args=(proxy, scan, answers, stop))
        asking.start()
        wait_for(lambda: len(answers) >= 3)
        registry.promote(label, by="a", why="b")
        promoted = time.monotonic()
        for address in addresses:
            wait_for(lambda address=address: version(address, scan) == "2")
        taken = time.monotonic() - promoted
        seen = len(answers)
        wait_for(lambda: len(answers) >= seen + 3)
        stop.set()
        asking.join()
    database.dispose()
    assert {status for _, status, _ in answers} <= {200, 201}
    assert answers[0][2] == "1"
    assert answers[-1][2] == "2"
    assert taken < 6 * PROMPT  # a busy machine is no failure; `CHECK_SECONDS` holds the promise


def ask(proxy: str, scan: bytes, answers: list[tuple[float, int, str]], stop: threading.Event):
    with httpx.Client(base_url=proxy, timeout=60) as client:
        while not stop.is_set():
            answer = client.post("/api/v1/predictions", files={"file": ("s.png", scan)})
            body = answer.json()
            answers.append((time.monotonic(), answer.status_code, told(body)))


def told(body: dict) -> str:
    return str(body.get("model", {}).get("version") or body.get("model_version", ""))


def version(address: str, scan: bytes) -> str:
    files = {"file": ("s.png", scan)}
    return told(httpx.post(f"{address}/api/v1/predictions", files=files, timeout=60).json())


def wait_for(done, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)


@pytest.mark.parametrize("path", ["/metrics"])
def test_the_proxy_keeps_what_is_for_operators_to_itself(tmp_path: Path, path: str):
    with nginx(tmp_path, (free_port(), free_port())) as proxy:
        wait_for(lambda: reached(proxy + path))
        assert httpx.get(proxy + path).status_code == 403


def test_a_replica_that_is_busy_or_misses_something_is_not_taken_for_one_that_is_gone(
    tmp_path: Path,
):
    with served(answering_as_asked) as one, served(answering_as_asked) as other:
        ports = tuple(int(address.rsplit(":", 1)[1]) for address in (one, other))
        with nginx(tmp_path, ports) as proxy:  # type: ignore[arg-type]
            wait_for(lambda: reached(proxy))
            for status in (502, 503):
                asked = [httpx.get(f"{proxy}/{status}").status_code for _ in range(6)]
                assert asked == [status] * 6
            assert [httpx.get(proxy).status_code for _ in range(4)] == [200] * 4


def test_the_proxy_writes_no_secret_address_of_a_request_that_fails(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    with nginx(tmp_path, (free_port(), free_port())) as proxy:
        wait_for(lambda: reached(f"{proxy}/metrics"))
        told = {"referer": f"{proxy}/results/SECRET-PAGE"}
        assert httpx.get(f"{proxy}/results/SECRET-TOKEN", headers=told).status_code >= 500
        link = http.client.HTTPConnection(proxy.removeprefix("http://"), timeout=10)
        link.request("POST", "/setup/SECRET-LINK", headers={"content-length": str(1 << 40)})
        assert link.getresponse().status == 413
        link.close()
    written = "".join(capfd.readouterr()) + (tmp_path / "access.log").read_text()
    assert "SECRET" not in written
    assert " 502 " in written


def test_an_upload_goes_to_the_replica_that_is_there(tmp_path: Path):
    with served(answering_as_asked) as one:
        ports = (free_port(), int(one.rsplit(":", 1)[1]))
        with nginx(tmp_path, ports) as proxy:
            wait_for(lambda: reached(proxy))
            sent = [httpx.post(proxy, content=bytes(1 << 20)).status_code for _ in range(4)]
    assert sent == [200] * 4


async def answering_as_asked(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await PlainTextResponse("", int(scope["path"][1:] or 200))(scope, receive, send)


def reached(address: str) -> bool:
    try:
        httpx.get(address)
    except httpx.TransportError:
        return False
    return True

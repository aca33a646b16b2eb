"""Single-image tests by many connections: the site, which stores, beside servers that do not.

Every request brings other bytes, because the site tests the same bytes once. All servers run
throughout; they take turns, and the median of the rounds counts.
"""

import http.client
import io
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import count

from PIL import Image

from bench.bundles import Studio
from bench.images import SIZE
from bench.report import Figure
from bench.scale import Scale
from ladnn.phantom import thorax

CONNECTIONS = (1, 8, 32)
AT_ONCE = 8  # connections at which the time of an answer has a bar
P95 = 250.0  # milliseconds
START = 180.0  # seconds
LONGEST = 30.0  # seconds of one turn, whatever was sent by then

Ask = Callable[[http.client.HTTPConnection, bytes], bytes]


def measure_load(scale: Scale, studio: Studio) -> list[Figure]:
    """Requests per second and the 95th percentile at 1, 8 and 32 connections."""
    del studio  # the shipped bundle is measured
    rates: dict[tuple[str, int], list[float]] = {}
    slow: dict[tuple[str, int], list[float]] = {}
    images = Images()
    with ExitStack() as stack:
        ports = {name: stack.enter_context(SERVERS[name]()) for name in SERVERS}
        for name, port in ports.items():
            turn(name, port, images, 2, 4)  # nobody is measured while it wakes up
        for _ in range(scale.load_rounds):
            for connections in CONNECTIONS:
                for name, port in ports.items():
                    rate, p95 = turn(name, port, images, connections, scale.load_requests)
                    rates.setdefault((name, connections), []).append(rate)
                    slow.setdefault((name, connections), []).append(p95)
    return list(_figures(_medians(rates), _medians(slow)))


def _medians(values: dict[tuple[str, int], list[float]]) -> dict[tuple[str, int], float]:
    return {key: statistics.median(found) for key, found in values.items()}


def _figures(
    rates: dict[tuple[str, int], float], slow: dict[tuple[str, int], float]
) -> Iterator[Figure]:
    for connections in CONNECTIONS:
        where = f"at {connections} connections" if connections > 1 else "at 1 connection"
        for name in SERVERS:
            yield Figure(
                bench="load",
                name=f"{name} {where}",
                value=rates[name, connections],
                unit="requests/s",
            )
            yield Figure(
                bench="load",
                name=f"{name} {where}, 95th percentile",
                value=slow[name, connections],
                unit="ms",
                at_most=P95 if (name, connections) == ("site", AT_ONCE) else None,
            )
        best = max(rates[name, connections] for name in SERVERS if name != "site")
        yield Figure(
            bench="load",
            name=f"site over the better of the others, {where}",
            value=rates["site", connections] / best,
            unit="x",
            at_least=1.0,
            note="the site also stores the image and the result",
        )


class Images:
    """One chest CT in ever new bytes: what stands behind a PNG's end is not looked at."""

    def __init__(self) -> None:
        self._image, self._count = _drawn(), count()
        self._run = os.urandom(8)

    def next(self) -> bytes:
        """Bytes that were never sent."""
        return self._image + self._run + str(next(self._count)).encode()


def _drawn() -> bytes:
    target = io.BytesIO()
    Image.fromarray(thorax(0, size=SIZE)).save(target, "PNG")
    return target.getvalue()


def turn(
    name: str, port: int, images: Images, connections: int, requests: int
) -> tuple[float, float]:
    """Requests per second, and milliseconds within which 95 of 100 were answered."""
    ask, seconds, failures = ASK[name], list[float](), list[Exception]()
    bodies = [images.next() for _ in range(max(requests, connections))]
    stop = time.perf_counter() + LONGEST

    def work() -> None:
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        try:
            while bodies and time.perf_counter() < stop:
                body = bodies.pop()
                start = time.perf_counter()
                said = json.loads(ask(link, body))
                seconds.append(time.perf_counter() - start)
                if "covid" not in json.dumps(said):
                    raise RuntimeError(f"{name} answers {str(said)[:200]}")
        except Exception as error:
            failures.append(error)
        finally:
            link.close()

    threads = [threading.Thread(target=work) for _ in range(connections)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise RuntimeError(f"{name} failed under load: {failures[0]}") from failures[0]
    seconds.sort()
    p95 = seconds[min(len(seconds) - 1, int(0.95 * len(seconds)))]
    return len(seconds) / (time.perf_counter() - begin), p95 * 1000


def _post(link: http.client.HTTPConnection, path: str, body: bytes, kind: str) -> bytes:
    link.request("POST", path, body, {"content-type": kind})
    answer = link.getresponse()
    said = answer.read()
    if answer.status not in (200, 201):
        raise RuntimeError(f"{answer.status}: {said[:200]!r}")
    return said


def _form(field: str, image: bytes, **fields: str) -> bytes:
    parts = [
        f'--b\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = f'--b\r\ncontent-disposition: form-data; name="{field}"; filename="a.png"\r\n'.encode()
    parts.append(head + b"content-type: image/png\r\n\r\n" + image + b"\r\n--b--\r\n")
    return b"".join(parts)


_MULTIPART = "multipart/form-data; boundary=b"


def _ask_site(link: http.client.HTTPConnection, image: bytes) -> bytes:
    return _post(link, "/api/v1/predictions", _form("file", image, maps="true"), _MULTIPART)


def _ask_litserve(link: http.client.HTTPConnection, image: bytes) -> bytes:
    return _post(link, "/predict", _form("file", image), _MULTIPART)


def _ask_gradio(link: http.client.HTTPConnection, image: bytes) -> bytes:
    """As its own clients do: the file first, then the call that names it."""
    [path] = json.loads(_post(link, "/gradio_api/upload", _form("files", image), _MULTIPART))
    call = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}]}
    return _post(link, "/gradio_api/run/predict", json.dumps(call).encode(), "application/json")


SIMPLE = "litserve with one process"
ASK: dict[str, Ask] = {
    "site": _ask_site,
    "gradio": _ask_gradio,
    "litserve": _ask_litserve,
    SIMPLE: _ask_litserve,
}


@contextmanager
def _site() -> Iterator[int]:
    """The site as `ladnn serve` runs it by itself, one process, on SQLite and a folder."""
    program = "from ladnn.cli import main; main()"
    with tempfile.TemporaryDirectory(prefix="ladnn-load-") as folder:
        options = {
            "LADNN_DATABASE_URL": f"sqlite:///{folder}/site.db",
            "LADNN_STORAGE": f"{folder}/files",
            "LADNN_WORKERS": "1",
            "LADNN_LOG_LEVEL": "error",
            "LADNN_REQUESTS_PER_MINUTE": "0",
            "LADNN_VISITOR_TESTS_PER_MINUTE": "0",
            "LADNN_VISITOR_MIB_PER_DAY": "0",
        }
        with _serving(["-c", program, "serve"], "LADNN_PORT", options) as port:
            yield port


@contextmanager
def _serving(
    arguments: list[str], port_in: str, options: dict[str, str], *behind: str
) -> Iterator[int]:
    port = _free_port()
    options = options | ({port_in: str(port)} if port_in else {})
    command = [sys.executable, *arguments, *([] if port_in else [str(port)]), *behind]
    process = subprocess.Popen(  # noqa: S603  # the benches' own servers
        command,
        env=os.environ | options,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait(process, port)
        yield port
    finally:
        os.killpg(process.pid, 15)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()


def _rival(name: str, *options: str) -> Callable[[], AbstractContextManager[int]]:
    quiet = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    return lambda: _serving(["-m", f"bench.rival_{name}"], "", quiet, *options)


SERVERS: dict[str, Callable[[], AbstractContextManager[int]]] = {
    "site": _site,
    "gradio": _rival("gradio"),
    "litserve": _rival("litserve"),
    SIMPLE: _rival("litserve", "simple"),
}


def _wait(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"a server ended before it was ready ({process.returncode})")
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                time.sleep(1)  # those that listen before their model is loaded answer later
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("a server was not ready in time")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

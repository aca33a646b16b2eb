"""`ladnn serve` as a process: what it prints, that it needs no torch, how it ends."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from sites import free_port

from bundles import tiny_bundle
from ladnn.service.champion import Champion

WITHOUT_TORCH = """
import sys
for name in ("torch", "torchvision", "timm"):
    sys.modules[name] = None
from ladnn.cli import main
sys.argv = ["ladnn", *sys.argv[1:]]
main()
"""
SERVE = (sys.executable, "-c", WITHOUT_TORCH, "serve")


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Callable[..., tuple[subprocess.Popen[str], str]]]:
    """Starts `ladnn serve` in a folder of the test's own and waits until it is ready."""
    started: list[subprocess.Popen[str]] = []

    def start(*options: str) -> tuple[subprocess.Popen[str], str]:
        port = free_port()
        bundle = tiny_bundle(tmp_path)
        process = subprocess.Popen(
            [*SERVE, "--port", str(port), "--bundle", str(bundle), *options],
            cwd=tmp_path,
            text=True,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={key: value for key, value in os.environ.items() if key != "LADNN_CONFIG"},
        )
        started.append(process)
        address = f"http://127.0.0.1:{port}"
        wait_until_ready(process, address)
        return process, address

    yield start
    for process in started:
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


def test_it_prints_its_address_and_a_link_for_the_first_administrator_and_ends_on_sigterm(
    serving, scan: bytes
):  # type: ignore[no-untyped-def]
    process, address = serving("--workers", "2")
    answers: list[int] = []

    def ask() -> None:
        answer = httpx.post(
            f"{address}/api/v1/predictions", files={"file": ("a.png", scan)}, timeout=60
        )
        answers.append(answer.status_code)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    asking.join()
    printed = process.communicate(timeout=60)[1]
    assert answers in ([201], [])
    assert f"LA-DNN is at {address}" in printed
    assert re.search(rf"{address}/setup/[\w-]{{43}}\n", printed)
    assert "Traceback" not in printed


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--bundle", "nowhere"), "no bundle at nowhere"),
        (("--database-url", "nonsense"), "database_url is no URL"),
        (("--workers", "0"), "workers is 0"),
        (("--config", "nowhere.toml"), "cannot be read"),
    ],
)
def test_a_site_that_cannot_start_says_why_in_one_sentence(
    options: tuple[str, str], sentence: str, tmp_path: Path
):
    done = subprocess.run(
        [*SERVE, *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert sentence in done.stderr


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

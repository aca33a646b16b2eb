"""What is written for deployment is sound: unit, image, composition, proxy and licences."""

import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import tomllib
from email import message_from_string
from email.message import Message
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from typer.testing import CliRunner

from ladnn.cli import app

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
README = (ROOT / "README.md").read_text(encoding="utf-8")
SBOM = importlib.util.spec_from_file_location("sbom", DEPLOY / "sbom.py")
assert SBOM is not None
assert SBOM.loader is not None
sbom = importlib.util.module_from_spec(SBOM)
SBOM.loader.exec_module(sbom)


def tool(name: str) -> str:
    """A program's path: skipped on a laptop without it, but required in CI."""
    beside = Path(sys.executable).parent / name
    found = (
        str(beside) if beside.is_file() else shutil.which(name) or shutil.which(f"/usr/sbin/{name}")
    )
    if found:
        return found
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"{name} is not installed: make services")
    pytest.skip(f"{name} is not installed: make services")


def run(*command: object, seconds: float = 120) -> str:
    """What a program says; without the folders that tests add to Python's own."""
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
        env=alone,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_unit_is_sound_and_well_confined(tmp_path: Path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not on this machine")
    unit = tmp_path / "ladnn.service"
    text = (DEPLOY / "ladnn.service").read_text(encoding="utf-8")
    unit.write_text(text.replace("/opt/ladnn/bin/ladnn", sys.executable), encoding="utf-8")
    said = run("systemd-analyze", "verify", "--man=no", unit)
    assert "ladnn.service" not in said, said
    exposure = run("systemd-analyze", "security", "--offline=yes", "--threshold=20", unit)
    assert re.search(r"Overall exposure level.*: 1\.\d|Overall exposure level.*: 0\.", exposure)


def test_the_unit_lets_the_engine_and_the_decoder_make_their_system_calls():
    """Without an error number, systemd kills the process that makes a call it may not."""
    lines = (DEPLOY / "ladnn.service").read_text(encoding="utf-8").splitlines()
    filters = [line.partition("=")[2] for line in lines if line.startswith("SystemCallFilter=")]
    assert {"setrlimit", "prlimit64", "sched_setaffinity", "mbind"} <= set(filters[-1].split())
    assert "SystemCallErrorNumber=EPERM" in lines


def test_the_image_is_written_by_the_rules():
    run(tool("hadolint"), DEPLOY / "Containerfile")


def test_the_image_runs_as_nobody_in_particular():
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    assert re.search(r"^USER 10001", text.rsplit("FROM", 1)[1], re.MULTILINE)


def test_the_composition_fits_the_schema():
    run(
        tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml"
    )


def test_replicas_have_a_root_that_is_read_only_and_no_capability():
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    replica = text.partition("x-replica")[2].partition("services:")[0]
    assert "read_only: true" in replica
    assert "cap_drop: [ALL]" in replica


def test_replicas_keep_the_addresses_that_the_proxy_has_looked_up():
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    assert re.findall(r"ipv4_address: (172[.0-9]+)", text)[:2] == ["172.30.0.11", "172.30.0.12"]


def test_replicas_believe_the_proxy_alone_and_it_repeats_nothing_of_what_callers_say_they_are():
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    trusted = re.search(r"LADNN_TRUSTED_PROXIES: (\S+)", text)
    assert trusted is not None
    assert f"ipv4_address: {trusted[1]}}}" in text.partition("\n  proxy:\n")[2]
    proxy = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    assert re.findall(r"X-Forwarded-For (\S+);", proxy) == ["$remote_addr"]


def test_the_image_is_built_from_what_it_copies_and_no_secret_or_site_s_data_comes_near():
    ignored = (DEPLOY.parent / ".dockerignore").read_text(encoding="utf-8").splitlines()
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    lines = re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE)
    assert ignored[1] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == set(" ".join(lines).split())


def test_the_proxy_lets_through_what_the_site_takes():
    from ladnn.service.settings import Settings

    text = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    most = re.search(r"client_max_body_size (\d+)m;", text)
    assert most is not None
    assert int(most[1]) > Settings().upload_mib
    assert "proxy_set_header Host $http_host;" in text  # forms are checked against it, port and all


@pytest.mark.parametrize("name", ["compose.yaml", "ladnn.service", "Containerfile"])
def test_every_setting_that_is_named_exists(name: str):
    from ladnn.service.settings import ELSEWHERE, Settings

    known = {f"LADNN_{field.upper()}" for field in Settings.__dataclass_fields__}
    named = set(re.findall(r"LADNN_[A-Z_0-9]+", (DEPLOY / name).read_text(encoding="utf-8")))
    assert named - known - set(ELSEWHERE) == set()


def proxy_config(folder: Path, port: int, replicas: tuple[int, int]) -> Path:
    """The proxy's configuration for this machine: other addresses, and scratch files of its own."""
    text = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    for number, replica in enumerate(replicas, start=1):
        text = text.replace(f"replica-{number}:8000", f"127.0.0.1:{replica}")
    text = text.replace("listen 8080", f"listen 127.0.0.1:{port}").replace("/tmp/", f"{folder}/")
    text = text.replace("/dev/stdout", f"{folder}/access.log")
    path = folder / "nginx.conf"
    path.write_text(text, encoding="utf-8")
    return path


def metadata(*lines: str) -> Message:
    return message_from_string("\n".join(lines))


@pytest.mark.parametrize(
    ("said", "listed"),
    [
        (metadata("License-Expression: MIT OR Apache-2.0"), [{"expression": "MIT OR Apache-2.0"}]),
        (
            metadata(
                "Classifier: License :: OSI Approved",
                "Classifier: License :: OSI Approved :: BSD License",
            ),
            [{"license": {"name": "BSD License"}}],
        ),
        (metadata("License: Apache-2.0"), [{"license": {"name": "Apache-2.0"}}]),
        (metadata("License: " + "x" * 200), []),
        (metadata("Name: x"), []),
    ],
)
def test_a_licence_is_what_the_package_says(said: Message, listed: list[object]):
    assert sbom.stated(said) == listed


def test_a_package_of_another_version_says_nothing_of_its_licence():
    assert sbom.licences("numpy", version("numpy"))
    assert sbom.licences("numpy", "0.1") == sbom.licences("no-such-package", "1") == []


def test_the_bill_lists_every_locked_package_with_its_version_and_licence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(ROOT)
    sbom.main(tmp_path / "sbom.json")
    text = (tmp_path / "sbom.json").read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    parts = json.loads(text)["components"]
    lock = (ROOT / "requirements" / "base.txt").read_text(encoding="utf-8")
    pins = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", lock, re.MULTILINE)
    assert sorted((one["name"], one["version"]) for one in parts) == sorted(pins)
    here = {one["name"] for one in parts if "licenses" in one}
    assert {name for name, _ in pins if name not in ("colorama", "httpx2-jsfetch")} <= here


def test_the_licence_of_the_weights_that_ship_is_told_beside_that_of_the_code():
    cards = (ROOT / "src" / "ladnn" / "bundles").glob("*/card.json")
    weights = {json.loads(card.read_text(encoding="utf-8"))["licence"] for card in cards}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["license"] == " AND ".join(["Apache-2.0", *sorted(weights)])
    assert project["license-files"] == ["LICENSE", "NOTICE"]
    for name in ("README.md", "NOTICE", "docs/how-to/predict.md", "docs/how-to/deploy.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert {one for one in weights if one not in text} == set(), name


def test_the_terms_of_the_images_are_where_the_readme_says(tmp_path: Path):
    folder = tmp_path / "papers"
    assert "`ladnn model card default -o papers` writes into `datasheet.md`" in README
    made = CliRunner().invoke(app, ["model", "card", "default", "-o", str(folder)])
    assert made.exit_code == 0, made.output
    told = (folder / "datasheet.md").read_text(encoding="utf-8").partition("**15. Licence**")[2]
    assert "sarscov2-ct: CC BY-NC-SA 4.0" in told.partition("- [")[0]


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_the_site_is_installed_from_the_wheelhouse_alone(tmp_path: Path):
    """Downloads what the lock names; then pip may use no index, and the site answers."""
    run("make", "-C", ROOT, "wheelhouse", seconds=1800)
    bin_ = tmp_path / "venv" / "bin"
    run(sys.executable, "-m", "venv", tmp_path / "venv", seconds=600)
    wheels = ("--no-index", "--find-links", ROOT / "dist" / "wheelhouse")
    run(bin_ / "pip", "--isolated", "install", "-q", *wheels, "ladnn[serve]", seconds=1800)
    run(bin_ / "ladnn", "phantoms", "-o", tmp_path / "phantoms", seconds=600)
    said = run(bin_ / "ladnn", "predict", tmp_path / "phantoms" / "phantom-GGO.png", seconds=600)
    assert "positive" in said
    port = free_port()
    site = subprocess.Popen([str(bin_ / "ladnn"), "serve", "--port", str(port)], cwd=tmp_path)
    try:
        assert ready(f"http://127.0.0.1:{port}/readyz", seconds=600)
    finally:
        site.terminate()
        assert site.wait(60) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def ready(address: str, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            return httpx.get(address, timeout=10).status_code == 200
        except httpx.TransportError:
            time.sleep(0.5)
    return False


def test_the_proxy_takes_its_configuration(tmp_path: Path):
    run(tool("nginx"), "-t", "-c", proxy_config(tmp_path, 8080, (8001, 8002)))

"""What is written for deployment is sound: unit, image, composition and proxy."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"


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


def run(*command: object) -> str:
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, timeout=120
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


def test_the_proxy_takes_its_configuration(tmp_path: Path):
    run(tool("nginx"), "-t", "-c", proxy_config(tmp_path, 8080, (8001, 8002)))

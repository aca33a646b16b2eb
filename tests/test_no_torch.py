"""The using side runs where importing torch fails, and opens no socket."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from bundles import tiny_bundle
from ladnn.phantom import thorax

# None among the modules makes an import of that name fail, as where nothing is installed. The
# audit hook is told of whatever a Python socket does, and ends the process at the first.
GUARDED = """
import os, sys
for name in ("torch", "torchvision", "timm"):
    sys.modules[name] = None

def watch(event, arguments):
    if event.startswith("socket."):
        sys.stderr.write(f"opened a socket: {event} {arguments}")
        sys.stderr.flush()
        os._exit(77)

sys.addaudithook(watch)
"""
COMMAND = GUARDED + "from ladnn.cli import main\nsys.argv = ['ladnn', *sys.argv[1:]]\nmain()\n"

USING = (
    "bundle",
    "cli",
    "commands.data",
    "commands.evaluate",
    "commands.phantom",
    "commands.predict",
    "commands.figures",
    "dataset",
    "engines",
    "evaluation",
    "figures.captions",
    "figures.layers",
    "figures.runs",
    "imaging",
    "intake",
    "overlay",
    "runtime",
)


def python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def ladnn(*arguments: object) -> subprocess.CompletedProcess[str]:
    return python(COMMAND, *arguments)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("images") / "a%b c.png"
    Image.fromarray(thorax(1)).save(file)
    return file


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("bundle"))


def test_the_guard_of_these_tests_notices_an_import_of_torch():
    assert "ModuleNotFoundError" in python(GUARDED + "import torch").stderr


def test_the_guard_of_these_tests_notices_a_socket():
    assert python(GUARDED + "import socket\nsocket.socket()").returncode == 77


@pytest.mark.parametrize("module", USING)
def test_importing_needs_no_torch_and_opens_no_socket(module: str):
    done = python(GUARDED + f"import ladnn.{module}")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "words", [[], ["predict"], ["evaluate"], ["data", "import"], ["train"], ["export"]]
)
def test_help_needs_no_torch_and_opens_no_socket(words: list[str]):
    done = ladnn(*words, "--help")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_predict_needs_no_torch_and_opens_no_socket(
    phantom: Path, bundle: Path, tmp_path: Path, engine: str
):
    done = ladnn(
        "predict", phantom, "--bundle", bundle, "--engine", engine, "--json", "--heatmaps", tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert Path(json.loads(done.stdout)["heatmap"]).is_file()


def write_listing(folder: Path) -> Path:
    """Eight phantoms of eight patients, by the few columns that a hand-made manifest needs."""
    rows = ["path,source,patient,covid,split"]
    for seed in range(8):
        file = folder / f"{seed}.png"
        Image.fromarray(thorax(seed)).save(file)
        rows.append(f"{file},drawn,p{seed},{seed % 2},test")
    manifest = folder / "manifest.csv"
    manifest.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return manifest


def test_evaluate_needs_no_torch_and_opens_no_socket(bundle: Path, tmp_path: Path):
    manifest = write_listing(tmp_path)
    results = tmp_path / "results"
    done = ladnn(
        "evaluate", "--manifest", manifest, "--bundle", bundle, "-o", results, "--replicates", "40"
    )
    assert done.returncode == 0, done.stderr
    assert (results / "metrics.json").is_file()

"""`ladnn predict` answers for every file, in order, and opens nothing it was not told to."""

import errno
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest
import typer
from PIL import Image
from rich.cells import cell_len
from typer.testing import CliRunner

import ladnn
from bundles import shut_guard, tiny_bundle
from forbidden import forbid
from ladnn import overlay
from ladnn.commands.answers import plain
from ladnn.commands.predict import app, find_items, parse_window
from ladnn.errors import BundleError
from ladnn.findings import RESEARCH_NOTICE
from synthetic import thorax

KEYS = [
    "path",
    "sha256",
    "covid",
    "lesions",
    "in_distribution",
    "heatmap",
    "model",
    "research_use_only",
]


def draw(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(thorax(seed)).save(path, "PNG")
    return path


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def told(result):
    """What a result says, without the box and the lines into which it is folded."""
    return " ".join(re.sub("[│╭╮╰╯─]", " ", result.output).split())


def lines(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def bundle(tmp_path):
    return tiny_bundle(tmp_path)


@pytest.fixture
def image(tmp_path):
    return draw(tmp_path / "scan.png")


def test_a_line_has_exactly_the_keys_of_the_design(bundle, image):
    (line,) = lines(run(image, "--bundle", bundle, "--json"))
    assert list(line) == KEYS


def test_the_inner_keys_are_those_of_the_design(bundle, image):
    (line,) = lines(run(image, "--bundle", bundle, "--json"))
    inner = [list(line[key]) for key in ("covid", "lesions", "in_distribution", "model")]
    assert inner == [
        ["probability", "decision", "operating_point"],
        ["GGO", "Csld", "CrPa", "AirBr", "InSepThi"],
        ["score", "ok"],
        ["name", "version"],
    ]


def test_a_baseline_has_null_lesions(tmp_path, image):
    baseline = tiny_bundle(tmp_path, "baseline")
    (line,) = lines(run(image, "--bundle", baseline, "--json"))
    assert line["lesions"] is None


def test_without_a_folder_for_overlays_the_heatmap_is_null(bundle, image):
    (line,) = lines(run(image, "--bundle", bundle, "--json"))
    assert line["heatmap"] is None


def test_the_heatmap_is_a_picture_in_the_folder_given(bundle, image, tmp_path):
    (line,) = lines(run(image, "--bundle", bundle, "--json", "--heatmaps", tmp_path / "a" / "b"))
    with Image.open(line["heatmap"]) as sheet:
        assert (Path(line["heatmap"]).parent, sheet.width) == (tmp_path / "a" / "b", 1260)


def test_overlays_do_not_go_among_the_images_that_are_read(bundle, image):
    result = run(image.parent, "--bundle", bundle, "--heatmaps", image.parent / "." / "")
    assert result.exit_code == 2
    assert list(image.parent.glob("*.png")) == [image]


def test_overlays_do_not_go_beside_an_image_that_was_named(bundle, image, monkeypatch):
    monkeypatch.chdir(image.parent)
    for path, folder in ((image, image.parent), (image.name, "."), (image, "x/..")):
        result = run(path, "--bundle", bundle, "--heatmaps", folder)
        assert (result.exit_code, "give --heatmaps" in told(result)) == (2, True)
    assert list(image.parent.glob("*.jpg")) == []


def test_a_folder_of_overlays_below_the_images_is_not_read(bundle, tmp_path):
    call = (draw(tmp_path / "in" / "a.png").parent, "--bundle", bundle, "--json")
    for _ in range(2):
        assert len(lines(run(*call, "--heatmaps", tmp_path / "in" / "overlays"))) == 1


def test_images_are_not_left_out_with_the_folder_of_overlays(bundle, tmp_path):
    draw(tmp_path / "in" / "a.png")
    image = draw(tmp_path / "in" / "b" / "b.png")
    result = run(tmp_path / "in", "--bundle", bundle, "--heatmaps", image.parent)
    assert result.exit_code == 2
    assert "holds b.png" in told(result)
    assert list(image.parent.iterdir()) == [image]


def test_an_overlay_is_no_image_to_a_later_call(bundle, tmp_path):
    image = draw(tmp_path / "in" / "a.png")
    run(image, "--bundle", bundle, "--heatmaps", tmp_path / "in" / "overlays")
    result = run(image.parent, "--bundle", bundle, "--json", "--study")
    one, refused, study = lines(result)
    assert (result.exit_code, one["path"], study["slices"]) == (1, str(image), 1)
    assert "is an overlay of LA-DNN" in refused["error"]


def test_equal_names_in_two_folders_make_two_overlays(bundle, tmp_path):
    paths = [draw(tmp_path / folder / "scan.png") for folder in "ab"]
    said = lines(run(*paths, "--bundle", bundle, "--json", "--heatmaps", tmp_path / "o"))
    assert len({line["heatmap"] for line in said} & set(map(str, (tmp_path / "o").iterdir()))) == 2


def test_lines_come_in_input_order(bundle, tmp_path):
    paths = [draw(tmp_path / f"{name}.png") for name in "cab"]
    said = lines(run(*paths, "--bundle", bundle, "--json"))
    assert [line["path"] for line in said] == [str(path) for path in paths]


def test_a_file_that_fails_has_its_path_and_error_alone(bundle, image, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_text("not an image", encoding="utf-8")
    said = lines(run(bad, image, "--bundle", bundle, "--json"))
    assert (list(said[0]), list(said[1])) == (["path", "error"], KEYS)


def test_a_file_that_fails_makes_the_exit_code_one(bundle, image, tmp_path):
    result = run(tmp_path / "missing.png", image, "--bundle", bundle, "--json")
    assert (result.exit_code, len(lines(result))) == (1, 2)


def test_all_files_well_make_the_exit_code_zero(bundle, image):
    assert run(image, "--bundle", bundle, "--json").exit_code == 0


def test_an_error_is_one_line_in_a_table_too(bundle, tmp_path):
    result = run(tmp_path / "missing.png", "--bundle", bundle)
    assert (result.stderr.count("\n"), "Traceback" in result.output) == (1, False)
    assert result.stderr.count("missing.png") == 1


@pytest.mark.parametrize("name", ["*.png", "scan?.png", "scan[12].png"])
def test_a_pattern_that_no_shell_filled_in_is_told_as_that(bundle, image, name):
    result = run(image.parent / name, image, "--bundle", bundle)
    assert "without quotes" in result.stderr
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)


def test_a_file_whose_name_looks_like_a_pattern_is_an_ordinary_file(bundle, tmp_path):
    assert run(draw(tmp_path / "scan[1]?.png"), "--bundle", bundle).exit_code == 0


def test_a_table_ends_with_the_notice(bundle, image):
    assert run(image, "--bundle", bundle).stdout.splitlines()[-1] == RESEARCH_NOTICE


def test_a_table_says_which_lesions_had_too_few_examples(bundle, image):
    assert "* too few examples" in run(image, "--bundle", bundle).stdout


def test_a_table_of_a_baseline_has_no_lesions(tmp_path, image):
    assert "GGO" not in run(image, "--bundle", tiny_bundle(tmp_path, "baseline")).stdout


def test_the_guard_makes_the_decision_not_assessable(tmp_path, image):
    shut = tiny_bundle(tmp_path, guard=shut_guard())
    (line,) = lines(run(image, "--bundle", shut, "--json"))
    assert line["covid"]["decision"] == "not_assessable"


def test_the_operating_point_is_the_one_named(bundle, image):
    (line,) = lines(run(image, "--bundle", bundle, "--json", "--operating-point", "screening"))
    assert line["covid"]["operating_point"] == "screening"


def test_an_unknown_operating_point_is_a_wrong_call(bundle, image):
    result = run(image, "--bundle", bundle, "--operating-point", "best")
    assert (result.exit_code, "balanced, screening" in result.stderr) == (2, True)


def test_no_overlays_are_told_of_where_none_was_drawn(bundle, image, tmp_path):
    overlays = tmp_path / "overlays"
    (tmp_path / "no.png").write_text("text")
    none = run(tmp_path / "no.png", "--bundle", bundle, "--heatmaps", overlays)
    assert (none.exit_code, "Overlays:" in none.stdout) == (1, False)
    assert "Overlays:" in run(image, "--bundle", bundle, "--heatmaps", overlays).stdout


def test_a_missing_bundle_is_a_failure_with_a_sentence(image, tmp_path):
    result = run(image, "--bundle", tmp_path / "none")
    assert isinstance(result.exception, BundleError)


def test_no_path_is_a_wrong_call():
    assert run("--json").exit_code == 2


@pytest.mark.parametrize("text", ["-600", "a/b", "-600/0", "-600/-5", "nan/5", "1/inf", "/", ""])
def test_a_window_that_is_none_is_a_wrong_call(text):
    with pytest.raises(typer.BadParameter, match="not a window"):
        parse_window(text)


def test_a_window_is_level_and_width():
    assert parse_window("-600/1500") == (-600, 1500)


def test_frames_are_counted_from_1(bundle, tmp_path):
    path = tmp_path / "pages.tiff"
    first, second = (Image.fromarray(thorax(seed, size=(64, 64))) for seed in (1, 2))
    first.save(path, save_all=True, append_images=[second])
    said = [run(path, "--bundle", bundle, "--json", "--frame", frame) for frame in (0, 1, 2, 3)]
    assert [one.exit_code for one in said] == [2, 0, 0, 1]
    assert [json.loads(one.stdout)["frame"] for one in said[1:3]] == [1, 2]
    assert "choose frame 1 to 2" in said[3].output


def test_a_sheet_names_the_frame_of_a_file_of_several(bundle, tmp_path, monkeypatch):
    path, drawn = tmp_path / "pages.tiff", []
    first, second = (Image.fromarray(thorax(seed, size=(64, 64))) for seed in (1, 2))
    first.save(path, save_all=True, append_images=[second])
    draw_sheet = overlay.draw
    monkeypatch.setattr(
        overlay, "draw", lambda *a, **k: drawn.append(k["name"]) or draw_sheet(*a, **k)
    )
    heatmaps = ("--heatmaps", tmp_path / "maps", "--bundle", bundle)
    assert run(path, *heatmaps, "--frame", 2).exit_code == 0
    assert run(draw(tmp_path / "one.png"), *heatmaps).exit_code == 0
    assert drawn == [f"{path}   frame 2 of 2", str(tmp_path / "one.png")]


def test_a_window_that_begins_with_a_minus_can_be_given(bundle, image):
    assert run(image, "--bundle", bundle, "--window", "-600/1500").exit_code == 0


def test_a_folder_is_searched_through_and_sorted(tmp_path):
    names = ["b/2.png", "b/10.png", "a/z/1.png", "c.png"]
    for name in names:
        draw(tmp_path / name)
    found = [str(item.path.relative_to(tmp_path)) for item in find_items([tmp_path])]
    assert found == ["a/z/1.png", "b/10.png", "b/2.png", "c.png"]


def test_hidden_files_and_folders_are_skipped(tmp_path):
    for name in (".a.png", ".hidden/b.png", "c.png"):
        draw(tmp_path / name)
    assert [item.path.name for item in find_items([tmp_path])] == ["c.png"]


def test_a_hidden_file_that_is_named_is_not_skipped(tmp_path):
    path = draw(tmp_path / ".a.png")
    assert [item.path for item in find_items([path])] == [path]


def test_the_folder_of_overlays_is_not_read_as_images(tmp_path):
    draw(tmp_path / "c.png")
    draw(tmp_path / "maps" / "c.png")
    found = find_items([tmp_path], skip=tmp_path / "maps")
    assert [item.path for item in found] == [tmp_path / "c.png"]


def test_an_empty_folder_is_an_error_with_its_path(bundle, tmp_path):
    (tmp_path / "empty").mkdir()
    (line,) = lines(run(tmp_path / "empty", "--bundle", bundle, "--json"))
    assert list(line) == ["path", "error"]


def test_every_path_that_may_not_be_read_is_one_failed_line(bundle, tmp_path, monkeypatch):
    locked = tmp_path / "locked"
    given = [draw(tmp_path / name) for name in ("a.png", "secret.png", "locked/c.png", "z.png")]
    forbid(monkeypatch, locked, given[1])
    result = run(*given[:3], locked, given[3], "--bundle", bundle, "--json")
    said = [(line["path"], line.get("error")) for line in lines(result)]
    assert result.exit_code == 1
    assert [path for path, _ in said] == [str(path) for path in (*given[:3], locked, given[3])]
    assert [error is None for _, error in said] == [True, False, False, False, True]
    assert all("permission" in error for _, error in said if error)


NOBODY = ("setpriv", "--reuid", "65534", "--clear-groups", sys.executable, "-B", "-c")


def as_nobody(code, *arguments):
    call = [*NOBODY, code, *map(str, arguments)]
    return subprocess.run(call, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="only root can become nobody, and setpriv does it",
)
def test_the_kernel_forbids_a_file_and_a_folder_and_the_others_are_predicted():
    if as_nobody("import numpy, ladnn").returncode:
        pytest.skip("nobody may not read this Python")
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are root's alone
        folder = Path(name)
        folder.chmod(0o755)
        given = [draw(folder / one) for one in ("a.png", "secret.png", "locked/c.png", "z.png")]
        given[1].chmod(0o000)
        (folder / "locked").chmod(0o000)
        paths = (*given[:3], folder / "locked", given[3])
        result = as_nobody(CALL, *paths, "--bundle", tiny_bundle(folder), "--json")
    assert result.returncode == 1, result.stderr
    assert ["error" in line for line in lines(result)] == [False, True, True, True, False]


def test_an_empty_path_is_a_wrong_call(bundle):
    result = run("", "--bundle", bundle)
    assert (result.exit_code, "empty path" in result.output) == (2, True)


def test_a_folder_that_links_to_itself_ends(tmp_path):
    draw(tmp_path / "in" / "c.png")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    assert len(list(find_items([tmp_path]))) <= 2


def test_a_study_adds_one_line_for_each_folder(bundle, tmp_path):
    for seed, name in enumerate(("one/1.png", "one/2.png", "two/1.png")):
        draw(tmp_path / "s" / name, seed)
    said = lines(run(tmp_path / "s", "--bundle", bundle, "--json", "--study"))
    studies = [(Path(line["study"]).name, line["slices"]) for line in said[3:]]
    assert studies == [("one", 2), ("two", 1)]


def test_a_folder_that_is_spelled_in_two_ways_is_one_study(bundle, tmp_path, monkeypatch):
    image = draw(tmp_path / "s" / "1.png")
    monkeypatch.chdir(tmp_path)
    said = lines(run("s/1.png", image, "--bundle", bundle, "--json", "--study"))
    assert [(line["study"], line["slices"]) for line in said[2:]] == [("s", 1)]


def test_a_slice_that_is_given_twice_counts_once_in_its_study(bundle, tmp_path):
    for seed, name in enumerate(("1.png", "2.png")):
        draw(tmp_path / "s" / name, seed)
    given = (tmp_path / "s" / "1.png", tmp_path / "s", "--bundle", bundle, "--json", "--study")
    said = lines(run(*given))
    assert [line["slices"] for line in said[3:]] == [2]


def test_a_copy_of_a_slice_has_its_line_and_does_not_weigh_in_its_study(bundle, tmp_path):
    for seed in range(3):
        draw(tmp_path / "s" / f"{seed}.png", seed)
    given = (tmp_path / "s", "--bundle", bundle, "--json", "--study")
    before = lines(run(*given))
    draw(tmp_path / "s" / "copy.png", seed=2)
    after = lines(run(*given))
    named = [Path(line["path"]).name for line in after[:4]]
    assert named == ["0.png", "1.png", "2.png", "copy.png"]
    assert after[4:] == before[3:]
    assert after[4]["slices"] == 3


def test_a_study_in_a_table_counts_its_slices(bundle, image):
    assert "1/1 slices" in run(image, "--bundle", bundle, "--study").stdout


@pytest.mark.parametrize("name", ["a%b c.png.jpg", "ünïcode.png", "-x.png", "new\nline.png"])
def test_a_strange_name_is_an_ordinary_file(bundle, tmp_path, name):
    draw(tmp_path / "in" / name)
    result = run(tmp_path / "in", "--bundle", bundle, "--json", "--heatmaps", tmp_path / "o")
    assert [Path(line["path"]).name for line in lines(result)] == [name]


def test_a_name_that_is_not_unicode_is_an_ordinary_file(bundle, tmp_path):
    (tmp_path / "in").mkdir()
    Image.fromarray(thorax(0)).save(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "a.png").rename(tmp_path / "in" / os.fsdecode(b"\xff.png"))
    result = run(tmp_path / "in", "--bundle", bundle, "--json", "--heatmaps", tmp_path / "o")
    assert (result.exit_code, len(lines(result))) == (0, 1)


def shell(line, **environment):
    """A command line of the program, `$LADNN`, as a shell runs it."""
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    known = plain | environment | {"LADNN": shlex.join([sys.executable, "-m", "ladnn"])}
    line = line.replace("$LADNN", "eval $LADNN")
    return subprocess.run(
        line, shell=True, env=known, capture_output=True, text=True, check=False, timeout=120
    )


def test_a_program_stopped_while_it_loads_shows_no_traceback():
    stopped = """
import sys
class Stop:
    def find_spec(self, name, path=None, target=None):
        if name == "ladnn.cli":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Stop())
from ladnn.__main__ import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", stopped], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_ctrl_c_that_python_drops_stops_the_program_all_the_same():
    dropped = """
import signal, sys, time, types, weakref
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
loading = types.ModuleType("ladnn.cli")
def main():
    class Lost: pass
    def collected(_):
        raise KeyboardInterrupt
    lost = Lost()
    kept = weakref.ref(lost, collected)
    del lost
    time.sleep(30)
loading.main = main
sys.modules["ladnn.cli"] = loading
from ladnn.__main__ import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", dropped], capture_output=True, text=True, check=False, timeout=20
    )
    assert done.returncode != 0
    assert "ignored" not in done.stderr


def test_a_name_that_the_terminal_cannot_write_costs_no_result(bundle, tmp_path):
    draw(tmp_path / "in" / "肺.png")
    draw(tmp_path / "in" / "z.png")
    call = f"$LADNN predict {tmp_path}/in --bundle {bundle}"
    done = shell(call, PYTHONIOENCODING="latin-1")
    assert (done.returncode, "\\u80ba.png" in done.stdout, "z.png" in done.stdout) == (
        0,
        True,
        True,
    )


def test_the_program_leaves_with_all_lines_and_its_exit_code(bundle, tmp_path):
    for number in range(40):
        draw(tmp_path / "in" / f"{number:02}.png", number % 2)
    (tmp_path / "in" / "zz.png").write_text("no image")
    done = shell(f"$LADNN predict {tmp_path}/in --bundle {bundle} --json")
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, len(said), "error" in said[-1]) == (1, 41, True)


def test_closed_output_is_no_failure_and_no_file_takes_its_place(bundle, image, tmp_path):
    call = f"$LADNN predict {image} --bundle {bundle} --heatmaps {tmp_path}/o >&-"
    done = shell(call)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a full disk is only there on Linux")
def test_a_full_disk_is_named_as_that(bundle, image):
    done = shell(f"$LADNN predict {image} --bundle {bundle} > /dev/full")
    assert done.returncode == 1
    assert done.stderr == "ladnn: no space left on device: make room on the disk\n"


def test_an_answer_is_not_lost_with_an_overlay_that_cannot_be_written(
    bundle, image, tmp_path, monkeypatch
):
    def full(path, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(overlay, "put", full)
    done = run(image, "--bundle", bundle, "--heatmaps", tmp_path / "overlays", "--json")
    (told,) = lines(done)
    assert 0 <= told["covid"]["probability"] <= 1
    assert told["heatmap"] is None
    assert "cannot be written (No space left on device)" in done.stderr
    assert done.exit_code == 1


def test_control_characters_do_not_reach_the_terminal():
    assert plain("a\x1b[31mb\n", 40) == "a?[31mb?"


def test_a_long_name_keeps_its_end():
    assert plain("a" * 50 + "end.png", 20).endswith("end.png")


def test_a_name_in_wide_characters_leaves_the_columns_where_they_are(bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    names = ("a.png", "第三病房的病人.png", "像" * 40 + ".png")
    paths = [draw(tmp_path / "scans" / name) for name in names]
    head, *rows = run(*paths, "--bundle", bundle).stdout.splitlines()[: len(names) + 1]
    assert {cell_len(row) for row in rows} == {cell_len(head)}


@pytest.mark.parametrize("columns", [80, 100, 120, 300])
def test_no_line_of_a_table_is_wider_than_the_terminal(bundle, tmp_path, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    names = ("a" * 90, *"bcdefghijklm")
    for seed, name in enumerate(names):
        draw(tmp_path / "scans" / f"{name}.png", seed)
    shown = run(tmp_path / "scans", "--bundle", bundle, "--study").stdout
    assert max(map(len, shown.splitlines())) <= columns
    assert all(f"{name[-9:]}.png" in shown for name in names)
    assert "13/13 slices" in shown


def test_a_narrow_terminal_has_each_path_above_its_numbers(bundle, image, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    _, heads, path, numbers, *_ = run(image, "--bundle", bundle).stdout.splitlines()
    assert path == plain(str(image), 80)
    assert len(numbers) == len(heads)


def test_help_shows_an_example():
    assert "Example: ladnn predict" in run("--help").stdout


# What follows runs in a process of its own, so that what is loaded there can be told apart.

WITHOUT_TRAINING = """
import sys
for name in ("torch", "torchvision", "timm", "onnx", "sklearn", "pandas", "matplotlib"):
    sys.modules[name] = None
"""

WITHOUT_SOCKETS = """
import sys

def refuse(event, arguments):
    if event.startswith(("socket.", "urllib.", "http.")):
        raise SystemExit(f"a socket was asked for: {event}")

sys.addaudithook(refuse)
"""

# The kernel ends the process at socket(2), so native code cannot open one unseen either.
WITHOUT_THE_SYSTEM_CALL = """
import ctypes, struct
steps = [(0x20, 0, 0, 0), (0x15, 0, 1, 41), (0x06, 0, 0, 0x80000000), (0x06, 0, 0, 0x7FFF0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(code)))
prctl = ctypes.CDLL(None).prctl
prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
assert prctl(38, 1, 0, 0, 0) == 0 and prctl(22, 2, ctypes.addressof(program), 0, 0) == 0
"""

CALL = "from ladnn.commands.predict import app; app()"

kernel_filter = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"),
    reason="the filter names Linux's system calls on x86-64",
)


def python(code, *arguments):
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_predict_runs_where_torch_cannot_be_imported(bundle, image, tmp_path):
    result = python(
        WITHOUT_TRAINING + CALL, image, "--bundle", bundle, "--heatmaps", tmp_path / "o"
    )
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_predict_asks_python_for_no_socket(bundle, image, tmp_path, engine):
    result = python(WITHOUT_SOCKETS + CALL, image, "--bundle", bundle, "--engine", engine)
    assert (result.returncode, result.stderr) == (0, "")


@kernel_filter
def test_predict_asks_the_kernel_for_no_socket(bundle, image, tmp_path):
    result = python(
        WITHOUT_THE_SYSTEM_CALL + CALL, image, "--bundle", bundle, "--heatmaps", tmp_path / "o"
    )
    assert (result.returncode, result.stderr) == (0, "")


@kernel_filter
def test_the_kernel_would_have_ended_a_process_that_opens_a_socket():
    opened = "import socket; socket.socket(); print('open')"
    assert python(WITHOUT_THE_SYSTEM_CALL + opened).returncode == -31


def test_predict_writes_nothing_in_the_home_folder(bundle, image, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    python(CALL, image, "--bundle", bundle)
    assert list(home.iterdir()) == []


def test_openvino_is_imported_in_one_place_alone():
    sources = Path(ladnn.__file__).parent.rglob("*.py")
    importing = [p.name for p in sources if re.search(r"(import|from) openvino\b", p.read_text())]
    assert importing == ["engines.py"]


def test_python_would_have_told_of_a_socket():
    result = python(WITHOUT_SOCKETS + "import socket; socket.socket()")
    assert "a socket was asked for" in result.stderr


def test_a_single_image_loads_nothing_that_it_does_not_need(bundle, image):
    heavy = ["rich.progress", "pydicom", "scipy.stats", "torch", "onnxruntime", "ladnn.overlay"]
    code = f"""
    import sys
    from ladnn.commands.predict import app
    app(standalone_mode=False)
    print([name for name in {heavy} if name in sys.modules])
    """
    assert python(code, image, "--bundle", bundle).stdout.splitlines()[-1] == "[]"


MEASURE = """
import resource, sys
from ladnn.commands.predict import app
app(standalone_mode=False)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_memory_does_not_grow_with_the_number_of_images(bundle, tmp_path):
    paths = [draw(tmp_path / "in" / f"{n:03}.png", n) for n in range(4)]

    def peak(repeats):
        result = python(MEASURE, *paths * repeats, "--bundle", bundle, "--heatmaps", tmp_path / "o")
        return int(result.stdout.splitlines()[-1])

    assert peak(8) < peak(2) + 16

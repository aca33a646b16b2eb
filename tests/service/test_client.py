"""The client and `ladnn remote predict`, against a site that is served by this very process."""

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from personas import key_of, make_account, person
from sites import Site, free_port
from test_collection import CLINICIAN, give, image
from typer.testing import CliRunner

from bundles import TOO_FEW
from ladnn.cli import app
from ladnn.client import Client
from ladnn.errors import ImageError, RemoteError
from ladnn.phantom import hounsfield, thorax
from ladnn.service.accounts.permissions import Role
from synthetic import dicom_bytes, encode


@pytest.fixture
def files(tmp_path: Path, scan: bytes) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "scan.png").write_bytes(scan)
    return folder


def run(*arguments: object):
    return CliRunner().invoke(app, ["remote", "predict", *map(str, arguments)])


def test_a_file_sent_is_answered_with_what_the_site_keeps(address: str, files: Path):
    with Client(address) as client:
        said = client.predict(files / "scan.png")
        assert client.prediction(said["id"]) == said


def test_a_map_comes_as_png_and_a_deleted_prediction_is_gone(address: str, files: Path):
    with Client(address) as client:
        said = client.predict(files / "scan.png")
        assert client.heatmap(said["id"], "GGO").startswith(b"\x89PNG")
        client.delete(said["id"])
        with pytest.raises(RemoteError, match="nothing here"):
            client.prediction(said["id"])


@pytest.fixture
def key(page: Site) -> str:
    """A clinician's key that may do all that a clinician may with results."""
    scopes = ("test", "read_case", "change_case", "give_feedback")
    header = key_of(page, make_account(page, Role.CLINICIAN), *scopes)
    return header["authorization"].removeprefix("Bearer ")


def test_the_example_of_the_documentation_runs(
    address: str, key: str, files: Path, monkeypatch: pytest.MonkeyPatch
):
    guide = (Path(__file__).parents[2] / "docs/how-to/api.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    (files / "series").mkdir()
    for number in (1, 2):
        slice_ = dicom_bytes(hounsfield(number, size=(64, 80)), InstanceNumber=number)
        (files / "series" / f"{number}.dcm").write_bytes(slice_)
    monkeypatch.chdir(files)
    exec(example.replace("https://ladnn.example.org", address).replace('"..."', repr(key)), {})
    assert (files / "report.pdf").read_bytes().startswith(b"%PDF")


def test_one_s_predictions_are_listed_over_all_pages(
    address: str, key: str, files: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("ladnn.client.PAGE", 1)
    other = encode(thorax(4, size=(96, 120)), "PNG")
    with Client(address, key=key) as client:
        first = client.predict(files / "scan.png")["id"]
        second = client.predict_bytes(other, name="other.png")["id"]
        assert [one["id"] for one in client.predictions()] == [second, first]


def test_the_lists_of_the_collection_are_gone_through_page_by_page(
    page: Site, address: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("ladnn.client.PAGE", 1)
    ids = [give(page, image(seed), patient=f"P-{seed}").json()["id"] for seed in (1, 2)]
    scopes = ("review", "contribute", "export_dataset")
    key = key_of(page, make_account(page, Role.CURATOR), *scopes)
    with Client(address, key=key["authorization"].removeprefix("Bearer ")) as client:
        waiting = list(client.reviews())
        assert [one["id"] for one in waiting] == ids
        assert list(client.contributions()) == []
        for one in waiting:
            said = {"verdict": "accept"}
            page.client.post(f"/api/v1/reviews/{one['id']}", json=said, headers=key)
            page.client.post("/api/v1/datasets", headers=key)
        assert [one["version"] for one in client.datasets()] == [2, 1]


def test_the_slices_of_a_series_are_answered_together(address: str, tmp_path: Path):
    paths = [tmp_path / f"{number}.dcm" for number in range(2)]
    for number, path in enumerate(paths):
        slice_ = hounsfield(number, size=(64, 80))
        path.write_bytes(dicom_bytes(slice_, InstanceNumber=number))
    with Client(address) as client:
        said = client.predict_study(paths)
        assert (said["slices"], client.prediction(said["id"])) == (2, said)


def test_a_study_without_slices_is_refused_before_it_is_sent():
    with (
        Client("https://ladnn.example.org") as client,
        pytest.raises(RemoteError, match="no slices"),
    ):
        client.predict_study([])


def test_feedback_is_completed_and_what_is_no_feedback_is_no_error_of_a_file(
    address: str, key: str, files: Path
):
    with Client(address, key=key) as client:
        said = client.predict(files / "scan.png")["id"]
        client.give_feedback(said, agreement="agree")
        kept = client.give_feedback(said, pcr="positive")
        assert kept == {"agreement": "agree", "pcr": "positive"}
        with pytest.raises(RemoteError):
            client.give_feedback(said, pcr="perhaps")
        assert client.withdraw_feedback(said, "agreement") == kept | {"agreement": None}
        assert client.withdraw_feedback(said) == {"agreement": None, "pcr": None}


def test_a_contribution_is_withdrawn_by_who_gave_it_and_removed_by_curators_alone(
    address: str, page: Site
):
    ids = [give(page, image(seed)).json()["id"] for seed in (1, 2)]
    roles = {Role.CLINICIAN: "contribute", Role.CURATOR: "review"}
    headers = [key_of(page, make_account(page, role), scope) for role, scope in roles.items()]
    other, curator = (one["authorization"].removeprefix("Bearer ") for one in headers)
    with Client(address, key=other) as client:
        with pytest.raises(RemoteError, match="nothing here"):
            client.withdraw_contribution(ids[0])
        with pytest.raises(RemoteError, match="may not"):
            client.remove_contribution(ids[0], reason="rights")
    with Client(address, key=curator) as client:
        with pytest.raises(RemoteError, match=r"query\.reason is missing or has a value"):
            client.remove_contribution(ids[0], reason="no reason")
        client.remove_contribution(ids[0], reason="rights")
    left = person(page, CLINICIAN).get("/api/v1/contributions").json()["contributions"]
    assert [one["id"] for one in left] == ids[1:]


def test_report_and_overlay_are_downloaded_and_a_retracted_prediction_says_so(
    address: str, key: str, files: Path
):
    with Client(address, key=key) as client:
        said = client.predict(files / "scan.png")["id"]
        assert client.report(said).startswith(b"%PDF")
        assert client.overlay(said).startswith(b"\x89PNG")
        client.retract(said)
        assert [one["state"] for one in client.predictions()] == ["retracted"]


def test_a_file_that_is_no_image_is_an_image_error_with_the_sites_sentence(address: str):
    with Client(address) as client, pytest.raises(ImageError, match=r"notes\.txt"):
        client.predict_bytes(b"no image", name="notes.txt")


def test_the_command_prints_the_lines_of_predict_and_exits_1_for_a_bad_file(
    address: str, files: Path
):
    (files / "bad.png").write_bytes(b"no image")
    result = run(address, files, "--json")
    printed = [line for line in result.stdout.splitlines() if '"path"' in line]  # beside the log
    bad, good = map(json.loads, printed)
    assert result.exit_code == 1
    assert bad["path"].endswith("bad.png")
    assert "error" in bad
    assert list(good) == [
        "path",
        "sha256",
        "covid",
        "lesions",
        "in_distribution",
        "heatmap",
        "model",
        "research_use_only",
    ]
    assert good["heatmap"].startswith(address)


def test_an_answer_says_which_lesions_are_calibrated(address: str, files: Path):
    with Client(address) as client:
        said = client.predict(files / "scan.png")
    assert [name for name, known in said["calibrated"].items() if not known] == list(TOO_FEW)


@pytest.mark.parametrize("value", [None, "0.5", float("nan")])
@pytest.mark.parametrize("place", ["covid", "lesions", "in_distribution"])
def test_an_answer_whose_probability_is_none_is_told_as_another_form(
    monkeypatch: pytest.MonkeyPatch, address: str, files: Path, place: str, value: object
):
    with Client(address) as client:
        said = client.predict(files / "scan.png")
    said[place] |= dict.fromkeys(("probability", "GGO", "score") & said[place].keys(), value)
    monkeypatch.setattr(Client, "predict", lambda *_, **__: said)
    result = run(address, files)
    assert (result.exit_code, "answers in another form" in result.stderr) == (1, True)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_in_a_folder_is_named_and_nobody_waits_for_it(address: str, files: Path):
    os.mkfifo(files / "pipe.png")
    result = run(address, files)
    assert (result.exit_code, "pipe.png is no regular file" in result.stderr) == (1, True)


def test_a_file_larger_than_any_image_may_be_is_not_read_to_be_sent(files: Path):
    with (files / "volume.nii").open("wb") as large:
        large.truncate(64 << 30)
    with (
        Client(f"http://127.0.0.1:{free_port()}", retries=0) as client,
        pytest.raises(ImageError, match="larger than the limit"),
    ):
        client.predict(files / "volume.nii")


def test_the_table_tells_the_files_of_a_folder_apart(
    address: str, scan: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "s" / "before").mkdir(parents=True)
    (tmp_path / "s" / "before" / "chest-0001.png").write_bytes(scan)
    monkeypatch.chdir(tmp_path)
    assert "s/before/chest-0001.png" in run(address, "s").stdout


def test_the_table_marks_lesions_with_too_few_examples(address: str, files: Path):
    out = run(address, files / "scan.png").stdout
    shown = out.splitlines()
    [path] = [number for number, line in enumerate(shown) if line.endswith("scan.png")]
    assert shown[path + 1].count("*") == len(TOO_FEW)
    assert "* too few examples" in out


def test_the_table_ends_with_the_research_notice(address: str, files: Path):
    result = run(address, files / "scan.png")
    assert (result.exit_code, "research use only" in result.stdout) == (0, True)


def test_a_site_that_is_not_there_is_told_of_every_file(files: Path):
    with (
        pytest.raises(RemoteError, match="cannot be reached"),
        Client(f"http://127.0.0.1:{free_port()}", retries=1, sleep=lambda _: None) as client,
    ):
        client.predict(files / "scan.png")


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "nothing listens there: check the"),
        (socket.gaierror(-2, "Name or service not known"), "of that name is known here: check"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER]"), "https:// or with http://"),
        (ConnectionResetError(104, "Connection reset by peer"), "check the address, and try again"),
    ],
)
def test_why_a_site_cannot_be_reached_is_told_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, cause: OSError, told: str
):
    def fail(*_: object, **__: object) -> None:
        raise httpx.ConnectError(str(cause)) from cause

    with Client("https://ladnn.example.org", retries=0) as client:
        monkeypatch.setattr(client._http, "request", fail)
        with pytest.raises(RemoteError) as raised:
            client.prediction("x")
    assert told in str(raised.value)
    assert "_ssl" not in str(raised.value)


def test_nobody_waits_for_each_file_of_a_folder_while_the_site_is_away(moody: ThreadingHTTPServer):
    port, pauses = free_port(), list[float]()
    with Client(f"http://127.0.0.1:{port}", retries=2, sleep=pauses.append) as client:
        for expected in (2, 2):  # the second request waits no more
            with pytest.raises(RemoteError, match="cannot be reached"):
                client.prediction("x")
            assert len(pauses) == expected
        client._http.base_url = f"http://127.0.0.1:{moody.server_address[1]}"
        _Moody.answers = [(503, {}, b""), GOOD]  # it is there again, and asks for patience
        assert client.prediction("x") == {"id": "x"}
        assert len(pauses) == 3


@pytest.mark.parametrize("url", ["ladnn.example.org", "ftp://x", "http://[::1"])
def test_an_address_that_is_none_is_refused(url: str):
    with pytest.raises(RemoteError, match="is no address of a site"):
        Client(url)


class _Moody(BaseHTTPRequestHandler):
    """Answers with one status after the other."""

    answers: list[tuple[int, dict[str, str], bytes]]

    def do_GET(self) -> None:
        status, headers, body = self.answers.pop(0)
        self.send_response(status)
        for name, value in ({"content-length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_DELETE(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def moody() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Moody)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def ask(moody: ThreadingHTTPServer, *answers: tuple[int, dict[str, str], bytes]):
    """What `prediction` returns, and the pauses before it."""
    _Moody.answers = list(answers)
    pauses: list[float] = []
    url = f"http://127.0.0.1:{moody.server_address[1]}"
    with Client(url, retries=2, sleep=pauses.append) as client:
        return client.prediction("x"), pauses


GOOD = (200, {}, b'{"id": "x"}')


def test_a_site_that_asks_for_patience_is_asked_again_when_it_says(moody: ThreadingHTTPServer):
    said, pauses = ask(moody, (503, {"retry-after": "7"}, b""), (429, {}, b""), GOOD)
    assert (said, pauses) == ({"id": "x"}, [7.0, 0.5])


def test_no_site_can_make_a_client_wait_for_long(moody: ThreadingHTTPServer):
    _, pauses = ask(moody, (503, {"retry-after": "86400"}, b""), GOOD)
    assert pauses == [30.0]


LOST = (502, {}, b"")
GONE = (404, {}, b'{"detail": "There is nothing here."}')


def remove(moody: ThreadingHTTPServer, *answers: tuple[int, dict[str, str], bytes]) -> None:
    _Moody.answers = list(answers)
    url = f"http://127.0.0.1:{moody.server_address[1]}"
    with Client(url, retries=2, sleep=lambda _: None) as client:
        client.delete("x")


def test_a_deletion_whose_answer_got_lost_is_done(moody: ThreadingHTTPServer):
    remove(moody, LOST, GONE)
    assert _Moody.answers == []


@pytest.mark.parametrize("before", [(), ((429, {}, b""),), ((503, {}, b""),)])
def test_a_deletion_of_what_never_was_there_is_an_error(
    moody: ThreadingHTTPServer, before: tuple[tuple[int, dict[str, str], bytes], ...]
):
    with pytest.raises(RemoteError, match="nothing here"):
        remove(moody, *before, GONE)


def test_a_deletion_that_never_reached_the_site_is_not_taken_for_done(moody: ThreadingHTTPServer):
    port = free_port()

    def come_back(_: float) -> None:
        client._http.base_url = f"http://127.0.0.1:{moody.server_address[1]}"

    _Moody.answers = [GONE]
    with (
        Client(f"http://127.0.0.1:{port}", sleep=come_back) as client,
        pytest.raises(RemoteError, match="nothing here"),
    ):
        client.delete("x")


def test_feedback_on_what_is_gone_is_not_taken_for_withdrawn(moody: ThreadingHTTPServer):
    _Moody.answers = [LOST, GONE]
    url = f"http://127.0.0.1:{moody.server_address[1]}"
    with (
        Client(url, sleep=lambda _: None) as client,
        pytest.raises(RemoteError, match="nothing here"),
    ):
        client.withdraw_feedback("x")


def test_what_is_gone_is_not_there_to_be_read_after_a_lost_answer(moody: ThreadingHTTPServer):
    with pytest.raises(RemoteError, match="nothing here"):
        ask(moody, LOST, GONE)


PAGE_OF_A_PROXY = (200, {"content-type": "text/html"}, b"<html>")
STRANGER = "does not answer like an LA-DNN site"


@pytest.mark.parametrize("take", [Client.delete, Client.report, Client.overlay])
def test_a_proxys_page_is_neither_a_deletion_nor_a_file(
    moody: ThreadingHTTPServer, take: Callable[[Client, str], object]
):
    _Moody.answers = [PAGE_OF_A_PROXY]
    url = f"http://127.0.0.1:{moody.server_address[1]}"
    with Client(url) as client, pytest.raises(RemoteError, match=STRANGER):
        take(client, "x")


@pytest.mark.parametrize(
    "page",
    [
        b'{"status": "ok"}',
        b'{"predictions": 1, "next": null}',
        b'{"predictions": [], "next": "http://localhost:9/"}',
        b'{"predictions": [], "next": "//localhost:9/"}',
        b'{"predictions": [], "next": "@localhost:9/"}',
        b'{"predictions": [], "next": 1}',
        b'{"predictions": [], "next": "/\\u0000"}',
    ],
)
def test_a_list_of_another_form_is_refused_and_the_key_goes_to_no_other_host(
    moody: ThreadingHTTPServer, page: bytes
):
    _Moody.answers = [(200, {}, page)]
    url = f"http://127.0.0.1:{moody.server_address[1]}"
    with Client(url, key="k", retries=0) as client, pytest.raises(RemoteError, match=STRANGER):
        list(client.predictions())


@pytest.mark.parametrize("key", ["broken\n", "schl\u00fcssel", "secret ", " secret", "sec ret"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_repeated(key: str):
    with pytest.raises(RemoteError, match="copy it again") as caught:
        Client("https://ladnn.example.org", key=key)
    assert key.strip() not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["https://ward:secret@site.org", "https://site.org?x=1", "https://site.org#x"]
)
def test_an_address_that_would_hide_the_key_or_a_page_is_refused(url: str):
    with pytest.raises(RemoteError, match=r"has no \?, # or @") as caught:
        Client(url, key="k")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("timeout", [0.0, -1.0, float("nan"), float("inf"), 1e300])
def test_a_timeout_that_is_no_time_is_refused(timeout: float):
    with pytest.raises(RemoteError, match="give more than 0 and at most 86400"):
        Client("https://ladnn.example.org", timeout=timeout)


def test_fewer_than_no_retries_are_refused():
    with pytest.raises(RemoteError, match="give 0 or more retries"):
        Client("https://ladnn.example.org", retries=-1)


@pytest.mark.parametrize("name", ["", "..", "../reviews/x", "a b", "\ud800", "ü"])
def test_what_is_no_id_is_refused_before_anything_is_asked(name: str):
    with Client("http://localhost:9", retries=0) as client:
        for ask in (client.prediction, client.delete, client.withdraw_contribution):
            with pytest.raises(RemoteError, match="is no id"):
                ask(name)


def test_a_request_that_cannot_be_sent_is_made_once_and_not_quoted():
    pauses = list[float]()
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        Client(f"http://127.0.0.1:{listening.getsockname()[1]}", sleep=pauses.append) as client,
    ):
        client._http.headers["authorization"] = "Bearer secret "
        with pytest.raises(RemoteError, match="cannot be written") as caught:
            client.prediction("x")
    assert ("secret" in str(caught.value), pauses) == (False, [])


def test_a_file_whose_name_is_no_text_is_tested(address: str, scan: bytes):
    with Client(address) as client:
        assert client.predict_bytes(scan, name="scan\udcff.png")["id"]


def test_an_interruption_does_not_wait_for_a_site_that_is_silent(files: Path):
    # whoever runs the tests in the background may have told every child to ignore interruptions
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = f"{heard}; from ladnn.cli import main; main()"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        process = subprocess.Popen(
            [sys.executable, "-c", command, "remote", "predict", url, str(files)],
            stdout=subprocess.DEVNULL,
        )
        silent.accept()[0].recv(1)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((200, {"content-encoding": "gzip"}, b"no gzip"), STRANGER),
        ((200, {}, b"<html>"), "does not answer like an LA-DNN site"),
        ((200, {}, b"[" * 100_000), STRANGER),
        ((500, {}, b"[" * 100_000), "500"),
        ((301, {"location": "https://x/"}, b""), "give that address"),
        ((403, {}, b'{"detail": "You may not."}'), "You may not"),
        ((500, {}, b"oops"), "500"),
    ],
)
def test_what_is_no_answer_is_one_sentence(
    moody: ThreadingHTTPServer, answer: tuple[int, dict[str, str], bytes], words: str
):
    with pytest.raises(RemoteError, match=words):
        ask(moody, answer)

"""What is held of bodies that come in, before it is known who sends them."""

import contextlib
import re
import socket
import time
from collections.abc import Iterator

import httpx
import pytest
from fastapi import HTTPException
from sites import MakeSite, Site, served, sqlite_url

from ladnn.service import uploads
from ladnn.service.uploads import Uploads

MIB = 1 << 20
PATH = "/api/v1/contributions"  # for those with an account; nobody here has one


@pytest.fixture
def address(
    make_site: MakeSite, request: pytest.FixtureRequest, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A site on which one body may have 1 MiB, so that an address may have 3 MiB under way."""
    monkeypatch.setattr(uploads, "SILENCE", 1.0)
    site: Site = make_site(sqlite_url(request, tmp_path), upload_mib=1)
    with served(site.app) as found:
        yield found


def begin(address: str, declared: int, sent: int = 100) -> socket.socket:
    """Begin to send a form, and fall silent."""
    host, port = address.removeprefix("http://").split(":")
    link = socket.create_connection((host, int(port)), timeout=20)
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    head = f"Host: {host}:{port}\r\nContent-Length: {declared}\r\n"
    kind = "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    link.sendall(f"POST {PATH} HTTP/1.1\r\n{head}{kind}".encode() + part + bytes(sent))
    return link


def everything(link: socket.socket) -> str:
    """All that is answered until the connection is closed."""
    answer = b""
    while piece := link.recv(65_536):
        answer += piece
    return answer.decode()


def test_a_body_that_falls_silent_is_given_up_and_its_connection_closed(address: str):
    start = time.monotonic()
    with begin(address, MIB) as link:
        answer = everything(link)
    assert time.monotonic() - start < 10
    assert answer.startswith("HTTP/1.1 408 ")
    assert "application/problem+json" in answer
    assert "Too little of this came" in answer


def test_a_body_that_comes_slowly_but_goes_on_is_taken(
    address: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(uploads, "PIECE", 10)
    with begin(address, 10_000) as link:
        for _ in range(5):
            time.sleep(0.3)  # 1.5 s in all, of which no pause has 1
            link.sendall(bytes(10))
        link.shutdown(socket.SHUT_WR)
        assert "408" not in everything(link)


def test_a_body_of_which_a_byte_comes_now_and_then_is_given_up(address: str):
    with begin(address, 10_000) as link:
        for _ in range(5):
            time.sleep(0.3)
            with contextlib.suppress(OSError):  # it is closed by then
                link.sendall(b"0")
        assert everything(link).startswith("HTTP/1.1 408 ")


def test_an_address_that_has_too_much_under_way_is_refused_and_free_again_later(
    address: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(uploads, "SILENCE", 2.0)
    links = [begin(address, MIB, MIB - 1000) for _ in range(uploads.EACH)]
    try:
        time.sleep(0.5)
        refused = httpx.post(address + PATH, files={"file": ("a", bytes(5000))})
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
        assert refused.json()["detail"].startswith("More is being sent from this address")
        assert httpx.get(address + "/about").status_code == 200
        assert [everything(link)[9:12] for link in links] == ["408"] * len(links)
    finally:
        for link in links:
            link.close()
    assert httpx.post(address + PATH, files={"file": ("a", bytes(1000))}).status_code == 401


def test_what_all_send_is_bounded_and_what_is_over_is_given_back():
    held = Uploads(largest=10)

    def refusal(address: str, size: int) -> int:
        with held.under_way(address) as reach:
            try:
                reach(size)
            except HTTPException as error:
                return error.status_code
        return 0

    assert (refusal("a", 30), refusal("a", 31)) == (0, 429)
    beginnings = [held.under_way(str(number)) for number in range(6)]
    for one in beginnings[:-1]:
        one.__enter__()(30)
    beginnings[-1].__enter__()(9)
    assert (refusal("a", 1), refusal("a", 2)) == (0, 503)
    for one in beginnings:
        one.__exit__(None, None, None)
    assert (refusal("0", 30), held._bytes) == (0, {})


def test_what_is_announced_has_to_fit_and_holds_nothing_until_it_comes():
    held = Uploads(largest=10)
    with held.under_way("a") as one, held.under_way("a") as other:
        one(0, ahead=30)
        other(0, ahead=30)
        one(20)
        other(10)
        with pytest.raises(HTTPException):
            other(11)
        with held.under_way("a") as late, pytest.raises(HTTPException):
            late(0, ahead=1)


def test_callers_that_announce_much_and_send_little_keep_nobody_out(address: str):
    links = [begin(address, MIB) for _ in range(uploads.EACH + 1)]
    try:
        time.sleep(0.2)
        sent = httpx.post(address + PATH, files={"file": ("a", bytes(1000))})
        assert sent.status_code == 401  # as of anyone who has no account
    finally:
        for link in links:
            link.close()


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=b"]
)
@pytest.mark.parametrize(
    "path", ["/results/x/retract", "/batches/x/cancel", "/account/sessions/end"]
)
def test_who_goes_away_while_a_form_is_read_is_no_mistake_of_the_site(
    address: str, path: str, kind: str, capfd: pytest.CaptureFixture[str]
):
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as link:
        head = f"Host: {host}:{port}\r\nContent-Length: 1000\r\nContent-Type: {kind}\r\n\r\n"
        link.sendall(f"POST {path} HTTP/1.1\r\n{head}".encode() + b"--b")
        time.sleep(0.2)
    end, log = time.monotonic() + 20, ""
    while "request" not in log and time.monotonic() < end:
        time.sleep(0.05)
        log += capfd.readouterr().out
    assert "ClientDisconnect" not in log
    assert "500" not in re.findall(r"status\S*=\S*?(\d{3})", re.sub(r"\x1b\[\d+m", "", log))


@pytest.mark.parametrize("path", ["/static/app.css", "/about"])
def test_a_question_that_names_another_encoding_is_answered_whole(address: str, path: str):
    named = {"content-type": "text/plain; charset=iso-8859-1"}
    answer = httpx.get(address + path, headers=named)
    assert answer.status_code == 200
    assert len(answer.content) == int(answer.headers["content-length"])

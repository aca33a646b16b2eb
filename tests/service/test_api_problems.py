"""What callers get wrong is told in one sentence under the status that the description names."""

import re
from pathlib import Path

import pytest
from personas import key_of, make_account
from sites import Site
from test_collection import FIELDS, give, image

from ladnn.service.accounts.api_keys import SCOPES
from ladnn.service.accounts.permissions import Role

JSON = {"content-type": "application/json"}
TEXT = {"content-type": "text/plain"}
UNBOUND = {"content-type": "multipart/form-data"}
FORM = {"content-type": "multipart/form-data; boundary=x"}
PUNY = {"content-type": 'multipart/form-data; boundary=x; Charset="punycode"'}
PREDICTIONS, MISSING = "/api/v1/predictions", "/api/v1/batches/none/missing"
MANY = {str(number): "1" for number in range(3000)}
FILE = {"file": ("a.png", b"x")}


def told(answer) -> tuple[int, str]:
    """The status of a problem, and its sentence."""
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"].endswith("."), "no sentence"
    return answer.status_code, answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        (PREDICTIONS, {"content": b"abc", "headers": FORM}, 400, "cannot be read"),
        (PREDICTIONS, {"content": b"abc", "headers": UNBOUND}, 400, "boundary"),
        (PREDICTIONS, {"data": MANY, "files": FILE}, 422, "1000 fields"),
        (PREDICTIONS, {"data": {"frame": "1" * 2_000_000}, "files": FILE}, 413, "1024 KiB"),
        (PREDICTIONS, {"json": {"a": 1}}, 422, "body.file"),
        (MISSING, {"content": b"{", "headers": JSON}, 400, "no JSON"),
        (MISSING, {"content": b"[" * 100_000, "headers": JSON}, 400, "cannot be read"),
        (MISSING, {"content": b'"\xff"', "headers": JSON}, 400, "UTF-8"),
        (MISSING, {"content": b"{}", "headers": TEXT}, 415, "application/json"),
        (MISSING, {"content": b"{}"}, 415, "application/json"),
        (MISSING, {"json": {}}, 422, "body.sha256"),
        (MISSING, {"json": {"sha256": [], "sha": []}}, 422, "sha is none of sha256"),
        (MISSING, {"content": b'{"\\ud800": 1}', "headers": JSON}, 422, "none of sha256"),
        (MISSING, {"json": {"sha256": ["0" * 64] * 10_001}}, 422, "10000"),
        (MISSING, {"json": {"sha256": ["0" * (2 << 20)]}}, 413, "2 MiB"),
        (MISSING, {"data": {"sha256": "0" * (2 << 20)}}, 413, "2 MiB"),
        (PREDICTIONS, {"data": {"frame": "0" * (2 << 20)}}, 413, "2 MiB"),
        (PREDICTIONS, {"content": b"--x--", "headers": PUNY}, 400, "another encoding"),
    ],
)  # fmt: skip
def test_a_body_that_cannot_be_used_is_told_in_a_sentence(
    page: Site, path: str, body: dict, status: int, words: str
):
    answered, sentence = told(page.client.post(path, **body))
    assert answered == status
    assert words in sentence


def test_an_overlong_report_is_told_with_its_limit(page: Site):
    key = key_of(page, make_account(page, Role.CLINICIAN), "contribute")
    answer = page.client.post("/api/v1/reports", json={"text": "x" * 20_001}, headers=key)
    status, sentence = told(answer)
    assert (status, answer.json()["errors"][0]["where"]) == (422, "body.text")
    assert "20000" in sentence


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/api/v1/batches", "GET, POST"),
        ("/api/v1/batches/none", "GET, DELETE"),
        ("/api/v1/contributions/none", "GET, DELETE"),
        ("/api/v1/batches/none/cancel", "POST"),
    ],
)
def test_a_method_that_is_not_there_is_answered_with_all_that_are(
    page: Site, path: str, allowed: str
):
    answer = page.client.put(path)
    status, sentence = told(answer)
    assert (status, answer.headers["allow"]) == (405, allowed)
    assert f"PUT is not possible here: use {allowed}." == sentence


@pytest.mark.parametrize("path", [PREDICTIONS, "/api/v1/contributions"])
def test_two_files_where_one_is_asked_for_are_refused_and_none_is_kept(
    page: Site, scan: bytes, path: str
):
    key = key_of(page, make_account(page, Role.CLINICIAN), "contribute", "test")
    files = [("file", ("a.png", scan)), ("file", ("b.png", image(5)))]
    status, sentence = told(page.client.post(path, data=FIELDS, files=files, headers=key))
    assert status == 422
    assert "2 files were sent" in sentence
    assert page.services.blobs.names() == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"absent": ["Pneumothorax"]}, ("absent", "Pneumothorax", "InSepThi")),
        ({"present": ["GGO", "CrPa"], "absent": ["CrPa"]}, ("present", "absent", "CrPa")),
    ],
)
def test_a_lesion_that_cannot_be_used_is_told_with_its_field(page: Site, wrong: dict, words: tuple):
    status, sentence = told(give(page, **wrong))
    assert status == 422
    assert [word for word in words if word not in sentence] == []


def operations(site: Site) -> list[tuple[str, dict]]:
    paths = site.client.get("/api/v1/openapi.json").json()["paths"]
    return [(f"{m.upper()} {path}", one) for path, ms in paths.items() for m, one in ms.items()]


def test_every_operation_that_takes_a_body_says_what_a_broken_one_is_answered(page: Site):
    takers = [(name, one) for name, one in operations(page) if "requestBody" in one]
    assert len(takers) > 8
    for name, one in takers:
        assert {"400", "413", "422"} <= one["responses"].keys(), name
        json = "application/json" in one["requestBody"]["content"]
        assert ("415" in one["responses"]) == json, name


def test_every_operation_says_who_may_ask(page: Site):
    description = page.client.get("/api/v1/openapi.json").json()
    schemes = description["components"]["securitySchemes"]
    assert (schemes["key"]["type"], schemes["key"]["scheme"]) == ("http", "bearer")
    assert schemes["session"]["name"] == "ladnn_session"
    asked = {name: one["security"] for name, one in operations(page)}
    assert asked["POST /api/v1/contributions"] == [{"key": ["contribute"]}, {"session": []}]
    assert asked["POST /api/v1/models/rollback"][0] == {"key": ["manage_models"]}
    everybody = {name for name, ways in asked.items() if {} in ways}
    assert {"POST /api/v1/predictions", "GET /api/v1/models", "POST /api/v1/batches"} <= everybody


def test_who_asks_without_a_key_is_let_in_just_where_the_description_says_so(page: Site):
    for name, one in operations(page):
        method, _, path = name.partition(" ")
        for part in ("{id}", "{label}", "{name}"):
            path = path.replace(part, "none")
        status = page.browser().request(method, path.replace("{number}", "1")).status_code
        assert (status != 401) == ({} in one["security"]), name


@pytest.mark.parametrize(
    ("given", "challenge"),
    [
        ({}, "Bearer"),
        ({"authorization": "Basic YTpi"}, "Bearer"),
        ({"authorization": "Bearer wrong"}, 'Bearer error="invalid_token"'),
    ],
)
def test_who_is_to_show_a_key_is_told_how(page: Site, given: dict, challenge: str):
    answer = page.browser().post("/api/v1/models/rollback", headers=given)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, challenge)


def test_no_page_and_no_other_refusal_asks_for_a_key(page: Site):
    browser = page.browser()
    for path, status in (("/account", 401), ("/api/v1/models/none", 404)):
        answer = browser.get(path)
        assert answer.status_code == status
        assert "www-authenticate" not in answer.headers


def test_the_page_of_the_interface_says_how_to_show_a_key_and_which_scope_is_needed(page: Site):
    text = page.client.get("/about/api").text
    assert "Authorization: Bearer" in text
    assert "<code>contribute</code>" in text
    assert "<code>415</code>" in text


def test_the_how_to_names_every_scope_a_key_may_have():
    text = (Path(__file__).parents[2] / "docs" / "how-to" / "api.md").read_text(encoding="utf-8")
    table = text.partition("## Keys and scopes")[2].partition("\n## ")[0]
    assert re.findall(r"(?m)^\| `(\w+)`", table) == [str(scope) for scope in SCOPES]

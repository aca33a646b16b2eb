"""Who looked at what is written down: every route that shows a case, a contribution or a batch."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from fastapi.routing import APIRoute
from personas import person, token_on
from sites import Site
from starlette.testclient import TestClient
from test_collection import CURATOR, give, image

from ladnn.service import audit_log
from ladnn.service.app import ROUTERS
from ladnn.service.tables import AuditEvent

WRITTEN = {
    "/results/{token}": ("prediction.view", "case"),
    "/results/{token}/images/{position}.png": ("prediction.view", "case"),
    "/results/{token}/maps/{position}/{name}.png": ("prediction.view", "case"),
    "/results/{token}/prediction.json": ("prediction.download", "case"),
    "/results/{token}/overlay.png": ("prediction.download", "case"),
    "/results/{token}/report.pdf": ("prediction.download", "case"),
    "/api/v1/predictions/{id}": ("prediction.view", "case"),
    "/api/v1/predictions/{id}/heatmaps/{name}.png": ("prediction.view", "case"),
    "/api/v1/predictions/{id}/overlay.png": ("prediction.download", "case"),
    "/api/v1/predictions/{id}/report.pdf": ("prediction.download", "case"),
    "/batches/{id}": ("batch.view", "batch"),
    "/batches/{id}/results.csv": ("batch.download", "batch"),
    "/batches/{id}/results.zip": ("batch.download", "batch"),
    "/api/v1/batches/{id}": ("batch.view", "batch"),
    "/api/v1/batches/{id}/items": ("batch.view", "batch"),
    "/api/v1/batches/{id}/results.csv": ("batch.download", "batch"),
    "/api/v1/batches/{id}/results.zip": ("batch.download", "batch"),
    "/contributions/{id}": ("contribution.view", "contribution"),
    "/contributions/{id}/image.png": ("contribution.view", "contribution"),
    "/api/v1/contributions/{id}": ("contribution.view", "contribution"),
    "/review": ("review.view", ""),
    "/review/{id}": ("contribution.view", "contribution"),
    "/api/v1/reviews": ("review.view", ""),
    "/review/datasets/{number}.zip": ("dataset.download", "version"),
    "/api/v1/datasets/{number}.zip": ("dataset.download", "version"),
}
"""The routes that show one, the line that each writes, and what of."""

OWN_LISTS = {
    *("/", "/account", "/contribute", "/batches"),
    *("/api/v1/predictions", "/api/v1/batches", "/api/v1/contributions"),
}
"""Name one's own things to their owner; each picture on them is asked for, and noted, by itself."""

SHOW_NONE = (
    *("/about", "/admin", "/models", "/sign-in", "/account/", "/setup", "/reset", "/invitation"),
    *("/healthz", "/readyz", "/metrics", "/api/v1/models", "/api/v1/openapi"),
    *("/review/datasets", "/api/v1/datasets"),  # versions in counts, without their images
)
"""How routes begin that show no case, contribution or batch."""


def getters() -> set[str]:
    routes = [route for router in ROUTERS for route in router.routes]
    return {one.path for one in routes if isinstance(one, APIRoute) and "GET" in one.methods}


def test_every_route_that_shows_something_of_a_patient_is_known_to_write_a_line():
    rest = getters() - set(WRITTEN) - OWN_LISTS
    assert {path for path in rest if not path.startswith(SHOW_NONE)} == set()


@dataclass(frozen=True)
class Filled:
    """A curator's browser on a site, and where there is one of each thing."""

    site: Site
    browser: TestClient
    ids: dict[str, str]
    token: str

    def path(self, route: str) -> str:
        kind = WRITTEN[route][1]
        values = {"token": self.token, "position": "0", "name": "covid", "number": "1"}
        return re.sub(r"\{(\w+)\}", lambda found: values.get(found[1]) or self.ids[kind], route)

    def get(self, route: str) -> None:
        answer = self.browser.get(self.path(route))
        assert answer.status_code == 200, answer.text

    def lines(self) -> list[AuditEvent]:
        everything = audit_log.Filter()
        return self.site.services.database.read(lambda s: audit_log.browse(s, everything))[::-1]


@pytest.fixture
def filled(page: Site, scan: bytes) -> Filled:
    """One case in one batch, one contribution of somebody else that is in a version."""
    browser = person(page, CURATOR)
    batch = browser.post("/api/v1/batches").json()["id"]
    sent = browser.post(f"/api/v1/batches/{batch}/items", files={"file": ("a.png", scan)})
    links = sent.json()["items"][0]["links"]
    given = give(page).json()["id"]
    browser.post(f"/api/v1/reviews/{given}", json={"verdict": "accept"})
    browser.post("/api/v1/datasets")
    ids = {
        "case": links["prediction"].rsplit("/", 1)[-1],
        "batch": batch,
        "contribution": given,
        "version": "1",
        "": "",
    }
    return Filled(page, browser, ids, links["page"].rsplit("/", 1)[-1])


@pytest.mark.parametrize("route", WRITTEN)
def test_each_of_them_writes_its_line(filled: Filled, route: str):
    before = len(filled.lines())
    filled.get(route)
    action, kind = WRITTEN[route]
    (line,) = filled.lines()[before:]
    assert (line.action, line.object) == (action, filled.ids[kind])
    assert line.actor.startswith("account:")
    assert (line.sequence is None) is action.endswith(".view")


def later(filled: Filled, monkeypatch: pytest.MonkeyPatch, **more: float) -> None:
    then = filled.site.services.clock() + timedelta(**more)
    monkeypatch.setattr("ladnn.service.audit_log.now", lambda: then)


@pytest.mark.parametrize(
    ("shown", "part"),
    [
        ("/results/{token}", "/results/{token}/images/{position}.png"),
        ("/results/{token}", "/results/{token}/maps/{position}/{name}.png"),
        ("/batches/{id}", "/results/{token}/images/{position}.png"),
        ("/batches/{id}", "/api/v1/batches/{id}"),
        ("/contributions/{id}", "/contributions/{id}/image.png"),
        ("/review/{id}", "/contributions/{id}/image.png"),
    ],
)
def test_what_belongs_to_a_view_is_part_of_it_for_an_hour(
    filled: Filled, monkeypatch: pytest.MonkeyPatch, shown: str, part: str
):
    filled.get(shown)
    before = len(filled.lines())
    later(filled, monkeypatch, minutes=59)
    filled.get(part)
    assert len(filled.lines()) == before
    later(filled, monkeypatch, minutes=61)
    filled.get(part)
    assert len(filled.lines()) == before + 1


def test_a_picture_is_part_of_nobody_else_s_view(filled: Filled):
    filled.get("/results/{token}")
    before = len(filled.lines())
    other = replace(filled, browser=person(filled.site, "clinician:5"))
    other.get("/results/{token}/images/{position}.png")
    assert [line.action for line in filled.lines()[before:]] == ["prediction.view"]


@pytest.mark.parametrize(
    "route",
    [
        "/results/{token}",
        "/api/v1/predictions/{id}",
        "/api/v1/predictions/{id}/heatmaps/{name}.png",
        "/contributions/{id}",
        "/review/{id}",
    ],
)
def test_a_page_or_a_program_s_question_is_a_view_each_time(filled: Filled, route: str):
    before = len(filled.lines())
    filled.get(route)
    filled.get(route)
    assert len(filled.lines()) == before + 2


def test_the_queue_s_line_names_what_it_shows(page: Site):
    given = [give(page, image(seed), patient=f"P-{seed}").json()["id"] for seed in (1, 2)]
    person(page, CURATOR).get("/review")
    wanted = audit_log.Filter(action="review.view")
    (line,) = page.services.database.read(lambda s: audit_log.browse(s, wanted))
    assert line.detail == {"shown": given}


def test_nothing_is_written_where_nothing_is_found(filled: Filled):
    before = len(filled.lines())
    other = person(filled.site, "clinician:5")
    for path in ("/batches/{id}", "/contributions/{id}", "/contributions/{id}/image.png"):
        assert other.get(filled.path(path)).status_code == 404
    assert other.get("/results/nowhere/images/0.png").status_code == 404
    assert len(filled.lines()) == before


def by_page(browser: TestClient, scan: bytes) -> str:
    files = {"file": ("a.png", scan)}
    answer = browser.post("/", data={"csrf": token_on(browser, "/")}, files=files)
    assert answer.status_code == 303
    return str(answer.headers["location"])


def by_program(browser: TestClient, scan: bytes) -> str:
    return str(browser.post("/api/v1/predictions", files={"file": ("a.png", scan)}).json()["id"])


@pytest.mark.parametrize("send", [by_page, by_program])
def test_bytes_that_were_tested_before_are_a_view(
    page: Site, scan: bytes, send: Callable[[TestClient, bytes], str]
):
    browser = person(page, CURATOR)
    assert send(browser, scan) == send(browser, scan)
    tests = audit_log.Filter(action="prediction.")
    lines = page.services.database.read(lambda s: audit_log.browse(s, tests))
    assert [line.action for line in lines] == ["prediction.view", "prediction.create"]
    assert lines[0].object == lines[1].object


def test_bytes_that_a_batch_has_already_are_a_view_of_it(filled: Filled, scan: bytes):
    before = len(filled.lines())
    address = f"/api/v1/batches/{filled.ids['batch']}/items"
    assert filled.browser.post(address, files={"file": ("a.png", scan)}).json()["new"] == 0
    assert [line.action for line in filled.lines()[before:]] == ["batch.view"]


def test_a_new_test_takes_one_look_and_one_transaction_that_writes(
    page: Site, scan: bytes, monkeypatch: pytest.MonkeyPatch
):
    browser = person(page, CURATOR)
    browser.get("/")
    by_program(browser, scan)  # takes the block of the limit that the next ones count against
    database, counted = page.services.database, []
    for name in ("read", "write"):
        usual = getattr(database, name)

        def count(work: Callable[..., object], name: str = name, usual: object = usual) -> object:
            counted.append(name)
            return usual(work)  # type: ignore[operator]

        monkeypatch.setattr(database, name, count)
    by_program(browser, scan + b"another")
    assert counted == ["read", "read", "write"]  # who asks; is it known; keep it

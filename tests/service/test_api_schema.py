"""Every operation, asked by schemathesis in every role: no 5xx, nothing untold."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from personas import key_of, make_account
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sites import Site
from test_collection import FIELDS
from test_models import fill

from ladnn.phantom import thorax
from ladnn.service.accounts.api_keys import scopes_for
from ladnn.service.accounts.permissions import Role
from ladnn.service.decoding import DecodingPool
from synthetic import encode

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = 100 if os.environ.get("LADNN_SOAK") else 3  # of each operation and each role
PATH = "/api/v1/openapi.json"

TESTED = {
    "POST /api/v1/predictions",
    "POST /api/v1/batches/{id}/items",
    "GET /api/v1/models/{label}",
}
SENT = {"POST /api/v1/predictions", "POST /api/v1/batches/{id}/items"}
GIVEN = {
    "POST /api/v1/predictions/{id}/feedback",
    "DELETE /api/v1/predictions/{id}/feedback",
    "POST /api/v1/reports",
    "POST /api/v1/contributions",
    "GET /api/v1/contributions",
    "GET /api/v1/contributions/{id}",
    "DELETE /api/v1/contributions/{id}",
}
JUDGED = {
    "GET /api/v1/reviews",
    "POST /api/v1/reviews/{id}",
    "GET /api/v1/datasets",
    "POST /api/v1/datasets",
    "GET /api/v1/datasets/{number}.zip",
}
RULED = {"POST /api/v1/models/{label}/promote"}
OPEN = ("/api/v1/predictions", "/api/v1/batches", "/api/v1/models")  # to visitors, too
REACHED = {
    Role.VISITOR: TESTED,
    Role.CLINICIAN: TESTED | GIVEN,
    Role.CURATOR: TESTED | GIVEN | JUDGED,
    Role.ADMINISTRATOR: TESTED | GIVEN | JUDGED | RULED,
}
"""What must be done, and not only be refused, when somebody of a role asks."""


@pytest.fixture
def decoder() -> Iterator[DecodingPool]:
    """A pool of this file's own: schemathesis ends the application, which closes its decoder."""
    pool = DecodingPool(b"a secret of this test's site", workers=1)
    yield pool
    pool.close()


class Asker:
    """Somebody of a role, by an API key for all that the role may do, and things to ask for."""

    def __init__(self, site: Site, role: Role, folder: Path) -> None:
        self._client, self._role, self._seeds = site.client, role, itertools.count()
        self.headers = _key(site, role, "asker")
        fill(site, folder)
        self._other = _key(site, Role.CLINICIAN, "other")
        if role is not Role.VISITOR:
            curator = _key(site, Role.CURATOR, "curator")
            said = {"verdict": "accept"}
            path = f"/api/v1/reviews/{self._give(self._other)}"
            assert self._client.post(path, json=said, headers=curator).is_success
            assert self._client.post("/api/v1/datasets", headers=curator).status_code == 201

    def _give(self, headers: dict[str, str]) -> str:
        file = {"file": ("a.png", self._fresh())}
        answer = self._client.post(
            "/api/v1/contributions", data=FIELDS, files=file, headers=headers
        )
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def _fresh(self) -> bytes:
        """An image that nobody has sent before."""
        return encode(thorax(next(self._seeds), size=(48, 64)), "PNG")

    def _own(self, path: str) -> str:
        """The id of something new that is the asker's own, or may be judged by the asker."""
        if path.startswith("/api/v1/reviews"):
            return self._give(self._other)
        if path.startswith("/api/v1/contributions"):
            return self._give(self.headers)
        if path.startswith("/api/v1/batches"):
            made = self._client.post("/api/v1/batches", headers=self.headers)
        else:
            file = {"file": ("a.png", self._fresh())}
            made = self._client.post("/api/v1/predictions", files=file, headers=self.headers)
        assert made.status_code == 201, made.text
        return str(made.json()["id"])

    def aim(self, case: Case) -> None:
        """Let a case ask for something that is there, and send what can be read."""
        path, label = case.operation.path, case.operation.label
        if self._role is Role.VISITOR and not path.startswith(OPEN):
            return
        places = case.path_parameters or {}
        if "id" in places:
            places["id"] = self._own(path)
        if "number" in places:
            places["number"] = 1
        if "label" in places:
            places["label"] = "tiny-2" if path.endswith("/promote") else "tiny-1"
        if label == "POST /api/v1/contributions":
            case.body = FIELDS | {"file": self._fresh()}
        if label in SENT:
            case.body = {"file": [self._fresh()] if "/items" in path else self._fresh()}
        if label == "POST /api/v1/predictions/{id}/feedback":
            case.body = {"agreement": "agree"}
        if label == "POST /api/v1/reviews/{id}":
            case.body = {"verdict": "reject", "reason": "as I see it"}


def _key(site: Site, role: Role, name: str) -> dict[str, str]:
    """The header of a key with every scope of the role; nothing for a visitor."""
    if role is Role.VISITOR:
        return {}
    account = make_account(site, role, f"{name}@hospital.org")
    return key_of(site, account, *scopes_for(role))


async def unlimited(*_: object) -> None:
    """Let everything through."""


@pytest.mark.timeout(3600)  # in its full count
@pytest.mark.parametrize("role", Role)
def test_no_operation_leaves_its_description_whoever_asks(
    page: Site, role: Role, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # in its full count it asks more often in a minute than a visitor may
    monkeypatch.setattr(page.services.limits, "take", unlimited)
    schema = schemathesis.openapi.from_asgi(PATH, page.app)
    asker, turn, done = Asker(page, role, tmp_path), itertools.count(), set()
    for found in schema.get_all_operations():
        operation = found.ok()

        @seed(20)
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def ask(case: Case) -> None:
            if next(turn) % 2:
                asker.aim(case)
            answer = case.call_and_validate(checks=CHECKS, headers=asker.headers)
            if answer.status_code < 300:
                done.add(case.operation.label)

        ask()
    assert REACHED[role] <= done


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_a_method_that_is_not_there_is_a_problem_too(page: Site, method: str):
    answer = getattr(page.client, method)("/api/v1/batches")
    assert (answer.status_code, answer.headers["content-type"]) == (405, "application/problem+json")

"""Every operation of the interface, asked by schemathesis: no 5xx, nothing untold."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from personas import key_of, make_account
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sites import Site
from test_models import fill

from ladnn.service.accounts.api_keys import SCOPES
from ladnn.service.accounts.permissions import Role
from ladnn.service.decoding import DecodingPool

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = 100 if os.environ.get("LADNN_SOAK") else 8
PATH = "/api/v1/openapi.json"


@pytest.fixture
def decoder() -> Iterator[DecodingPool]:
    """A pool of this file's own: schemathesis ends the application, which closes its decoder."""
    pool = DecodingPool(b"a secret of this test's site", workers=1)
    yield pool
    pool.close()


def existing(site: Site, scan: bytes, folder: Path) -> dict[str, dict[str, str]]:
    """What is there, as parts of a path, by the part of the interface that knows it."""
    sent = site.client.post("/api/v1/predictions", files={"file": ("a.png", scan)}).json()
    batch = site.client.post("/api/v1/batches").json()
    fill(site, folder)
    return {
        "/api/v1/predictions": {"id": sent["id"], "name": "covid"},
        "/api/v1/batches": {"id": batch["id"]},
        "/api/v1/models": {"label": "tiny-1"},
    }


def aim(case: Case, known: dict[str, dict[str, str]]) -> None:
    """Let a case ask for something that is there."""
    for prefix, parts in known.items():
        if case.operation.path.startswith(prefix):
            asked = case.path_parameters or {}
            asked.update({name: part for name, part in parts.items() if name in asked})


@pytest.mark.timeout(3600)  # in its full count
def test_no_operation_leaves_its_description(page: Site, scan: bytes, tmp_path: Path):
    schema = schemathesis.openapi.from_asgi(PATH, page.app)
    known = existing(page, scan, tmp_path)
    key = key_of(page, make_account(page, Role.ADMINISTRATOR), *SCOPES)
    asked = []
    for found in schema.get_all_operations():
        operation = found.ok()
        asked.append(operation.label)

        @seed(20)
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(), aimed=st.booleans(), keyed=st.booleans())
        def ask(case: Case, aimed: bool, keyed: bool) -> None:
            if aimed and case.operation.method.upper() != "DELETE":
                aim(case, known)
            case.call_and_validate(checks=CHECKS, headers=key if keyed else None)

        ask()
    assert {"POST /api/v1/batches/{id}/items", "GET /api/v1/models/{label}"} <= set(asked)


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_a_method_that_is_not_there_is_a_problem_too(page: Site, method: str):
    answer = getattr(page.client, method)("/api/v1/batches")
    assert (answer.status_code, answer.headers["content-type"]) == (405, "application/problem+json")

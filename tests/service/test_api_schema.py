"""Every operation of the interface, asked by schemathesis: no 5xx, nothing untold."""

import os
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sites import Site

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


def existing(site: Site, scan: bytes) -> dict[str, str]:
    """Ids that are there, by the part of the interface that knows them."""
    sent = site.client.post("/api/v1/predictions", files={"file": ("a.png", scan)}).json()
    batch = site.client.post("/api/v1/batches").json()
    return {"/api/v1/predictions": sent["id"], "/api/v1/batches": batch["id"]}


def aim(case: Case, known: dict[str, str]) -> None:
    """Let a case ask for something that is there."""
    for prefix, identity in known.items():
        if case.operation.path.startswith(prefix) and "id" in (case.path_parameters or {}):
            case.path_parameters["id"] = identity


@pytest.mark.timeout(3600)  # in its full count
def test_no_operation_leaves_its_description(page: Site, scan: bytes):
    schema = schemathesis.openapi.from_asgi(PATH, page.app)
    known = existing(page, scan)
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
        @given(case=operation.as_strategy(), aimed=st.booleans())
        def ask(case: Case, aimed: bool) -> None:
            if aimed and case.operation.method.upper() != "DELETE":
                aim(case, known)
            case.call_and_validate(checks=CHECKS)

        ask()
    assert "POST /api/v1/batches/{id}/items" in asked


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_a_method_that_is_not_there_is_a_problem_too(page: Site, method: str):
    answer = getattr(page.client, method)("/api/v1/batches")
    assert (answer.status_code, answer.headers["content-type"]) == (405, "application/problem+json")

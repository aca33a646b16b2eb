"""Who may do what: every route of the application, every role, generated from both lists."""

import re
from itertools import pairwise

import pytest
from fastapi.routing import APIRoute
from personas import as_role, browser_of, key_of, make_account, token_on
from sites import Site
from starlette.testclient import TestClient

from ladnn.service.accounts.api_keys import SCOPES
from ladnn.service.accounts.permissions import PERMISSIONS, Permission, Role
from ladnn.service.accounts.principals import requires
from ladnn.service.app import ROUTERS

ROUTES = [route for router in ROUTERS for route in router.routes]
OPERATIONS = [
    (method, route)
    for route in ROUTES
    if isinstance(route, APIRoute)
    for method in sorted(route.methods)
]
PROVE_THEMSELVES = {
    "/sign-in",
    "/sign-in/code",
    "/sign-in/second-factor",
    "/sign-in/provider/back",
    "/metrics",
}
"""Open to everybody, and refusing whoever lacks a password, a code or the right address."""


def needs_of(route: APIRoute) -> list[Permission]:
    return [
        one.call.permission
        for one in route.dependant.dependencies
        if isinstance(one.call, requires)
    ]


def named(value: object) -> str:
    return value.path if isinstance(value, APIRoute) else str(value)


def send(browser: TestClient, method: str, route: APIRoute, **more: object):
    path = re.sub(r"\{[^}]*\}", "0", route.path)
    return browser.request(method, path, **more)


def test_every_route_asks_for_exactly_one_permission():
    assert [route for route in ROUTES if not isinstance(route, APIRoute)] == []
    wrong = {route.path: needs_of(route) for route in ROUTES if len(needs_of(route)) != 1}
    assert wrong == {}


def test_the_application_has_no_route_beside_those_of_its_routers(page: Site):
    known = {route.path for route in ROUTES} | {"/api/v1/openapi.json", "/static"}
    assert {route.path for route in page.app.routes if hasattr(route, "path")} - known == set()


def test_every_role_is_in_the_table_and_each_may_what_the_one_before_it_may():
    assert set(PERMISSIONS) == set(Role)
    ranks = [PERMISSIONS[role] for role in Role]
    assert all(low < high for low, high in pairwise(ranks))


@pytest.mark.parametrize("role", Role)
def test_each_role_is_let_in_or_turned_away_as_the_table_says(page: Site, role: Role):
    account = None if role is Role.VISITOR else make_account(page, role)
    wrong = {}
    for method, route in OPERATIONS:
        (permission,) = needs_of(route)
        browser = browser_of(page, account) if account else page.browser()
        token = {} if method == "GET" else {"data": {"csrf": token_on(browser)}}
        status = send(browser, method, route, **token).status_code
        if permission not in PERMISSIONS[role]:
            right = status == (401 if role is Role.VISITOR else 403)
        else:
            right = route.path in PROVE_THEMSELVES or status not in (401, 403)
        if not right or status >= 500:
            wrong[f"{method} {route.path}"] = status
    assert wrong == {}


def test_a_key_opens_what_its_scope_says_and_nothing_else(page: Site):
    account = make_account(page, Role.ADMINISTRATOR)
    for scope in (Permission.READ_PUBLIC, Permission.TEST, Permission.MANAGE_MODELS):
        header = key_of(page, account, scope)
        wrong = {}
        for method, route in OPERATIONS:
            if not route.path.startswith("/api/"):
                continue
            status = send(page.client, method, route, headers=header).status_code
            allowed = needs_of(route) in ([scope], [Permission.OPERATE])
            if (status == 403) is allowed:
                wrong[f"{method} {route.path}"] = status
        assert wrong == {}


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/api/v1/openapi.json"])
def test_what_every_program_may_ask_needs_no_scope(page: Site, path: str):
    header = key_of(page, make_account(page, Role.CLINICIAN), Permission.READ_CASE)
    assert page.client.get(path, headers=header).status_code == 200


@pytest.mark.parametrize("scope", sorted(set(Permission) - set(SCOPES)))
def test_no_key_is_made_for_accounts_keys_or_the_log(page: Site, scope: Permission):
    browser = as_role(page, Role.ADMINISTRATOR)
    fields = {"csrf": token_on(browser), "name": "k", "days": 7, "scope": scope}
    assert browser.post("/account/keys", data=fields).status_code == 422


def test_nobody_makes_a_key_that_may_more_than_they_may(page: Site):
    browser = as_role(page, Role.CLINICIAN)
    fields = {"csrf": token_on(browser), "name": "k", "days": 7, "scope": "review"}
    assert browser.post("/account/keys", data=fields).status_code == 422


@pytest.mark.parametrize("role", Role)
def test_nobody_gets_at_another_s_results_without_their_link(page: Site, scan: bytes, role: Role):
    owner = browser_of(page, make_account(page, Role.CLINICIAN, "owner@hospital.org"))
    files = {"file": ("scan.png", scan, "image/png")}
    token = {"x-csrf-token": token_on(owner)}
    case = owner.post("/api/v1/predictions", files=files, headers=token).json()["id"]
    other = as_role(page, role)
    token = {"x-csrf-token": token_on(other)}
    opened = {}
    for method, route in OPERATIONS:
        if not route.path.startswith("/api/v1/predictions/{"):
            continue
        path = re.sub(r"\{(?!name)[^}]*\}", case, route.path).replace("{name}", "covid")
        said = {"json": {"agreement": "agree"}} if method == "POST" else {}
        status = other.request(method, path, headers=token, **said).status_code
        if status not in (401, 403, 404):
            opened[f"{method} {route.path}"] = status
    assert opened == {}
    assert owner.get(f"/api/v1/predictions/{case}").status_code == 200


@pytest.mark.parametrize("role", Role)
def test_a_link_shows_a_result_and_does_not_let_others_change_it(
    page: Site, scan: bytes, role: Role
):
    owner = browser_of(page, make_account(page, Role.CLINICIAN, "owner@hospital.org"))
    files = {"file": ("scan.png", scan, "image/png")}
    link = owner.post("/", data={"csrf": token_on(owner)}, files=files).headers["location"]
    other = as_role(page, role)
    assert other.get(link).status_code == 200
    for change in ("retract", "delete"):
        answer = other.post(f"{link}/{change}", data={"csrf": token_on(other)})
        assert answer.status_code == 404
    assert owner.get(link).status_code == 200

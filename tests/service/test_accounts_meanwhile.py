"""What is on its way while an account changes: nothing read before lets in or undoes it."""

from collections.abc import Callable

import pytest
from personas import PASSWORD, make_account, post
from sites import Site
from sqlalchemy.orm import Session

from ladnn.service.accounts import passwords, people, sessions
from ladnn.service.accounts.permissions import Role
from ladnn.service.tables import Account

NEW = "another long word here"


def reset(session: Session, site: Site, account: Account) -> None:
    account.password_hash = passwords.hash_password(NEW)
    sessions.end_all(session, account.id)


CHANGES: dict[str, Callable[[Session, Site, Account], object]] = {
    "reset": reset,
    "promoted": lambda session, site, account: people.change_role(
        session, site.services.database, account, Role.ADMINISTRATOR
    ),
    "disabled": lambda session, site, account: people.change_status(
        session, site.services.database, account, False
    ),
    "deleted": lambda session, site, account: people.remove(
        session, site.services.database, account
    ),
}


def change_during(
    monkeypatch: pytest.MonkeyPatch, name: str, site: Site, account: Account, change: str
) -> None:
    """Let an administrator change the account once while `passwords.name` is at work."""
    slow, done = getattr(passwords, name), []

    def write(session: Session) -> None:
        found = session.get(Account, account.id)
        assert found is not None
        CHANGES[change](session, site, found)

    def meanwhile(*given: object) -> object:
        result = slow(*given)
        if not done:
            done.append(change)
            site.services.database.write(write)
        return result

    monkeypatch.setattr(passwords, name, meanwhile)


@pytest.mark.parametrize("change", CHANGES)
def test_who_signs_in_while_the_account_changes_is_not_in(
    site: Site, monkeypatch: pytest.MonkeyPatch, change: str
):
    account = make_account(site, Role.CLINICIAN, "a@hospital.org", PASSWORD)
    change_during(monkeypatch, "check_password", site, account, change)
    browser = site.browser()
    answer = post(browser, "/sign-in", email="a@hospital.org", password=PASSWORD)
    assert answer.status_code == 401
    assert browser.get("/account").status_code == 401


@pytest.mark.parametrize("change", CHANGES)
def test_a_hash_that_is_renewed_undoes_no_change(
    site: Site, monkeypatch: pytest.MonkeyPatch, change: str
):
    account = make_account(site, Role.CLINICIAN, "a@hospital.org", PASSWORD)
    monkeypatch.setattr(passwords, "is_outdated", lambda kept: True)
    change_during(monkeypatch, "hash_password", site, account, change)
    browser = site.browser()
    assert post(browser, "/sign-in", email="a@hospital.org", password=PASSWORD).status_code == 401

    def look(session: Session) -> tuple[object, ...]:
        found = session.get(Account, account.id)
        if found is None:
            return ("deleted",)
        return found.role, found.status, passwords.check_password(found.password_hash, NEW)

    assert (
        site.services.database.read(look)
        == {
            "reset": ("clinician", "active", True),
            "promoted": ("administrator", "active", False),
            "disabled": ("clinician", "disabled", False),
            "deleted": ("deleted",),
        }[change]
    )


def test_a_new_password_on_its_way_does_not_override_a_reset(
    site: Site, monkeypatch: pytest.MonkeyPatch
):
    account = make_account(site, Role.CLINICIAN, "a@hospital.org", PASSWORD)
    browser = site.browser()
    post(browser, "/sign-in", email="a@hospital.org", password=PASSWORD)
    change_during(monkeypatch, "check_password", site, account, "reset")
    said = {"old": PASSWORD, "password": "a third long word", "again": "a third long word"}
    assert post(browser, "/account/password", page="/account", **said).status_code == 401

    def is_new(session: Session) -> bool:
        found = session.get(Account, account.id)
        return found is not None and passwords.check_password(found.password_hash, NEW)

    assert site.services.database.read(is_new)

"""People for the tests of the site: accounts of every role, and browsers that they signed in."""

import re
from datetime import UTC, datetime

from playwright.sync_api import BrowserContext
from sites import Site
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from ladnn.service.accounts import api_keys, second_factor, sessions, totp
from ladnn.service.accounts.passwords import hash_password
from ladnn.service.accounts.permissions import Role
from ladnn.service.accounts.principals import lifetimes_of, session_cookie
from ladnn.service.tables import Account

PASSWORD = "teal lamp river"


def make_account(site: Site, role: Role, email: str = "", password: str | None = None) -> Account:
    """An active account; without a password, hashing it costs no time."""
    account = Account(
        email=email or f"{role}@hospital.org",
        name=f"{role} of the tests",
        role=role,
        status="active",
        password_hash=None if password is None else hash_password(password),
    )

    def write(session: Session) -> None:
        session.add(account)

    site.services.database.write(write)
    return account


def give_factor(site: Site, account: Account) -> str:
    """Set up the second factor of an account; the secret that its authenticator has."""
    when = datetime(2020, 1, 1, tzinfo=UTC)

    def write(session: Session) -> str:
        shared = second_factor.prepare(
            session, account, site.services.secret, holder="test", present=when
        )
        code = totp.code_at(shared, when)
        assert second_factor.confirm(session, account, code, site.services.secret, when)
        return shared

    return site.services.database.write(write)


def browser_of(site: Site, account: Account) -> TestClient:
    """A browser in which the account has signed in."""
    settings, present = site.services.settings, site.services.clock()
    token = site.services.database.write(
        lambda session: sessions.begin(
            session, account, "test browser", present, lifetimes_of(settings)
        )
    )
    browser = site.browser()
    browser.cookies.set(session_cookie(settings), token)
    return browser


def person(site: Site, who: str) -> TestClient:
    """The browser, always the same, in which somebody such as "curator:2" has signed in."""
    known: dict[str, TestClient] = vars(site.app).setdefault("signed_in", {})
    if who not in known:
        role, _, number = who.partition(":")
        account = make_account(site, Role(role), f"{role}{number}@hospital.org")
        known[who] = browser_of(site, account)
        known[who].headers["x-csrf-token"] = token_on(known[who], "/about")
    return known[who]


def carry_over(site: Site, browser: TestClient, context: BrowserContext, address: str) -> None:
    """Make a real browser at `address` be whoever signed in in `browser`."""
    name = session_cookie(site.services.settings)
    context.add_cookies([{"name": name, "value": browser.cookies[name], "url": address}])


def as_role(site: Site, role: Role) -> TestClient:
    """A browser of somebody with that role; of nobody in particular for a visitor."""
    if role is Role.VISITOR:
        return site.browser()
    return browser_of(site, make_account(site, role))


def key_of(site: Site, account: Account, *scopes: str) -> dict[str, str]:
    """The header of a new API key of the account."""
    present = site.services.clock()
    _, text = site.services.database.write(
        lambda session: api_keys.make(session, account, "test", scopes, 7, present)
    )
    return {"authorization": f"Bearer {text}"}


def token_on(browser: TestClient, path: str = "/sign-in") -> str:
    """The token in the forms of a page; pages that send the browser elsewhere are followed."""
    answer = browser.get(path, follow_redirects=True)
    found = re.search(r'name="csrf" value="([0-9a-f]{64})"', answer.text)
    assert found, f"{path} answers {answer.status_code} without a form"
    return found[1]


def post(browser: TestClient, path: str, page: str = "", **fields: object):
    """Fill in and send a form, as it stands on `page`."""
    return browser.post(path, data={"csrf": token_on(browser, page or "/sign-in"), **fields})

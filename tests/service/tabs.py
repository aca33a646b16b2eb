"""What people do in a real browser, for the tests that drive one with scripts and without."""

import re
from collections.abc import Sequence
from pathlib import Path

from personas import browser_of, carry_over, give_factor, make_account
from playwright.sync_api import FilePayload, Page, expect
from sites import Site
from starlette.testclient import TestClient

from ladnn.service.accounts.permissions import Role
from ladnn.service.tables import Account
from synthetic import dicom_bytes


def fill_in(tab: Page, **fields: str) -> None:
    for name, value in fields.items():
        tab.locator(f"main [name={name}]").first.fill(value)


def enter(tab: Page, site: Site, role: Role, password: str | None = None) -> Account:
    """Be somebody of that role."""
    account = make_account(site, role, f"{role}-{site.services.clock():%f}@hospital.org", password)
    if role in (Role.CURATOR, Role.ADMINISTRATOR):
        give_factor(site, account)
    become(tab, site, browser_of(site, account))
    return account


def become(tab: Page, site: Site, browser: TestClient) -> None:
    """Go on as whoever signed in in `browser`."""
    tab.goto("/healthz")
    tab.context.clear_cookies()
    carry_over(site, browser, tab.context, tab.url)


def payload(name: str, data: bytes) -> FilePayload:
    return {"name": name, "mimeType": "application/octet-stream", "buffer": data}


def send_image(tab: Page, name: str, data: bytes) -> None:
    """Test an image by the first page."""
    tab.goto("/")
    choose(tab, "#file", "Test", payload(name, data))
    tab.wait_for_url(re.compile("/results/"))


def send_study(tab: Page) -> None:
    """Test two slices of one series and wait for the page of the result."""
    tab.goto("/")
    slices = [payload(f"{n}.dcm", dicom_bytes(InstanceNumber=n)) for n in (3, 4)]
    choose(tab, "#file", "Test", *slices)
    tab.wait_for_url(re.compile("/results/"))


def send_batch(tab: Page, files: Sequence[tuple[str, bytes]]) -> None:
    """Begin a batch by its page, until all of it is with the site."""
    tab.goto("/batches")
    choose(tab, "#files", "Test them", *(payload(*file) for file in files))
    tab.wait_for_url(re.compile("/batches/."))
    sending = tab.locator("[data-sending]")
    if sending.is_visible():
        expect(sending).to_contain_text("with the site")


def newest(tab: Page) -> None:
    """Look at how far a batch is: a person comes back to its tab or, without scripts, asks."""
    link = tab.locator("noscript > a.button")
    if link.count():
        link.click()
    elif tab.locator(".scripted").count():
        tab.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")


def choose(tab: Page, field: str, send: str, *files: FilePayload) -> None:
    """Choose files; without scripts, a person sends them by a button."""
    tab.set_input_files(field, files)
    button = tab.get_by_role("button", name=send, exact=True)
    if button.is_visible():
        button.click()


def drop(tab: Page, *paths: Path) -> None:
    """Drag files and folders over the middle of the page and let go of them there."""
    size = tab.viewport_size
    assert size is not None
    data = {"items": [], "files": list(map(str, paths)), "dragOperationsMask": 1}
    place = {"x": size["width"] // 2, "y": size["height"] // 2, "data": data}
    session = tab.context.new_cdp_session(tab)
    for event in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": event, **place})
    session.detach()

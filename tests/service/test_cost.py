"""What one request, or one visitor, may cost the site and everybody else."""

import asyncio
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache

import httpx
import numpy as np
import pytest
from fastapi.params import File as FileParam
from fastapi.routing import APIRoute
from personas import key_of, make_account
from sites import MakeSite, Site, in_a_loop, served, sqlite_url
from test_collection import give
from test_site_batches import scans
from test_site_series import File, add, begin, drain, rows

from ladnn.service import batch_intake, batches, leases, predictions
from ladnn.service.accounts.permissions import Role
from ladnn.service.accounts.principals import Principal, admitted, requires
from ladnn.service.admission import EACH, Admission
from ladnn.service.app import ROUTERS
from ladnn.service.blobs import Blobs
from ladnn.service.context import drawing
from ladnn.service.drawings import Drawings
from ladnn.service.errors import Busy, TooMany
from ladnn.service.incoming import Incoming
from synthetic import dicom_bytes


@cache
def flat(number: int) -> File:
    """A slice that is sent as some KiB and kept as 0.3 MiB."""
    values = np.full((400, 400), -1000, np.int16)
    values[0, 0] = number
    uid = f"1.2.3.{number}"
    sent = dicom_bytes(values, syntax="jpeg-ls", InstanceNumber=number, SOPInstanceUID=uid)
    assert len(sent) < 10_000
    return f"{number}.dcm", sent


def study(site: Site, *numbers: int, key: dict[str, str] | None = None):
    files = [("file", flat(number)) for number in numbers]
    return site.browser().post("/api/v1/studies", files=files, headers=key)


def kept(site: Site) -> int:
    return len(site.services.blobs.names())


@pytest.fixture
def strict(request: pytest.FixtureRequest, make_site: MakeSite, tmp_path) -> Site:
    """A site on which a visitor may send 1 MiB a day."""
    return make_site(sqlite_url(request, tmp_path), visitor_mib_per_day=1)


def test_bytes_of_a_contribution_that_could_not_be_written_are_deleted(
    site: Site, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("ladnn.service.contributions.near", fail)
    assert give(site).status_code == 500
    assert kept(site) == 0


def test_a_study_that_unpacks_to_too_much_is_refused_and_none_of_it_is_kept(
    page: Site, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(predictions, "SERIES_BYTES", 1 << 20)
    refused = study(page, 1, 2, 3, 4)
    assert (refused.status_code, kept(page)) == (422, 0)
    assert refused.json()["detail"].startswith("The series holds more than 1 MiB")
    assert study(page, 1, 2, 3).status_code == 201


def test_what_a_visitor_s_study_unpacks_to_counts_for_the_day(strict: Site):
    assert study(strict, 1, 2).status_code == 201
    refused = study(strict, 3, 4)
    assert (refused.status_code, kept(strict)) == (429, 2)
    assert refused.json()["detail"].startswith("Too much was stored from this address today")


def test_what_an_account_s_study_unpacks_to_does_not(strict: Site):
    key = key_of(strict, make_account(strict, Role.CLINICIAN), "test")
    assert [study(strict, n, n + 1, key=key).status_code for n in (1, 3)] == [201, 201]


def test_what_a_visitor_s_batch_unpacks_to_counts_for_the_day(strict: Site):
    batch = begin(strict)
    assert add(strict, batch, flat(1), flat(2)).status_code == 202
    assert (add(strict, batch, flat(3), flat(4)).status_code, kept(strict)) == (429, 2)
    assert (add(strict, batch, flat(5)).status_code, kept(strict)) == (202, 3)
    assert (add(strict, begin(strict), flat(6)).status_code, kept(strict)) == (429, 3)


def test_a_request_to_a_batch_that_unpacks_to_too_much_is_taken_as_far_as_that_each_time(
    site: Site, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(batch_intake, "REQUEST_BYTES", 1 << 20)
    monkeypatch.setattr(batch_intake, "_TOGETHER", 1)
    batch, files = begin(site), [flat(number) for number in range(1, 6)]
    refused = add(site, batch, *files)
    assert (refused.status_code, kept(site)) == (422, 3)
    assert "unpacks to more than 1 MiB" in refused.json()["detail"]
    assert add(site, batch, *files).status_code == 202
    drain(site)
    assert rows(site, batch) == [("done", 5)]


def test_a_huge_batch_of_one_owner_holds_up_no_other_s(site: Site):
    services, taken = site.services, list[str]()
    for owner, count in (("visitor:a", 8), ("visitor:b", 2), ("visitor:c", 2)):
        principal = Principal(owner=owner)
        batch = batches.begin(services, principal)
        files = [Incoming(name=name, file=io.BytesIO(data)) for name, data in scans(count)]
        batch_intake.receive(services, principal, batch, files)
    for count in (3, 4, 9):
        held = services.database.write(lambda s, n=count: leases.claim(s, "x", services.clock(), n))
        taken += sorted(item.batch.owner[-1] for item in held)
    assert "".join(taken) == "abcaabcaaaaa"


THREADS = 40  # of a server


def test_a_server_all_of_whose_threads_are_at_work_says_that_it_lives(
    page: Site, monkeypatch: pytest.MonkeyPatch
):
    entered, over = threading.Semaphore(0), threading.Event()

    def check(_: Blobs) -> None:
        entered.release()
        assert over.wait(60)

    monkeypatch.setattr(Blobs, "check", check)
    with served(page.app) as address, ThreadPoolExecutor(THREADS) as pool:
        try:
            at_work = [
                pool.submit(httpx.get, f"{address}/readyz", timeout=60) for _ in range(THREADS)
            ]
            assert all(entered.acquire(timeout=60) for _ in range(THREADS))
            assert httpx.get(f"{address}/healthz", timeout=20).status_code == 200
        finally:
            over.set()
    assert {one.result().status_code for one in at_work} == {200}


def test_every_picture_is_drawn_in_a_turn():
    routes = [one for router in ROUTERS for one in router.routes if isinstance(one, APIRoute)]
    drawn = [one for one in routes if one.path.endswith((".png", ".pdf"))]
    assert len(drawn) == 8
    for route in drawn:
        asked = [one.call for one in route.dependant.dependencies]
        assert asked.index(drawing) == len(asked) - 1, route.path  # behind the permission


def test_who_gets_no_turn_at_drawing_is_told_and_gets_one_later(page: Site, scan: bytes):
    sent = page.client.post("/api/v1/predictions", files={"file": ("a.png", scan)}).json()
    sheet = f"/api/v1/predictions/{sent['id']}/overlay.png"
    full, free = Drawings(at_once=0, patience=0.01), Drawings(at_once=1, patience=0.01)
    page.app.state.services = replace(page.services, drawings=full)
    refused = page.client.get(sheet)
    assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
    assert refused.json()["detail"].startswith("Many pictures are being drawn")
    page.app.state.services = replace(page.services, drawings=free)
    assert [page.client.get(sheet).status_code for _ in range(3)] == [200] * 3


def test_every_route_that_takes_files_waits_for_its_turn_without_a_thread():
    routes = [one for router in ROUTERS for one in router.routes if isinstance(one, APIRoute)]
    taking = [
        one
        for one in routes
        if any(isinstance(field.field_info, FileParam) for field in one.dependant.body_params)
    ]
    assert len(taking) == 8
    for route in taking:
        asked = [one.call for one in route.dependant.dependencies]
        assert asked.index(admitted) > next(
            number for number, one in enumerate(asked) if isinstance(one, requires)
        ), route.path  # behind the permission


async def hold(admission: Admission, name: str, order: list[str], over: asyncio.Event) -> None:
    async with admission.turn(name):
        order.append(name)
        await over.wait()


def test_names_are_admitted_in_turn_however_many_wait_under_one():
    async def run() -> list[str]:
        admission, order, over = Admission(at_once=1, each=1), list[str](), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for name in "aaaab":
                group.create_task(hold(admission, name, order, over))
                await asyncio.sleep(0)
            over.set()
        async with admission.turn("c"):  # all of it was given back
            return order

    assert "".join(in_a_loop(run())) == "abaaa"


def test_one_name_leaves_turns_for_another():
    async def run() -> list[str]:
        admission, order, over = Admission(at_once=3, each=2), list[str](), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for name in "aaaab":
                group.create_task(hold(admission, name, order, over))
            await asyncio.sleep(0.01)
            began = list(order)
            over.set()
        return began

    assert "".join(in_a_loop(run())) == "aab"


def test_more_of_one_name_than_may_be_there_are_refused_and_of_another_are_not():
    async def run() -> None:
        admission = Admission(at_once=2, each=1, most=1)
        async with admission.turn("a"), admission.turn("b"):
            with pytest.raises(TooMany):
                await admission.turn("a").__aenter__()

    in_a_loop(run())


def test_who_waits_too_long_for_a_test_or_goes_away_leaves_the_turn_to_others():
    async def run() -> None:
        admission = Admission(at_once=1, each=1, patience=0.01)
        async with admission.turn("a"):
            gone = asyncio.create_task(admission.turn("a").__aenter__())
            await asyncio.sleep(0)
            gone.cancel()
            with pytest.raises(Busy):
                await admission.turn("b").__aenter__()
        async with admission.turn("b"):
            pass

    in_a_loop(run())


def test_who_sends_too_many_tests_at_once_is_told_when_to_come_again(page: Site, scan: bytes):
    def sent() -> httpx.Response:
        return page.client.post("/api/v1/predictions", files={"file": ("a.png", scan)})

    free, full = page.services, replace(page.services, admission=Admission(most=0))
    page.app.state.services = full
    refused = sent()
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
    assert refused.json()["detail"].startswith("Too many images are being tested at once")
    page.app.state.services = replace(free, admission=Admission(at_once=0, patience=0.01))
    assert (sent().status_code, sent().json()["detail"][:11]) == (503, "Many images")
    page.app.state.services = free
    assert sent().status_code == 201


def test_pages_answer_while_more_tests_wait_than_there_are_threads(
    page: Site, scan: bytes, monkeypatch: pytest.MonkeyPatch
):
    entered, over = threading.Semaphore(0), threading.Event()
    look = page.services.decoder.look

    def slow(*given, **more):
        entered.release()
        assert over.wait(60)
        return look(*given, **more)

    monkeypatch.setattr(page.services.decoder, "look", slow)
    with served(page.app) as address, ThreadPoolExecutor(THREADS + 10) as pool:
        try:
            for number in range(THREADS + 10):
                files = {"file": ("a.png", scan + bytes([number]))}
                pool.submit(httpx.post, f"{address}/api/v1/predictions", files=files, timeout=60)
            assert all(entered.acquire(timeout=60) for _ in range(EACH))
            for path in ("/readyz", "/about", "/sign-in") * 3:
                assert httpx.get(address + path, timeout=20).status_code == 200
        finally:
            over.set()

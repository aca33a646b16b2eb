"""S3 goes away under a running site and comes back: what is answered meanwhile, and afterwards."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer
from personas import person, post
from sites import MakeSite, Site, free_port, sqlite_url
from test_collection import CURATOR, publish
from test_models import fill, registry_of
from test_site_batches import add, begin, drain, packed, scans, states

from ladnn.errors import DataError, UnreachableError
from ladnn.service import datasets, draining, leases
from ladnn.service.blobs import Blobs, sweep
from ladnn.service.errors import StorageAway
from ladnn.service.tables import now

ADMINISTRATOR = "administrator"


@contextmanager
def served_s3(port: int) -> Iterator[None]:
    """An S3 server on that port; what it holds outlives it, in this process."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    try:
        yield
    finally:
        server.stop()


@contextmanager
def without_bucket(name: str) -> Iterator[None]:
    """Take a bucket from the S3 server of this process, and give it back with what it held."""
    [backend] = [one for region in s3_backends.values() for one in region.values()]
    bucket = backend.buckets.pop(name)
    try:
        yield
    finally:
        backend.buckets[name] = bucket


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "us-east-1")
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    return free_port()


@pytest.fixture
def stored(request: pytest.FixtureRequest, port: int, tmp_path: Path, make_site: MakeSite) -> Site:
    """A site whose storage is in S3, which has to be served."""
    endpoint = f"http://127.0.0.1:{port}"
    import s3fs

    with served_s3(port):
        s3fs.S3FileSystem(client_kwargs={"endpoint_url": endpoint}, skip_instance_cache=True).mkdir(
            f"bucket-{port}"
        )
    url = sqlite_url(request, tmp_path)
    return make_site(url, storage=f"s3://bucket-{port}/x", s3_endpoint=endpoint)


def test_versions_are_away_with_their_storage_and_no_change_is_refused_for_that(
    stored: Site, port: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    promote, sent = "/models/tiny-2/promote", {"why": "better", "champion": "tiny-1"}
    boss = person(stored, ADMINISTRATOR)
    with served_s3(port):
        fill(stored, tmp_path)
    for path in ("/models", "/models/tiny-1", "/api/v1/models"):
        assert stored.client.get(path).status_code == 503
    assert post(boss, promote, "/about", **sent).status_code == 503
    assert "UnreachableError from EndpointConnectionError" in capfd.readouterr().out
    with pytest.raises(UnreachableError):
        registry_of(stored).open("tiny-2")
    with served_s3(port):
        assert stored.client.get("/models").status_code == 200
        assert post(boss, promote, "/about", **sent).status_code == 303


def test_an_archive_of_results_has_all_overlays_or_is_not_given(stored: Site, port: int):
    with served_s3(port):
        batch = begin(stored)
        add(stored, batch, ("a.zip", packed(scans(2))))
        drain(stored)
        whole = stored.client.get(f"{batch}/results.zip").content
    assert whole.count(b"overlays/00002.jpg") == 2  # in its place and in the list at the end
    assert stored.client.get(f"{batch}/results.zip").status_code == 503
    with served_s3(port):
        again = stored.client.get(f"{batch}/results.zip").content
    assert again.count(b"overlays/") == whole.count(b"overlays/")


def test_what_waits_in_a_batch_is_answered_when_the_storage_is_back(stored: Site, port: int):
    with served_s3(port):
        batch = begin(stored)
        add(stored, batch, ("a.zip", packed(scans(2))))
    assert add(stored, batch, ("b.zip", packed(scans(3)[2:]))).status_code == 503
    with served_s3(port):
        drain(stored)
    assert states(stored, batch) | {"total": 2, "done": 2} == states(stored, batch)


def test_a_folder_that_is_gone_is_away_and_not_made_anew(
    page: Site, scan: bytes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(draining, "PAUSE", 0)
    folder = Path(page.services.settings.storage)
    batch = begin(page)
    add(page, batch, ("a.zip", packed(scans(2))))
    away = folder.rename(folder.with_name("elsewhere"))
    assert page.client.get("/readyz").status_code == 503
    answer = page.client.post("/api/v1/predictions", files={"file": ("a.png", scan)})
    assert answer.status_code == 503
    drainer = draining.Drainer(page.services)
    for _ in range(leases.TRIES + 1):  # more looks than an item has tries
        assert drainer.step() == 2
    assert states(page, batch)["waiting"] == 2
    assert not folder.exists()
    away.rename(folder)
    drain(page)
    assert states(page, batch)["done"] == 2


def test_a_bucket_that_is_gone_is_away_and_what_waits_goes_on_waiting(
    stored: Site, port: int, scan: bytes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(draining, "PAUSE", 0)
    drainer = draining.Drainer(stored.services)
    with served_s3(port):
        batch = begin(stored)
        add(stored, batch, ("a.zip", packed(scans(2))))
        with without_bucket(f"bucket-{port}"):
            assert stored.client.get("/readyz").status_code == 503
            answer = stored.client.post("/api/v1/predictions", files={"file": ("a.png", scan)})
            assert answer.status_code == 503
            for _ in range(leases.TRIES + 1):  # more looks than an item has tries
                assert drainer.step() == 2
            assert states(stored, batch)["waiting"] == 2
            with pytest.raises(StorageAway):
                sweep(stored.services.database, stored.services.blobs, now())
        assert stored.client.get("/readyz").status_code == 200
        drain(stored)
    assert states(stored, batch)["done"] == 2


def test_of_a_bucket_that_is_there_one_lost_image_is_not_found(
    stored: Site, port: int, scan: bytes
):
    blobs = stored.services.blobs
    with served_s3(port):
        sent = stored.client.post("/api/v1/predictions", files={"file": ("a.png", scan)}).json()
        overlay = f"{sent['links']['self']}/overlay.png"
        assert stored.client.get(overlay).status_code == 200
        for digest in blobs.names():
            blobs.remove(digest)
        assert stored.client.get(overlay).status_code == 404
        assert stored.client.get("/readyz").status_code == 200


def test_a_storage_that_says_nothing_holds_no_request_for_minutes(
    stored: Site, port: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(
        "ladnn.storage._SILENCE", 1
    )  # of 15 seconds, which holds for the same calls
    silent = Blobs(stored.services.settings.storage, f"http://127.0.0.1:{port}")
    with socket.create_server(("127.0.0.1", port)):
        start = time.monotonic()
        with pytest.raises(StorageAway):
            silent.put(b"pixels")
        assert time.monotonic() - start < 8  # two attempts, and what is around them


def test_an_export_of_the_collection_is_a_whole_folder_or_none(
    stored: Site, port: int, tmp_path: Path
):
    folder = tmp_path / "out" / "contributed"
    with served_s3(port):
        publish(stored)
    version = stored.services.database.read(lambda s: datasets.read_version(s, None))
    assert person(stored, CURATOR).get("/api/v1/datasets/1.zip").status_code == 503
    with pytest.raises(StorageAway):
        datasets.write_folder(stored.services.blobs, version, folder)
    assert list(folder.parent.iterdir()) == []
    with served_s3(port):
        datasets.write_folder(stored.services.blobs, version, folder)
    assert len(list(folder.glob("images/*"))) == 3


def test_an_image_of_a_version_that_is_lost_is_told_as_that(
    stored: Site, port: int, tmp_path: Path
):
    with served_s3(port):
        publish(stored)
        version = stored.services.database.read(lambda s: datasets.read_version(s, None))
        stored.services.blobs.remove(version.items[0].blob)
        with pytest.raises(DataError, match="an image of version 1 is not in the storage"):
            datasets.write_folder(stored.services.blobs, version, tmp_path / "contributed")

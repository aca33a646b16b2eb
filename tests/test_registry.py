"""The registry: transitions, who and why, integrity, two people at the same time, folder and S3."""

import contextlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISDIR

import pytest
from typer.testing import CliRunner

from bundles import tiny_bundle
from ladnn.bundle import MODEL_FILE
from ladnn.commands.model import app
from ladnn.errors import BundleError, ConfigError, OvertakenError, RegistryError
from ladnn.ledger import EVENTS, FileLedger, Status
from ladnn.registry import Registry
from ladnn.storage import Store, Taken

WHO = {"by": "ada", "why": "a test"}


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def store(request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    if request.param == "folder":
        return Store(str(tmp_path / "registry"))
    import boto3

    for name, value in (("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b")):
        monkeypatch.setenv(f"AWS_{name}", value)
    endpoint = request.getfixturevalue("s3")
    bucket = f"bucket-{abs(hash(tmp_path))}"
    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket=bucket)
    return Store(f"s3://{bucket}/registry", endpoint)


def bundle(folder: Path, version: str, bias: float = 0.0) -> Path:
    return tiny_bundle(folder / version, bias=bias, version=version)


@pytest.fixture
def registry(store: Store, tmp_path: Path) -> Registry:
    made = Registry(store)
    for version in ("1", "2", "3"):
        made.add(bundle(tmp_path, version, float(version)), {"note.txt": b"n"}, **WHO)
    return made


def statuses(registry: Registry) -> dict[str, str]:
    return {label: version.status.value for label, version in registry.versions().items()}


def test_a_version_that_is_added_is_a_candidate(registry: Registry):
    assert set(statuses(registry).values()) == {Status.CANDIDATE}
    assert registry.champion() is None


def test_promotion_makes_one_champion_and_retires_the_one_before(registry: Registry):
    registry.promote("tiny-1", **WHO)
    registry.promote("tiny-2", **WHO)
    expected = {"tiny-1": "retired", "tiny-2": "champion", "tiny-3": "candidate"}
    assert statuses(registry) == expected


def test_rollbacks_go_back_one_champion_each(registry: Registry):
    for label in ("tiny-1", "tiny-2", "tiny-3"):
        registry.promote(label, **WHO)
    assert registry.rollback(**WHO) == "tiny-2"
    assert registry.rollback(**WHO) == "tiny-1"
    assert registry.champion() == "tiny-1"
    assert registry.rollback(**WHO) == ""
    assert registry.champion() is None
    with pytest.raises(RegistryError, match="no champion to go back from"):
        registry.rollback(**WHO)


def test_the_command_that_goes_back_to_no_version_speaks_of_no_site_where_there_is_none(
    tmp_path: Path,
):
    place = str(tmp_path / "models")
    Registry(Store(place)).add(bundle(tmp_path, "1"), {}, **WHO)
    Registry(Store(place)).promote("tiny-1", **WHO)
    done = CliRunner().invoke(app, ["rollback", "--why", "a test", "--registry", place])
    assert done.stdout == "no version is the champion again\n"


def test_every_transition_says_who_when_and_why(registry: Registry):
    registry.promote("tiny-1", by="grace", why="better on the new hospital")
    event = registry.versions()["tiny-1"].events[-1]
    assert (event.by, event.why) == ("grace", "better on the new hospital")
    assert event.at.utcoffset() is not None


def test_a_change_without_a_reason_is_refused(registry: Registry):
    with pytest.raises(RegistryError, match="reason"):
        registry.promote("tiny-1", by="ada", why=" ")


def test_a_bundle_comes_back_as_it_was_added(registry: Registry, tmp_path: Path):
    model = (tmp_path / "2" / "bundle" / MODEL_FILE).read_bytes()
    assert registry.open("tiny-2").model == model
    assert registry.read("tiny-2", "note.txt") == b"n"


@pytest.mark.parametrize("name", [MODEL_FILE, "card.json", "note.txt"])
def test_an_altered_file_is_refused(registry: Registry, store: Store, name: str):
    folder = registry.versions()["tiny-1"].added.folder
    store.write(f"{folder}/{name}", store.read(f"{folder}/{name}") + b" ")
    with pytest.raises(RegistryError, match="is not the file that was added"):
        registry.read("tiny-1", name)


def test_a_version_that_is_judged_later_stays_what_it_was_and_is_judged_once(
    registry: Registry, store: Store
):
    registry.promote("tiny-1", **WHO)
    registry.promote("tiny-2", **WHO)
    for label in ("tiny-1", "tiny-3"):
        registry.judge(label, {"trial.json": b"{}"}, by="grace", why="to be compared")
        assert registry.read(label, "trial.json") == b"{}"
        assert registry.open(label).card.version == label[-1]
    assert list(statuses(registry).values()) == ["retired", "champion", "candidate"]
    judged = registry.versions()["tiny-3"].events[-1]
    assert (judged.kind, judged.by, judged.why) == ("judge", "grace", "to be compared")
    with pytest.raises(RegistryError, match=r"tiny-3 has its trial\.json already"):
        registry.judge("tiny-3", {"trial.json": b"other"}, **WHO)
    with pytest.raises(RegistryError, match="there is no version 'tiny-9'"):
        registry.judge("tiny-9", {"trial.json": b"{}"}, **WHO)
    store.write(f"{judged.folder}/trial.json", b"other")
    with pytest.raises(RegistryError, match="is not the file that was added"):
        registry.read("tiny-3", "trial.json")


def test_what_forbids_a_change_is_asked_beside_the_events_of_the_moment(
    registry: Registry, tmp_path: Path
):
    def forbid() -> None:
        raise ConfigError("another test is locked by now")

    events = len(registry.ledger.events())
    with pytest.raises(ConfigError):
        registry.add(bundle(tmp_path, "4"), {}, **WHO, check=forbid)
    with pytest.raises(ConfigError):
        registry.judge("tiny-1", {"trial.json": b"{}"}, **WHO, check=forbid)
    assert len(registry.ledger.events()) == events


def test_a_version_that_cannot_be_opened_does_not_become_champion(registry: Registry, store: Store):
    registry.promote("tiny-1", by="ada", why="a test")
    registry.promote("tiny-2", by="ada", why="a test")
    for label in ("tiny-1", "tiny-3"):
        store.write(f"{registry.versions()[label].added.folder}/{MODEL_FILE}", b"other")
    with pytest.raises(RegistryError, match="is not the file that was added"):
        registry.promote("tiny-3", by="ada", why="a test")
    with pytest.raises(RegistryError, match="is not the file that was added"):
        registry.rollback(by="ada", why="a test")
    assert registry.champion() == "tiny-2"


def test_a_version_that_cannot_be_run_does_not_become_champion(registry: Registry, tmp_path: Path):
    strange = tiny_bundle(tmp_path / "strange", version="4", preprocessing="of a later program")
    registry.add(strange, {}, **WHO)
    with pytest.raises(BundleError, match="is not known"):
        registry.promote("tiny-4", by="ada", why="a test")
    assert registry.champion() is None


def test_a_file_that_a_version_lacks_is_named_beside_those_it_has(registry: Registry):
    with pytest.raises(RegistryError, match=r"tiny-1 has no evaluation\.json: it has card\.json"):
        registry.read("tiny-1", "evaluation.json")


def test_a_version_cannot_be_added_twice(registry: Registry, tmp_path: Path):
    with pytest.raises(RegistryError, match="tiny-1 is there already"):
        registry.add(bundle(tmp_path / "again", "1", 9.0), {}, **WHO)


def test_a_version_that_was_rolled_back_says_when_and_why(registry: Registry):
    registry.promote("tiny-1", **WHO)
    registry.promote("tiny-2", **WHO)
    registry.rollback(by="eve", why="misses basal opacities")
    first, second = (registry.versions()[name] for name in ("tiny-1", "tiny-2"))
    assert [event.kind for event in first.events] == ["promote", "rollback"]
    assert [event.kind for event in second.events] == ["promote", "retire"]
    assert second.events[-1].why == "misses basal opacities"
    registry.rollback(by="eve", why="neither")
    assert registry.versions()["tiny-1"].events[-1].why == "neither"


def test_what_is_refused_leaves_no_file(tmp_path: Path):
    made = Registry(Store(str(tmp_path / "registry")))
    with pytest.raises(RegistryError, match="needs a reason"):
        made.add(bundle(tmp_path, "1"), {}, by="ada", why=" ")
    assert not (tmp_path / "registry").exists()


def test_a_store_without_a_name_is_none():
    with pytest.raises(ConfigError, match="no store of versions is named"):
        Store("")


def test_an_unknown_version_is_named_beside_those_that_are_there(registry: Registry):
    with pytest.raises(RegistryError, match=r"tiny-9.*tiny-1, tiny-2, tiny-3"):
        registry.promote("tiny-9", **WHO)


def test_a_promotion_fails_when_the_champion_changed_meanwhile(registry: Registry):
    registry.promote("tiny-1", **WHO)
    registry.promote("tiny-2", **WHO)
    with pytest.raises(RegistryError, match="tiny-2 by now and no longer tiny-1"):
        registry.promote("tiny-3", instead_of="tiny-1", **WHO)


def test_a_rollback_of_another_champion_than_was_looked_at_is_none(registry: Registry):
    registry.promote("tiny-1", **WHO)
    registry.promote("tiny-2", **WHO)
    assert registry.rollback(instead_of="tiny-2", **WHO) == "tiny-1"
    with pytest.raises(OvertakenError, match="tiny-1 by now and no longer tiny-2") as told:
        registry.rollback(instead_of="tiny-2", **WHO)
    assert (told.value.champion, registry.line()) == ("tiny-1", ["tiny-1"])


def test_an_event_cannot_be_written_over(registry: Registry, store: Store):
    with pytest.raises(Taken):
        store.create(f"{EVENTS}/000001.json", b"other")
    assert FileLedger(store).events()[0].label == "tiny-1"


@pytest.mark.parametrize("write", ["write", "create"])
def test_a_file_and_its_name_are_on_the_disk_once_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: str
):
    brought: list[bool] = []
    monkeypatch.setattr(
        os, "fsync", lambda handle: brought.append(S_ISDIR(os.fstat(handle).st_mode))
    )
    getattr(Store(str(tmp_path)), write)("events/1.json", b"{}")
    assert brought == [False, True]


def test_of_many_promotions_at_once_each_is_one_event_and_none_is_lost(registry: Registry):
    labels = ["tiny-1", "tiny-2", "tiny-3"] * 4
    threads = [threading.Thread(target=try_to_promote, args=(registry, label)) for label in labels]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = registry.ledger.events()
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert list(statuses(registry).values()).count("champion") == 1


def try_to_promote(registry: Registry, label: str) -> None:
    with contextlib.suppress(RegistryError):  # it may be the champion already
        registry.promote(label, **WHO)


def test_a_missing_event_is_noticed(tmp_path: Path):
    registry = Registry(Store(str(tmp_path / "registry")))
    for version in ("1", "2"):
        registry.add(bundle(tmp_path, version), {}, **WHO)
    (tmp_path / "registry" / EVENTS / "000001.json").unlink()
    with pytest.raises(RegistryError, match="event 1 of the registry is missing"):
        registry.champion()


def test_a_damaged_event_is_noticed(tmp_path: Path):
    registry = Registry(Store(str(tmp_path / "registry")))
    registry.add(bundle(tmp_path, "1"), {}, **WHO)
    (tmp_path / "registry" / EVENTS / "000001.json").write_text(json.dumps({"number": 1}))
    with pytest.raises(RegistryError, match=r"000001\.json of the registry is damaged"):
        registry.champion()


def test_a_store_of_another_kind_is_refused():
    with pytest.raises(ConfigError, match="ftp://there is no store"):
        Store("ftp://there")


@pytest.mark.parametrize("version", ["../1", "1/2", "a b", "é"])
def test_a_version_that_cannot_name_a_folder_is_refused(tmp_path: Path, version: str):
    folder = tiny_bundle(tmp_path, version=version)
    registry = Registry(Store(str(tmp_path / "registry")))
    with pytest.raises(RegistryError, match="cannot name a version"):
        registry.add(folder, {}, **WHO)

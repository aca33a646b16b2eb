"""A site with something on every page, and the list of its pages: for axe-core and for the eye."""

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from personas import PASSWORD, browser_of, give_factor, make_account, token_on
from PIL import Image
from sites import Site
from starlette.testclient import TestClient
from test_models import case, evidence, registry_of

from bundles import shut_guard, tiny_bundle
from ladnn.phantom import thorax
from ladnn.runtime import Predictor, load_bundle
from ladnn.service.accounts import people
from ladnn.service.accounts.permissions import Role
from ladnn.service.draining import Drainer
from ladnn.service.tables import Feedback
from synthetic import dicom_bytes, encode, hounsfield

REPORT = (
    "CT chest without contrast. Bilateral, peripheral ground-glass opacities, in the right lower "
    "lobe with consolidation and air bronchograms. No crazy-paving pattern. No pleural effusion."
)
FIELDS = {"covid": "1", "licence": "CC-BY-4.0", "consent": "1"}


@dataclass(frozen=True, kw_only=True)
class Album:
    """What is sent: pictures of the chest, the slices of one series, and a picture of none."""

    scans: Sequence[bytes]
    slices: Sequence[bytes]
    other: bytes


@dataclass(frozen=True, kw_only=True)
class Showcase:
    """A furnished site.

    Attributes:
        browsers: by the name of who has signed in; "" is a visitor.
        links: the paths of things, by name.
    """

    site: Site
    browsers: dict[str, TestClient] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)


def drawn() -> Album:
    """Phantoms."""
    noise = np.random.default_rng(0).integers(0, 255, (96, 120, 3), np.uint8)
    return Album(
        scans=[encode(thorax(seed, size=(120, 150)), "PNG") for seed in range(12)],
        slices=[
            dicom_bytes(hounsfield(seed, size=(120, 150)), InstanceNumber=seed + 41)
            for seed in range(4)
        ],
        other=encode(noise, "PNG"),
    )


def real(folder: Path) -> Album:
    """Chest CTs of public collections, sent as pictures and as if they were DICOM files."""
    positive = sorted((folder / "covid-ct" / "CT_COVID").iterdir())[40:250:30]
    negative = sorted((folder / "covid-ct" / "CT_NonCOVID").iterdir())[30:200:30]
    files = [one for pair in zip(positive, negative, strict=False) for one in pair]
    grey = [np.asarray(Image.open(one).convert("L"), np.float32) for one in files]
    return Album(
        scans=[one.read_bytes() for one in files],
        slices=[
            dicom_bytes((plane / 255 * 1500 - 1350).astype(np.int16), InstanceNumber=number)
            for number, plane in enumerate(grey[:5], 41)
        ],
        other=drawn().other,
    )


def furnish(site: Site, folder: Path, album: Album, refusing: list[Predictor]) -> Showcase:
    """Fill a site by its own pages and interface.

    Args:
        site: an empty one.
        folder: for the bundles of versions.
        album: what is sent.
        refusing: taken out as long as an image is to be one that cannot be judged.
    """
    shown = Showcase(site=site)
    _people(shown)
    _results(shown, album, refusing)
    _batches(shown, album)
    _contributions(shown, album)
    _versions(shown, folder)
    return shown


def refuser(folder: Path) -> Predictor:
    """A predictor for which no image is one that it can judge."""
    return Predictor(load_bundle(tiny_bundle(folder, guard=shut_guard())), threads=1)


def _people(shown: Showcase) -> None:
    site, browsers = shown.site, shown.browsers
    browsers[""] = site.browser()
    for name, role in (
        ("newcomer", Role.CLINICIAN),
        ("clinician", Role.CLINICIAN),
        ("giver", Role.CURATOR),
        ("curator", Role.CURATOR),
        ("administrator", Role.ADMINISTRATOR),
    ):
        # Real hashing once each for the few who sign in by the form.
        password = PASSWORD if name in ("newcomer", "giver", "curator") else None
        account = make_account(site, role, f"{name}@hospital.org", password)
        if name in ("curator", "administrator"):
            give_factor(site, account)
        browsers[name] = browser_of(site, account)
    invited = site.services.database.write(
        lambda session: people.invite(
            session, "lee@hospital.org", Role.CLINICIAN, site.services.clock()
        )[1]
    )
    shown.links["setup"] = f"/setup/{invited}"


def _send(browser: TestClient, path: str, **more: object) -> dict:  # type: ignore[type-arg]
    answer = browser.post(
        f"/api/v1{path}", headers={"x-csrf-token": token_on(browser, "/")}, **more
    )
    assert answer.status_code in (200, 201, 202), answer.text
    return dict(answer.json())


def _test(browser: TestClient, *files: tuple[str, bytes]) -> str:
    """Test what is given by the page; the path of its result."""
    answer = browser.post(
        "/", data={"csrf": token_on(browser, "/")}, files=[("file", file) for file in files]
    )
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def _results(shown: Showcase, album: Album, refusing: list[Predictor]) -> None:
    browser, links = shown.browsers["clinician"], shown.links
    for number, scan in enumerate(album.scans[:4]):
        links["result"] = _test(browser, (f"{number}.png", scan))
    slices = [(f"{number}.dcm", data) for number, data in enumerate(album.slices)]
    links["dicom"] = _test(browser, slices[0])
    links["study"] = _test(browser, *slices)
    usual = refusing.pop()
    links["refused"] = _test(browser, ("other.png", album.other))
    refusing.append(usual)


def _batches(shown: Showcase, album: Album) -> None:
    browser, links = shown.browsers["clinician"], shown.links
    done = _send(browser, "/batches")["id"]
    files = [(f"ward-3-{n:02}.png", scan) for n, scan in enumerate(album.scans)]
    files += [("notes.txt", b"no image"), ("cut-short.png", album.scans[0][:400])]
    for file in files:
        _send(browser, f"/batches/{done}/items", files=[("file", file)])
    drainer = Drainer(shown.site.services)
    while drainer.step():
        pass
    pack = io.BytesIO()
    with zipfile.ZipFile(pack, "w") as archive:
        for name, data in files[:6]:
            archive.writestr(f"afternoon/{name}", data)
    running = _send(browser, "/batches")["id"]
    _send(browser, f"/batches/{running}/items", files=[("file", files[1])])
    _send(browser, f"/batches/{running}/items", files=[("file", ("pm.zip", pack.getvalue()))])
    links["batch"], links["running"] = f"/batches/{done}", f"/batches/{running}"


def _give(browser: TestClient, scan: bytes, patient: str) -> str:
    fields = FIELDS | {"patient": patient, "source": "Ward 3", "report": REPORT}
    fields |= {"present": ["GGO", "Csld"], "absent": ["CrPa"]}
    made = _send(browser, "/contributions", data=fields, files={"file": ("a.png", scan)})
    return str(made["id"])


def _contributions(shown: Showcase, album: Album) -> None:
    given = shown.browsers["clinician"]
    first = [_give(given, scan, f"P-0{n}") for n, scan in enumerate(album.scans[:4])]
    waiting = [_give(shown.browsers["giver"], one, "P-10") for one in album.scans[4:6]]
    grey = Image.open(io.BytesIO(album.scans[2])).convert("L")
    near = _give(shown.browsers["clinician"], encode(grey.point(lambda v: v * 0.9), "PNG"), "P-11")
    for case_id, reader, verdict in (
        (first[0], "curator", "accept"),
        (first[1], "curator", "accept"),
        (first[2], "giver", "reject"),
        (first[3], "curator", "reject"),
        (first[3], "giver", "reject"),
        (near, "giver", "correct"),
    ):
        said = {"verdict": verdict, "reason": "The image is of too low a resolution."}
        if verdict == "correct":
            lesions = {"GGO": True, "CrPa": False, "AirBr": True}
            said |= {"covid": True, "lesions": lesions, "reason": "Air bronchograms, lower left."}
        _send(shown.browsers[reader], f"/reviews/{case_id}", json=said)
    _send(shown.browsers["curator"], "/datasets")
    shown.links.update(
        accepted=f"/contributions/{first[0]}",
        near=f"/contributions/{near}",
        waiting=f"/review/{waiting[0]}",
        disputed=f"/review/{first[2]}",
        corrected=f"/review/{near}",
        settled=f"/review/{first[3]}",
    )


def _versions(shown: Showcase, folder: Path) -> None:
    registry = registry_of(shown.site)
    rng = np.random.default_rng(0)
    for number in (1, 2, 3):
        judged = [(n % 2, float(rng.beta(2 + number * (n % 2), 3))) for n in range(160)]
        bundle = tiny_bundle(folder / str(number), bias=float(number), version=str(number))
        files = {"evaluation.json": evidence(0, judged)} if number > 1 else {}
        registry.add(bundle, files, by="ada", why="trained on what was contributed until May")
    for label in ("tiny-2", "tiny-3"):
        registry.promote(label, by="ada", why="not inferior on the locked test")
    shown.site.services.database.write(lambda session: session.add_all(_weeks(rng)))


def _weeks(rng: np.random.Generator) -> list[object]:
    """Results of a version over seven weeks, the last of which is unlike the others."""
    monday = datetime(2026, 1, 5, 12, tzinfo=UTC)
    rows = []
    for day in range(49):
        for _ in range(5):
            value = float(rng.beta(5, 2) if day > 41 else rng.beta(2, 3))
            decision = "positive" if value > 0.5 else "negative"
            said = Feedback(author="account:x", agreement="agree", pcr=decision)
            rows.append(case(monday + timedelta(days=day), value, decision, said))
            rows[-1].model_version = "2"
    return rows

"""What a DICOM file says of a patient is nowhere in what is kept; its pixels are."""

import io
import logging
import zipfile
from datetime import datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hostile import zipped
from personas import person
from PIL import Image, ImageDraw, ImageFont
from pydicom.config import IGNORE
from pydicom.datadict import DicomDictionary, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from sites import Site
from starlette.testclient import TestClient
from test_collection import CLINICIAN, CURATOR, give, judge
from test_site_batches import add, begin, drain, states

from ladnn.errors import ImageError
from ladnn.imaging import decode
from ladnn.phantom import hounsfield, thorax
from ladnn.service.burned_in import has_letters
from ladnn.service.decoding import DecodingPool
from ladnn.service.deidentify import KEPT, Key, deidentify, profile
from ladnn.service.tables import Base
from synthetic import SYNTAXES, dicom_bytes, dicom_dataset, written

KEY = Key(secret=b"a secret of the tests")
HU = hounsfield(4, size=(64, 80)).clip(-1024, 3071)
UNWRITABLE = ("DS", "IS", "AS", "DA", "DT", "TM")  # pydicom writes no letters in these
TEXTS = ("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC")
OTHERS = ("UI", "UR", "UT", "OB", "OW", "UN")


def canary(number: int) -> str:
    return f"CANARY{number:03}"


def marked() -> tuple[bytes, list[str]]:
    """A CT with 200 canaries, and the canaries."""
    dataset = dicom_dataset(HU, stored=12)
    kinds: dict[str, str] = {}
    placed = _in_elements(dataset, 130, kinds)
    placed += _in_private(dataset, 130)
    placed += _nested(dataset, 160)
    placed += _in_overlays(dataset, 180)
    dataset.file_meta.SourceApplicationEntityTitle = canary(190)
    dataset.file_meta.PrivateInformationCreatorUID = "1.2.3"
    dataset.file_meta.PrivateInformation = canary(191).encode() + b" "
    data = bytearray(written(dataset))
    for text, kind in kinds.items():
        if kind in UNWRITABLE:
            place = data.index(text.encode())
            assert data[place - 4 : place - 2] == b"LO"
            data[place - 4 : place - 2] = kind.encode()
    data[:9] = canary(192).encode()
    data[64:73] = canary(193).encode()
    data += _trailing(194)
    return bytes(data), [canary(number) for number in range(200)]


def _in_elements(dataset: Dataset, count: int, kinds: dict[str, str]) -> list[str]:
    """Elements of every kind, those of the profile first, each with a canary of its own."""
    keep_out = {tag_for_keyword(name) for name in dir(dataset)}
    wanted = [tag for tag in sorted(profile()) if tag in DicomDictionary]
    wanted += [tag for tag in sorted(DicomDictionary) if tag >> 16 in (8, 16, 24, 32, 64)]
    placed: list[str] = []
    seen: dict[str, int] = {}
    for tag in dict.fromkeys(wanted):
        kind = DicomDictionary[tag][0]
        if len(placed) == count or tag in keep_out or kind not in (*TEXTS, *OTHERS):
            continue
        if tag >> 16 in (0, 2, 4) or seen.get(kind, 0) >= 12:
            continue
        text = canary(len(placed))
        seen[kind] = seen.get(kind, 0) + 1
        value = text.encode() + b" " if kind in ("OB", "OW", "UN") else text
        written_as = "LO" if kind in UNWRITABLE else kind
        dataset.add(DataElement(Tag(tag), written_as, value, validation_mode=IGNORE))
        kinds[text] = kind
        placed.append(text)
    assert len(placed) == count
    assert set(seen) >= {*TEXTS, "UI", "UT"}
    return placed


def _in_private(dataset: Dataset, start: int) -> list[str]:
    for group in range(3):
        block = dataset.private_block(0x0009 + 2 * group, canary(start + 10 * group), create=True)
        for offset in range(1, 10):
            block.add_new(offset, "LO", canary(start + 10 * group + offset))
    return [canary(number) for number in range(start, start + 30)]


def _nested(dataset: Dataset, start: int) -> list[str]:
    """Ten names, two in each of five sequences inside each other, in two sequences."""
    for keyword, first in (("RequestAttributesSequence", start), ("VOILUTSequence", start + 10)):
        inner = None
        for depth in range(5):
            item = Dataset()
            item.PatientComments = canary(first + 2 * depth)
            item.add_new(0x00090010, "LO", canary(first + 2 * depth + 1))
            if inner is not None:
                item.ReferencedStudySequence = Sequence([inner])
            inner = item
        setattr(dataset, keyword, Sequence([inner]))
    return [canary(number) for number in range(start, start + 20)]


def _in_overlays(dataset: Dataset, start: int) -> list[str]:
    for number in range(10):
        group = (0x6000 if number < 5 else 0x5000) + 2 * (number % 5)
        dataset.add_new((group << 16) + 0x22, "LO", canary(start + number))
        dataset.add_new((group << 16) + 0x3000, "OW", canary(start + number).encode() + b" ")
    return [canary(number) for number in range(start, start + 10)]


def _trailing(start: int) -> bytes:
    """Elements after the pixels, and bytes that are none."""
    padding = b"\xfc\xff\xfc\xffOB\0\0" + (10).to_bytes(4, "little") + canary(start).encode() + b" "
    return padding + b"".join(canary(number).encode() for number in range(start + 1, 200))


MARKED, CANARIES = marked()


def test_there_are_two_hundred_canaries_in_the_file():
    assert [text for text in CANARIES if text.encode() not in MARKED] == []
    assert len(CANARIES) == 200


def test_none_of_two_hundred_canaries_is_in_the_kept_file():
    assert b"CANARY" not in deidentify(MARKED, KEY).data


def test_none_of_them_is_in_the_store_the_answers_the_logs_or_the_metrics(
    site: Site, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
):
    caplog.set_level(logging.DEBUG)
    name = "CANARY-name.dcm"
    sent = site.client.post("/api/v1/predictions", files={"file": (name, MARKED)})
    assert sent.status_code == 201, sent.text
    link = sent.json()["links"]
    texts = [sent.text, *(site.client.get(link[one]).text for one in ("self", "page"))]
    counted = _metrics(site)
    assert "ladnn_predictions_total{" in counted
    wrong = MARKED.replace(b"CT", b"XX", 1)[:3000]
    texts.append(site.client.post("/api/v1/predictions", files={"file": ("x", wrong)}).text)
    texts += [counted, _metrics(site), caplog.text, *capfd.readouterr()]
    assert not [text for text in texts if "CANARY" in text]
    assert not _stored(site, b"CANARY")


def _metrics(site: Site) -> str:
    """What Prometheus is told at an address that may ask; any other is refused."""
    answer = TestClient(site.app, client=("127.0.0.1", 50_000)).get("/metrics")
    assert answer.status_code == 200, answer.text
    return answer.text


# A file's name is its item's name, as its sender chose it, so here it has no canary of its own.
@pytest.mark.parametrize("name", ["a.dcm", "all.zip"])
def test_none_of_them_comes_in_by_a_batch(
    site: Site, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], name: str
):
    caplog.set_level(logging.DEBUG)
    data = zipped(("CANARY/a.dcm", MARKED)) if name == "all.zip" else MARKED
    batch = begin(site)
    sent = add(site, batch, (name, data))
    assert (sent.status_code, sent.json()["new"]) == (202 if name == "all.zip" else 201, 1)
    waiting = _stored(site, b"CANARY")
    drain(site)
    assert states(site, batch)["done"] == 1
    links = site.client.get(batch).json()["links"]
    texts = [sent.text, *(site.client.get(links[one]).text for one in ("items", "page", "csv"))]
    packs = zipfile.ZipFile(io.BytesIO(site.client.get(links["zip"]).content))
    texts += [packs.read(one).decode("latin-1") for one in packs.namelist()]
    texts += [_metrics(site), caplog.text, *capfd.readouterr()]
    assert len(packs.namelist()) == 3
    assert not [text for text in texts if "CANARY" in text]
    assert not waiting + _stored(site, b"CANARY")


def test_none_of_them_comes_in_by_a_contribution(
    site: Site, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
):
    caplog.set_level(logging.DEBUG)
    sent = give(site, MARKED, name="CANARY-name.dcm")
    assert sent.status_code == 201, sent.text
    case = sent.json()["id"]
    texts = [sent.text]
    for who, path in (
        (CLINICIAN, f"/api/v1/contributions/{case}"),
        (CURATOR, "/api/v1/reviews"),
        (CURATOR, f"/review/{case}"),
    ):
        answer = person(site, who).get(path)
        assert answer.status_code == 200, answer.text
        texts.append(answer.text)
    assert judge(site, case).json() == {"state": "accepted"}
    assert person(site, CURATOR).post("/api/v1/datasets").status_code == 201
    archive = person(site, CURATOR).get("/api/v1/datasets/1.zip")
    assert archive.status_code == 200
    pack = zipfile.ZipFile(io.BytesIO(archive.content))
    texts += [pack.read(one).decode("latin-1") for one in pack.namelist()]
    texts += [*pack.namelist(), _metrics(site), caplog.text, *capfd.readouterr()]
    assert not [text for text in texts if "CANARY" in text]
    assert not _stored(site, b"CANARY")


def _stored(site: Site, word: bytes) -> list[str]:
    """Where the word is: a table or a file."""
    found = []
    root = Path(site.services.settings.storage)
    found += [str(path) for path in root.rglob("*") if path.is_file() and word in path.read_bytes()]
    with site.services.database.engine.connect() as connection:
        for table in Base.metadata.sorted_tables:
            found += [
                table.name
                for row in connection.execute(table.select())
                if word in repr(row).encode()
            ]
    return found


@pytest.mark.parametrize("place", ["Modality", "PhotometricInterpretation", "RescaleType"])
def test_an_error_repeats_nothing_of_what_the_file_says(decoder: DecodingPool, place: str):
    dataset = dicom_dataset(HU)
    dataset[place] = DataElement(Tag(place), "CS", "CANARY1", validation_mode=IGNORE)
    said: list[bytes] = []
    try:
        said.append(decoder.decode(written(dataset), name="x").stored)
    except ImageError as error:
        said.append(str(error).encode())
    assert b"CANARY" not in said[0]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_the_kept_file_has_the_same_pixels(syntax: str):
    baseline = syntax == "jpeg-baseline"
    values = thorax(3, size=(64, 80)) if baseline else HU
    options = {"intercept": None} if baseline else {"stored": 12}
    data = dicom_bytes(values, syntax=syntax, **options)
    kept = deidentify(data, KEY)
    assert np.array_equal(decode(kept.data).pixels, decode(data).pixels)
    assert decode(kept.data).window == decode(data).window


@pytest.mark.parametrize(
    "tags",
    [
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"PixelPaddingValue": 0},
        {"RescaleSlope": 0.123456789012, "RescaleIntercept": -1000.123456},
        {"RescaleSlope": None, "RescaleIntercept": None, "RescaleType": None},
    ],
)
def test_however_it_is_shown_the_kept_file_is_shown_the_same(tags: dict[str, object]):
    data = dicom_bytes(HU, stored=12, **tags)
    assert np.array_equal(decode(deidentify(data, KEY).data).pixels, decode(data).pixels)


@pytest.mark.parametrize(
    ("intercept", "kind", "padding"), [(0, "US", 63536), (0, "SS", -2000), (-1024, "SS", -2000)]
)
def test_a_file_whose_padding_is_of_another_sign_than_its_pixels_is_kept(
    intercept: float, kind: str, padding: int
):
    dataset = dicom_dataset(HU, intercept=intercept)
    dataset.add_new("PixelPaddingValue", kind, padding)
    data = written(dataset)
    assert np.array_equal(decode(deidentify(data, KEY).data).pixels, decode(data).pixels)


def test_of_several_frames_the_one_that_is_judged_is_kept():
    values = np.stack([HU, HU[::-1], HU[:, ::-1]])
    kept = deidentify(dicom_bytes(values), KEY, frame=2)
    assert (kept.frame, kept.frames) == (2, 3)
    assert np.array_equal(decode(kept.data).pixels, decode(dicom_bytes(HU[:, ::-1])).pixels)


def test_nothing_that_the_profile_changes_is_kept_as_it_came():
    unchanged = [name for name, rule in KEPT.items() if rule.__name__ not in ("_uid", "_date")]
    assert [name for name in unchanged if tag_for_keyword(name) in profile()] == []
    assert len(profile()) > 600


def read(**tags: object) -> Dataset:
    return pydicom.dcmread(io.BytesIO(deidentify(dicom_bytes(HU, **tags), KEY).data))


def test_the_same_patient_study_and_series_stay_the_same_and_others_others():
    one, same = read(SOPInstanceUID="1.2.1"), read(SOPInstanceUID="1.2.2")
    other = read(PatientID="another", StudyInstanceUID="1.2.9", SeriesInstanceUID="1.2.8")
    for name in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID"):
        assert one[name].value == same[name].value != other[name].value
    assert one.SOPInstanceUID != same.SOPInstanceUID
    assert one.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID


def test_another_secret_gives_other_replacements():
    mine = deidentify(dicom_bytes(HU), Key(secret=b"one")).data
    theirs = deidentify(dicom_bytes(HU), Key(secret=b"two")).data
    assert decode(mine).study != decode(theirs).study


def test_dates_move_back_by_the_same_days_for_one_patient_and_times_go():
    first = read(StudyDate="20200131", AcquisitionDate="20200210", StudyTime="101112")
    days = [datetime.strptime(first[n].value, "%Y%m%d") for n in ("StudyDate", "AcquisitionDate")]  # noqa: DTZ007 - dates without a zone
    assert (days[1] - days[0]).days == 10
    assert first.StudyDate < "20200131"
    assert first.StudyTime == ""
    assert KEY.shift("a") != KEY.shift("b")


def test_the_kept_file_says_what_was_done_to_it():
    kept = read()
    assert kept.PatientIdentityRemoved == "YES"
    assert [item.CodeValue for item in kept.DeidentificationMethodCodeSequence] == [
        "113100",
        "113107",
    ]


def test_a_file_that_says_it_has_burnt_in_words_is_flagged():
    assert deidentify(dicom_bytes(HU, BurnedInAnnotation="YES"), KEY).said
    assert not deidentify(dicom_bytes(HU), KEY).said


def lettered(seed: int, size: int, place: tuple[int, int]) -> np.ndarray:
    picture = Image.fromarray(thorax(seed, size=(512, 512)))
    ImageDraw.Draw(picture).text(
        place, "DOE JANE 1961", fill=255, font=ImageFont.load_default(size)
    )
    return np.asarray(picture)


@pytest.mark.parametrize("size", [16, 22, 30])
@pytest.mark.parametrize("place", [(8, 8), (300, 8)])
def test_letters_at_the_edge_are_seen(size: int, place: tuple[int, int]):
    assert has_letters(lettered(1, size, place))


def test_a_chest_without_letters_is_not_flagged():
    assert not any(has_letters(thorax(seed, size=(300, 400))) for seed in range(3))


def test_a_picture_full_of_spots_is_left_to_the_reviewer():
    picture = np.zeros((768, 768), np.uint8)
    for column in range(0, 768, 2):
        for top in range(2 * (column % 5), 760, 10):
            picture[top : top + 5, column] = 255
    assert has_letters(picture)  # though no row is among them, for which one looked for minutes


def test_a_flat_picture_of_any_size_has_no_letters():
    for shape in ((1, 1), (2, 900), (40, 40)):
        assert not has_letters(np.zeros(shape, np.uint8))

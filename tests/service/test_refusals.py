"""Why a file cannot be read is told in the language of the page, whatever the decoder says."""

import ast
import io
import re
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from sites import Site

import ladnn
from ladnn.errors import ImageError
from ladnn.imaging import decode
from ladnn.phantom import thorax
from ladnn.service.i18n import LANGUAGES, read_catalogues
from ladnn.service.incoming import NO_FILES
from ladnn.service.refusals import retell
from ladnn.sources.archives import members
from synthetic import dicom_bytes, encode

SOURCES = (
    "codestream",
    "dicom_pixels",
    "formats",
    "greyscale",
    "hounsfield",
    "imaging",
    "service/decoding",
)
ARCHIVES = Path(ladnn.__file__).parent / "sources" / "archives.py"
OF_PATHS = ("regular file", "not exist", "may not be read", "is a folder", "cannot be opened")
"""What the program says of paths, which no upload has."""


def said() -> Iterator[str]:
    """Every sentence of an ImageError in the sources, each placeholder being 7."""
    from ladnn import imaging, jpeg_headers, rle
    from ladnn.service import decoding

    yield from (jpeg_headers.DAMAGED, jpeg_headers.UNUSUAL, rle._DAMAGED, decoding._FAILED)
    yield from (imaging._DAMAGED, *imaging._SENTENCES.values())
    yield from (f"is {kind}, not a PNG or so" for kind in ("a GIF", "a JPEG 2000 picture"))
    yield NO_FILES
    yield from ("is text, not an image: give", "is of an unknown format: give")
    for name in SOURCES:
        path = Path(ladnn.__file__).parent / f"{name}.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ImageError":
                yield from _text(node.args[0])
    archives = ast.parse(ARCHIVES.read_text(encoding="utf-8"))
    for node in ast.walk(archives):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "problem":
            yield from filter(None, _text(node.value))


def of_archives() -> Iterator[str]:
    """Every sentence why no more of an archive that was sent is read."""
    for function in ast.parse(ARCHIVES.read_text(encoding="utf-8")).body:
        if getattr(function, "name", "") in ("members", "_check_total"):
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "DataError":
                    yield from _text(node.args[0])


def _text(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant):
        yield str(node.value)
    elif isinstance(node, ast.JoinedStr):
        text = "".join(
            str(getattr(part, "value", "")) if isinstance(part, ast.Constant) else "7"
            for part in node.values
        )
        if text.strip("7 ") and not text.startswith(("7: give", "is 7,")):  # those are named above
            yield text


SAID = sorted({one for one in said() if not any(words in one for words in OF_PATHS)})


@pytest.mark.parametrize("sentence", SAID)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_of_the_decoder_is_known(sentence: str, language: str):
    catalogues = read_catalogues()
    asked = []

    def say(key: str, **values: object) -> str:
        asked.append(key)
        return catalogues.say(language, key, **values)

    told = retell(say, f"scan.png {sentence}")
    assert len(asked) == 1
    assert told.startswith("scan.png ")
    assert "--" not in told


@pytest.mark.parametrize("sentence", list(of_archives()))
def test_every_sentence_of_an_archive_is_told_in_each_language(sentence: str):
    told = {one: retell(partial(read_catalogues().say, one), sentence) for one in LANGUAGES}
    assert told["en"] == sentence
    assert not re.search("[a-z]", told["zh"].replace("zip", ""))
    assert told["zh"].count("7") == sentence.count("7")


def test_there_are_sentences_of_archives():
    assert len(list(of_archives())) == 4


def test_why_an_archive_is_not_taken_is_told_in_chinese_and_then_in_english(page: Site):
    page.client.headers["accept-language"] = "zh"
    form = {"csrf": page.client.get("/batches").text.split('name="csrf" value="')[1][:64]}
    broken = {"file": ("all.zip", b"PK\x03\x04" + bytes(100))}
    answer = page.client.post("/batches", data=form, files=broken)
    assert answer.status_code == 422
    assert "不是可以读取的 zip 压缩包" in answer.text
    assert "this is no readable zip archive: pack it again." in answer.text  # data-in-en


@pytest.mark.parametrize(
    ("data", "kind"), [(b"GIF89a", "GIF"), (b"%PDF-1.4", "PDF"), (b"\0\0\0\x0cjP  ", "JPEG 2000")]
)
@pytest.mark.parametrize("language", LANGUAGES)
def test_what_a_file_is_instead_is_told_without_english_words(
    language: str, data: bytes, kind: str
):
    with pytest.raises(ImageError) as cause:
        decode(data + bytes(100), name="a.png")
    told = retell(partial(read_catalogues().say, language), str(cause.value))
    assert re.search(rf"\W{kind}\W", told)
    assert not re.search(rf"\b(a|an) {kind}|{kind} \w", told)


def test_a_sentence_that_is_not_known_stays_as_it_is():
    assert retell(lambda key: key, "scan.png is on the moon") == "scan.png is on the moon"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"no image at all", "是文本"),
        (b"", "是空文件"),
        (dicom_bytes(Modality="MR"), "MR 的 DICOM"),
        (dicom_bytes()[:3000], "不完整"),
        (encode(thorax(0, size=(96, 120)), "PNG")[:900], "已损坏"),
    ],
)
def test_a_file_that_is_refused_on_a_chinese_page_is_refused_in_chinese(
    page: Site, data: bytes, words: str
):
    page.client.headers["accept-language"] = "zh"
    form = {"csrf": page.client.get("/").text.split('name="csrf" value="')[1][:64]}
    answer = page.client.post("/", data=form, files={"file": ("a.png", data)})
    assert answer.status_code == 422
    assert words in answer.text


def test_a_program_is_told_the_very_cause(page: Site):
    data = encode(thorax(0, size=(96, 120)), "PNG")[:900]
    with pytest.raises(ImageError) as cause:
        decode(data, name="a.png")
    answer = page.client.post("/api/v1/predictions", files={"file": ("a.png", data)})
    assert answer.status_code == 422
    assert answer.json()["detail"] == str(cause.value)


def test_a_large_file_in_an_archive_is_told_like_any_other():
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as pack:
        pack.writestr("a.png", bytes(1 << 20) + b"x")
    [member] = members(archive, each=1 << 20)
    say = partial(read_catalogues().say, "en")
    assert retell(say, f"a.png {member.problem}").endswith(say("refusal.large", limit="1"))

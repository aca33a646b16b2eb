"""COVID-CT from its public repositories: download, prove every image, and only then keep it."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from ladnn.csvs import packaged
from ladnn.errors import DataError, ImageError
from ladnn.imaging import read_image
from ladnn.similarity import pixel_hash
from ladnn.sources.archives import unpacked, write_atomically
from ladnn.sources.tables import read_table

if TYPE_CHECKING:
    import requests

IMAGES_URL = "https://raw.githubusercontent.com/UCSD-AI4H/COVID-CT/master/"
LABELS_URL = "https://raw.githubusercontent.com/xiaoxuegao499/LA-DNN-for-COVID-19-diagnosis/master/"
ARCHIVES = {
    "CT_COVID": "Images-processed/CT_COVID.zip",
    "CT_NonCOVID": "Images-processed/CT_NonCOVID.zip",
}
"""The image folders of COVID-CT, and where each lies packed below the images' base URL."""

IMAGE_TABLES = {"meta/NonCOVID-CT-MetaInfo.csv": "NonCOVID-CT-MetaInfo.csv"}
LABEL_TABLES = {
    "split/train_meta.csv": "data_split/train_meta.csv",
    "split/val_meta.csv": "data_split/val_meta.csv",
    "split/test_meta.csv": "data_split/test_meta.csv",
    "meta/COVID-CT-MetaInfo_new.csv": "data_split/COVID-CT-MetaInfo_new.csv",
}
"""Tables that `data import` needs: their place in the folder, and below their base URL."""

MAX_BYTES = 2**30
CHUNK = 2**12
"""Bytes that a broken connection may lose; what came before them is kept."""

TIMEOUT = (10, 60)
"""Seconds to wait for a connection, and for the next bytes."""

Notify = Callable[[str, int, int], None]
"""Called with a file's name, the bytes that are there and those expected (0: unknown)."""


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What a fetch did: images proved before, images added, tables added."""

    present: int
    added: int
    tables: int


def fetch_covid_ct(
    folder: Path,
    *,
    images_url: str = IMAGES_URL,
    labels_url: str = LABELS_URL,
    notify: Notify = lambda name, done, total: None,
) -> Fetched:
    """Bring COVID-CT into `folder`, in the layout that `data import` reads.

    Images that are there and show what the packaged list of pixel hashes says are kept, so that a
    second call goes on where the first ended; a download that broke off goes on at its byte where
    the server allows it. An image enters its folder only once its pixels are proved, by a rename.
    Raises DataError where a file cannot be had, is no archive, or shows another picture than was
    published; images proved until then stay.
    """
    staging = folder / ".fetching"
    wanted = published_hashes()
    present = added = 0
    for name, remote in ARCHIVES.items():
        absent = _absent(folder / name, wanted[name])
        present += len(wanted[name]) - len(absent)
        if absent:
            archive = download(_url(images_url, remote), staging, notify=notify)
            added += _install(archive, staging / name, folder / name, absent)
    tables = 0
    for base, places in ((images_url, IMAGE_TABLES), (labels_url, LABEL_TABLES)):
        for place, remote in places.items():
            if not (folder / place).is_file():
                table = download(_url(base, remote), staging, notify=notify)
                with _forgotten(table):
                    _require_columns(table)
                write_atomically(folder / place, table.read_bytes())
                tables += 1
    shutil.rmtree(staging, ignore_errors=True)
    return Fetched(present=present, added=added, tables=tables)


def _require_columns(path: Path) -> None:
    """Raise DataError for what is no table of several columns, as the page of a proxy is none."""
    if len(read_table(path).heads) < 2:
        raise DataError(
            f"{path.name} came as something else than a table of the collection: give --base-url "
            "or --labels-url another home, or ask who runs the network why"
        )


def published_hashes() -> dict[str, dict[str, str]]:
    """Pixel hash of every published image: folder -> file name -> hash."""
    wanted: dict[str, dict[str, str]] = {name: {} for name in ARCHIVES}
    for row in packaged("covid_ct_pixels"):
        wanted[row["folder"]][row["file"]] = row["pixel_hash"]
    return wanted


def download(url: str, folder: Path, *, notify: Notify) -> Path:
    """Fetch `url` with pooch into `folder` and return the file; going on with what is there.

    Raises DataError where pooch is not installed, the server refuses or cannot be reached, or the
    file is over `MAX_BYTES`.
    """
    try:
        import pooch
    except ImportError as error:
        raise DataError(
            "pooch is not installed: pip install 'ladnn[train]' to fetch data"
        ) from error
    import requests

    pooch.get_logger().setLevel("ERROR")
    name = url.rsplit("/", maxsplit=1)[-1]
    try:
        path = pooch.retrieve(
            url,
            known_hash=None,
            fname=name,
            path=folder,
            downloader=_Resuming(part=folder / f"{name}.part", notify=notify),
        )
    except ValueError as error:
        raise DataError(f"{url} is no address: give one that begins with https://") from error
    except requests.RequestException as error:
        raise DataError(f"{url} cannot be fetched ({_why(error)}): try again to go on") from error
    except OSError as error:
        raise DataError(
            f"{folder} cannot be written ({error.strerror or error}): give another folder"
        ) from error
    return Path(path)


@dataclass(frozen=True, kw_only=True)
class _Resuming:
    """A downloader for pooch that keeps what has come in `part` and asks only for the rest."""

    part: Path
    notify: Notify

    def __call__(self, url: str, output_file: str, pooch: object, check_only: bool = False) -> None:
        """Write the file behind `url` to `output_file`; `pooch` is part of pooch's interface."""
        import requests

        del pooch, check_only
        self.part.parent.mkdir(parents=True, exist_ok=True)
        have = self.part.stat().st_size if self.part.exists() else 0
        # as it is: packed for the way, its length would not be that of what is written
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            if have and answer.status_code == requests.codes.requested_range_not_satisfiable:
                self.part.unlink()
                raise requests.ConnectionError("the file on the server has changed")
            answer.raise_for_status()
            whole = answer.status_code != requests.codes.partial_content
            self._receive(answer, 0 if whole else have)
        shutil.move(self.part, output_file)

    def _receive(self, answer: "requests.Response", have: int) -> None:
        import requests

        rest = int(answer.headers.get("Content-Length", 0))
        total, done = (have + rest if rest else 0), have
        if total > MAX_BYTES:
            raise requests.RequestException(f"it has {total} bytes, over {MAX_BYTES}")
        with self.part.open("ab" if have else "wb") as file:
            for chunk in answer.iter_content(CHUNK):
                file.write(chunk)
                done += len(chunk)
                if done > MAX_BYTES:
                    raise requests.RequestException(f"it has over {MAX_BYTES} bytes")
                self.notify(self.part.stem, done, total)
        if total and done != total:
            raise requests.ConnectionError(f"{done} of {total} bytes came")


def _why(error: "requests.RequestException") -> str:
    import requests

    if error.response is not None:
        return f"HTTP {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.ConnectionError):
        return "no connection to the server"
    return str(error) or type(error).__name__


def _url(base: str, remote: str) -> str:
    return f"{base.rstrip('/')}/{quote(remote)}"


def _absent(folder: Path, wanted: dict[str, str]) -> dict[str, str]:
    """The images that are not in `folder` or do not show what they should."""
    return {name: digest for name, digest in wanted.items() if not _proved(folder / name, digest)}


def _proved(path: Path, digest: str) -> bool:
    try:
        return path.is_file() and pixel_hash(read_image(path).pixels) == digest
    except ImageError:
        return False


def _install(archive: Path, staging: Path, folder: Path, wanted: dict[str, str]) -> int:
    """Move the wanted images of `archive` to `folder`, each once it is proved; how many."""
    with _forgotten(archive):
        inside = {path.name: path for path in unpacked(archive, staging)}
        refused = [
            name
            for name, digest in wanted.items()
            if name in inside and not _proved(inside[name], digest)
        ]
        absent = [name for name in wanted if name not in inside]
        folder.mkdir(parents=True, exist_ok=True)
        good = [name for name in wanted if name in inside and name not in set(refused)]
        for name in good:
            inside[name].replace(folder / name)
        for names, what in (
            (refused, "shows another picture than was published"),
            (absent, "is not in it"),
        ):
            if names:
                raise DataError(f"{archive.name}: {_few(names)} {what}: check the base URL")
    return len(good)


@contextmanager
def _forgotten(file: Path) -> Iterator[None]:
    """Remove a file that did not hold what it should, so that the next call fetches it anew."""
    try:
        yield
    except DataError:
        file.unlink(missing_ok=True)
        raise


def _few(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} (and {len(names) - 1} more)"

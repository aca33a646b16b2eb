"""Talks to a site from a program: images in, Predictions out, tried again where that may help."""

import os
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from ladnn.certificates import chain, fault
from ladnn.errors import ImageError, RemoteError
from ladnn.imaging import read_bytes

RETRIES = 4
"""How often a request is made again; what is sent twice is answered once, by its content hash."""

PAGE = 200
"""How many results are asked for at a time."""

_PASSING = (429, 502, 503, 504)
_LOST = (502, 504)  # a proxy that does not know what became of the request
_LONGEST_PAUSE = 30.0  # seconds, whatever a server asks for
_ABOUT_THE_FILE = (413, 422)
_KEY = r"[!-~]*"  # any visible character of ASCII, and nothing else
_ID = r"[A-Za-z0-9_-]+"
_TOLD = {
    socket.gaierror: "no machine of that name is known here: check the address",
    ConnectionRefusedError: "nothing listens there: check the address, and whether the site runs",
    ssl.SSLError: "no TLS there: check whether its address begins with https:// or with http://",
}
"""What to do about a failure to connect that is no fault of a certificate."""

_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""What ends a request before any of it is sent, so that it certainly did nothing."""


class Client:
    """One site; safe to use from several threads, closed by `close` or at the end of a `with`."""

    def __init__(
        self,
        url: str,
        *,
        key: str = "",
        timeout: float = 60.0,
        retries: int = RETRIES,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Open a site.

        Args:
            url: where it is, as https://ladnn.example.org.
            key: an API key of an account; without one, results belong to whoever has their ids.
            timeout: seconds that one answer may take to begin and to go on.
            retries: how often a request is made again after the connection broke or the site asked
                for patience (429, 502, 503, 504). Where all of them failed to connect, the next
                requests are made once, until one is answered.
            sleep: waits so many seconds.

        The certificate of an https site is checked by the authorities of this machine, or by those
        in the file that the variable SSL_CERT_FILE names.

        Raises RemoteError for an address that is none, a key, a timeout or a number of retries that
        cannot be one, or a SSL_CERT_FILE that cannot be read.
        """
        if not url.startswith(("http://", "https://")):
            raise RemoteError(f"{url!r} is no address of a site: begin it with https:// or http://")
        if re.search(r"[?#@]", url):  # a name and a password there would replace the key
            raise RemoteError("the address of a site has no ?, # or @: give a key apart from it")
        if not 0 < timeout <= 86_400:  # a day; the clocks of some systems overflow
            raise RemoteError(
                f"an answer cannot take {timeout:g} s: give more than 0 and at most 86400"
            )
        if retries < 0:
            raise RemoteError(f"nothing can be tried again {retries} times: give 0 or more retries")
        if not re.fullmatch(_KEY, key):
            raise RemoteError(
                "the API key has a space or another character that no key has: copy it again"
            )
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._retries, self._sleep = retries, sleep
        try:
            self._http = httpx.Client(
                base_url=url.rstrip("/"),
                headers=headers,
                timeout=timeout,
                trust_env=False,
                verify=_authorities() if url.startswith("https://") else True,
            )
        except (httpx.InvalidURL, UnicodeError) as error:
            raise RemoteError(f"{url!r} is no address of a site: check it") from error
        self.url = url.rstrip("/")
        self._away = False  # nobody waits again for a site that could not be reached just now

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def predict(self, path: Path, *, frame: int | None = None) -> dict[str, Any]:
        """Test one image file and keep the result on the site.

        Args:
            path: PNG, JPEG, TIFF, BMP, WebP or DICOM.
            frame: of a file of several frames, counted from 1.

        Returns:
            the design's Prediction with `id` and `links`.

        Raises:
            ImageError: a file that cannot be read, here or on the site.
            RemoteError: the site cannot be reached or refused.
        """
        return self.predict_bytes(read_bytes(path), name=path.name, frame=frame)

    def predict_bytes(self, data: bytes, *, name: str, frame: int | None = None) -> dict[str, Any]:
        """Test one image; see `predict`."""
        fields = {} if frame is None else {"frame": str(frame)}
        files = {"file": (_sendable(name), data)}
        return self._json("POST", "/api/v1/predictions", data=fields, files=files)

    def predict_study(self, paths: Sequence[Path]) -> dict[str, Any]:
        """Test the slices of one DICOM series together and keep the result on the site.

        Args:
            paths: the files in any order, at least one; a single one is tested as an image.

        Returns:
            the study's result with `id` and `links`, and in `images` what is said of each slice.

        Raises:
            ImageError: a file that cannot be read, here or on the site, or files of two series.
            RemoteError: no file, or the site cannot be reached or refused.
        """
        if not paths:
            raise RemoteError("a study has no slices: give the files of one series")
        files = [("file", (_sendable(path.name), read_bytes(path))) for path in paths]
        return self._json("POST", "/api/v1/studies", files=files)

    def predictions(self) -> Iterator[dict[str, Any]]:
        """One's own results in short, newest first; none without a key."""
        return self._listed("/api/v1/predictions", "predictions")

    def contributions(self) -> Iterator[dict[str, Any]]:
        """What one gave to the collection, newest first, with what reviewers said of each."""
        return self._listed("/api/v1/contributions", "contributions")

    def reviews(self) -> Iterator[dict[str, Any]]:
        """The contributions that wait for one's judgement; each page is asked for as it is come to.

        What is judged leaves the list, so take all of it before judging any.
        """
        return self._listed("/api/v1/reviews", "contributions")

    def datasets(self) -> Iterator[dict[str, Any]]:
        """The versions of the dataset, newest first."""
        return self._listed("/api/v1/datasets", "datasets")

    def _listed(self, path: str, name: str) -> Iterator[dict[str, Any]]:
        """All of a list, page after page."""
        address: Any = f"{path}?limit={PAGE}"
        while address:
            try:
                page = self._json("GET", address)
            except httpx.InvalidURL as error:  # the first was ours
                raise self._stranger() from error
            found, address = page.get(name), page.get("next") or ""
            if not isinstance(found, list) or not _is_path(address):
                raise self._stranger()
            yield from found

    def prediction(self, id: str) -> dict[str, Any]:  # noqa: A002  # the interface's own word
        """The prediction of that id."""
        return self._json("GET", _address(id))

    def heatmap(self, id: str, name: str) -> bytes:  # noqa: A002
        """A map as PNG; `name` is `covid` or a lesion's short name."""
        return self._bytes(f"{_address(id)}/heatmaps/{_part(name)}.png", "image/png")

    def report(self, id: str) -> bytes:  # noqa: A002
        """One page to print, as PDF."""
        return self._bytes(f"{_address(id)}/report.pdf", "application/pdf")

    def overlay(self, id: str) -> bytes:  # noqa: A002
        """The sheet with the image and its maps, as PNG."""
        return self._bytes(f"{_address(id)}/overlay.png", "image/png")

    def give_feedback(
        self,
        id: str,  # noqa: A002
        *,
        agreement: str | None = None,
        pcr: str | None = None,
    ) -> dict[str, Any]:
        """Say what was true, and get all that was said so far; None leaves what was said before.

        Args:
            id: of the prediction.
            agreement: `agree` or `disagree`.
            pcr: the result of the PCR test, `positive` or `negative`.

        Raises RemoteError without a key of a clinician.
        """
        said = {"agreement": agreement, "pcr": pcr}
        return self._json("POST", f"{_address(id)}/feedback", json=said)

    def withdraw_feedback(self, id: str, what: str | None = None) -> dict[str, Any]:  # noqa: A002
        """Take back what was said, so that it counts no more, and get what is left of it.

        Args:
            id: of the prediction.
            what: `agreement` or `pcr`; both where it is None.

        Raises RemoteError without a key of a clinician.
        """
        asked = {"what": what} if what else {}
        return self._json("DELETE", f"{_address(id)}/feedback", params=asked)

    def retract(self, id: str) -> None:  # noqa: A002
        """Take a prediction back from everyone who has its link."""
        self._do("POST", f"{_address(id)}/retract")

    def delete(self, id: str) -> None:  # noqa: A002
        """Delete a prediction and its image for good."""
        self._do("DELETE", _address(id))

    def withdraw_contribution(self, id: str) -> None:  # noqa: A002
        """Take back an image that one gave to the collection; versions that have it keep it."""
        self._do("DELETE", f"/api/v1/contributions/{_part(id)}")

    def remove_contribution(self, id: str, *, reason: str) -> None:  # noqa: A002
        """Delete anybody's contribution for good; versions that have its image keep it.

        Args:
            id: of the contribution.
            reason: `identity`, `consent`, `rights` or `unusable`; the audit log keeps it.

        Raises RemoteError without a key of a curator, or for another reason.
        """
        self._do("DELETE", f"/api/v1/reviews/{_part(id)}", params={"reason": reason})

    def _json(self, method: str, path: str, **what: Any) -> dict[str, Any]:  # noqa: ANN401
        answer = self._ask(method, path, **what)
        try:
            said = answer.json()
        except (ValueError, RecursionError):  # the latter of brackets in brackets without end
            said = None
        if not isinstance(said, dict):
            raise self._stranger()
        return said

    def _bytes(self, path: str, kind: str) -> bytes:
        """A file of that media type; a proxy's page with status 200 is none."""
        answer = self._ask("GET", path)
        if answer.headers.get("content-type", "").partition(";")[0] != kind:
            raise self._stranger()
        return answer.content

    def _do(self, method: str, path: str, **what: Any) -> None:  # noqa: ANN401
        """What is answered without a word; a proxy's page with status 200 did not do it."""
        answer = self._ask(method, path, gone_is_done=method == "DELETE", **what)
        if answer.is_success and answer.status_code != httpx.codes.NO_CONTENT:
            raise self._stranger()

    def _stranger(self) -> RemoteError:
        return RemoteError(f"{self.url} does not answer like an LA-DNN site: check the address")

    def _ask(
        self,
        method: str,
        path: str,
        *,
        gone_is_done: bool = False,
        **what: Any,  # noqa: ANN401
    ) -> httpx.Response:
        """One request, made again while that may help.

        With `gone_is_done`, a 404 is returned too where an attempt before it may have been carried
        out, its answer having got lost.
        """
        unsure = False  # whether there was such an attempt
        for attempt in range(self._retries + 1):
            last = attempt == self._retries
            pause = min(_LONGEST_PAUSE, 0.25 * 2**attempt)
            try:
                answer = self._http.request(method, path, **what)
            except httpx.LocalProtocolError:  # whose text may quote the key
                raise RemoteError(
                    f"the request to {self.url} cannot be written: check its key and ids"
                ) from None
            except httpx.TransportError as error:
                if last or self._away or fault(error):
                    self._away = isinstance(error, httpx.ConnectError)
                    raise RemoteError(f"{self.url} cannot be reached ({_why(error)})") from error
                unsure |= not isinstance(error, _UNSENT)
            except httpx.DecodingError as error:
                raise self._stranger() from error
            else:
                self._away = False
                if unsure and gone_is_done and answer.status_code == 404:
                    return answer
                unsure |= answer.status_code in _LOST
                if answer.status_code not in _PASSING or last:
                    return self._checked(answer, with_files="files" in what)
                pause = min(_LONGEST_PAUSE, _wished(answer.headers, pause))
            self._sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _checked(self, answer: httpx.Response, *, with_files: bool) -> httpx.Response:
        if answer.is_success:
            return answer
        if answer.is_redirect:
            raise RemoteError(
                f"{self.url} sends on to {answer.headers.get('location', 'nowhere')}: "
                "give that address"
            )
        detail = _detail(answer) or f"{answer.status_code} {answer.reason_phrase}"
        if with_files and answer.status_code in _ABOUT_THE_FILE:
            raise ImageError(detail)
        raise RemoteError(f"{self.url} answers: {detail}")


def _authorities() -> ssl.SSLContext:
    """Whose certificates are believed: SSL_CERT_FILE's; without it certifi's and this machine's."""
    named = os.environ.get("SSL_CERT_FILE")
    try:
        context = httpx.create_ssl_context()
    except OSError as error:  # of OpenSSL too
        raise RemoteError(
            f"SSL_CERT_FILE names {named}, which cannot be read as certificates: give a PEM file"
        ) from error
    if not named:
        context.load_default_certs()
    return context


def _sendable(name: str) -> str:
    """The name of a file without the bytes of it that are no text."""
    return name.encode("utf-8", "replace").decode()


def _is_path(address: object) -> bool:
    """Whether it stays on this site, for a key goes nowhere else; so does an empty one."""
    return isinstance(address, str) and bool(re.fullmatch(r"(/(?!/).*)?", address))


def _address(id: str) -> str:  # noqa: A002
    return f"/api/v1/predictions/{_part(id)}"


def _part(text: str) -> str:
    """An id as a part of a path; what is none would ask for something else."""
    if not re.fullmatch(_ID, text):
        raise RemoteError(f"{text!r} is no id: give one as an answer of the site has it")
    return text


def _wished(headers: Mapping[str, str], otherwise: float) -> float:
    """Seconds that the site asks to wait."""
    text = headers.get("retry-after", "")
    return float(text) if text.isdecimal() else otherwise


def _why(error: httpx.TransportError) -> str:
    """Why a site could not be reached, and what to do."""
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time: look whether the site runs, or allow more time"
    wrong = fault(error)
    if wrong is not None:
        return wrong
    for one in chain(error):
        for kind, told in _TOLD.items():
            if isinstance(one, kind):
                return told
    return f"{str(error).rstrip('.') or type(error).__name__}: check the address, and try again"


def _detail(answer: httpx.Response) -> str:
    """The sentence of problem+json; empty where the answer is something else."""
    try:
        said = answer.json()
    except (ValueError, RecursionError):
        return ""
    return str(said.get("detail", "")) if isinstance(said, dict) else ""

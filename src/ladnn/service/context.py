"""What every request works with: `Services`, made once by `app.create_app`."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Protocol

from fastapi import Depends
from starlette.requests import HTTPConnection, Request

from ladnn.bundle import Card
from ladnn.imaging import CtImage, Window
from ladnn.looks import Look
from ladnn.runtime import Predictor
from ladnn.service.accounts.oidc import Provider
from ladnn.service.admission import Admission
from ladnn.service.blobs import Blobs
from ladnn.service.database import Database
from ladnn.service.drawings import Drawings
from ladnn.service.i18n import Catalogues
from ladnn.service.limits import Limits
from ladnn.service.metrics import Metrics
from ladnn.service.settings import Settings
from ladnn.service.watching import Watcher


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """One file that came in.

    Attributes:
        image: 8-bit grey, ready for the network.
        stored: the bytes to keep: a picture's pixels without what was written beside them, a DICOM
            file without identity and of the one frame that was decoded.
        burned_in: whether the file itself says that words are burnt into its pixels.
    """

    image: CtImage
    stored: bytes
    burned_in: bool = False


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One file that came in, as a model sees it.

    Attributes:
        image: what is known of it; its pixels stayed where they were decoded and are none here.
        stored: the bytes to keep, as of `Decoded`.
        look: what the network and the guard are shown.
    """

    image: CtImage
    stored: bytes
    look: Look


class Decoder(Protocol):
    """Turns hostile bytes into an image; safe to call from any thread."""

    def decode(
        self,
        data: bytes,
        *,
        name: str = "",
        window: Window | None = None,
        frame: int | None = None,
        whose: str = "",
    ) -> Decoded:
        """Decode one file; `window` None means the lung window. Those of `whose` take turns.

        Raises ImageError: one sentence.
        """
        ...

    def look(
        self,
        data: bytes,
        card: Card,
        *,
        name: str = "",
        frame: int | None = None,
        whose: str = "",
    ) -> Seen:
        """Decode one file in the lung window and look at it as the card says; see `decode`.

        Raises ImageError: one sentence.
        """
        ...

    def close(self) -> None:
        """End whatever works for it."""
        ...


@dataclass(frozen=True, kw_only=True)
class Services:
    """The objects that requests share.

    Attributes:
        predictor: gives the champion of this moment; cheap to call.
        limits: on how much one account or address may ask for.
        watcher: of drift; remembers the weeks that are over.
        drawings: gives turns at drawing pictures.
        admission: gives turns at testing what came in.
        provider: of OpenID; None when the settings name none.
        secret: signs cookies and tokens; the same on every replica.
        clock: the present, in UTC.
    """

    settings: Settings
    database: Database
    blobs: Blobs
    decoder: Decoder
    predictor: Callable[[], Predictor]
    catalogues: Catalogues
    metrics: Metrics
    limits: Limits
    watcher: Watcher
    drawings: Drawings
    admission: Admission
    provider: Provider | None
    clock: Callable[[], datetime]
    secret: bytes = field(repr=False)


async def drawing(request: Request) -> AsyncIterator[None]:
    """A dependency of the routes that draw: a turn, for as long as the route is at work."""
    async with services(request).drawings.turn():
        yield


Drawing = Annotated[None, Depends(drawing, scope="function")]
"""Stands behind the principal, so that nobody waits for a turn who may not draw."""


def services(connection: HTTPConnection) -> Services:
    """The services of the application that a request reached."""
    found: Services = connection.app.state.services
    return found

"""Decodes what came in, within the limits of `imaging`."""

from ladnn.greyscale import LUNG_WINDOW
from ladnn.imaging import Window, decode
from ladnn.service.context import Decoded


class DirectDecoder:
    """Decodes in the process itself."""

    def decode(
        self, data: bytes, *, name: str = "", window: Window | None = None, frame: int | None = None
    ) -> Decoded:
        """See `context.Decoder`."""
        image = decode(data, name=name, window=window or LUNG_WINDOW, frame=frame)
        return Decoded(image=image, stored=data)

    def close(self) -> None:
        """There is nothing to end."""

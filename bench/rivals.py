"""What the servers that the site is measured beside answer with; they store nothing."""

from typing import Any

from ladnn.findings import OUTPUTS
from ladnn.imaging import decode
from ladnn.runtime import Predictor

BUNDLE = "default"


def answer(predictor: Predictor, data: bytes) -> dict[str, Any]:
    """The site's answer to an image with its maps as numbers, but for the id and the links."""
    [said] = predictor.predict([decode(data)])
    maps = dict(zip(map(str, OUTPUTS), said.maps.astype(float).round(4).tolist(), strict=False))
    return said.prediction.to_json() | {"maps": maps}

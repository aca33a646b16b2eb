"""Makes the font of the Chinese PDF: of WenQuanYi Micro Hei, what the Chinese pages need.

`python deploy/font.py wqy-microhei.ttc`, from the project's folder, after Chinese sentences have
changed; Debian has the file in fonts-wqy-microhei. Its outlines are TrueType's and reach from Latin
to Chinese, so one font suffices, and reportlab can embed it.
"""

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fontTools import subset
from fontTools.ttLib import TTCollection

SENTENCES = Path("src/ladnn/service/locales/zh")
TARGET = Path("src/ladnn/service/fonts/wqy-microhei-subset.ttf")
ASCII = "".join(map(chr, range(0x20, 0x7F)))
WHO_AND_LICENCE = [0, 1, 2, 4, 6, 13, 14]  # of the name table


def main(source: Path) -> None:
    """Write the characters of all Chinese sentences, and ASCII, to `TARGET`."""
    font = TTCollection(source).fonts[0]  # the other one is for terminals
    options = subset.Options(hinting=False, layout_features=[], name_IDs=WHO_AND_LICENCE)
    options.drop_tables += ["FFTM", "GDEF", "GPOS", "GSUB", "vhea", "vmtx"]
    options.recalc_timestamp = False
    subsetter = subset.Subsetter(options)
    subsetter.populate(text=ASCII + "".join(words()))
    subsetter.subset(font)
    subset.save_font(font, TARGET, options)
    print(f"{TARGET}: {len(font.getBestCmap())} characters, {TARGET.stat().st_size} bytes")


def words() -> Iterator[str]:
    """Every Chinese sentence."""
    for path in sorted(SENTENCES.glob("*.toml")):
        yield from _leaves(tomllib.loads(path.read_text(encoding="utf-8")))


def _leaves(data: dict[str, Any]) -> Iterator[str]:
    for value in data.values():
        if isinstance(value, dict):
            yield from _leaves(value)
        else:
            yield str(value)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Why a file cannot be read, in the language of whoever sent it: the decoder writes English."""

import re

from ladnn.service.wording import Say

_REFUSALS = tuple(
    (key, re.compile(rf"(?:^|(?<=\s))(?:{pattern})"))
    for key, pattern in (
        ("no_archive", r"this is no readable zip archive: "),
        ("many_files", r"the archive holds (?P<count>\d+) files: give at most (?P<limit>\d+)"),
        ("unpacks", r"the archive unpacks to more than (?P<limit>\d+) bytes: "),
        ("inflates", r"the archive unpacks to more than (?P<ratio>\d+) times its size, "),
        ("empty", r"is empty: "),
        ("large", r"is larger than the limit of (?P<limit>\S+) MiB: "),
        (  # without article and noun, which are English: GIF, ZIP, JPEG 2000
            "foreign",
            r"is an? (?P<kind>[A-Za-z0-9 ]{1,20}?)( archive| picture| file| drawing)?, not a PNG",
        ),
        ("text", r"is text, not an image: "),
        ("drawn", r"is an overlay of LA-DNN, "),
        ("unknown", r"is of an unknown format: "),
        ("animated", r"is animated: "),
        ("frames", r"has (?P<frames>\d+) frames: "),
        ("one_frame", r"has one frame only, "),
        ("no_frame", r"has no frame -?\d+: "),
        ("modality", r"is a DICOM object of modality (?P<modality>.{1,64}), not CT: "),
        ("no_modality", r"is a DICOM object without a modality"),
        ("no_pixels", r"is a DICOM object without pixel data"),
        ("sides", r"declares a size of (?P<width>-?\d+) x (?P<height>-?\d+) pixels: "),
        (
            "pixels",
            r"has (?P<width>\d+) x (?P<height>\d+) pixels, more than the limit of "
            r"(?P<limit>\S+) megapixels: ",
        ),
        ("more_pixels", r"has more pixels than the limit of (?P<limit>\S+) megapixels: "),
        ("memory", r"needs (about \d+ MiB of|too much) memory to decode|unpacks to more than "),
        ("time", r"takes more than .{1,40} to decode: |would take more than .{1,20} to decode: "),
        ("scans", r"is a JPEG of too many scans "),
        ("deep_colour", r"has 16 bits in colour, "),
        ("truncated", r"is truncated: "),
        ("no_files", r"holds no files: "),
        ("encrypted", r"is encrypted: "),
        ("packed", r"is packed in an unusual way: "),
        ("nested", r"is an archive in the archive: "),
        (
            "unusual",
            r"has -?\d+ (bits (per sample|of which)|samples per pixel)|"
            r"is compressed in a way that is not for CT|has JPEG pixel data of a kind not used ",
        ),
        ("odd", r"is damaged, or a (?P<kind>\w{1,9}) of a kind not read: "),
        (
            "damaged",
            r"(is|has) (a )?damaged |has (pixel data of another size|too large a structure|a "
            r"rescale slope|a palette|a lookup table)",
        ),
    )
)
"""Keys of `refusal.*` in the catalogues, and how the decoder's sentence goes on after the name."""


class Refusal(str):
    """A refusal that stands in another sentence, and is told in the language of that."""

    __slots__ = ()


def retell(say: Say, sentence: str) -> str:
    """The decoder's sentence in the language of `say`; one that is not known stays as it is."""
    for key, pattern in _REFUSALS:
        found = pattern.search(sentence)
        if found:
            return sentence[: found.start()] + say(f"refusal.{key}", **found.groupdict())
    return sentence

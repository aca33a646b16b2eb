"""Numbers, moments and operating points in words, for pages and for the PDF."""

import re
from collections.abc import Callable
from datetime import datetime

from ladnn.bundle import StudyRule
from ladnn.findings import decimals
from ladnn.service.tables import Case, CaseImage
from ladnn.study import counting

Say = Callable[..., str]
"""Gives the sentence of a key of the catalogues, its placeholders filled."""

_RULES = {  # as `fitting.operating_points` writes them
    "point.rule_youden": (
        r"Youden's index on validation; the band holds the (\d+)% of validation images "
        r"nearest to the threshold"
    ),
    "point.rule_sensitivity": (
        r"the highest threshold with sensitivity ([\d.]+) on validation; no band"
    ),
}


_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")  # the last four are the full-width ones


def point_in_words(say: Say, case: Case) -> str:
    """What the operating point of a case makes of a probability, as one sentence."""
    shown, digits = point_name(say, case.operating_point), _digits(case)
    cuts = _cuts(case)
    low, high = (f"{cut * 100:.{digits}f}" for cut in cuts)
    if cuts[0] < cuts[1]:
        return say("result.point_band", name=shown, low=low, high=high)
    return say("result.point", name=shown, cut=high)


def chance(case: Case) -> str:
    """The probability of a case, with as many digits as tell it from a cut beside it."""
    return percent(case.probability, _digits(case))


def _cuts(case: Case) -> tuple[float, float]:
    """Where the band begins and ends; twice the same without a band."""
    point = case.card["point"]
    return point["low"], point["high"]


def _digits(case: Case) -> int:
    """One, or where a number would be called otherwise than it reads: more."""
    return decimals(case.probability * 100, [cut * 100 for cut in _cuts(case)], 1)


def study_in_words(say: Say, case: Case) -> str:
    """How many slices a study has, can be judged by, and is the mean of; empty for one image."""
    if case.study is None:
        return ""
    can = case.study["assessable"]
    words = say("result.study", count=case.study["slices"], ok=can)
    if not can or "study" not in case.card:
        return words
    number = counting(StudyRule(**case.card["study"]), can)
    mean = "result.study_all" if number == can else "result.study_highest"
    return f"{words} {say(mean, number=number)}"


def study_lesions(say: Say, case: Case) -> list[tuple[str, str, bool]]:
    """Name, probability in words, and whether it is calibrated, of each lesion of a study.

    Empty for one image, for a baseline, and where no slice can be judged.
    """
    if case.study is None or not case.study["assessable"]:
        return []
    found = case.study["lesions"] or {}
    calibrated = case.card["calibrated"]
    return [(say(f"output.{name}"), percent(p), calibrated[name]) for name, p in found.items()]


def point_name(say: Say, name: str) -> str:
    """The name of an operating point; a bundle's own one as it is."""
    return say(f"point.{name}") if name in ("balanced", "screening") else name


def rule_in_words(say: Say, rule: str) -> str:
    """How validation chose an operating point; what our export does not write, as it is."""
    for key, pattern in _RULES.items():
        if found := re.fullmatch(pattern, rule):
            return say(key, number=found[1])
    return rule


def slice_number(case: Case, image: CaseImage) -> int:
    """What a slice of a study is called: its number in the series where those tell all apart.

    Else, where numbers are missing or given twice, its place.
    """
    numbers = [one.instance for one in case.images]
    if image.instance is None or None in numbers or len(set(numbers)) < len(numbers):
        return image.position + 1
    return image.instance


def percent(probability: float, digits: int = 1) -> str:
    """A probability as text; never written as certain."""
    if probability >= 0.9995:
        return ">99.9%"
    return "<0.1%" if probability < 0.0005 else f"{probability * 100:.{digits}f}%"


def moment(when: datetime) -> str:
    """A moment in UTC as text."""
    return f"{when:%Y-%m-%d %H:%M} UTC"


def is_formula(text: str) -> bool:
    """Whether a spreadsheet would take a cell with that text for a formula."""
    return text.startswith(_FORMULA)


def harmless(text: str) -> str:
    """A text for a cell of a table: what a spreadsheet would take for a formula gets a quote."""
    return f"'{text}" if is_formula(text) else text

"""The vocabulary: lesions, labels, decisions, and the prediction that every interface returns."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from ladnn.errors import DataError

RESEARCH_NOTICE = "For research use only. Not for diagnosis."

NOT_ANSWERED, NOT_ASKED = "Not answered", "Not asked"
UNANSWERED = (NOT_ANSWERED, NOT_ASKED)
"""How an audit begins what it leaves open, by which a checklist leaves it open too."""


class Lesion(StrEnum):
    """The five lesions of the paper, by the short names of its Figure 1."""

    GGO = "GGO"
    CSLD = "Csld"
    CRPA = "CrPa"
    AIRBR = "AirBr"
    INSEPTHI = "InSepThi"


LESIONS: tuple[Lesion, ...] = tuple(Lesion)
"""The order of the lesion columns everywhere: files, logits, heatmaps."""

LESION_NAMES: dict[Lesion, str] = {
    Lesion.GGO: "Ground-glass opacity",
    Lesion.CSLD: "Consolidation",
    Lesion.CRPA: "Crazy-paving appearance",
    Lesion.AIRBR: "Air bronchograms",
    Lesion.INSEPTHI: "Interlobular septal thickening",
}

OUTPUTS: tuple[str, ...] = ("covid", *LESIONS)
"""The order of the six logits and of the six heatmaps."""


class Decision(StrEnum):
    """What the model says of one image at one operating point."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    INDETERMINATE = "indeterminate"
    NOT_ASSESSABLE = "not_assessable"


@dataclass(frozen=True, kw_only=True)
class LesionLabels:
    """Five lesion labels in the order of `LESIONS`; None is unknown, which is not absent."""

    values: tuple[bool | None, ...] = (None,) * len(LESIONS)

    def __post_init__(self) -> None:
        if len(self.values) != len(LESIONS):
            raise DataError(
                f"expected {len(LESIONS)} lesion labels, got {len(self.values)}: "
                f"give one for each of {', '.join(LESIONS)}"
            )

    @classmethod
    def from_present(cls, present: set[Lesion]) -> Self:
        """Labels of an image whose lesions are all known: those in `present`, and no others."""
        return cls(values=tuple(lesion in present for lesion in LESIONS))

    @property
    def known(self) -> bool:
        """Whether all five are known."""
        return None not in self.values

    @property
    def count(self) -> int:
        """The number of lesions known to be present."""
        return sum(value is True for value in self.values)

    def __getitem__(self, lesion: Lesion) -> bool | None:
        return self.values[LESIONS.index(lesion)]


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What the model says of one image.

    Attributes:
        sha256: of the file's bytes.
        probability: calibrated probability of COVID-19 in [0, 1].
        decision: at the operating point named by `operating_point`.
        lesions: five probabilities in [0, 1] in the order of `LESIONS`; None for a baseline.
        score: in-distribution score in [0, 1]; the larger, the more like an axial chest CT.
        assessable: whether the score passes the bundle's threshold.
        model_name, model_version: of the bundle.
    """

    sha256: str
    probability: float
    decision: Decision
    operating_point: str
    lesions: tuple[float, ...] | None
    score: float
    assessable: bool
    model_name: str
    model_version: str

    def to_json(self) -> dict[str, Any]:
        """The design's Prediction, without `path` and `heatmap`, which belong to the caller."""
        lesions = None if self.lesions is None else dict(zip(LESIONS, self.lesions, strict=True))
        return {
            "sha256": self.sha256,
            "covid": {
                "probability": self.probability,
                "decision": str(self.decision),
                "operating_point": self.operating_point,
            },
            "lesions": None if lesions is None else {str(k): v for k, v in lesions.items()},
            "in_distribution": {"score": self.score, "ok": self.assessable},
            "model": {"name": self.model_name, "version": self.model_version},
            "research_use_only": True,
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; KeyError, TypeError or ValueError where it is none."""
        lesions, guard = said["lesions"], said["in_distribution"]
        return cls(
            sha256=said["sha256"],
            probability=said["covid"]["probability"],
            decision=Decision(said["covid"]["decision"]),
            operating_point=said["covid"]["operating_point"],
            lesions=None if lesions is None else tuple(lesions[lesion] for lesion in LESIONS),
            score=guard["score"],
            assessable=guard["ok"],
            model_name=said["model"]["name"],
            model_version=said["model"]["version"],
        )


def decimals(value: float, cuts: Iterable[float], least: int) -> int:
    """How many decimals show that a value is below a cut beside it: `least`, or up to 6."""
    below = [cut for cut in cuts if value < cut]

    def alike(digits: int) -> bool:
        return any(round(cut, digits) == round(value, digits) for cut in below)

    return next((digits for digits in range(least, 6) if not alike(digits)), 6)

"""The bundle, a folder with model.onnx and card.json: what learning hands to using."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any, Self, get_origin

from ladnn.errors import BundleError
from ladnn.findings import LESIONS, OUTPUTS, Decision

SCHEMA_VERSION = 1
CARD_FILE = "card.json"
MODEL_FILE = "model.onnx"
MODES = ("ladnn", "baseline")
PRECISIONS = ("float32", "bfloat16")
STUDY_RULES = ("mean_top",)


def _known(where: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise BundleError(f"{where} is {value!r} in {CARD_FILE}: expected {' or '.join(choices)}")


def _within(where: str, value: object, low: float, high: float) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high:  # type: ignore[operator]  # a number by then
        raise BundleError(
            f"{where} is {value!r} in {CARD_FILE}: expected a number from {low:g} to {high:g}"
        )


def _kinds(record: "Card | Member") -> None:
    """Refuse text that is not text and objects that are not objects."""
    for item in fields(record):
        value = getattr(record, item.name)
        if item.type is str and not isinstance(value, str):
            raise BundleError(f"{item.name} is {value!r} in {CARD_FILE}: expected text")
        if get_origin(item.type) is Mapping and not isinstance(value, Mapping):
            raise BundleError(f"{item.name} is {value!r} in {CARD_FILE}: expected an object")


def _members(members: object) -> None:
    """Refuse members of `training` that are not what export writes."""
    if not isinstance(members, list | tuple) or not all(
        isinstance(one, Mapping) and isinstance(one.get("config") or {}, Mapping) for one in members
    ):
        raise BundleError(f"training.members of {CARD_FILE} are damaged: export the bundle again")


def _arguments(cls: type, data: object, where: str) -> dict[str, Any]:
    """The keys of `data` as arguments of a dataclass; a missing or an unknown key is an error."""
    if not isinstance(data, Mapping):
        raise BundleError(f"{where} of {CARD_FILE} is not an object: export the bundle again")
    names = {item.name for item in fields(cls)}
    missing, unknown = sorted(names - data.keys()), sorted(data.keys() - names)
    if missing or unknown:
        what = f"lacks {', '.join(missing)}" if missing else f"has unknown {', '.join(unknown)}"
        raise BundleError(f"{where} of {CARD_FILE} {what}: export the bundle again")
    return dict(data)


@dataclass(frozen=True, kw_only=True)
class OperatingPoint:
    """One way to turn a calibrated probability into a decision.

    Attributes:
        threshold: the binary cut in [0, 1]; positive at or above it, as metrics are computed.
        low, high: the indeterminate band around the threshold, low <= threshold <= high;
            equal to the threshold when there is none.
        rule: how validation chose it, in words, such as "Youden's index on validation".
    """

    threshold: float
    low: float
    high: float
    rule: str = ""

    def __post_init__(self) -> None:
        _within("an operating point's low", self.low, 0, 1)
        _within("an operating point's high", self.high, 0, 1)
        _within("an operating point's threshold", self.threshold, self.low, self.high)

    def decide(self, probability: float) -> Decision:
        """Positive from `high` up, negative below `low`, indeterminate between."""
        if probability >= self.high:
            return Decision.POSITIVE
        return Decision.NEGATIVE if probability < self.low else Decision.INDETERMINATE


@dataclass(frozen=True, kw_only=True)
class LesionCalibration:
    """How far one lesion's probability may be believed.

    Attributes:
        temperature: divides the logit; None where validation had too few examples to fit one.
        calibrated: False means that every place which shows the number says "too few examples".
        validation_positives: positive images that the fit had.
    """

    temperature: float | None
    calibrated: bool
    validation_positives: int

    def __post_init__(self) -> None:
        if self.temperature is not None:
            _within("a lesion's temperature", self.temperature, 1e-3, 1e3)
        elif self.calibrated:
            raise BundleError(
                f"a calibrated lesion has no temperature in {CARD_FILE}: export again"
            )


@dataclass(frozen=True, kw_only=True)
class Member:
    """One trained network of the graph, as its checkpoint named itself."""

    backbone: str
    seed: int
    epoch: int
    checkpoint_sha256: str = ""

    def __post_init__(self) -> None:
        _kinds(self)


@dataclass(frozen=True, kw_only=True)
class StudyRule:
    """How the slices of one study make one result, chosen on validation where that could be.

    Attributes:
        rule: "mean_top": the mean of the largest probabilities over the assessable slices.
        fraction: the share of assessable slices that count, in (0, 1].
        minimum: at least this many slices count, where there are as many.
        operating_points: cuts for the aggregated probability; empty means the image's own.
    """

    rule: str = "mean_top"
    fraction: float = 1.0
    minimum: int = 1
    operating_points: Mapping[str, OperatingPoint] = field(default_factory=dict)

    @property
    def chosen(self) -> bool:
        """Whether validation chose it: with too few patients it is the plain mean without cuts."""
        return self != StudyRule()

    def __post_init__(self) -> None:
        _known("study_rule.rule", self.rule, STUDY_RULES)
        _within("study_rule.fraction", self.fraction, 1e-6, 1)
        _within("study_rule.minimum", self.minimum, 1, 10_000)

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Read back what `Card.to_json` wrote."""
        arguments = _arguments(cls, data, "study_rule")
        arguments["operating_points"] = _points(arguments["operating_points"], "study_rule")
        return cls(**arguments)


def _points(data: object, where: str) -> dict[str, OperatingPoint]:
    if not isinstance(data, Mapping):
        raise BundleError(f"{CARD_FILE} has no object of operating points ({where}): export again")
    return {
        name: OperatingPoint(**_arguments(OperatingPoint, point, f"operating point {name}"))
        for name, point in data.items()
    }


@dataclass(frozen=True, kw_only=True)
class Learned:
    """The sources that a bundle was trained on.

    Attributes:
        sources: those that are known.
        complete: whether it saw no other; what is not among `sources` is unknown otherwise.
    """

    sources: tuple[str, ...] = ()
    complete: bool = False

    def saw(self, source: str) -> bool | None:
        """Whether it was trained on that source; None where nobody can tell."""
        return True if source in self.sources else False if self.complete else None


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a bundle says of itself; `to_json` and `from_json` are inverse.

    Attributes:
        input_size: columns S of the graph's input, uint8 grey [N, R, S]; R is S, or 2 S of a pair.
        preprocessing: one of `lungfield.FRAMES`, how an image becomes that input; the runtime
            refuses one that it does not know.
        classes: the order of the logits and maps: `OUTPUTS`, or ("covid",) for a baseline.
        members: the networks in the graph; `combination` says how each output is made of theirs.
        temperature: divides the COVID-19 logit before the sigmoid.
        lesions: calibration by lesion name; empty for a baseline.
        operating_points: by name; `balanced` and `screening` in a bundle that ships.
        guard: parameters of the in-distribution guard, read by `guard.Guard.from_json`.
        precision: arithmetic that validation found safe: "float32" or "bfloat16".
        training, metrics: free JSON objects: the resolved configuration; metrics with intervals.
        data_hash: sha256 of the training manifest.
        sha256: of model.onnx.
    """

    schema_version: int = SCHEMA_VERSION
    name: str
    version: str
    backbone: str
    mode: str
    input_size: int
    preprocessing: str
    classes: tuple[str, ...]
    members: tuple[Member, ...]
    combination: Mapping[str, str]
    temperature: float
    lesions: Mapping[str, LesionCalibration]
    operating_points: Mapping[str, OperatingPoint]
    guard: Mapping[str, Any]
    study_rule: StudyRule
    precision: str = "float32"
    training: Mapping[str, Any]
    data_hash: str
    metrics: Mapping[str, Any]
    sha256: str
    licence: str
    intended_use: str
    research_use_only: bool = True

    def __post_init__(self) -> None:
        _kinds(self)
        _members(self.training.get("members", []))
        if self.research_use_only is not True:
            raise BundleError(f"research_use_only is not true in {CARD_FILE}: every bundle is")
        _known("mode", self.mode, MODES)
        _known("precision", self.precision, PRECISIONS)
        _within("input_size", self.input_size, 32, 4096)
        _within("temperature", self.temperature, 1e-3, 1e3)
        if self.classes != (OUTPUTS if self.mode == "ladnn" else OUTPUTS[:1]):
            raise BundleError(
                f"the classes are {', '.join(self.classes)} in {CARD_FILE}, which is not the order "
                f"of a {self.mode} network: export the bundle again"
            )
        if set(self.lesions) != set(LESIONS if self.mode == "ladnn" else ()):
            raise BundleError(f"{CARD_FILE} does not calibrate the lesions it has: export again")
        if not self.operating_points:
            raise BundleError(f"{CARD_FILE} has no operating point: export the bundle again")

    def operating_point(self, name: str) -> OperatingPoint:
        """The point of that name; an unknown name is a BundleError that lists the right ones."""
        if name not in self.operating_points:
            raise BundleError(
                f"unknown operating point {name!r}: {self.name} has "
                f"{', '.join(sorted(self.operating_points))}"
            )
        return self.operating_points[name]

    @property
    def networks(self) -> str:
        """How many of which backbone, as `2 x efficientnet_lite0`; several kinds with a plus."""
        counts = Counter(member.backbone for member in self.members)
        return " + ".join(f"{count} x {name}" for name, count in counts.items())

    @property
    def temperatures(self) -> tuple[float, ...]:
        """One divisor per logit, in the order of `classes`; 1 where none could be fitted."""
        lesions = (self.lesions[lesion].temperature or 1.0 for lesion in self.classes[1:])
        return (self.temperature, *lesions)

    @property
    def calibrated(self) -> tuple[bool, ...]:
        """Whether each lesion is calibrated, in the order of `LESIONS`; empty for a baseline."""
        return tuple(self.lesions[lesion].calibrated for lesion in self.classes[1:])

    @property
    def learned(self) -> Learned:
        """What the card says of the sources of its training.

        A member that names none took all that its manifest had. Export recorded those where it was
        given that manifest; else those of validation are among them, beside others unknown.
        """
        configs = [one.get("config") or {} for one in self.training.get("members", [])]
        limits = [config.get("sources") or () for config in configs]
        recorded = self.training.get("sources") or ()
        complete = bool(recorded) or (bool(limits) and all(limits))
        named = dict.fromkeys(name for limit in (*limits, recorded) for name in limit)
        beside = () if complete else self.metrics.get("sources", ())
        return Learned(sources=tuple(dict.fromkeys([*named, *beside])), complete=complete)

    def to_json(self) -> dict[str, Any]:
        """A JSON object with one key for each attribute."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Read what `to_json` wrote; raise BundleError on another schema or a key too many."""
        version = data.get("schema_version") if isinstance(data, Mapping) else None
        if version != SCHEMA_VERSION:
            raise BundleError(
                f"{CARD_FILE} has schema version {version!r} and this ladnn reads "
                f"{SCHEMA_VERSION}: export the bundle again, or install the ladnn that wrote it"
            )
        arguments = _arguments(cls, data, "the card")
        try:
            return cls(**(arguments | _nested(arguments)))
        except (TypeError, AttributeError, ValueError) as error:
            raise BundleError(
                f"{CARD_FILE} holds a value of a wrong kind ({error}): export the bundle again"
            ) from error


def _nested(data: Mapping[str, Any]) -> dict[str, Any]:
    """The card's values that are records themselves."""
    return {
        "classes": tuple(data["classes"]),
        "members": tuple(Member(**_arguments(Member, m, "a member")) for m in data["members"]),
        "lesions": {
            lesion: LesionCalibration(**_arguments(LesionCalibration, value, f"lesion {lesion}"))
            for lesion, value in data["lesions"].items()
        },
        "operating_points": _points(data["operating_points"], "operating_points"),
        "study_rule": StudyRule.from_json(data["study_rule"]),
    }


def write_card(card: Card, folder: Path) -> Path:
    """Write `card.json` into the bundle's folder, for people too: indented, keys in order."""
    path = folder / CARD_FILE
    text = json.dumps(card.to_json(), indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def read_card(folder: Path) -> Card:
    """The card of a bundle's folder; raise BundleError with what to do when it cannot be read."""
    path = folder / CARD_FILE
    try:
        return Card.from_json(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        reason = error.strerror or "cannot be read"
        raise BundleError(
            f"no bundle at {folder} ({CARD_FILE}: {reason}): give a folder made by `ladnn export`, "
            f"or one of the names {', '.join(shipped()) or 'of a build that ships bundles'}"
        ) from error
    except (ValueError, RecursionError) as error:  # bad UTF-8, bad JSON, JSON without end
        raise BundleError(f"{path} is not JSON: copy the bundle again, or export it") from error


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A bundle whose model file was found to be the one its card describes.

    Attributes:
        path: the folder.
        model: the verified bytes of model.onnx, so that what runs is what was checked.
    """

    card: Card
    path: Path
    model: bytes = field(repr=False)


def shipped() -> tuple[str, ...]:
    """The names of the bundles inside this installation, such as `default`."""
    root = Path(str(resources.files("ladnn"))) / "bundles"
    return tuple(sorted(path.parent.name for path in root.glob(f"*/{CARD_FILE}")))


def find_bundle(name: str) -> Path:
    """The folder of a shipped bundle's name, though one here is so called; else `name`'s own."""
    if name in shipped():
        return Path(str(resources.files("ladnn"))) / "bundles" / name
    return Path(name)


def load_bundle(path: Path | str) -> Bundle:
    """Read a bundle by folder or shipped name and check its model's hash.

    Raises BundleError when there is none, when the card is of another schema, and when model.onnx
    is not the file that the card was written for.
    """
    folder = find_bundle(str(path))
    card = read_card(folder)
    try:
        model = (folder / MODEL_FILE).read_bytes()
    except OSError as error:
        raise BundleError(
            f"{folder} has a card but no readable {MODEL_FILE}: copy the bundle again"
        ) from error
    if hashlib.sha256(model).hexdigest() != card.sha256:
        raise BundleError(
            f"{folder / MODEL_FILE} is not the file its card describes (the sha256 differs): "
            "copy the bundle again, or export it"
        )
    return Bundle(card=card, path=folder, model=model)

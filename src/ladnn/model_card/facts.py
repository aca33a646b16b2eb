"""What can be said of a bundle, sentence by sentence, from its card and from result files."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ladnn.bundle import CARD_FILE, Card
from ladnn.csvs import packaged
from ladnn.errors import DataError
from ladnn.evaluation import SCHEMA_VERSION
from ladnn.findings import LESION_NAMES, LESIONS, RESEARCH_NOTICE, UNANSWERED
from ladnn.lungfield import input_shape
from ladnn.model_card.recipe import Facts, Json, chosen, configs, lesion_targets, training
from ladnn.stored import EIGHT_BITS
from ladnn.study import rule_with_origin

AUDIT_VERSION = 1
"""The schema version of an audit.json, which the files of an audit write."""


def facts(card: Card, metrics: Json | None = None, audit: Json | None = None) -> Facts:
    """All that the card says, and what `metrics.json` and `audit.json` add where they are given.

    Raises:
        DataError: the card's free objects, training and metrics, are not what export writes.
    """
    with _whole(CARD_FILE, "ladnn export"):
        own = {
            **_model(card),
            **_use(card),
            **_fitted(card),
            **training(card),
            **_collections(card.learned.sources),
            "validation": _performance(card.metrics),
            **_counts(card.metrics),
        }
    found = {**own, **_results(metrics, card.learned.sources), **_examined(audit)}
    return {name: sentence for name, sentence in found.items() if sentence}


def read_metrics(path: Path, card: Card) -> Json:
    """The `metrics.json` of this model on a test split.

    Raises:
        DataError: when it cannot be read, is something else, damaged, or of another version, model
            or split.
    """
    data = _read(path, card, holds="sources", made_by="ladnn evaluate", version=SCHEMA_VERSION)
    if data.get("split") != "test":
        raise DataError(
            f"{path} is of the {data.get('split')} split, which is no test: give the results of "
            "`ladnn evaluate --split test`"
        )
    with _whole(path, "ladnn evaluate"):
        _results(data, card.learned.sources)
    return data


def read_audit(path: Path, card: Card) -> Json:
    """The `audit.json` of this model on a test split; raises as `read_metrics` does."""
    data = _read(path, card, holds="answers", made_by="ladnn audit", version=AUDIT_VERSION)
    with _whole(path, "ladnn audit"):
        split, answered = data["plan"]["split"], len(data["answers"])
    if split != "test" or not answered:
        what = f"of the {split} split, which is no test" if answered else "without an answer"
        raise DataError(f"{path} is {what}: give that of `ladnn audit --split test`")
    with _whole(path, "ladnn audit"):
        _examined(data)
    return data


@contextmanager
def _whole(path: Path | str, made_by: str) -> Iterator[None]:
    """What fails in here fails because the file lacks something that is always written."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path} does not hold what `{made_by}` writes ({type(error).__name__}: {error}): make "
            "it again"
        ) from error


def _read(path: Path, card: Card, *, holds: str, made_by: str, version: int) -> Json:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): give another") from error
    except ValueError as error:
        raise DataError(f"{path} is not JSON: make it again") from error
    if not isinstance(data, dict) or holds not in data:
        raise DataError(f"{path} is no result of `{made_by}`: give one")
    if data.get("schema_version") != version:
        raise DataError(
            f"{path} has schema version {data.get('schema_version')!r} and this ladnn reads "
            f"{version}: run `{made_by}` again"
        )
    model = data.get("model")
    if not isinstance(model, dict) or model.get("sha256") != card.sha256:
        raise DataError(
            f"{path} is of another model than {card.name} {card.version} (the sha256 differs): "
            "evaluate or audit this one"
        )
    return data


def _model(card: Card) -> Facts:
    members = len(card.members)
    networks = f"{members} networks in one graph" if members > 1 else "one network"
    branch = "a branch for COVID-19 and one for five lesions"
    kind = branch if card.mode == "ladnn" else "a branch for COVID-19 alone (a baseline)"
    lesions = ", ".join(LESION_NAMES[lesion].lower() for lesion in LESIONS)
    outputs = f" and of {lesions}" if card.mode == "ladnn" else ""
    rows, columns = input_shape(card.input_size, card.preprocessing)
    return {
        "identity": f"{card.name}, version {card.version}: a deep neural network that reads axial "
        "chest CT images for COVID-19.",
        "architecture": f"Deep convolutional neural network: {networks} ({card.backbone}), with "
        f"{kind}, after Liu et al., lesion-attention deep neural networks.{_haze(card)}",
        "ensembling": f"{networks.capitalize()}; logits: {card.combination.get('logits', '')}.",
        "input": f"One axial chest CT image in a lung window, 8-bit grey, in the frame "
        f"{card.preprocessing}, {rows} rows of {columns} pixels.",
        "outputs": f"Probability of COVID-19{outputs}; a map for each; a score of how much the "
        "image is like an axial chest CT.",
        "explanation": "Grad-CAM++ maps in the same forward pass, scaled by the probability; they "
        "show where evidence was taken from and not what it was.",
        "integrity": f"model.onnx has sha256 {card.sha256}; it is checked at every load.",
        "software": "LA-DNN (Apache-2.0): trained with PyTorch and timm, run as ONNX by OpenVINO "
        f"or ONNX Runtime in {card.precision}{_eight_bits(card)}.",
    }


def _eight_bits(card: Card) -> str:
    """How many convolutions are not in that precision."""
    said = card.training.get(EIGHT_BITS)
    count = said.get("convolutions") if isinstance(said, Mapping) else None
    return f", {count} convolutions in 8 bits" if isinstance(count, int) else ""


def _haze(card: Card) -> str:
    """That a channel is not learned, of a bundle with a network that has it."""
    having = sum(bool(config.get("haze")) for config in configs(card))
    if not having:
        return ""
    return (
        f" In {having} of {len(card.members)} one channel is measured and not learned: how much of "
        "the posterior lung is smooth and half dense. Its weight is fixed and raises the "
        "probability of COVID-19."
    )


def _use(card: Card) -> Facts:
    return {
        "notice": RESEARCH_NOTICE,
        "licence": f"{card.licence}." if card.licence else "",
        "intended_use": card.intended_use,
        "not_for": "Diagnosis, triage, or any other decision on a patient; other parts of the "
        "body, other directions than axial, other machines than CT.",
        "identifying": "Images alone are used; the manifest names patients by the collection's own "
        "numbers, or by clusters of near-duplicates where there are none.",
        "missing": "An unknown lesion is left out of the metrics; an image that cannot be read is "
        f"named and left out.{lesion_targets(card)}",
        "instance": "One axial CT image with a flag for COVID-19, and five lesions where known.",
        "limits": "On hospitals that no training saw, expect less than any number here. A "
        "collection betrays its class by more than lungs, and no single collection can show that "
        "a model does not use that.",
        "partitions": "By the manifest's split: the collection's own, or by patient, 60, 15 and "
        "25% for training, validation and test. "
        f"{chosen(card)} are chosen on validation.",
    }


def _fitted(card: Card) -> Facts:
    points = "; ".join(
        f"{name}: {point.threshold:.3f} ({point.rule})"
        for name, point in card.operating_points.items()
    )
    unknown = [name for name, lesion in card.lesions.items() if not lesion.calibrated]
    lesions = "All five are calibrated." if card.lesions else "Not judged by this model."
    if unknown:
        lesions = f"Not calibrated, for want of examples in validation: {', '.join(unknown)}."
    return {
        "thresholds": f"{points}.",
        "calibration": f"Logits are divided by a temperature of {card.temperature:.3g}, fitted on "
        "validation.",
        "patients": f"By {rule_with_origin(card.study_rule)}.",
        "lesions": lesions,
        "measures": "AUC, average precision, Brier score, calibration error, and sensitivity, "
        "specificity, precision, F1 and accuracy at each threshold.",
        "uncertainty": "Percentile intervals from a bootstrap that draws patients.",
        "guard": "A guard scores how much an image is like an axial chest CT in a lung window; "
        f"below {card.guard.get('threshold', 0.5)} it is not assessable. Images near the "
        "threshold are called indeterminate.",
    }


# ------------------------------------------------------------------ collections


def collections() -> dict[str, dict[str, str]]:
    """What is known of the collections that an importer knows, by source."""
    return {row["source"]: row for row in packaged("collections")}


def _collections(sources: Sequence[str]) -> Facts:
    known = collections()
    public = bool(sources) and all(source in known for source in sources)
    return {
        "design": "Retrospective, on public collections." if public else "",
        "collections": _listed(sources, "what"),
        "collection_labels": _listed(sources, "labels"),
        "collection_licences": _listed(sources, "licence"),
    }


def _listed(sources: Sequence[str], column: str) -> str:
    """What is known of each source, and plainly of which nothing is; empty where of none."""
    known = collections()
    if not any(source in known for source in sources):
        return ""
    nothing = {column: "not known here"}
    return "; ".join(f"{name}: {known.get(name, nothing)[column]}" for name in sources) + "."


# ------------------------------------------------------------------ results


def _counts(metrics: Json) -> Facts:
    sources = metrics.get("sources", {})
    text = "; ".join(
        f"{name}: {group['images']} images of {group['patients']} patients{_positives(group)}"
        for name, group in sources.items()
    )
    return {"counts": f"Validation: {text}. Of training the card has no numbers."} if text else {}


def _positives(group: Json) -> str:
    found = group["covid"]["per_image"].get("positives")
    return "" if found is None else f", {found} images positive"


def _performance(metrics: Json) -> str:
    """AUC of each source, per image and per patient, as far as the file has them."""
    parts = []
    for name, group in metrics.get("sources", {}).items():
        covid = group["covid"]
        patients = covid.get("per_patient")
        whole = f", per patient {_interval(patients['auc'])}" if patients else ""
        parts.append(f"{name}: AUC {_interval(covid['per_image']['auc'])} per image{whole}")
    if not parts:
        return ""
    level = metrics.get("intervals", {}).get("level")
    return f"{'; '.join(parts)}.{f' Brackets: {100 * level:g}% intervals.' if level else ''}"


def _interval(estimate: Json) -> str:
    if estimate["value"] is None:
        return f"not given ({estimate['reason']})"
    if estimate["low"] is None:
        return f"{estimate['value']:.3f}"
    if estimate["low"] == estimate["high"]:
        return f"{estimate['value']:.3f} (no spread)"
    return f"{estimate['value']:.3f} ({estimate['low']:.3f} to {estimate['high']:.3f})"


def _results(metrics: Json | None, learned: Sequence[str]) -> Facts:
    """What the results of `ladnn evaluate` on a test split add; `learned` are its sources."""
    if metrics is None:
        return {}
    images = metrics["images"]
    each = [
        f"{name}: {_rates(group['covid']['per_image']['at'])}"
        for name, group in metrics["sources"].items()
    ]
    split = f"The {metrics['split']} split"
    within = {name: group for name, group in metrics["sources"].items() if name in learned}
    internal = _performance({**metrics, "sources": within})
    return {
        "test": f"{split}. {_performance(metrics)}",
        "internal": f"{split} of what it learned from. {internal}" if internal else "",
        "sources": f"{split}. {_performance(metrics)}",
        "rates": "; ".join(each) + ".",
        "included": f"{split}: {images['listed']} images listed, {images['evaluated']} judged, "
        f"{images['failed']} that could not be read.",
    }


def _rates(cuts: Json) -> str:
    return ", ".join(
        f"sensitivity {_interval(at['sensitivity'])} and specificity "
        f"{_interval(at['specificity'])} at {name}"
        for name, at in cuts.items()
    )


_ANSWERS = {
    "leaks": "leaks",
    "subgroups": "subgroups",
    "outside": "outside",
    "lungs": "lungs",
    "sensitivity": "robustness",
    "mistakes": "failures",
    "labels": "label_errors",
    "performance": "sources",
}
"""Which question of an audit answers which fact."""


def _examined(audit: Json | None) -> Facts:
    """What an audit adds: its findings, as they stand, of each question that it answered."""
    if audit is None:
        return {}
    return {
        _ANSWERS[answer["key"]]: " ".join(answer["findings"])
        for answer in audit["answers"]
        if answer["key"] in _ANSWERS
        and not any(finding.startswith(UNANSWERED) for finding in answer["findings"])
    }

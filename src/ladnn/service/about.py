"""What the pages About and API tell: measured results, how to cite, the operations."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from ladnn.bundle import Card, read_card, shipped
from ladnn.csvs import packaged

METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, kw_only=True)
class Tested:
    """What a bundle that ships reached on the test split of one source.

    Attributes:
        seen: whether images of that source were trained on; False is leave-one-source-out.
        auc: in [0, 1], with its 95% interval, `low` to `high`.
        sensitivity, specificity: in [0, 1], at the cut of `balanced`; None where not measured.
    """

    bundle: str
    tested_on: str
    seen: bool
    images: int
    patients: int
    auc: float
    low: float
    high: float
    sensitivity: float | None
    specificity: float | None


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation of the interface.

    Attributes:
        scope: what a key has to be for.
        anyone: whether no key is needed.
    """

    method: str
    path: str
    summary: str
    description: str
    parameters: tuple[Mapping[str, Any], ...]
    bodies: tuple[str, ...]
    answers: Mapping[str, str]
    scope: str
    anyone: bool


def tested() -> list[Tested]:
    """The rows of data/tested.csv, whose numbers are those of docs/results.md."""
    return [
        Tested(
            bundle=row["bundle"],
            tested_on=row["tested_on"],
            seen=row["seen"] == "1",
            images=int(row["images"]),
            patients=int(row["patients"]),
            auc=float(row["auc"]),
            low=float(row["auc_low"]),
            high=float(row["auc_high"]),
            sensitivity=_number(row["sensitivity_balanced"]),
            specificity=_number(row["specificity_balanced"]),
        )
        for row in packaged("tested")
    ]


def _number(cell: str) -> float | None:
    return float(cell) if cell else None


def tested_of(card: Card) -> list[Tested]:
    """The rows of the bundle that ships, if that is what the card is of; none for any other."""
    if card.name not in shipped() or _shipped_card(card.name) != card:
        return []
    return [one for one in tested() if one.bundle == card.name]


def ship() -> list[str]:
    """The names and versions of the bundles that ship, which are those that `tested` is of."""
    named = {one.bundle for one in tested()}
    cards = [_shipped_card(name) for name in shipped() if name in named]
    return [f"{card.name} {card.version}" for card in cards]


def _shipped_card(name: str) -> Card:
    return read_card(Path(str(resources.files("ladnn"))) / "bundles" / name)


def citation() -> str:
    """How to cite: the words of CITATION.cff, which no installation has beside it."""
    return (
        "The LA-DNN contributors. LA-DNN: lesion-attention deep neural networks for COVID-19 on "
        "chest CT images. Apache-2.0. - Bin Liu, Xiaoxue Gao, Mengshuang He, Fengmao Lv, Guosheng "
        "Yin. Online COVID-19 diagnosis with chest CT images: Lesion-attention deep neural "
        "networks. 2020."
    )


def operations(description: Mapping[str, Any]) -> dict[str, list[Operation]]:
    """The operations of an OpenAPI description, by tag."""
    groups: dict[str, list[Operation]] = {}
    for path, methods in description.get("paths", {}).items():
        for method in (name for name in METHODS if name in methods):
            told = methods[method]
            tag = (told.get("tags") or [""])[0]
            groups.setdefault(str(tag), []).append(_operation(method, path, told))
    return groups


def _operation(method: str, path: str, told: Mapping[str, Any]) -> Operation:
    ways = told.get("security", [{}])
    return Operation(
        method=method.upper(),
        path=path,
        summary=told.get("summary", ""),
        description=told.get("description", ""),
        parameters=tuple(told.get("parameters", ())),
        bodies=tuple(told.get("requestBody", {}).get("content", {})),
        answers={
            code: one.get("description", "") for code, one in sorted(told["responses"].items())
        },
        scope=", ".join(scope for way in ways for scope in way.get("key", ())),
        anyone={} in ways,
    )

"""Figures with their bars, as a table for people and as JSON for programs."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

PACKAGES = ("ladnn", "numpy", "openvino", "onnxruntime", "torch", "grad-cam")
BUSY = 0.3
"""Load over the last minute, per core, from which other work spoils the figures."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured figure.

    Attributes:
        bench: which bench measured it, a key of `bench.__main__.BENCHES`.
        name: what was measured. value: None where it could not be, and `note` says why.
        unit: of the value. at_most, at_least: the bar; neither for what is only told.
        note: what a reader has to know to believe it.
    """

    bench: str
    name: str
    value: float | None
    unit: str
    at_most: float | None = None
    at_least: float | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """`pass`, `fail`, `not measured`, or nothing where there is no bar."""
        if self.at_most is None and self.at_least is None:
            return ""
        if self.value is None:
            return "not measured"
        high = self.at_most is None or self.value <= self.at_most
        low = self.at_least is None or self.value >= self.at_least
        return "pass" if high and low else "fail"

    @property
    def bar(self) -> str:
        """The bar in words."""
        if self.at_most is not None:
            return f"at most {self.at_most:g}"
        return "" if self.at_least is None else f"at least {self.at_least:g}"


def machine() -> dict[str, Any]:
    """What the figures were measured on, and with."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def busy(about: dict[str, Any]) -> bool:
    """Whether other work ran on the machine when the benches began."""
    return bool(about["load"] > BUSY * about["cores"])


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def show(figures: Sequence[Figure], console: Console) -> None:
    """Print the table, a rule between benches."""
    table = Table(title="Speed, measured in one run")
    for name, justify in (("measured", "left"), ("figure", "right"), ("bar", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]  # a Literal in rich
    table.add_column("", justify="left")
    table.add_column("note", overflow="fold")
    before = figures[0].bench if figures else ""
    for figure in figures:
        if figure.bench != before:
            table.add_section()
        before = figure.bench
        value = "-" if figure.value is None else f"{figure.value:.3g} {figure.unit}".strip()
        table.add_row(figure.name, value, figure.bar, _coloured(figure.verdict), figure.note)
    console.print(table)


def _coloured(verdict: str) -> str:
    colour = {"pass": "green", "fail": "red", "not measured": "yellow"}.get(verdict)
    return f"[{colour}]{verdict}[/]" if colour else verdict


def write(figures: Sequence[Figure], about: dict[str, Any], *, quick: bool, path: Path) -> None:
    """Write everything as one JSON object."""
    rows = [asdict(figure) | {"verdict": figure.verdict} for figure in figures]
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": about, "busy": busy(about), "quick": quick, "figures": rows}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

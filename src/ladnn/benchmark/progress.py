"""Shows how a grid is getting on: a table where a person looks at it, else a line for each run."""

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table

from ladnn.benchmark.engines import Outcome
from ladnn.benchmark.grid import Run
from ladnn.training import LOG_FILE, log_rows


def watch(
    outcomes: Iterable[Outcome], runs: Sequence[Run], todo: Sequence[Run], output: Path
) -> list[tuple[Run, str]]:
    """Follow the runs until all are over; those that failed, with their reasons."""
    console = Console(stderr=True)
    started = time.time()
    waiting = {run.name: run for run in todo}
    failed: list[tuple[Run, str]] = []

    def table() -> Table:
        done = len(runs) - len(waiting) - len(failed)
        title = f"{done} of {len(runs)} runs done, {len(failed)} failed"
        return _table(title, list(waiting.values()), output, started)

    with Live(get_renderable=table, console=console, refresh_per_second=1, transient=True) as live:
        for run, reason in outcomes:
            del waiting[run.name]
            if reason is not None:
                failed.append((run, reason))
            if not console.is_terminal:
                state = "done" if reason is None else "failed"
                console.print(f"{state}: {run.name}, {len(waiting)} left", soft_wrap=True)
            live.refresh()
    return failed


def _table(title: str, waiting: Sequence[Run], output: Path, started: float) -> Table:
    table = Table(title=title, title_justify="left")
    for head in ("running", "epoch", "loss", "validation AUC"):
        table.add_column(head)
    for run in waiting:
        log = output / run.name / LOG_FILE
        if log.exists() and log.stat().st_mtime >= started:
            table.add_row(run.name, *_state(log, run.config.epochs))
    return table


def _state(log: Path, epochs: int) -> tuple[str, str, str]:
    rows = log_rows(log)
    if not rows:
        return f"1 of {epochs}", "", ""
    last = rows[-1]
    running = min(len(rows) + 1, epochs)
    return f"{running} of {epochs}", last.get("loss") or "", last.get("val_auc") or ""

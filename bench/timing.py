"""Clocks: calls in turns, and whole processes with the memory that they came to."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

LAUNCHER = Path(__file__).with_name("launch.py")


def in_turns(
    contestants: dict[str, Callable[[], object]],
    rounds: int,
    calls: dict[str, int] | None = None,
) -> dict[str, float]:
    """Median seconds of a call of each contestant.

    They take turns, so that whatever slows the machine for a while slows them all. The first call
    of every turn is not counted: caches and sleeping threads belong to whoever went before.

    Args:
        contestants: by name.
        rounds: turns of each.
        calls: counted calls in a turn, one where it does not say.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, call in contestants.items():
            call()
            seconds[name] += [clock(call) for _ in range((calls or {}).get(name, 1))]
    return {name: statistics.median(values) for name, values in seconds.items()}


def clock(call: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


@dataclass(frozen=True, kw_only=True)
class Run:
    """One process: seconds on the wall and of the processor, largest resident memory in MB."""

    wall: float
    cpu: float
    memory: float
    output: str


def run(command: Sequence[str]) -> Run:
    """Run a command to its end through `launch.py`.

    Raises:
        RuntimeError: when it fails; its last line of stderr says why.
    """
    started = [sys.executable, "-I", "-S", str(LAUNCHER), *command]
    done = subprocess.run(  # noqa: S603  # the commands are the benches' own
        started, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
        raise RuntimeError(f"{' '.join(command[:4])} ... failed: {reason}")
    report = json.loads(done.stderr.strip().splitlines()[-1])
    return Run(**report, output=done.stdout)

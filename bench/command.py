"""`ladnn predict` as people call it: cold on one image, and on folders."""

import sys
import tempfile
from pathlib import Path
from statistics import median

from bench.bundles import Studio
from bench.images import folder, name
from bench.report import Figure
from bench.scale import Scale
from bench.timing import Run, run

GROWTH = 1.1
"""Peak memory at the larger folder over that at the smaller one: flat, but for the noise."""


def measure_cold(scale: Scale, studio: Studio) -> list[Figure]:
    """A new process on one image with its heatmaps."""
    bundle, note = studio.main()
    image = folder(scale.few) / name(0)
    runs = [predict(image, bundle.path) for _ in range(scale.cold_runs + 1)][1:]
    note = f"{note}; median of {len(runs)} processes, files in the disk's cache"
    return [
        Figure(
            bench="cold",
            name="cold predict, one image, heatmaps written",
            value=median(one.wall for one in runs),
            unit="s",
            at_most=1.2,
            note=note,
        ),
        Figure(
            bench="cold",
            name="its peak memory",
            value=max(one.memory for one in runs),
            unit="MB",
            at_most=400,
            note="the largest of them",
        ),
        Figure(
            bench="cold",
            name="its processor time",
            value=median(one.cpu for one in runs),
            unit="s",
            note="over all cores",
        ),
    ]


def measure_folder(scale: Scale, studio: Studio) -> list[Figure]:
    """Two folders with heatmaps, the start of the process included."""
    bundle, note = studio.main()
    few, many = (predict(folder(count), bundle.path) for count in (scale.few, scale.many))
    return [
        Figure(
            bench="folder",
            name=f"folder of {scale.many} images, heatmaps written",
            value=scale.many / many.wall,
            unit="images/s",
            at_least=25,
            note=note,
        ),
        Figure(
            bench="folder",
            name=f"peak memory at {scale.few} images",
            value=few.memory,
            unit="MB",
        ),
        Figure(
            bench="folder",
            name=f"peak memory at {scale.many} images",
            value=many.memory,
            unit="MB",
        ),
        Figure(
            bench="folder",
            name="growth of the peak memory",
            value=many.memory / few.memory,
            unit="x",
            at_most=GROWTH,
        ),
    ]


def predict(images: Path, bundle: Path) -> Run:
    """Run `ladnn predict` on a file or a folder; overlays go to a folder that is then deleted."""
    program = str(Path(sys.executable).with_name("ladnn"))
    with tempfile.TemporaryDirectory() as overlays:
        options = ("--bundle", str(bundle), "--heatmaps", overlays, "--json")
        return run([program, "predict", str(images), *options])

"""One run of a grid: trained, scored, and put into its folder in files that readers trust.

A split's `metrics.json` is written last, so a split that has it is done.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ladnn import evaluation
from ladnn.batches import as_seen, load
from ladnn.benchmark.grid import Run
from ladnn.benchmark.results import made_with, read_cases
from ladnn.checkpoint import Checkpoint, read_checkpoint, weights_sha256
from ladnn.dataset import Manifest, Record, hash_records
from ladnn.errors import ConfigError, DataError
from ladnn.evaluation import Evaluation
from ladnn.findings import Decision
from ladnn.imaging import read_image
from ladnn.learner import TrainConfig, predict_logits
from ladnn.paths import is_missing
from ladnn.scoring import HALF, Case, Settings, score
from ladnn.training import RESUME_FILE, claim, fit, is_over, training_records


def perform(run: Run, manifest: Manifest, output: Path) -> None:
    """Train the run and score what it asks for; what is done already is not done again.

    Args:
        run: of a grid.
        manifest: of all its images.
        output: the grid's folder; the run has its own below it.

    Raises:
        ConfigError: the run's folder holds a run of other settings or data.
        DataError, ImageError, WeightsError: as `training.fit`.
    """
    folder = output / run.name
    missing = waiting(run, manifest, output)
    if missing and not _is_trained(folder, run.config):
        fit(run.config, manifest, folder, quiet=True)
    for split in missing:
        _judge(run, manifest, split, folder)
    # the way back of a run that is over: it would make every folder six times as large
    (folder / RESUME_FILE).unlink(missing_ok=True)


def _is_trained(folder: Path, config: TrainConfig) -> bool:
    """Whether training is over, and the way back, which goes last, needed no more."""
    return is_over(config, folder) and not (folder / RESUME_FILE).exists()


def waiting(run: Run, manifest: Manifest, output: Path) -> tuple[str, ...]:
    """The splits of a run that are not scored yet; empty when the run is done.

    Raises:
        ConfigError: the run's folder holds a run of other settings or data.
        DataError: a source that the manifest does not have, or nothing to score.
    """
    folder = output / run.name
    records = {split: judged(run, manifest, split) for split in run.evaluate}
    claim(folder, run.config, hash_records(training_records(run.config, manifest)))
    return tuple(s for s, images in records.items() if not _is_scored(folder / s, images))


def judged(run: Run, manifest: Manifest, split: str) -> list[Record]:
    """The images of one split that every run of the grid is scored on.

    Raises:
        DataError: when there is none of one of the sources.
    """
    found = [r for r in manifest.part(split) if r.source in run.judged]
    without = [source for source in run.judged if all(r.source != source for r in found)]
    if without:
        raise DataError(
            f"the manifest has no image of {', '.join(without)} in {split}: "
            "change the grid's judged or evaluate"
        )
    return found


def _is_scored(folder: Path, records: Sequence[Record]) -> bool:
    """Whether a split's results are of these images; those that moved since are scored again."""
    if not (folder / evaluation.METRICS).exists():
        return False
    if made_with(folder)["data_hash"] != hash_records([*records]):
        raise ConfigError(f"{folder} holds results on other images: give another output folder")
    return [case.path for case in read_cases(folder)] == [r.path.as_posix() for r in records]


def _judge(run: Run, manifest: Manifest, split: str, folder: Path) -> None:
    checkpoint, net = read_checkpoint(folder)
    records = judged(run, manifest, split)
    images = load(records, read_image, frame=checkpoint.frame)
    batch = as_seen(images, checkpoint.input_size)
    chances = predict_logits(net, batch.images).sigmoid().double().tolist()
    cases = tuple(_case(item, row) for item, row in zip(records, chances, strict=True))
    sha256 = weights_sha256(folder)
    found = _evaluation(run, cases, split, manifest.labels, sha256)
    target = folder / split
    evaluation.prepare_folder(target, force=True)
    config = _config(run, checkpoint, sha256, hash_records(records))
    evaluation.write_results(found, target, config)


def _case(record: Record, chances: Sequence[float]) -> Case:
    """One image; the decision is taken at one half, for nothing was calibrated."""
    covid, *lesions = chances
    decision = Decision.POSITIVE if covid >= 0.5 else Decision.NEGATIVE
    return Case(
        path=record.path.as_posix(),
        source=record.source,
        patient=record.patient,
        label=record.covid,
        probability=covid,
        decisions={HALF: decision},
        lesion_labels=record.lesions.values,
        lesion_probabilities=tuple(lesions) or None,
    )


def _evaluation(
    run: Run, cases: tuple[Case, ...], split: str, labels: str, sha256: str
) -> Evaluation:
    settings = Settings()
    sources = tuple(dict.fromkeys(case.source for case in cases))
    return Evaluation(
        model={"name": run.name, "version": "", "mode": run.mode, "sha256": sha256},
        split=split,
        labels=labels,
        operating_point=HALF,
        settings=settings,
        cases=cases,
        failures=(),
        overall=score(cases, {}, settings),
        sources={s: score([c for c in cases if c.source == s], {}, settings) for s in sources},
        calibrated={},
    )


def _config(run: Run, checkpoint: Checkpoint, sha256: str, data_hash: str) -> dict[str, Any]:
    """Whatever the scores depend on."""
    return {
        "run": run.name,
        "weights_sha256": sha256,
        "frame": checkpoint.frame,
        "input_size": checkpoint.input_size,
        "epoch": checkpoint.epoch,
        "averaged_with_mirror_image": True,
        "judged": list(run.judged),
        "data_hash": data_hash,
    }


def plan(runs: Sequence[Run], manifest: Manifest, output: Path) -> list[Run]:
    """The runs that are not done; everything that can be refused is refused before any trains.

    Raises:
        DataError: images that are gone, and as `waiting`. ConfigError: as `waiting`.
    """
    wanted = {source for run in runs for source in (*run.config.sources, *run.judged)}
    records = [record for record in manifest if record.source in wanted]
    gone = [record.path for record in records if is_missing(record.path)]
    if gone:
        raise DataError(
            f"{len(gone)} of {len(records)} images of the manifest are gone, the first is "
            f"{gone[0]}: put them back or import the data again"
        )
    return [run for run in runs if waiting(run, manifest, output)]

"""Result folders as `ladnn evaluate` writes them, from drawn probabilities and without images."""

from pathlib import Path

import numpy as np

from bundles import tiny_card
from ladnn.evaluation import Evaluation, prepare_folder, score_images, write_results
from ladnn.findings import LESIONS
from ladnn.scoring import Case, Settings

QUICK = Settings(replicates=40)


def cases(size=80, *, seed=0, sources=("here", "there"), mode="ladnn", better=0.0, root=Path()):
    """Two images to a patient; positives score higher, `better` the more so."""
    generator = np.random.default_rng(seed)
    points = tiny_card(b"", mode).operating_points
    found = []
    for index in range(size):
        label = index % 4 < 2
        chance = float(np.clip(generator.normal(0.35 + (0.25 + better) * label, 0.2), 0, 1))
        lesions = tuple(generator.random(len(LESIONS)).round(6).tolist())
        found.append(
            Case(
                path=(root / "images" / f"{index:03}.png").as_posix(),
                source=sources[index // 4 % len(sources)],
                patient=f"p{index // 2}",
                label=label,
                probability=chance,
                decisions={name: point.decide(chance) for name, point in points.items()},
                lesion_probabilities=lesions if mode == "ladnn" else None,
                in_distribution=0.9,
            )
        )
    return tuple(found)


def write_result(
    folder: Path, *, name="drawn", mode="ladnn", split="val", trained_on=(), **drawn
) -> Path:
    """Write a result folder; `drawn` goes to `cases`."""
    judged = cases(mode=mode, **drawn)
    names = dict.fromkeys(case.source for case in judged)
    card = tiny_card(b"", mode)
    found = Evaluation(
        model={"name": name, "version": "1", "mode": mode, "sha256": "0" * 64},
        split=split,
        labels="paper",
        operating_point="balanced",
        settings=QUICK,
        cases=judged,
        failures=(),
        overall=score_images(judged, card, QUICK),
        sources={
            source: score_images([case for case in judged if case.source == source], card, QUICK)
            for source in names
        },
        calibrated={},
        patient_rule=card.study_rule,
    )
    prepare_folder(folder, force=True)
    write_results(found, folder, {"bundle": {"trained_on": list(trained_on)}})
    return folder

"""Versions on a site: one truth for all replicas, picked up while they answer; their pages."""

import json
import os
import re
import shutil
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from personas import browser_of, make_account, post
from sites import MakeSite, Site, sqlite_url
from sqlalchemy import select
from sqlalchemy.orm import Session
from typer.testing import CliRunner

from bundles import tiny_bundle
from ladnn.bundle import Card, OperatingPoint
from ladnn.cli import app as cli
from ladnn.commands.model import _row
from ladnn.errors import RegistryError, UnreachableError
from ladnn.ledger import Kind
from ladnn.locked_test import VERDICT, compare_versions
from ladnn.registry import Registry
from ladnn.runtime import Predictor, load_bundle
from ladnn.service import about, migrations, models
from ladnn.service.accounts.permissions import Role
from ladnn.service.accounts.principals import Principal
from ladnn.service.champion import Champion
from ladnn.service.database import Database
from ladnn.service.feedback import give_feedback
from ladnn.service.i18n import read_catalogues
from ladnn.service.tables import AuditEvent, Case, CaseImage, Feedback, new_id
from ladnn.service.version_views import check_in_words, doubt
from ladnn.service.watching import Watcher, Week, agreement
from ladnn.storage import Store

WHO = {"by": "ada", "why": "a test"}
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)  # a Monday
CASES = [(1, 0.9), (0, 0.2), (1, 0.7), (0, 0.6)]


def evidence(shift: float = 0.0, cases: Sequence[tuple[int, float]] = CASES) -> bytes:
    """What `locked_test.evidence` keeps, of images with these labels and probabilities."""
    rows = [
        {
            "image": f"{row:064d}",
            "source": "home",
            "patient": row,
            "label": label,
            "probability": probability - shift,
            "decision": "positive" if probability - shift > 0.5 else "negative",
        }
        for row, (label, probability) in enumerate(cases)
    ]
    estimate = {"value": 0.875, "low": 0.75, "high": 0.95, "reason": None}
    rates = dict.fromkeys(("sensitivity", "specificity", "accuracy"), estimate)
    scores = {"auc": estimate, "at": {"balanced": rates}}
    metrics = {"operating_point": "balanced", "all": {"covid": {"per_image": scores}}}
    test = {
        "sha256": f"{len(cases):064d}",
        "images": len(cases),
        "patients": len(cases),
        "sources": ["home"],
    }
    return json.dumps(
        {
            "locked_test": test,
            "data_version": "b" * 64,
            "threshold": 0.5,
            "metrics": metrics,
            "cases": rows,
        }
    ).encode()


def registry_of(site: Site) -> Registry:
    return models.site_registry(site.services.settings, site.services.database)


def fill(site: Site, folder: Path) -> Registry:
    """Two versions, of which the first is the champion."""
    registry = registry_of(site)
    for version in ("1", "2"):
        bundle = tiny_bundle(folder / version, bias=float(version), version=version)
        registry.add(bundle, {"evaluation.json": evidence(0.1 * int(version))}, **WHO)
    registry.promote("tiny-1", **WHO)
    return registry


def noted(site: Site) -> list[tuple[str, str, str]]:
    """Action, object and actor of the audit log's lines about versions."""
    about_models = select(AuditEvent).where(AuditEvent.action.startswith("model."))
    return site.services.database.read(
        lambda s: [(one.action, one.object, one.actor) for one in s.scalars(about_models)]
    )


# ------------------------------------------------------------------ store


def test_what_one_replica_promotes_is_the_champion_of_the_other(site: Site, tmp_path: Path):
    fill(site, tmp_path)
    assert registry_of(site).champion() == "tiny-1"


def test_of_promotions_at_the_same_time_each_is_one_event(site: Site, tmp_path: Path):
    registry = fill(site, tmp_path)
    labels = ["tiny-1", "tiny-2"] * 4
    threads = [threading.Thread(target=attempt, args=(registry, label)) for label in labels]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = registry.ledger.events()
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    line = [event.label for event in events if event.kind == "promote"]
    assert all(one != two for one, two in pairwise(line))


def attempt(registry: Registry, label: str) -> None:
    from ladnn.errors import RegistryError

    try:
        registry.promote(label, **WHO)
    except RegistryError:
        return  # it is the champion already


def test_versions_are_shown_beside_one_whose_files_are_gone(page: Site, tmp_path: Path):
    registry = fill(page, tmp_path)
    folder = registry.versions()["tiny-2"].added.folder
    shutil.rmtree(Path(page.services.settings.storage) / models.FOLDER / folder)
    shown = page.client.get("/models")
    assert shown.status_code == 200
    assert "damaged" in shown.text
    assert page.client.get("/api/v1/models").json()["total"] == 2
    rows = [_row(registry, version) for version in registry.versions().values()]
    assert [(row["version"], row["damaged"]) for row in rows] == [
        ("tiny-1", False),
        ("tiny-2", True),
    ]


@pytest.mark.parametrize("where", ["/models/compare", "/api/v1/models/compare"])
def test_a_storage_that_fails_between_is_not_told_as_another_test(
    page: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
):
    def fail(*_: object) -> None:
        raise UnreachableError("the registry cannot be reached (gone)")

    fill(page, tmp_path)
    monkeypatch.setattr("ladnn.service.version_views.compare_versions", fail)
    assert page.client.get(f"{where}?first=tiny-1&second=tiny-2").status_code == 503


@pytest.mark.parametrize("gone", ["all", "model.onnx"])
def test_a_version_whose_files_are_gone_shows_what_is_known_of_it(
    page: Site, tmp_path: Path, gone: str
):
    added = fill(page, tmp_path).versions()["tiny-2"].added
    folder = Path(page.services.settings.storage) / models.FOLDER / added.folder
    if gone == "all":
        shutil.rmtree(folder)
    else:
        (folder / gone).unlink()
    shown = page.client.get("/models/tiny-2")
    assert shown.status_code == 200
    assert "This version cannot be opened" in shown.text
    assert "a test" in shown.text  # its history
    said = page.client.get("/api/v1/models/tiny-2")
    assert said.status_code == 200
    assert (said.json()["backbone"], said.json()["weeks"]) == (None, [])
    assert said.json()["sha256"] == added.files["model.onnx"]


def test_a_number_that_is_taken_is_refused_and_an_own_one_is_not(site: Site, tmp_path: Path):
    from ladnn.storage import Taken

    registry = fill(site, tmp_path)
    event = registry.ledger.events()[-1]
    with pytest.raises(Taken):
        registry.ledger.append(event)


# ------------------------------------------------------------------ champion


def test_a_promotion_is_picked_up_and_every_request_meanwhile_is_answered(
    page: Site, tmp_path: Path
):
    registry = fill(page, tmp_path)
    champion = Champion(
        locate=lambda: registry.champion() or "",
        build=lambda label: Predictor(registry.open(label), threads=1),
        report=lambda name, error: pytest.fail(f"{name}: {error}"),
        seconds=0.02,
    )
    registry.promote("tiny-2", **WHO)
    seen = [champion().card.version]
    deadline = time.monotonic() + 60
    while seen[-1] != "2" and time.monotonic() < deadline:
        seen.append(champion().card.version)
        time.sleep(0.001)
    champion.close()
    assert seen[0] == "1"
    assert seen[-1] == "2"


def test_a_bundle_that_cannot_be_loaded_leaves_the_old_one_at_work(tmp_path: Path):
    names, told = ["good"], threading.Event()
    good = Predictor(load_bundle(tiny_bundle(tmp_path)), threads=1)

    def build(name: str) -> Predictor:
        if name != "good":
            raise OSError(name)
        return good

    champion = Champion(lambda: names[-1], build, lambda *_: told.set(), seconds=0.01)
    names.append("bad")
    assert told.wait(60)
    champion.close()
    assert champion() is good


def test_a_site_looks_for_a_new_champion_more_often_than_every_ten_seconds():
    from ladnn.service.champion import CHECK_SECONDS

    assert CHECK_SECONDS <= 5


def test_a_site_answers_with_the_champion_and_without_one_with_the_settings_bundle(
    page: Site, tmp_path: Path
):
    registry = fill(page, tmp_path)
    settings = page.services.settings
    assert models.open_bundle(settings, registry, "tiny-1").card.name == "tiny"
    assert models.open_bundle(settings, registry, "").card.name == "default"


# ------------------------------------------------------------------ watching


def case(
    moment: datetime, probability: float, decision: str = "positive", feedback: object = None
) -> Case:
    image = CaseImage(
        position=0,
        source_sha256="0" * 64,
        blob="0" * 64,
        format="PNG",
        height=1,
        width=1,
        frame=0,
        prediction={},
        probability=probability,
        decision=decision,
        score=0.9,
        box=[0, 0, 1, 1],
        maps=b"",
        maps_shape=[6, 1, 1],
    )
    return Case(
        public_id=new_id(),
        share_token=new_id(),
        owner="visitor:x",
        fingerprint=new_id(),
        model_name="tiny",
        model_version="1",
        card={},
        operating_point="balanced",
        probability=probability,
        decision=decision,
        created_at=moment,
        images=[image],
        feedback=[feedback] if feedback else [],
    )


def test_agreement_counts_what_clinicians_and_pcr_say(site: Site):
    said = [
        ("positive", "agree", "positive"),
        ("positive", "disagree", "negative"),
        ("indeterminate", None, "positive"),
        ("negative", "agree", None),
    ]
    rows = [
        case(NOON, 0.5, decision, Feedback(author="account:1", agreement=agrees, pcr=pcr))
        for decision, agrees, pcr in said
    ]
    site.services.database.write(lambda session: session.add_all(rows))
    found = site.services.database.read(lambda session: agreement(session, "tiny", "1"))
    counted = (found.agree, found.disagree, found.right, found.wrong, found.undecided)
    assert counted == (2, 1, 1, 1, 1)


def test_each_clinician_s_judgement_counts_and_each_case_has_one_pcr_result(site: Site):
    said = [
        # two agree and say the same; two disagree, and the later of two results counts
        ("positive", [("agree", "positive", 0), ("agree", "positive", 1)]),
        ("positive", [("agree", "positive", 0), ("disagree", "negative", 1)]),
        ("positive", [("disagree", "positive", 1), ("agree", "negative", 0)]),
        ("negative", [("agree", "negative", 0), (None, None, 1)]),
        ("not_assessable", [(None, "positive", 0), (None, "positive", 1)]),
    ]
    rows = []
    for decision, judgements in said:
        rows.append(case(NOON, 0.5, decision))
        rows[-1].feedback = [
            Feedback(
                author=f"account:{author}",
                agreement=agrees,
                pcr=pcr,
                changed_at=NOON + timedelta(hours=hour),
            )
            for author, (agrees, pcr, hour) in enumerate(judgements)
        ]
    site.services.database.write(lambda session: session.add_all(rows))
    found = site.services.database.read(lambda session: agreement(session, "tiny", "1"))
    assert (found.agree, found.disagree) == (5, 2)
    assert (found.right, found.wrong, found.undecided) == (3, 1, 1)


def test_who_only_agrees_later_does_not_say_the_pcr_result_anew(site: Site):
    one = case(NOON, 0.5, "positive", Feedback(author="account:0", agreement="agree"))
    token = one.share_token
    site.services.database.write(lambda session: session.add(one))
    for hour, (author, agrees, pcr) in enumerate(
        [
            ("account:1", None, "negative"),
            ("account:2", None, "positive"),
            ("account:1", "agree", None),
            ("account:1", "agree", "negative"),
        ]
    ):
        later = NOON + timedelta(hours=hour)
        services = replace(site.services, clock=lambda later=later: later)
        by = Principal(role=Role.CLINICIAN, owner=author)
        give_feedback(services, by, token, by_token=True, agreement=agrees, pcr=pcr)
    found = site.services.database.read(lambda session: agreement(session, "tiny", "1"))
    assert (found.right, found.wrong) == (1, 0)


def study(moment: datetime, probability: float, scores: Sequence[float]) -> Case:
    """A case with a slice for each score; all slices have the probability of the case."""
    whole, *others = (case(moment, probability, "negative") for _ in scores)
    whole.images += [other.images[0] for other in others]
    for place, (image, score) in enumerate(zip(whole.images, scores, strict=True)):
        image.position, image.score = place, score
    return whole


def drift(site: Site, watcher: Watcher | None = None) -> list[Week]:
    one = watcher or Watcher()
    return site.services.database.read(lambda session: one.drift(session, "tiny", "1"))


def weeks_of(site: Site, rows: Iterable[Case]) -> list[Week]:
    site.services.database.write(lambda session: session.add_all(rows))
    return drift(site)


def day(number: int, probability: float, decision: str = "negative") -> Case:
    return case(NOON + timedelta(days=number), probability, decision)


def test_a_week_unlike_the_first_four_is_marked_and_one_like_them_is_not(page: Site):
    usual = [day(n % 28, (n % 10) / 10) for n in range(100)]
    alike = [day(29, (n % 10) / 10) for n in range(40)]
    other = [day(36, 0.95) for _ in range(40)]
    found = weeks_of(page, usual + alike + other)
    assert [week.reference for week in found] == [True] * 4 + [False, False]
    assert [week.drifted for week in found[-2:]] == [False, True]


def test_a_week_of_few_cases_is_not_judged_however_many_images_they_have(page: Site):
    usual = [day(n % 28, 0.1) for n in range(100)]
    few = [study(NOON + timedelta(days=30), 0.9, [0.9] * 5) for _ in range(19)]
    found = weeks_of(page, usual + few)
    assert found[-1].images == 95
    assert (found[-1].p_probability, found[-1].p_score) == (None, None)
    assert not found[-1].drifted


def test_a_week_is_not_judged_beside_a_reference_of_few_cases(page: Site):
    usual = [study(NOON + timedelta(days=n), 0.1, [0.9] * 5) for n in range(19)]
    found = weeks_of(page, usual + [day(30, 0.9) for _ in range(40)])
    assert found[-1].p_probability is None


def test_many_slices_do_not_make_a_week_of_few_studies_unlike(page: Site):
    drawn = np.random.default_rng(0)
    chances, scores = drawn.random(80), drawn.random(80)  # of studies, from 0 to 1
    days = [n % 28 for n in range(40)] + [29] * 20 + [36] * 20
    rows = [
        study(NOON + timedelta(days=number), chance, [score] * 40)
        for number, chance, score in zip(days, chances.tolist(), scores.tolist(), strict=True)
    ]
    found = weeks_of(page, rows)
    assert [week.images for week in found[-2:]] == [800, 800]
    assert [week.drifted for week in found] == [False] * 6


def test_a_study_has_the_mean_fitness_of_its_slices(page: Site):
    usual = [study(NOON + timedelta(days=n % 28), 0.1, [0.5, 1.0]) for n in range(40)]
    alike = [study(NOON + timedelta(days=29), 0.1, [0.75, 0.75]) for _ in range(40)]
    other = [study(NOON + timedelta(days=36), 0.1, [0.5, 0.5]) for _ in range(40)]
    found = weeks_of(page, usual + alike + other)
    assert [week.drifted for week in found[-2:]] == [False, True]


def test_each_case_counts_once_in_the_means_of_a_week(page: Site):
    (found,) = weeks_of(page, [study(NOON, 0.9, [0.2] * 8), study(NOON, 0.1, [0.6])])
    assert found.images == 9
    assert (found.probability, found.score) == pytest.approx((0.5, 0.4))


def test_a_week_tells_how_many_images_were_not_assessable(page: Site):
    said = ["not_assessable", "negative", "negative", "negative"]
    found = weeks_of(page, [day(number, 0.5, one) for number, one in enumerate(said)])
    assert found[0].refused == 0.25


def test_the_weeks_of_a_version_are_read_from_its_images(site: Site):
    rows = [case(NOON + timedelta(days=day), 0.5) for day in (0, 1, 8)]
    site.services.database.write(lambda session: session.add_all(rows))
    found = drift(site)
    assert [week.images for week in found] == [2, 1]


def test_drift_reads_so_many_images_of_the_reference_and_the_newest_whole_weeks(
    site: Site, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("ladnn.service.watching.MOST", 10)
    days = [*range(15), *[30] * 10, *[37] * 4, *[44] * 4]
    rows = [case(NOON + timedelta(days=number), 0.5) for number in days]
    site.services.database.write(lambda session: session.add_all(rows))
    found = drift(site)
    assert sum(week.images for week in found if week.reference) == 10
    assert [week.images for week in found if not week.reference] == [4, 4]


def test_a_busy_week_is_shown_by_its_newest_images(site: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ladnn.service.watching.MOST", 5)
    rows = [case(NOON + timedelta(days=number), 0.5) for number in [0] * 3 + [30] * 8]
    site.services.database.write(lambda session: session.add_all(rows))
    found = drift(site)
    assert [week.images for week in found] == [3, 5]


def read_from(site: Site, watcher: Watcher) -> int:
    """How many images a view reads."""
    read: list[int] = []

    def count(rows: Iterable[Any]) -> list[Any]:
        found = list(map(tuple, rows))
        read.append(len(found))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ladnn.service.watching._tested", count)
        drift(site, watcher)
    return sum(read)


def test_a_second_view_reads_the_newest_week_alone(site: Site):
    rows = [case(NOON + timedelta(days=number / 2), 0.5) for number in range(100)]
    site.services.database.write(lambda session: session.add_all(rows))
    watcher = Watcher()
    assert read_from(site, watcher) == 100
    newest = drift(site, watcher)[-1].images
    assert (read_from(site, watcher), newest < 20) == (newest, True)


@pytest.mark.parametrize(
    "change",
    [
        "a case now",
        "a case of a week that is over",
        "the oldest deleted",
        "one of the middle deleted",
        "the newest deleted",
        "one deleted and another in its week",
        "a new week",
    ],
)
def test_what_is_remembered_tells_what_anew_is_told(site: Site, change: str):
    rows = [case(NOON + timedelta(days=n / 2), (n % 10) / 10) for n in range(100)]
    site.services.database.write(lambda session: session.add_all(rows))
    watcher = Watcher()
    before = drift(site, watcher)

    def write(session: Session) -> None:
        gone = {"oldest": 0, "newest": 99, "middle": 60, "one deleted": 70}
        for word, place in gone.items():
            if word in change:
                session.delete(session.get_one(Case, rows[place].id))
        day = {"now": 50, "over": 33, "another": 35, "new week": 70}
        for word, number in day.items():
            if word in change:
                session.add(case(NOON + timedelta(days=number), 0.97))

    site.services.database.write(write)
    after = drift(site, watcher)
    assert after == drift(site)
    assert after != before


def test_a_version_that_tested_nothing_has_no_drift(site: Site):
    assert drift(site) == []


# ------------------------------------------------------------------ pages


@pytest.mark.parametrize("path", ["/models", "/models/tiny-1", "/about", "/about/api"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_page_is_answered_in_both_languages(page: Site, tmp_path: Path, path: str, language: str):
    fill(page, tmp_path)
    answer = page.client.get(path, headers={"accept-language": language})
    assert answer.status_code == 200
    assert f'<html lang="{language}"' in answer.text
    assert "style=" not in answer.text


def test_a_version_shows_its_results_its_curve_and_its_history(page: Site, tmp_path: Path):
    fill(page, tmp_path)
    shown = page.client.get("/models/tiny-1").text
    assert "0.875" in shown
    assert 'class="line n1" d="M0.0 100.0' in shown
    assert "a test" in shown


@pytest.mark.parametrize("language", ["en", "zh"])
def test_each_event_of_a_version_is_named_in_the_language_of_the_page(language: str):
    say = partial(read_catalogues().say, language)
    assert len({say(f"models.kind.{kind}") for kind in Kind}) == len(Kind)


def test_who_promoted_is_not_shown_to_visitors(page: Site, tmp_path: Path):
    fill(page, tmp_path)
    shown = page.client.get("/models/tiny-1").text
    assert not re.search(r"\bada\b", shown)  # three letters that a hash may well hold


def test_two_versions_are_compared(page: Site, tmp_path: Path):
    fill(page, tmp_path)
    shown = page.client.get("/models/compare?first=tiny-1&second=tiny-2").text
    assert 'class="line n2"' in shown
    assert "image by image" in shown


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("sensitivity", ["灵敏度"]),
        ("AUC", ["AUC"]),
        ("right calls in covid-ct", ["判断正确率", "covid-ct"]),
        ("right calls in a, b, positives", ["判断正确率", "a, b", "阳性"]),
        ("right calls in positives", ["判断正确率", "全部阳性"]),
        ("right calls in negatives", ["判断正确率", "全部阴性"]),
        ("right calls in images with GGO", ["判断正确率", "有磨玻璃影的图像"]),
        ("right calls in images with X", ["判断正确率", "images with X"]),
    ],
)
def test_what_is_compared_is_named_in_the_language_of_the_page(name: str, told: list[str]):
    say = partial(read_catalogues().say, "zh")
    assert re.split("[\uff1a\uff0c]", check_in_words(say, name)) == told


@pytest.mark.parametrize("path", ["/models/none-1", "/models/compare?first=tiny-1&second=none"])
def test_an_unknown_version_is_not_found(page: Site, tmp_path: Path, path: str):
    fill(page, tmp_path)
    unknown = re.split("[/=]", path)[-1]
    for language, told in (("en", f"no version {unknown}:"), ("zh", f"没有版本{unknown}")):
        answer = page.client.get(path, headers={"accept-language": language})
        assert (answer.status_code, told in answer.text) == (404, True)


def test_what_speaks_against_a_promotion_is_told_to_who_may_promote(page: Site, tmp_path: Path):
    registry = fill(page, tmp_path)
    registry.add(tiny_bundle(tmp_path / "3", bias=3.0, version="3"), {}, **WHO)
    enough = {"evaluation.json": evidence(cases=[*CASES] * 5)}
    registry.add(tiny_bundle(tmp_path / "4", bias=4.0, version="4"), enough, **WHO)
    found = [doubt(registry, f"tiny-{number}") for number in range(1, 5)]
    assert found == ["", "models.below_gate", "models.unproven", "models.unproven"]
    registry.promote("tiny-4", **WHO)
    registry.add(tiny_bundle(tmp_path / "5", bias=5.0, version="5"), enough, **WHO)
    assert doubt(registry, "tiny-5") == ""
    assert "gate of updates" not in page.client.get("/models/tiny-2").text  # a visitor


def test_versions_whose_gate_this_program_does_not_know_are_shown_unjudged(
    page: Site, tmp_path: Path
):
    registry = fill(page, tmp_path)
    said = {"gate": {"of_a_later_program": 1}, "verdict": {}}
    later = {VERDICT: json.dumps(said).encode(), "evaluation.json": evidence()}
    registry.add(tiny_bundle(tmp_path / "3", bias=3.0, version="3"), later, **WHO)
    with pytest.raises(RegistryError, match="cannot be compared"):
        compare_versions(registry, "tiny-1", "tiny-3")
    assert doubt(registry, "tiny-3") == "models.unproven"
    answer = page.client.get("/models/compare?first=tiny-1&second=tiny-3")
    assert answer.status_code == 200


def test_a_version_without_the_operating_point_of_the_site_does_not_become_champion(
    page: Site, tmp_path: Path
):
    registry = fill(page, tmp_path)
    cuts = OperatingPoint(threshold=0.5, low=0.5, high=0.5, rule="none")
    other = tiny_bundle(tmp_path / "3", version="3", operating_points={"another": cuts})
    registry.add(other, {}, **WHO)
    browser = browser_of(page, make_account(page, Role.ADMINISTRATOR))
    sent = {"why": "mine", "champion": "tiny-1"}
    assert post(browser, "/models/tiny-3/promote", "/models", **sent).status_code == 422
    assert registry.champion() == "tiny-1"


@pytest.mark.parametrize("path", ["/models/rollback", "/models/tiny-2/promote"])
def test_a_visitor_may_neither_promote_nor_roll_back(page: Site, tmp_path: Path, path: str):
    registry = fill(page, tmp_path)
    assert page.client.post(path, data={"why": "mine"}).status_code in (401, 403)
    assert registry.champion() == "tiny-1"


def test_a_site_without_versions_says_so(page: Site):
    assert "No version is registered yet" in page.client.get("/models").text


@pytest.mark.parametrize("path", ["/models", "/models/bundle"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_site_without_versions_shows_the_bundle_that_answers_and_how_it_does_here(
    page: Site, path: str, language: str
):
    said = Feedback(author="account:1", agreement="agree", pcr="positive")
    rows = [case(NOON, 0.5, "positive", said), case(NOON + timedelta(days=29), 0.5)]
    page.services.database.write(lambda session: session.add_all(rows))
    shown = page.client.get(path, headers={"accept-language": language}).text
    assert "tiny 1" in shown
    assert ("1 of 1" if language == "en" else "1 / 1") in shown
    assert "2026-01-05" in shown
    assert ("was not judged on this site" if language == "en" else "其表现未知") in shown


@pytest.mark.parametrize("path", ["/models", "/models/bundle"])
def test_of_a_bundle_that_ships_the_results_are_shown(
    request: pytest.FixtureRequest, tmp_path: Path, make_site: MakeSite, path: str
):
    page = make_site(sqlite_url(request, tmp_path), answering_with(load_bundle("default").card))
    shown = page.client.get(path).text
    mine = [one for one in about.tested() if one.bundle == "default"]
    assert mine
    assert all(f"{one.auc:.3f}" in shown for one in mine)
    assert "not judged on this site" not in shown


def shipped_cards() -> list[Card]:
    return [load_bundle(name).card for name in ("default", "paper-d0")]


def answering_with(card: Card) -> SimpleNamespace:
    return SimpleNamespace(card=card)


def test_another_bundle_with_a_shipped_name_has_no_results_of_the_shipped_one():
    card = load_bundle("default").card
    assert about.tested_of(card)
    assert about.tested_of(replace(card, version="0")) == []
    assert about.tested_of(replace(card, sha256="0" * 64)) == []
    assert about.tested_of(replace(card, name="other")) == []


@pytest.fixture
def promoted(request: pytest.FixtureRequest, tmp_path: Path, make_site: MakeSite) -> Site:
    """A site on which tiny-1 of the registry answers."""
    predictor = answering_with(load_bundle(tiny_bundle(tmp_path / "b", bias=1.0)).card)
    page = make_site(sqlite_url(request, tmp_path), predictor)
    registry = fill(page, tmp_path)
    assert registry.open("tiny-1").card == predictor.card
    return page


def test_the_bundle_of_the_settings_is_not_shown_where_a_version_answers(promoted: Site):
    assert "of its settings" not in promoted.client.get("/models").text
    assert promoted.client.get("/models/bundle").headers["location"] == "/models/tiny-1"


def test_about_tells_how_the_version_that_answers_did_and_whose_the_other_figures_are(
    promoted: Site,
):
    shown = promoted.client.get("/about").text
    assert "How well tiny-1 does, on the locked test" in shown
    assert "0.875" in shown
    assert 'href="/models/tiny-1"' in shown
    assert all(f"{one.name} {one.version}" in shown for one in shipped_cards())
    assert "They are not of tiny 1, which answers here." in shown


def test_about_says_that_a_version_was_added_without_a_test(
    request: pytest.FixtureRequest, tmp_path: Path, make_site: MakeSite
):
    folder = tiny_bundle(tmp_path / "b")
    page = make_site(sqlite_url(request, tmp_path), answering_with(load_bundle(folder).card))
    registry_of(page).add(folder, {}, **WHO)
    assert "This version was added without a test." in page.client.get("/about").text


def test_about_says_that_the_figures_are_not_of_a_bundle_that_is_not_among_them(page: Site):
    shown = page.client.get("/about").text
    assert "on the locked test" not in shown
    assert "They are not of tiny 1, which answers here." in shown


@pytest.mark.parametrize("registered", [False, True])
def test_about_s_figures_are_of_a_shipped_bundle_that_answers_registered_or_not(
    request: pytest.FixtureRequest, tmp_path: Path, make_site: MakeSite, registered: bool
):
    page = make_site(sqlite_url(request, tmp_path), answering_with(shipped_cards()[0]))
    if registered:
        registry_of(page).add("default", {}, **WHO)
    shown = page.client.get("/about").text
    assert "which answers here" not in shown
    assert ("on the locked test" in shown) is registered


def test_with_candidates_alone_the_bundle_of_the_settings_is_shown_too(page: Site, tmp_path: Path):
    registry_of(page).add(tiny_bundle(tmp_path / "b", bias=3.0, version="3"), {}, **WHO)
    shown = page.client.get("/models").text
    assert "No registered version answers yet" in shown
    assert "tiny-3" in shown
    assert "was not judged on this site" in shown


def test_the_interface_lists_every_operation(page: Site):
    shown = page.client.get("/about/api").text
    paths = page.app.openapi()["paths"]
    assert paths
    assert all(path in shown for path in paths)


def test_the_measured_results_are_those_of_the_documentation():
    results = Path(__file__).resolve().parents[2] / "docs" / "results.md"
    text = results.read_text(encoding="utf-8")
    for one in about.tested():
        numbers = (one.auc, one.low, one.high)
        auc, low, high = (f"{number:.3f}".lstrip("0") for number in numbers)
        size = f"{one.images} ({one.patients})"
        row = f"| `{one.bundle}` | {one.tested_on} | {size} | {auc} ({low}\u2013{high}) |"
        assert row in text
        if one.sensitivity is not None and one.specificity is not None:
            told = text.partition("sensitivity at `balanced`")[2]
            line = next(x for x in told.splitlines() if f"`{one.bundle}` | {one.tested_on}" in x)
            for number in (one.sensitivity, one.specificity):
                assert f"| {number:.3f} (".replace("0.", ".") in line


@pytest.mark.parametrize("days", [17, 0])
def test_about_tells_the_days_of_the_settings_and_at_which_operating_point_its_figures_are(
    request: pytest.FixtureRequest, tmp_path: Path, make_site: MakeSite, days: int
):
    page = make_site(sqlite_url(request, tmp_path), visitor_case_days=days, account_case_days=723)
    shown = page.client.get("/about").text
    assert "723 days" in shown
    assert ("17 days" in shown) == bool(days)
    assert "at the cut of the operating point balanced" in shown
    missing = sum(one.sensitivity is None for one in about.tested())
    assert shown.count(">\u2013</td>") == 2 * missing > 0


def test_a_rollback_by_an_administrator_is_done_and_noted(page: Site, tmp_path: Path):
    from ladnn.service.accounts.principals import owner_of

    registry = fill(page, tmp_path)
    registry.promote("tiny-2", **WHO)
    chief = make_account(page, Role.ADMINISTRATOR)
    browser = browser_of(page, chief)
    sent = {"why": "worse", "champion": "tiny-2"}
    assert post(browser, "/models/rollback", "/models", **sent).status_code == 303
    assert registry.champion() == "tiny-1"
    assert registry.ledger.events()[-1].by == owner_of(chief)
    assert ("model.rollback", "tiny-1", owner_of(chief)) in noted(page)
    sent = {"why": "again", "champion": "tiny-1"}
    refused = post(browser, "/models/tiny-1/promote", "/models", **sent)
    assert refused.status_code == 422


def test_the_citation_is_that_of_the_repository():
    import yaml

    root = Path(__file__).resolve().parents[2]
    cited = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    paper = cited["references"][0]
    authors = ", ".join(f"{one['given-names']} {one['family-names']}" for one in paper["authors"])
    who = ", ".join(one["name"] for one in cited["authors"])
    assert about.citation() == (
        f"{who}. {cited['title']}. {cited['license']}. - "
        f"{authors}. {paper['title']}. {paper['year']}."
    )


def settings_file(site: Site, folder: Path) -> Path:
    settings = site.services.settings
    config = folder / "site.toml"
    config.write_text(f'database_url = "{settings.database_url}"\nstorage = "{settings.storage}"\n')
    return config


def test_what_the_command_line_changes_is_in_the_audit_log_too(page: Site, tmp_path: Path):
    fill(page, tmp_path)
    where = ["--config", str(settings_file(page, tmp_path)), "--why", "a trial"]
    done = CliRunner().invoke(cli, ["model", "promote", "tiny-2", *where])
    assert done.exit_code == 0, done.exception
    assert CliRunner().invoke(cli, ["model", "promote", "tiny-2", *where]).exit_code != 0
    assert noted(page) == [
        ("model.add", "tiny-1", "system"),
        ("model.add", "tiny-2", "system"),
        ("model.promote", "tiny-1", "system"),
        ("model.promote", "tiny-2", "system"),
    ]


@pytest.mark.parametrize("error", [KeyError, OSError])
def test_who_has_no_name_on_this_machine_is_told_by_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
):
    def unknown() -> str:
        raise error("no such user")

    monkeypatch.setattr("getpass.getuser", unknown)
    bundle = str(tiny_bundle(tmp_path / "tiny"))
    where = ["--registry", str(tmp_path / "registry")]
    done = CliRunner().invoke(cli, ["model", "add", bundle, *where, "--why", "a trial"])
    assert done.exit_code == 0, done.exception
    [version] = Registry(Store(where[1])).versions().values()
    assert version.added.by == f"uid {os.getuid()}"


def test_the_command_finds_the_site_of_the_settings_that_it_is_given(page: Site, tmp_path: Path):
    fill(page, tmp_path)
    config = settings_file(page, tmp_path)
    done = CliRunner().invoke(cli, ["model", "list", "--json", "--config", str(config)])
    assert done.exit_code == 0, done.exception
    assert "tiny-2" in {one["version"] for one in json.loads(done.stdout)}


@pytest.mark.parametrize("command", [["list"], ["rollback", "--why", "a trial"]])
def test_the_command_leaves_the_tables_of_an_older_site_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
):
    url = f"sqlite:///{tmp_path}/old.db"
    database = Database(url)
    migrations.upgrade(database, "0009")
    monkeypatch.setenv("LADNN_DATABASE_URL", url)
    done = CliRunner().invoke(cli, ["model", *command])
    assert "of another version" in str(done.exception)
    assert migrations.current(database) == "0009"
    database.dispose()


def test_the_command_makes_no_site_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LADNN_DATABASE_URL", f"sqlite:///{tmp_path}/none.db")
    done = CliRunner().invoke(cli, ["model", "list"])
    assert "give --config or --registry" in str(done.exception)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_version_tells_that_deleted_results_leave_its_reference(language: str):
    said = read_catalogues().say(language, "models.drift_how")
    assert ("that are kept" if language == "en" else "现存结果") in said
    assert ("20 cases" if language == "en" else "20 个病例") in said

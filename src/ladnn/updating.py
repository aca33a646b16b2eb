"""A contributed dataset in, a challenger out: trained, judged beside the champion, maybe promoted.

An interrupted update goes on where it was, for each step leaves a folder or a version behind.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ladnn.backbones import CHEST_CT, IMAGENET, backbone
from ladnn.bundle import MODEL_FILE, Bundle, Card, load_bundle
from ladnn.card_fitting import Stage, unseen
from ladnn.combining import combine
from ladnn.config import build, merge
from ladnn.dataset import Manifest, Record
from ladnn.errors import BundleError, ConfigError, RegistryError
from ladnn.export import Identity, Options, export
from ladnn.fitting import check_classes
from ladnn.gate import Gate, Verdict, compare, joined
from ladnn.inspection import Viewed, view
from ladnn.intake import Intake, take_in
from ladnn.learner import TrainConfig, new_network
from ladnn.ledger import Status
from ladnn.locked_test import (
    EVALUATION,
    VERDICT,
    Judgement,
    answers,
    check_test,
    evidence,
    judge,
    read_judgement,
    subgroups,
)
from ladnn.quantising import quantise
from ladnn.registry import Registry, label_of
from ladnn.stored import EIGHT_BITS, Stored
from ladnn.training import fit, training_records

_MADE, _EXACT = "bundle", "float32"  # folders of the challenger, and of it before 8 bits


@dataclass(frozen=True, kw_only=True)
class UpdateConfig:
    """How to update; conf/update.toml has the defaults.

    Attributes:
        gate: what the challenger has to pass.
        training: settings that replace those of the champion's recipe, such as epochs.
        decoys: drawings of each kind that the guard is fitted on.
    """

    gate: Gate = field(default_factory=Gate)
    training: Mapping[str, Any] = field(default_factory=dict)
    decoys: int = 60

    def __post_init__(self) -> None:
        if self.decoys < 1:
            raise ConfigError(f"decoys is {self.decoys}: give at least 1 drawing of each kind")


@dataclass(frozen=True, kw_only=True)
class Update:
    """What came of an update.

    Attributes:
        label: of the challenger.
        judgement: of it, beside the champion whose recipe it learned by and the first champion.
        contributed: images that were added to training or validation.
        left_out: path and reason of each contributed image that was not.
    """

    label: str
    judgement: Judgement
    contributed: int
    left_out: tuple[tuple[Path, str], ...]


# ------------------------------------------------------------------ recipe


def recipe(card: Card, sources: Sequence[str], changes: Mapping[str, Any]) -> list[TrainConfig]:
    """The champion's training configurations, one for each member, with `changes`.

    Where the champion was trained on some sources only, the contributed ones are added. Weights
    that it started from and that are not on this machine are replaced by those its backbone has.

    Raises:
        ConfigError: a card that tells no recipe, or a change that is no setting or that makes two
            members the same.
    """
    members = card.training.get("members")
    if not members or not all(isinstance(one.get("config"), Mapping) for one in members):
        raise ConfigError(
            f"the card of {card.name} {card.version} does not say how it was trained: "
            "update a version that was made by `ladnn export`"
        )
    found = [_member(merge(member["config"], changes), sources) for member in members]
    if any(one in found[:place] for place, one in enumerate(found)):
        raise ConfigError(
            f"the changes make two of the {len(found)} members the same network, which would learn "
            "the same: leave out seed, each member has its own"
        )
    return found


def _member(settings: dict[str, Any], sources: Sequence[str]) -> TrainConfig:
    if settings.get("sources"):
        settings["sources"] = list(dict.fromkeys([*settings["sources"], *sources]))
    weights = settings.get("weights", "")
    if weights not in (IMAGENET, CHEST_CT, "random") and not Path(str(weights)).exists():
        settings["weights"] = backbone(settings.get("backbone", TrainConfig.backbone)).weights
    return build(TrainConfig, settings, where=" of the recipe")


def next_version(card: Card, labels: Iterable[str]) -> str:
    """The first free version after the champion's: 1, then 1.1, 1.2 and so on."""
    there, number = set(labels), 1
    base = card.version.partition(".")[0]
    while f"{card.name}-{base}.{number}" in there:
        number += 1
    return f"{base}.{number}"


# ------------------------------------------------------------------ update


def update(
    dataset: Path,
    base: Manifest,
    registry: Registry,
    folder: Path,
    config: UpdateConfig,
    *,
    by: str,
    stage: Stage = unseen,
) -> Update:
    """Train a challenger on base and contributed images, judge it, and promote it if it passes.

    Args:
        dataset: folder of the contributed images, in a layout that `ladnn data import` reads.
        base: the manifest whose test split is locked.
        registry: that has a champion.
        folder: for the training runs and the challenger's bundle; a run in it goes on.
        config: gate and training.
        by: who asks for it.
        stage: for a progress bar.

    Raises:
        RegistryError: another champion by the time the challenger is ready.
        ConfigError: no champion, or a folder that holds something else.
        DataError, ConfigError, WeightsError, BundleError: as the parts that raise them say.
    """
    taken = any((folder / name).exists() for name in (_MADE, _EXACT))
    if taken and not any(folder.glob("member-*")):
        raise ConfigError(f"{folder} holds a bundle that no update made: give another folder")
    champion, rivals = _rivals(registry, config.gate)
    old = rivals[champion]
    check_test(registry, base)
    contributed = take_in(
        [dataset], labels=base.labels or "paper", extract_to=folder / "unpacked", split=False
    )
    whole, left_out = combine(base, contributed.manifest, lambda part: _looked(part, stage))
    new = Manifest(records=whole.records[len(base) :])
    runs = _train(recipe(old.card, new.sources, config.training), whole, folder, stage)
    label = _taken_in(registry, folder, config.gate)
    if label is None:
        parts = runs, whole, folder, _successor(old.card, registry)
        made, exact = _challenger(*parts, old=old.card, config=config, stage=stage)
        verdict, trial = _judge_all(rivals, made, base, config.gate, stage)
        found = Judgement(champion=champion, gate=config.gate, verdict=verdict)
        label = _take_in(registry, made, found, trial, base, by=by, but=exact)
    return Update(
        label=label,
        judgement=_promoted(registry, label, by=by),
        contributed=len(new),
        left_out=(*contributed.failures, *_absent(dataset, contributed), *left_out),
    )


def _rivals(registry: Registry, gate: Gate) -> tuple[str, dict[str, Bundle]]:
    """The champion, and by their labels the bundles that a challenger must not be inferior to.

    The first of the line is one too: steps that are each within the margins could add up to any
    loss.
    """
    line = registry.line()
    if not line:
        raise ConfigError("the registry has no champion to start from: `ladnn model add` one")
    rivals = {label: registry.open(label) for label in (line[-1], line[0])}
    for rival in rivals.values():
        rival.card.operating_point(gate.operating_point)
    return line[-1], rivals


def _taken_in(registry: Registry, folder: Path, gate: Gate) -> str | None:
    """The version that an earlier call of the same command made of these runs; None if none did.

    Raises:
        ConfigError: one that was judged by another gate.
        RegistryError: one that has retired since, or whose champion answers no more.
    """
    for name in (_MADE, _EXACT):
        try:
            card = load_bundle(folder / name).card
        except BundleError:  # none, or half of one
            continue
        label = label_of(card.name, card.version)
        version = registry.versions().get(label)
        if version is None or version.added.files[MODEL_FILE] != card.sha256:
            continue
        found = read_judgement(registry, label)
        if found is None or not found.champion:  # added by hand, or by an older program
            continue
        again = "promote it with `ladnn model promote`, or give another folder"
        if found.gate != gate:
            raise ConfigError(f"{label} came of this update by another gate: {again}")
        if version.status is Status.RETIRED:
            raise RegistryError(f"{label} came of this update and retired since: {again}")
        if registry.champion() not in (label, found.champion):
            raise RegistryError(
                f"{label} was compared with {found.champion}, which answers no more: {again}"
            )
        return label
    return None


def _take_in(
    registry: Registry,
    made: Bundle,
    found: Judgement,
    trial: bytes,
    base: Manifest,
    *,
    by: str,
    but: str,
) -> str:
    """Add the challenger with what was found of it, and say its label."""
    outcome = "passed" if found.verdict.passed else "refused"
    kept = json.dumps(found.to_json(), indent=2, ensure_ascii=False).encode()
    return registry.add(
        made.path,
        {EVALUATION: trial, VERDICT: kept},
        by=by,
        why="; ".join(filter(None, (f"{outcome} {found.verdict.reason}", but))),
        check=lambda: check_test(registry, base),
    )


def _promoted(registry: Registry, label: str, *, by: str) -> Judgement:
    """What was found of a version, which answers from now on if it passed."""
    found = read_judgement(registry, label)
    if found is None:
        raise RegistryError(f"{label} has no {VERDICT}: it was not made by an update")
    if found.verdict.passed and registry.champion() != label:
        registry.promote(label, by=by, why=found.verdict.reason, instead_of=found.champion)
    return found


def _absent(dataset: Path, contributed: Intake) -> Iterator[tuple[Path, str]]:
    """What a dataset's table and its folder do not agree on."""
    for names, why in (
        (contributed.missing, "the table lists it and it is not there"),
        (contributed.unlisted, "no table lists it"),
    ):
        yield from ((dataset / name, why) for each in names.values() for name in each)


def _successor(card: Card, registry: Registry) -> Identity:
    """The name of the champion with the next version that the registry does not have."""
    return Identity(
        name=card.name,
        version=next_version(card, registry.versions()),
        licence=card.licence,
        intended_use=card.intended_use,
    )


def _looked(part: Manifest, stage: Stage) -> Viewed:
    advance = stage("comparing images", len(part))

    def follow(records: Sequence[Record]) -> Iterator[Record]:
        for record in records:
            yield record
            advance()

    return view(part, progress=follow)


def _train(
    settings: Sequence[TrainConfig], whole: Manifest, folder: Path, stage: Stage
) -> list[Path]:
    for chosen in settings:
        new_network(chosen)  # weights that are missing are told before a member trains for an hour
    learned = [record for chosen in settings for record in training_records(chosen, whole)]
    check_classes(np.array([record.covid for record in learned if record.split == "val"]))
    runs = [folder / f"member-{number}" for number in range(len(settings))]
    advance = stage("training members", len(runs))
    for chosen, run in zip(settings, runs, strict=True):
        fit(chosen, whole, run, quiet=True)  # a second bar would overwrite that of the stages
        advance()
    return runs


def _challenger(
    runs: Sequence[Path],
    whole: Manifest,
    folder: Path,
    identity: Identity,
    *,
    old: Card,
    config: UpdateConfig,
    stage: Stage,
) -> tuple[Bundle, str]:
    """The networks as a bundle of the champion's kind; why it is not in 8 bits where that is."""
    quick = EIGHT_BITS in old.training
    made = folder / (_EXACT if quick else _MADE)
    export(runs, whole, made, identity, options=_options(old, config), stage=stage)
    bundle = load_bundle(made)
    if not quick:
        return bundle, ""
    place = folder / _MADE
    try:
        quantise(bundle, whole, place, version=identity.version, force=True, stage=stage)
    except BundleError as error:  # after hours of training; it can be judged as it is
        return bundle, f"in float32, as 8 bits were refused ({error})"
    return load_bundle(place), ""


def _options(card: Card, config: UpdateConfig) -> Options:
    """As the champion was exported."""
    stored = card.training.get("stored_weights")
    return Options(
        flip=bool(card.training.get("flip_averaging")),
        stored=next((each for each in Stored if each == stored), Stored.FLOAT32),
        decoys=config.decoys,
        force=True,
    )


def _judge_all(
    rivals: Mapping[str, Bundle], new: Bundle, base: Manifest, gate: Gate, stage: Stage
) -> tuple[Verdict, bytes]:
    """The challenger against each rival on the locked test, and the evidence of its own trial."""
    records = base.part("test").records
    advance = stage("locked test", (1 + len(rivals)) * len(records))
    before = {label: judge(rival, base, gate, advance) for label, rival in rivals.items()}
    after = judge(new, base, gate, advance)
    said, groups = answers(new, after), subgroups(records)
    verdict = joined(
        {
            label: compare(answers(rivals[label], found), said, groups, gate)
            for label, found in before.items()
        }
    )
    return verdict, evidence(new, after, base)

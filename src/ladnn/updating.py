"""A contributed dataset in, a challenger out: trained, judged beside the champion, maybe promoted.

The locked test is the test split of the base manifest. Nothing contributed enters it, and nothing
that resembles an image of it (or of the validation split) is trained on.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ladnn.backbones import CHEST_CT, IMAGENET, backbone
from ladnn.bundle import Bundle, Card, load_bundle
from ladnn.card_fitting import Stage, unseen
from ladnn.config import build, merge
from ladnn.dataset import Manifest, Record
from ladnn.errors import BundleError, ConfigError, DataError
from ladnn.export import Identity, Options, export
from ladnn.gate import Gate, Verdict, compare, joined
from ladnn.inspection import Viewed, view
from ladnn.intake import take_in
from ladnn.learner import TrainConfig, new_network
from ladnn.locked_test import EVALUATION, answers, evidence, judge, refuse_other_test, subgroups
from ladnn.quantising import quantise
from ladnn.registry import Registry
from ladnn.similarity import NEAR, near_pairs
from ladnn.sources.contributed import CONTRIBUTED
from ladnn.splitting import linked
from ladnn.stored import EIGHT_BITS, Stored
from ladnn.training import fit

VERDICT = "verdict.json"
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


@dataclass(frozen=True, kw_only=True)
class Update:
    """What came of an update.

    Attributes:
        label: of the challenger.
        champion: the version whose recipe it learned by; it was compared with that one and with
            the first champion.
        contributed: images that were added to training or validation.
        left_out: path and reason of each contributed image that was not.
    """

    label: str
    champion: str
    verdict: Verdict
    contributed: int
    left_out: tuple[tuple[Path, str], ...]


# ------------------------------------------------------------------ data


def combine(
    base: Manifest, contributed: Manifest, look: Callable[[Manifest], Viewed] = view
) -> tuple[Manifest, tuple[tuple[Path, str], ...]]:
    """Add contributed images to training and validation, and say which were left out and why.

    An image is left out when its patient or its picture, or a near-duplicate of it or of another
    image of its patient, is in the base manifest's validation or test split, or when the very
    picture is in the base at all. What the contributed dataset itself calls test goes to training,
    and so does what it calls validation where a patient or a picture of the base's training, or a
    resembling one, is among it: it would be judged by what was learnt.

    Raises:
        DataError: when nothing is left, or an image of the base cannot be read any more.
    """
    held = Manifest(records=tuple(r for r in base if r.split in ("val", "test")))
    known, new = _all_of(held, look), look(contributed)
    reasons = _reasons(base, known, new)
    sides = ["train"] * len(new.records)
    if any(record.split == "val" for record in new.records):
        taught = Manifest(records=tuple(r for r in base if r.split not in ("val", "test")))
        sides = _sides(_all_of(taught, look), new)
    kept = tuple(
        replace(record, split=side)
        for record, side in zip(new.records, sides, strict=True)
        if record.path not in reasons
    )
    if not kept:
        raise DataError("none of the contributed images is new: there is nothing to train on")
    left_out = (*((r.path, why) for r, why in new.failures), *reasons.items())
    whole = Manifest(records=(*base.records, *kept), labels=base.labels)
    _refuse_contamination(base, whole)
    return whole, left_out


def _all_of(part: Manifest, look: Callable[[Manifest], Viewed]) -> Viewed:
    found = look(part)
    if found.failures:
        raise DataError(f"{found.failures[0][1]}: the base manifest's images must all be there")
    return found


def _reasons(base: Manifest, known: Viewed, new: Viewed) -> dict[Path, str]:
    pictures = {record.pixel_hash for record in base if record.pixel_hash} | set(known.hashes)
    found: dict[Path, str] = {}
    for row, (record, why) in enumerate(zip(new.records, _held_out(known, new), strict=True)):
        if new.hashes[row] in pictures:
            found[record.path] = "the base manifest has this picture"
        elif why:
            found[record.path] = why
    return found


def _held_out(known: Viewed, new: Viewed) -> list[str]:
    """For each new image why it may be of somebody in the validation or test split; "" if not.

    What is said of one image holds for all of its patient, and of patients whose images resemble
    each other: other slices of somebody in the test split would teach what the test asks.
    """
    reasons = []
    for same, alike in zip(_of_same_patient(known, new), _alike(known, new), strict=True):
        if same:
            reasons.append("its patient is in the validation or the test split")
        elif alike:
            reasons.append("it resembles an image of the validation or the test split")
        else:
            reasons.append("")
    groups = _groups(new)
    tainted = {group for group, why in zip(groups, reasons, strict=True) if why}
    other = "another image of its patient resembles one of the validation or the test split"
    pairs = zip(groups, reasons, strict=True)
    return [why or (other if group in tainted else "") for group, why in pairs]


def _sides(taught: Viewed, new: Viewed) -> list[str]:
    """The split of each new image: validation where its dataset says so and all of its group may.

    Not where one of them is to be trained on, or is like what the base trains on.
    """
    same, alike, groups = _of_same_patient(taught, new), _alike(taught, new), _groups(new)
    rows = range(len(new.records))
    teaching = {
        groups[row] for row in rows if new.records[row].split != "val" or same[row] or alike[row]
    }
    return ["train" if groups[row] in teaching else "val" for row in rows]


def _of_same_patient(known: Viewed, new: Viewed) -> list[bool]:
    people = {_person(record) for record in known.records}
    return [_person(record) in people for record in new.records]


def _person(record: Record) -> tuple[str, str]:
    """Source and patient, the same in a collection and in what a site exports of it."""
    source = record.source.removeprefix(CONTRIBUTED)
    return source, record.patient.removeprefix(f"{record.source}/").removeprefix(f"{source}/")


def _alike(known: Viewed, new: Viewed) -> list[bool]:
    """Whether each new image is a picture of `known`, or resembles one."""
    near = np.zeros(len(new.records), dtype=np.bool_)
    if known.records and new.records:
        near |= (new.prints @ known.prints.T >= NEAR).any(axis=1)
    pictures = set(known.hashes)
    return [bool(one) or own in pictures for one, own in zip(near, new.hashes, strict=True)]


def _groups(new: Viewed) -> list[str]:
    """The same name for images of one patient, and of patients whose images resemble each other."""
    names = ["\n".join(_person(record)) for record in new.records]
    return linked(names, [(i, j) for i, j, _ in near_pairs(new.prints)])


def _refuse_contamination(base: Manifest, whole: Manifest) -> None:
    """The locked test is the base's and nothing else; a last look that no code above can evade."""
    if whole.part("test").records != base.part("test").records:
        raise DataError("contributed images would enter the locked test: this must not be")


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
    line = registry.line()
    if not line:
        raise ConfigError("the registry has no champion to start from: `ladnn model add` one")
    champion = line[-1]
    # the first of the line too: steps that are each within the margins could add up to any loss
    rivals = {label: registry.open(label) for label in (champion, line[0])}
    for rival in rivals.values():
        rival.card.operating_point(config.gate.operating_point)
    old = rivals[champion]
    refuse_other_test(registry, base)
    contributed = take_in(
        [dataset], labels=base.labels or "paper", extract_to=folder / "unpacked", split=False
    )
    settings = recipe(old.card, contributed.manifest.sources, config.training)
    whole, left_out = combine(base, contributed.manifest, lambda part: _looked(part, stage))
    runs = _train(settings, whole, folder, stage)
    identity = _successor(old.card, registry)
    parts = runs, whole, folder, identity
    new, exact = _challenger(*parts, old=old.card, config=config, stage=stage)
    verdict, files = _judge_all(rivals, new, base, config.gate, stage)
    outcome = "passed" if verdict.passed else "refused"
    label = registry.add(
        new.path,
        files,
        by=by,
        why="; ".join(filter(None, (f"{outcome} {verdict.reason}", exact))),
    )
    if verdict.passed:
        registry.promote(label, by=by, why=verdict.reason, instead_of=champion)
    return Update(
        label=label,
        champion=champion,
        verdict=verdict,
        contributed=len(whole) - len(base),
        left_out=(*contributed.failures, *left_out),
    )


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
) -> tuple[Verdict, dict[str, bytes]]:
    """The challenger against each rival on the locked test, and what is kept of it."""
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
    kept = {"gate": asdict(gate), "verdict": verdict.to_json()}
    files = {
        EVALUATION: evidence(new, after, base),
        VERDICT: json.dumps(kept, indent=2, ensure_ascii=False).encode(),
    }
    return verdict, files

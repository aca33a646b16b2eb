"""What can be said of how a bundle's networks were trained, sentence by sentence, from its card."""

from collections.abc import Mapping, Sequence
from typing import Any

from ladnn.bundle import Card

Facts = dict[str, str]
"""Sentences by name; a name that is not there cannot be answered."""

Json = Mapping[str, Any]

_GROUPS: dict[str, tuple[str, ...]] = {
    "geometry": ("jitter", "unframed", "zoom", "rotation", "shear", "flip"),
    "grey levels": ("levels", "gamma", "saturate"),
    "resolution": ("resample",),
    "sharpness": ("kernel",),
    "noise": ("noise",),
    "compression": ("jpeg",),
    "marks": ("marks",),
    "erased rectangles": ("erase",),
}
"""What is altered in an image, and by which settings of an augmentation."""

_PAINTED: dict[str, tuple[str, ...]] = {
    "opacities painted into negatives": ("paint",),
    "painted nodules": ("nodule",),
}

_MIXED: dict[str, tuple[str, ...]] = {
    "images mixed in pairs": ("mixup",),
    "styles mixed between images within the network": ("style_mix",),
}
"""What is mixed between images, and by which settings of a run."""


def configs(card: Card) -> list[Json]:
    """The settings of each member's run, as far as the card holds them."""
    members = card.training.get("members", ())
    return [member["config"] for member in members if isinstance(member.get("config"), Mapping)]


def training(card: Card) -> Facts:
    """What the runs of the members were; empty where the card holds none."""
    runs = configs(card)
    if not runs:
        return {}
    each = "; ".join(_run(config) for config in runs)
    what = (
        "those alone" if card.learned.complete else "and whatever else its training manifest held"
    )
    selects = dict.fromkeys(_selected(config) for config in runs)
    balanced = all((config.get("sampler") or {}).get("balanced") for config in runs)
    return {
        "training_data": f"The training split of {', '.join(card.learned.sources)} ({what}).",
        "training": f"{each}.{_altered(runs)}{lesion_targets(card)}",
        "selection": f"{'; '.join(selects)}.",
        "initialisation": f"Started from {', '.join(dict.fromkeys(map(_weights, runs)))}.",
        "imbalance": "Classes are drawn equally often within each collection." if balanced else "",
        "data_hash": f"The images, labels and splits learned from have the hash {card.data_hash}.",
    }


def lesion_targets(card: Card) -> str:
    """What an unknown lesion taught; empty of a baseline and where the card does not tell."""
    if card.mode != "ladnn":
        return ""
    known = dict.fromkeys(c["lesion_targets"] for c in configs(card) if "lesion_targets" in c)
    sentences = {
        "all": " In training, a lesion that nobody labelled counted as absent in images without "
        "COVID-19, which is an assumption, and was left out in those with it.",
        "labelled": " In training, lesions were learned from images with a labelled one alone.",
    }
    return "".join(sentences.get(targets, "") for targets in known)


def chosen(card: Card) -> str:
    """What validation chose: the weights only where a run took its best epoch and not its last."""
    last = all(config.get("select") == "last" for config in configs(card))
    return "Thresholds" if last else "Weights and thresholds"


def _altered(runs: Sequence[Json]) -> str:
    """How images were altered in training; empty where no run tells its augmentation."""
    told = [run["augmentation"] for run in runs if "augmentation" in run]
    if not told:
        return ""
    altered = [
        f"{word} {', '.join(found)}"
        for word, found in (
            ("in", _used(_GROUPS, told, len(runs))),
            ("with", _used(_PAINTED, told, len(runs)) + _used(_MIXED, runs, len(runs))),
        )
        if found
    ]
    return f" Augmented {', '.join(altered)}." if altered else " Not augmented."


def _used(groups: Mapping[str, Sequence[str]], settings: Sequence[Json], members: int) -> list[str]:
    """The groups of which some setting is above 0, and in how many members if not in all."""
    counts = {
        group: sum(any(each.get(key, 0) > 0 for key in keys) for each in settings)
        for group, keys in groups.items()
    }
    return [
        group if count == members else f"{group} (in {count} of {members} networks)"
        for group, count in counts.items()
        if count
    ]


def _run(config: Json) -> str:
    return (
        f"{config.get('backbone')}: up to {config.get('epochs')} epochs of "
        f"{config.get('optimiser')}, learning rate {config.get('learning_rate')}, batches of "
        f"{config.get('batch_size')}, weight of COVID-19 in the loss "
        f"{config.get('primary_weight')}, seed {config.get('seed')}"
    )


def _selected(config: Json) -> str:
    select = config.get("select")
    return (
        "The last epoch" if select == "last" else f"The epoch with the best {select} on validation"
    )


def _weights(config: Json) -> str:
    weights = str(config.get("weights") or "random weights")
    named = {"imagenet": "ImageNet weights", "chest-ct": "weights of Astra's chest CT encoder"}
    return named.get(weights) or weights.replace("runs/", "the run ")

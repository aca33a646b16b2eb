"""TOML and `key=value` overrides -> frozen dataclasses; an unknown key is an error."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from ladnn.errors import ConfigError

Record = TypeVar("Record")


def read_config(path: Path | None, overrides: Iterable[str], cls: type[Record]) -> Record:
    """The configuration in a TOML file, with overrides such as `epochs=3` or `augmentation.flip=0`.

    Raises:
        ConfigError: no such file, not TOML, an unknown key, or a value of the wrong kind.
    """
    data, overrides = {} if path is None else read_toml(path), list(overrides)
    for override in overrides:
        _set(data, override)
    where = "" if path is None else f" in {path}{' or --set' if overrides else ''}"
    return build(cls, data, where)


def build(cls: type[Record], data: Mapping[str, Any], where: str = "") -> Record:
    """A dataclass from nested mappings, each value checked against its annotation.

    Raises:
        ConfigError: an unknown key, one that is missing, or a value of the wrong kind.
    """
    hints = get_type_hints(cls)
    names = [item.name for item in fields(cls)]  # type: ignore[arg-type]
    for key in data:
        if key not in names:
            raise ConfigError(f"there is no setting {key!r}{where}: choose of {', '.join(names)}")
    for item in fields(cls):  # type: ignore[arg-type]
        if item.name not in data and item.default is MISSING and item.default_factory is MISSING:
            raise ConfigError(f"the setting {item.name!r} is missing{where}: give it")
    return cls(**{key: _value(key, hints[key], value, where) for key, value in data.items()})


def merge(data: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`data` with `changes` on top, section by section; neither is altered."""
    merged = dict(data)
    for key, value in changes.items():
        old = merged.get(key)
        nested = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(old, value) if nested else value  # type: ignore[arg-type]
    return merged


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file.

    Raises:
        ConfigError: no such file, or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the configuration {path} cannot be read: give another file ({_why(error)})"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}, mend that line") from error


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or "it is not UTF-8 text"


def _set(data: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"{override!r} is not a setting: write it as key=value")
    *sections, name = key.split(".")
    for section in sections:
        data = data.setdefault(section, {})
        if not isinstance(data, dict):
            raise ConfigError(f"{section!r} is not a section: leave it out of {override!r}")
    data[name] = _parse(text)


def _parse(text: str) -> Any:  # noqa: ANN401  # TOML's own kinds
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text  # a bare word is a string, so that nobody has to quote quotes in a shell


def _value(key: str, hint: Any, value: Any, where: str) -> Any:  # noqa: ANN401
    if is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{key} is {value!r}{where}: make it a section with its own keys")
        return build(hint, value, where)
    if hint is Any:
        return value
    if get_origin(hint) is Mapping:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{key} is {value!r}{where}: make it a section with its own keys")
        kind = get_args(hint)[1]
        return {name: _value(f"{key}.{name}", kind, item, where) for name, item in value.items()}
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise ConfigError(f"{key} is {value!r}{where}: expected a list")
        return tuple(_value(key, get_args(hint)[0], item, where) for item in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise ConfigError(f"{key} is {value!r}{where}: expected {_kind(hint)}")
    return value


def _kind(hint: Any) -> str:  # noqa: ANN401
    kinds = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    return kinds.get(hint, str(hint))

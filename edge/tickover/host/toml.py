"""TOML in and out for configuration files: unknown keys are refused with a suggestion, errors name file and key."""

import json
import reprlib
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from tickover.errors import ConfigError, suggestion

T = TypeVar("T", bound=msgspec.Struct)
Seconds = Annotated[float, Meta(gt=0, le=31_536_000)]
"""A span that a configuration names, up to a year."""
SecondsOrOff = Annotated[float, Meta(ge=0, le=31_536_000)]
"""The same; 0 switches off what it is for."""
Scalar = str | int | float | bool | tuple[Any, ...]


def decode(text: str, kind: type[T], name: str) -> T:
    """Read ``text`` as a ``kind``; ConfigError says ``name`` (the file), the key, what was expected and what came."""
    try:
        raw = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{name}: expected TOML: {error}") from error
    _check(raw, kind, name, "")
    try:
        return msgspec.convert(raw, kind)
    except (msgspec.ValidationError, OverflowError) as error:
        raise ConfigError(f"{name}: {error}") from error


def read(path: Path) -> str:
    """The text of a TOML file; ConfigError when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error


def encode(tables: Mapping[str, Mapping[str, Scalar]]) -> str:
    """TOML text of named tables of plain values; a dot in a table's name separates ``a.b`` into nested tables."""
    blocks = []
    for name, values in tables.items():
        lines = [f"[{name}]", *(f"{_key(key)} = {_value(value)}" for key, value in values.items())]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def table_name(*parts: str) -> str:
    """A table's name from its parts, quoted where TOML wants it."""
    return ".".join(_key(part) for part in parts)


def _key(key: str) -> str:
    bare = key.isascii() and key.replace("-", "").replace("_", "").isalnum()
    return key if bare else _value(key)


def _value(value: Scalar) -> str:
    """One TOML value. JSON's string escapes are TOML's, but for DEL, which JSON leaves as it is."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return f"[{', '.join(_value(item) for item in value)}]"
    return repr(value)


def _check(raw: object, kind: Any, name: str, path: str) -> None:
    """Walk ``raw`` along the struct's fields so that an error can name the full key."""
    inner = _inner(kind)
    if isinstance(inner, type) and issubclass(inner, msgspec.Struct) and isinstance(raw, dict):
        hints = typing.get_type_hints(inner, include_extras=True)
        fields = {field.encode_name: hints[field.name] for field in msgspec.structs.fields(inner)}
        for key, value in raw.items():
            if key not in fields:
                raise ConfigError(f"{name}: unknown key '{_join(path, key)}'; {suggestion(key, fields)}")
            _check(value, fields[key], name, _join(path, key))
    elif typing.get_origin(inner) is dict and isinstance(raw, dict):
        names, values = typing.get_args(inner)
        for key, value in raw.items():
            _check_value(key, names, name, _join(path, key))
            _check(value, values, name, _join(path, key))
    else:
        _check_value(raw, kind, name, path)


def _check_value(raw: object, kind: Any, name: str, path: str) -> None:
    try:
        msgspec.convert(raw, kind)
    except (msgspec.ValidationError, OverflowError) as error:
        got = "" if ", got " in str(error) else f", got {reprlib.repr(raw)}"
        raise ConfigError(f"{name}: key '{path}': {error}{got}") from error


def _inner(kind: Any) -> Any:
    """The struct or dict type inside ``X | None``, or the type itself."""
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        options = [option for option in typing.get_args(kind) if option is not type(None)]
        return options[0] if len(options) == 1 else kind
    return kind


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key

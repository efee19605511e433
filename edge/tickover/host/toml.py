"""TOML in and out for configuration files: unknown keys are refused with a suggestion, errors name file and key."""

import functools
import json
import logging
import reprlib
import tomllib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta

from tickover.errors import ConfigError, suggestion
from tickover.host import renamed
from tickover.host.renamed import join

logger: Final = logging.getLogger("tickover.config")
T = TypeVar("T", bound=msgspec.Struct)
Seconds = Annotated[float, Meta(gt=0, le=31_536_000)]
"""A span that a configuration names, up to a year."""
SecondsOrOff = Annotated[float, Meta(ge=0, le=31_536_000)]
"""The same; 0 switches off what it is for."""
Scalar = str | int | float | bool | tuple[Any, ...]


def decode(text: str, kind: type[T], name: str) -> T:
    """Read ``text`` as a ``kind``; ConfigError names the file (``name``) and key, what was expected and what it got.

    Renamed keys are read under their old names, and logged once (see ``renamed``).
    """
    try:
        raw = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{name}: expected TOML: {error}") from error
    try:
        renamed.renew(raw, kind, lambda old, new: tell_renamed(name, old, new))
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from error
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


@functools.cache
def tell_renamed(name: str, old: str, new: str) -> None:
    """Log it, the first time: a daemon reads its file again at every reload."""
    logger.warning("%s: %s is called %s now; the old name is read until version %s", name, old, new, renamed.READ_UNTIL)


def _check(raw: object, kind: Any, name: str, path: str) -> None:
    """Walk ``raw`` along the struct's fields so that an error can name the full key."""
    structs = renamed.structs_in(kind)
    if isinstance(raw, dict) and structs:
        _check_struct(raw, structs, name, path)
        return
    for option in renamed.options_of(kind):
        inner = typing.get_args(option)
        if typing.get_origin(option) is dict and isinstance(raw, dict):
            for key, value in raw.items():
                _check_value(key, inner[0], name, join(path, key))
                _check(value, inner[1], name, join(path, key))
            return
        if typing.get_origin(option) is tuple and isinstance(raw, list) and renamed.structs_in(inner[0]):
            for place, item in enumerate(raw):
                _check(item, inner[0], name, f"{path}[{place}]")
    _check_value(raw, kind, name, path)


def _check_struct(raw: dict[str, Any], structs: list[type[msgspec.Struct]], name: str, path: str) -> None:
    """A table: of one struct, or of the one of several that its tag names."""
    tag_field = structs[0].__struct_config__.tag_field
    if tag_field:
        tags = {struct.__struct_config__.tag: struct for struct in structs}
        tag = raw.get(tag_field)
        if tag not in tags:
            expected = f"expected one of {', '.join(map(str, tags))}"
            raise ConfigError(f"{name}: key '{join(path, tag_field)}': {expected}, got {reprlib.repr(tag)}")
        structs = [tags[tag]]
    hints = typing.get_type_hints(structs[0], include_extras=True)
    fields = {field.encode_name: hints[field.name] for field in msgspec.structs.fields(structs[0])}
    for key, value in raw.items():
        if key == tag_field:
            continue
        if key not in fields:
            raise ConfigError(f"{name}: unknown key '{join(path, key)}'; {suggestion(key, fields)}")
        _check(value, fields[key], name, join(path, key))
    if tag_field:
        _check_value(raw, structs[0], name, path)


def _check_value(raw: object, kind: Any, name: str, path: str) -> None:
    try:
        msgspec.convert(raw, kind)
    except (msgspec.ValidationError, OverflowError) as error:
        got = "" if ", got " in str(error) else f", got {reprlib.repr(raw)}"
        raise ConfigError(f"{name}: key '{path}': {error}{got}") from error

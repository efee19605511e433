"""Keys and kinds that were renamed: what is read under its old name for one version, and then refused.

A struct that renamed a key declares ``OLD_KEYS: ClassVar[dict[str, str]]``, from the old name to the new one; a struct
with a tag that was called otherwise declares ``OLD_TAGS: ClassVar[tuple[str, ...]]``. Nothing else knows old names.
"""

import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

READ_UNTIL: Final = "0.3"
"""The version that reads old names no longer."""

Tell = Callable[[str, str], None]
"""Hears an old name and its new one, with their full paths: ``key 'episodes.cool_down_s'``."""


def renew(raw: object, kind: Any, tell: Tell, path: str = "") -> None:
    """Replace old names in ``raw``, plain values to be read as ``kind``, in place; ValueError when both are there.

    What does not fit ``kind`` is left as it is, for whoever reads it to refuse.
    """
    if isinstance(raw, dict) and (struct := struct_of(raw, kind, tell, path)):
        _renew_keys(raw, struct, tell, path)
        hints = typing.get_type_hints(struct, include_extras=True)
        for field in msgspec.structs.fields(struct):
            if field.encode_name in raw:
                renew(raw[field.encode_name], hints[field.name], tell, join(path, field.encode_name))
    for place, item, inner in _items(raw, kind):
        renew(item, inner, tell, join(path, place))


def struct_of(raw: dict[str, Any], kind: Any, tell: Tell, path: str) -> type[msgspec.Struct] | None:
    """The struct that ``raw`` is to be read as, of several that which its tag names; None when there is none."""
    structs = structs_in(kind)
    if len(structs) <= 1:
        return structs[0] if structs else None
    key = str(structs[0].__struct_config__.tag_field)
    for struct in structs:
        tag = str(struct.__struct_config__.tag)
        if raw.get(key) in getattr(struct, "OLD_TAGS", ()):
            tell(f"{join(path, key)} = {raw[key]!r}", f"{tag!r}")
            raw[key] = tag
        if raw.get(key) == tag:
            return struct
    return None


def structs_in(kind: Any) -> list[type[msgspec.Struct]]:
    """The structs of a type: itself, or those of a union."""
    return [option for option in options_of(kind) if isinstance(option, type) and issubclass(option, msgspec.Struct)]


def options_of(kind: Any) -> tuple[Any, ...]:
    """The types of a union, or the type itself; what ``Annotated`` adds is left out."""
    origin = typing.get_origin(kind)
    if origin is typing.Annotated:
        return options_of(typing.get_args(kind)[0])
    return typing.get_args(kind) if origin in (types.UnionType, typing.Union) else (kind,)


def join(path: str, key: str) -> str:
    """A path one step further; ``key`` is a key, or a place such as ``[0]``."""
    return f"{path}{key}" if not path or key.startswith("[") else f"{path}.{key}"


def _renew_keys(raw: dict[str, Any], struct: type[msgspec.Struct], tell: Tell, path: str) -> None:
    old_keys: Mapping[str, str] = getattr(struct, "OLD_KEYS", {})
    for old, new in old_keys.items():
        if old in raw and new in raw:
            raise ValueError(f"expected '{join(path, new)}' alone, got '{join(path, old)}' too, its old name")
        if old in raw:
            raw[new] = raw.pop(old)
            tell(f"key '{join(path, old)}'", f"'{join(path, new)}'")


def _items(raw: object, kind: Any) -> Iterator[tuple[str, object, Any]]:
    """The items of a list or of a table with free keys: where each is, itself, and what it is to be read as."""
    for option in options_of(kind):
        origin, inner = typing.get_origin(option), typing.get_args(option)
        if origin in (tuple, list, Sequence) and isinstance(raw, list):
            yield from ((f"[{place}]", item, inner[0]) for place, item in enumerate(raw))
        elif origin is dict and isinstance(raw, dict):
            yield from ((key, item, inner[1]) for key, item in raw.items())

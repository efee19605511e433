"""What to set so that a message is read that was refused: a look into its payload for what the input does not name.

Only keys that exist are named, and none that is already set as advised. No clock, no network.
"""

import re
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final, NamedTuple

from tickover.payloads.base import Input, PayloadError
from tickover.payloads.strict_json import as_text, parse_json
from tickover.payloads.values import likely_unit, number_of

MOST_NODES: Final = 2000
"""How much of a payload is looked at."""
MOST_NAMES: Final = 6
"""How many names are shown."""
SIMILAR: Final = 0.6
NO_READINGS: Final = frozenset({"desired", "delta", "previous", "metadata", "meta"})
"""Keys (of AWS and others) under which the signals' names stand without being read from a sensor now."""
_TIME_NAME: Final = re.compile(r"time|stamp|date|(?:^|[^a-z])ts|(?:^|_)at$|^t$", re.IGNORECASE)
_SEVERAL_CELLS: Final = re.compile(r"[^\n,;\t|]*(?:[,;\t|][^\n,;\t|]*){2,}(?:\n|$)|[^\n,;]+,[^\n,;]+\n")
_PACKED: Final = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\x78\x9c", b"\x78\xda", b"\x04\x22\x4d\x18")
"""How gzip, Zstandard, zlib and LZ4 begin."""
_LINE_PROTOCOL: Final = re.compile(r"[^\s,{]+(?:,[^\s=]+=[^\s,]+)* [^\s=]+=[^\s]+(?: \d+)?$")


class Node(NamedTuple):
    """A value in a payload: its path, the path of the innermost list around it (None: no list), and itself."""

    path: str
    around: str | None
    value: Any


def advise(spec: Input, signals: Collection[str], error: PayloadError, payload: bytes) -> str:
    """One line on one refused message; empty when nothing better is known than the reason's own remedy.

    ``signals``: the models' names.
    """
    find = _ADVICE.get(error.reason)
    if find is None:
        return error.detail
    try:
        value = parse_json(payload)
    except PayloadError:
        value = None
    found = find(spec, {*signals, *spec.signals}, value, payload)
    detail = "" if found and error.reason in ("bad_json", "not_an_object") else error.detail
    return "; ".join(part for part in (detail, found) if part)


def rename_advice(strangers: Collection[str], missing: Collection[str]) -> str:
    """How to rename names without a model's signal (``strangers``) to signals that were never read."""
    import difflib  # where nothing is missing it is not needed

    pairs = []
    for name in strangers:
        short = re.split(r"[./]", name)[-1]
        near = difflib.get_close_matches(short.lower(), [m.lower() for m in missing], n=1, cutoff=SIMILAR)
        ours = next((m for m in missing if (near and m.lower() == near[0]) or m.lower() in short.lower()), None)
        if ours:
            pairs.append(f'"{name}" = "{ours}"')
    if pairs:
        return f"rename them under inputs.signals, perhaps signals = {{ {', '.join(pairs[:MOST_NAMES])} }}"
    return 'rename them under inputs.signals = { "payload\'s name" = "model\'s name" }'


def _no_signals(spec: Input, known: set[str], value: Any, payload: bytes) -> str:
    nodes = list(_nodes(value))
    best = max((node for node in nodes if type(node.value) is dict), key=lambda node: _score(node, known), default=None)
    if best is not None and _score(best, known):
        return _at(spec, best, value)
    if pair := next((hint for node in nodes if (hint := _pair(spec, node, known))), ""):
        return pair
    names = [_inside(spec, node.path) for node in nodes if _is_number(node.value) and not _is_time(node)]
    names = [name for name in names if name]
    if any(not NO_READINGS.isdisjoint(node.path.split(".")) for node in nodes):
        return ""
    if not names:
        return "the payload holds no numbers"
    ours = sorted(known - {*spec.signals})
    return f"no name in the payload is a model's signal: got {_some(names)}; {rename_advice(names, ours)}"


def _at(spec: Input, node: Node, value: Any) -> str:
    """The keys that lead to an object that holds signals."""
    rows = node.around
    vehicle, _, below = node.path.partition(".")
    by_vehicle = type(value) is dict and len(value) > 1 and all(type(item) in (dict, list) for item in value.values())
    if spec.format == "json" and by_vehicle and vehicle and not spec.values:
        below = node.path.partition("]")[2].removeprefix(".") if rows else below
        return 'set inputs.format = "json_by_vehicle"' + (f' and inputs.values = "{below}"' if below else "")
    if rows is not None and spec.format not in ("json_batch", "json_by_vehicle"):
        inner = node.path.partition("]")[2].removeprefix(".")
        set_ = ['inputs.format = "json_batch"', *([f'inputs.rows = "{rows}"'] if rows else [])]
        return f"set {' and '.join(set_ + ([f'inputs.values = {inner!r}'.replace(chr(39), chr(34))] if inner else []))}"
    path = node.path.partition("]")[2].removeprefix(".") if rows is not None else node.path
    if path == (spec.values or ""):
        return ""
    return f'set inputs.values = "{path}"' if path else "remove inputs.values: the signals are beside the time"


def _pair(spec: Input, node: Node, known: set[str]) -> str:
    """An object that names its signal in a value."""
    if spec.name is not None or type(node.value) is not dict:
        return ""
    name = next((key for key, text in node.value.items() if type(text) is str and text in known), None)
    number = next((key for key, item in node.value.items() if key != name and _is_number(item)), None)
    if name is None or number is None:
        return ""
    more = [f'inputs.name = "{name}"', *([f'inputs.value = "{number}"'] if number != spec.value else [])]
    if node.around is not None and spec.format == "json" and not node.around:
        more.append('inputs.format = "json_batch"')
    elif node.around and node.around not in (spec.rows, spec.values):
        more.append(f'inputs.{"rows" if spec.format == "json_batch" else "values"} = "{node.around}"')
    return f"set {' and '.join(more)}"


def _bad_time(spec: Input, known: set[str], value: Any, payload: bytes) -> str:
    if spec.time is None or type(value) not in (dict, list):
        return ""
    nodes = list(_nodes(value))
    named = next((node for node in nodes if node.path == spec.time or node.path.endswith(f".{spec.time}")), None)
    if named is not None:
        if named.around is None or spec.format != "json":
            return ""
        return 'set inputs.format = "json_batch"' + (f' and inputs.rows = "{named.around}"' if named.around else "")
    time = next((node for node in nodes if _is_time(node)), None)
    if time is None:
        has_numbers = any(_is_number(node.value) for node in nodes)
        return "remove inputs.time to use the time of arrival" if has_numbers else "the payload holds no numbers"
    unit = likely_unit(time.value)
    path = time.path.partition("]")[2].removeprefix(".") if time.around is not None else time.path
    also = f' and inputs.time_unit = "{unit}"' if unit != spec.time_unit and unit else ""
    return f'set inputs.time = "{path}"{also}'


def _not_an_object(spec: Input, known: set[str], value: Any, payload: bytes) -> str:
    if type(value) is list:
        return 'the payload is a list; set inputs.format = "json_batch"' if spec.format == "json" else ""
    if number_of(value)[1] == "" and value is not None and spec.format != "value":
        return 'the payload is one value; set inputs.format = "value", with {signal} in inputs.topic or inputs.signal'
    return "check inputs.format"


def _not_a_list(spec: Input, known: set[str], value: Any, payload: bytes) -> str:
    lists = [node.path for node in _nodes(value) if type(node.value) is list and node.path != spec.rows]
    return f'set inputs.rows = "{lists[0]}"' if lists else "check inputs.format"


def _bad_json(spec: Input, known: set[str], value: Any, payload: bytes) -> str:
    if spec.topic.startswith("spBv1.0/"):
        return 'the topic is one of Sparkplug B; set inputs.format = "sparkplug_b"'
    text = as_text(payload)
    if not text:
        return "the payload is empty"
    if spec.format == "json" and _is_json_lines(text):
        return 'the payload is an object a line; set inputs.format = "json_batch"'
    if not text[:MOST_NODES].replace("\n", "").replace("\t", "").isprintable():
        return "the payload is not text: CBOR, MessagePack and compressed payloads are not read; send JSON"
    if text[0] == "<":
        return "the payload is XML; send JSON"
    if _LINE_PROTOCOL.fullmatch(text.splitlines()[0]):
        return (
            'the payload is InfluxDB line protocol; set inputs.format = "influx_line", see '
            "`tickover config example --for telegraf-line`"
        )
    if _SEVERAL_CELLS.match(text):
        return 'the payload looks like CSV; set inputs.format = "csv", see `tickover config example --for csv`'
    if not number_of(text)[1] or len(text.split()) == 1:
        return 'the payload is one value; set inputs.format = "value", with {signal} in inputs.topic or inputs.signal'
    return ""


def _bad_protobuf(spec: Input, known: set[str], value: Any, payload: bytes) -> str:
    if type(value) in (dict, list):
        return 'the payload is JSON; set inputs.format = "json_batch", with {vehicle} alone in inputs.topic'
    return "the payload is compressed; send it as it is" if payload.startswith(_PACKED) else ""


def _is_json_lines(text: str) -> bool:
    first, _, rest = text.partition("\n")
    try:
        return bool(rest.strip()) and type(parse_json(first.encode())) is dict
    except PayloadError:
        return False


def _no_value(spec: Input, known: set[str], value: Any, payload: bytes) -> str:
    numbers = [node.path for node in _nodes(value) if _is_number(node.value) and not _is_time(node)]
    return f'set inputs.value = "{numbers[0].partition("]")[2].removeprefix(".") or numbers[0]}"' if numbers else ""


def _no_name(spec: Input, known: set[str], value: Any, payload: bytes) -> str:
    nodes = list(_nodes(value))
    within = next((node for node in nodes if node.around and node.path == f"{node.around}[0].{spec.name}"), None)
    if within is not None and spec.format == "json_batch":
        return f'set inputs.rows = "{within.around}"'
    texts = [node.path for node in nodes if type(node.value) is str and not _is_number(node.value)]
    return f"texts are at {_some(texts)}; set inputs.name to the key of a signal's name" if texts else ""


def _unknown_signal(spec: Input, known: set[str], value: Any, payload: bytes) -> str:
    return f"no model has it; {rename_advice([], [])}"


_ADVICE: Final[dict[str, Callable[[Input, set[str], Any, bytes], str]]] = {
    "no_signals": _no_signals,
    "bad_time": _bad_time,
    "not_an_object": _not_an_object,
    "not_a_list": _not_a_list,
    "bad_json": _bad_json,
    "bad_protobuf": _bad_protobuf,
    "no_value": _no_value,
    "no_name": _no_name,
    "unknown_signal": _unknown_signal,
}


def _nodes(value: Any) -> Iterator[Node]:
    """Every value in a payload, breadth first, up to a bound; of a list the first member stands for all."""
    queue, seen = [Node("", None, value)], 0
    while queue and seen < MOST_NODES:
        node = queue.pop(0)
        seen += 1
        yield node
        if type(node.value) is dict:
            for key, inner in list(node.value.items())[:MOST_NODES]:
                queue.append(Node(f"{node.path}.{key}" if node.path else str(key), node.around, inner))
        elif type(node.value) is list and node.value:
            queue.append(Node(f"{node.path}[0]", node.path, node.value[0]))


def _score(node: Node, known: set[str]) -> int:
    """How many of the models' signals an object holds; one of what is wanted, or was before, holds none."""
    if not NO_READINGS.isdisjoint(node.path.split(".")):
        return 0
    return sum(key in known and type(item) not in (list,) for key, item in node.value.items())


def _is_number(value: Any) -> bool:
    number, _ = number_of(value)
    return type(value) not in (dict, list) and number == number


def _is_time(node: Node) -> bool:
    key = re.split(r"[.\]]", node.path)[-1]
    return (
        type(node.value) in (int, float, str) and bool(_TIME_NAME.search(key)) and likely_unit(node.value) is not None
    )


def _inside(spec: Input, path: str) -> str:
    """A path as seen from where the input's signals are."""
    path = path.partition("]")[2].removeprefix(".") if "]" in path and spec.format != "json" else path
    return path.removeprefix(f"{spec.values}.") if spec.values else path


def _some(names: list[str]) -> str:
    shown = ", ".join(name[:64] for name in names[:MOST_NAMES])
    return shown + (f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else "")

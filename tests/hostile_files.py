"""Model files that are small to make and would be dear to read, all with a good seal: by name, from a good file.

Each is of the size that its maker likes, up to the largest file that is read. ``refused`` says how the refusal begins.
"""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tickover.core.manifest import KEY_GOLDEN, KEY_MANIFEST
from tickover.model.file.proto import parse
from tickover.model.file.seal import SEAL_BYTES, seal

GRAPH, NODE, TENSOR, INPUT = 7, 1, 5, 11


class Hostile(NamedTuple):
    """``make(good, size)`` is about ``size`` bytes of model."""

    make: Callable[[bytes, int], bytes]
    refused: str


def varint(value: int) -> bytes:
    digits = []
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])


def field(number: int, payload: bytes) -> bytes:
    """A field with a length."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def _continued(*numbers: int) -> Callable[[bytes], bytes]:
    """The payload inside fields, the outermost first; a protobuf may be continued."""

    def inside(payload: bytes) -> bytes:
        for number in reversed(numbers):
            payload = field(number, payload)
        return payload

    return inside


def _many(part: bytes, refused: str, *numbers: int) -> Hostile:
    """So many times ``part`` inside fields."""
    inside = _continued(*numbers)
    return Hostile(lambda good, size: _sealed(good, inside(part * (size // len(part)))), refused)


def _long(refused: str, *numbers: int) -> Hostile:
    """One field that is very long."""
    inside = _continued(*numbers)
    return Hostile(lambda good, size: _sealed(good, inside(b"a" * size)), refused)


def _sealed(good: bytes, more: bytes) -> bytes:
    return seal(good[:-SEAL_BYTES] + more)


def _deep(good: bytes, size: int) -> bytes:
    """Subgraphs in subgraphs, as an Attribute's ``g`` would be."""
    data = b""
    for _ in range(100):
        data = _continued(NODE, 5, 6)(data)
    return _sealed(good, field(GRAPH, data) * (size // (len(data) + 4)))


def _with_text(key: str, change: Callable[[bytes, int], bytes]) -> Callable[[bytes, int], bytes]:
    def make(good: bytes, size: int) -> bytes:
        model = parse(good[:-SEAL_BYTES])
        entry = next(item for item in model.metadata_props if item.key == key.encode())
        entry.value = change(entry.value, size)
        return seal(model.SerializeToString())

    return make


def _charts(text: bytes, size: int) -> bytes:
    manifest = json.loads(text)
    one = manifest["charts"][0]
    manifest["charts"] = [one | {"name": f"c{number}"} for number in range(size // len(json.dumps(one)))]
    return json.dumps(manifest).encode()


def _versions(text: bytes, size: int) -> bytes:
    return json.dumps(
        json.loads(text) | {"versions": {f"k{number}": "v" * 20 for number in range(size // 32)}}
    ).encode()


def _within_text(make: Callable[[bytes, int], bytes]) -> Callable[[bytes, int], bytes]:
    """As large as one text may be: what the reading of the raw bytes lets through."""
    return lambda good, size: make(good, min(size, 3_500_000))


def _renamed(key: str, old: str, new: str) -> Callable[[bytes, int], bytes]:
    def change(text: bytes, _: int) -> bytes:
        assert old.encode() in text
        return text.replace(old.encode(), new.encode())

    return _with_text(key, change)


def _reshapes(good: bytes, size: int) -> bytes:
    """2,000 operators that each read one list of ones."""
    model = parse(good[:-SEAL_BYTES])
    ones = np.ones(size // 8, "<i8")
    model.graph.initializer.add(name=b"ones", dims=[len(ones)], data_type=7, raw_data=ones.tobytes())
    name = b"mask"
    for number in range(1900):
        made = f"again{number}".encode()
        model.graph.node.add(op_type=b"Reshape", input=[name, b"ones"], output=[made])
        name = made
    return seal(model.SerializeToString())


def _works(good: bytes, _: int) -> bytes:
    """Just under the bound of work a tick, in constants that onnxruntime would fold, and 64 MB of results."""
    model = parse(good[:-SEAL_BYTES])
    width = 1024
    raw = np.full((width, width), 1e-3, "<f4").tobytes()
    for name in (b"square0", b"right"):
        model.graph.initializer.add(name=name, dims=[width, width], data_type=1, raw_data=raw)
    for number in range(60):
        model.graph.node.add(
            op_type=b"MatMul", input=[f"square{number}".encode(), b"right"], output=[f"square{number + 1}".encode()]
        )
    return seal(model.SerializeToString())


def _idle(good: bytes, size: int) -> bytes:
    """Weights that are finite and of the right length, and no operator's."""
    model = parse(good[:-SEAL_BYTES])
    for number in range(1000):
        raw = np.ones(size // 4_000, "<f4")
        model.graph.initializer.add(name=f"idle{number}".encode(), dims=[len(raw)], data_type=1, raw_data=raw.tobytes())
    return seal(model.SerializeToString())


def _idle_nodes(good: bytes, _: int) -> bytes:
    model = parse(good[:-SEAL_BYTES])
    for number in range(1500):
        before = f"tanh{number - 1}".encode() if number else b"expected"
        model.graph.node.add(op_type=b"Tanh", input=[before], output=[f"tanh{number}".encode()])
    return seal(model.SerializeToString())


def _more_score(model: Any, more: bytes) -> bytes:
    """The score is the one before and more of it, so that ``more`` is in use."""
    node = next(node for node in model.graph.node if b"score" in node.output)
    node.output[list(node.output).index(b"score")] = b"score/before"
    model.graph.node.add(op_type=b"Add", input=[b"score/before", more], output=[b"score"])
    return seal(model.SerializeToString())


def _largest_of(model: Any, name: bytes) -> bytes:
    """The largest along the last axis, ``[T, B]``."""
    model.graph.initializer.add(name=b"last", dims=[1], data_type=7, raw_data=np.array([2], "<i8").tobytes())
    node = model.graph.node.add(op_type=b"ReduceMax", input=[name, b"last"], output=[b"largest"])
    node.attribute.add(name=b"keepdims", type=2, i=0)
    return b"largest"


def _chosen(good: bytes, _: int) -> bytes:
    """The golden vectors' readings point into a table; one of a truck's would point beyond its end."""
    model = parse(good[:-SEAL_BYTES])
    model.graph.initializer.add(name=b"table", dims=[1000], data_type=1, raw_data=np.zeros(1000, "<f4").tobytes())
    node = model.graph.node.add(op_type=b"Cast", input=[b"x/filled"], output=[b"place"])
    node.attribute.add(name=b"to", type=2, i=7)
    model.graph.node.add(op_type=b"Gather", input=[b"table", b"place"], output=[b"chosen"])
    return _more_score(model, _largest_of(model, b"chosen"))


def _split(good: bytes, _: int) -> bytes:
    """Four parts of 2^62 and one of the rest: as 64-bit numbers their sum is the axis."""
    model = parse(good[:-SEAL_BYTES])
    raw = np.array([2**62] * 4 + [3], "<i8").tobytes()
    model.graph.initializer.add(name=b"parts", dims=[5], data_type=7, raw_data=raw)
    node = model.graph.node.add(op_type=b"Split", input=[b"expected", b"parts"])
    node.output.extend(f"part{number}".encode() for number in range(5))
    node.attribute.add(name=b"axis", type=2, i=2)
    return _more_score(model, _largest_of(model, b"part4"))


def _weights(model: Any, rows: int, columns: int, name: bytes) -> None:
    raw = np.full((rows, columns), 1e-9, "<f4").tobytes()
    model.graph.initializer.add(name=name, dims=[rows, columns], data_type=1, raw_data=raw)


def large_weights(good: bytes, size: int) -> bytes:
    """A good model but for so many bytes of weights that have no effect."""
    model, columns = parse(good[:-SEAL_BYTES]), size // 4 // 1024
    _weights(model, 3, 1024, b"wide")
    _weights(model, 1024, columns, b"wider")
    model.graph.node.add(op_type=b"MatMul", input=[b"expected", b"wide"], output=[b"wide/made"])
    model.graph.node.add(op_type=b"MatMul", input=[b"wide/made", b"wider"], output=[b"wider/made"])
    return _more_score(model, _largest_of(model, b"wider/made"))


def large_results(good: bytes) -> bytes:
    """A small file whose calls of 512 ticks hold 56 MB several times over."""
    model = parse(good[:-SEAL_BYTES])
    _weights(model, 3, 4000, b"wide")
    model.graph.node.add(op_type=b"MatMul", input=[b"expected", b"wide"], output=[b"wide/made"])
    node = model.graph.node.add(op_type=b"Concat", input=[b"wide/made"] * 7, output=[b"joined"])
    node.attribute.add(name=b"axis", type=2, i=2)
    model.graph.node.add(op_type=b"Tanh", input=[b"joined"], output=[b"joined/tanh"])
    model.graph.node.add(op_type=b"Add", input=[b"joined", b"joined/tanh"], output=[b"joined/sum"])
    return _more_score(model, _largest_of(model, b"joined/sum"))


NODES = "structure: expected at most 2048 nodes"
FIELDS = "structure: expected at most 65536 fields"
HOSTILE: dict[str, Hostile] = {
    "empty nodes": _many(b"\x0a\x00", NODES, GRAPH),
    "graphs": _many(b"\x3a\x00", FIELDS),
    "initialisers": _many(b"\x2a\x00", "structure: expected at most 2048 initialisers", GRAPH),
    "inputs": _many(b"\x5a\x00", "structure: expected at most 512 inputs", GRAPH),
    "outputs": _many(b"\x62\x00", "structure: expected at most 512 outputs", GRAPH),
    "metadata": _many(b"\x72\x00", "structure: expected at most 64 metadata entries"),
    "opsets": _many(b"\x42\x00", "structure: expected at most 64 opset_imports"),
    "inputs of one node": _many(b"\x0a\x00", FIELDS, GRAPH, NODE),
    "attributes of one node": _many(b"\x2a\x00", FIELDS, GRAPH, NODE),
    "texts of an attribute": _many(b"\x4a\x00", FIELDS, GRAPH, NODE, 5),
    "numbers of an attribute": _many(b"\x40\x01", FIELDS, GRAPH, NODE, 5),
    "packed numbers of an attribute": _many(b"\x01", "structure: Attribute.ints: expected at most", GRAPH, NODE, 5, 8),
    "sizes of a tensor": _many(b"\x08\x01", FIELDS, GRAPH, TENSOR),
    "packed sizes of a tensor": _many(b"\x01", "structure: Tensor.dims: expected at most", GRAPH, TENSOR, 1),
    "sizes of an input": _many(b"\x0a\x00", FIELDS, GRAPH, INPUT, 2, 1, 2),
    "one number again and again": _many(b"\x08\x08", FIELDS),
    "numbers in ten bytes": _many(b"\x08" + b"\x80" * 9 + b"\x01", FIELDS),
    "numbers without an end": _many(b"\x80", "protobuf: expected an ONNX model"),
    "groups in groups": _many(b"\x0b", "protobuf: expected a plain tickover model, found field 1 of Model"),
    "subgraphs in subgraphs": Hostile(_deep, "protobuf: expected a plain tickover model, found a subgraph"),
    "name of a node": _long("structure: Node.name: expected at most", GRAPH, NODE, 3),
    "name of a tensor": _long("structure: Tensor.name: expected at most", GRAPH, TENSOR, 8),
    "name of the graph": _long("structure: Graph.name: expected at most", GRAPH, 2),
    "name of the producer": _long("structure: Model.producer_name: expected at most", 2),
    "key of an entry": _long("structure: Entry.key: expected at most", 14, 1),
    "long manifest": Hostile(_with_text(KEY_MANIFEST, lambda text, size: text + b" " * size), "structure: Entry.value"),
    "long golden vectors": Hostile(
        _with_text(KEY_GOLDEN, lambda text, size: text.replace(b'"x":"', b'"x":"' + b"A" * size)),
        "structure: Entry.value",
    ),
    "golden vectors of another length": Hostile(
        _within_text(_with_text(KEY_GOLDEN, lambda text, size: text.replace(b'"x":"', b'"x":"' + b"A" * (size & ~3)))),
        "tickover.golden: x: expected",
    ),
    "lists in lists in the manifest": Hostile(
        _within_text(_with_text(KEY_MANIFEST, lambda _, size: b'{"format_version":1,"name":' + b"[" * size)), "manifest"
    ),
    "a number of many digits": Hostile(
        _within_text(_with_text(KEY_MANIFEST, lambda _, size: b'{"format_version":' + b"9" * size + b"}")), "manifest"
    ),
    "charts": Hostile(_within_text(_with_text(KEY_MANIFEST, _charts)), "manifest: expected at most 8192 charts"),
    "versions": Hostile(_within_text(_with_text(KEY_MANIFEST, _versions)), "manifest: Expected `object` of length"),
    "weights that nothing uses": Hostile(_idle, "initialisers: expected at most 16384 numbers"),
    "operators that nothing uses": Hostile(_idle_nodes, "operators: expected at most 128 that no output"),
    "places that readings choose": Hostile(_chosen, "operator Gather of chosen: expected places that do not depend"),
    "parts whose sum goes round": Hostile(_split, "operator Split: expected at most 67108864 numbers"),
    "integers": Hostile(_reshapes, "initialiser ones: expected at most 1024 integers"),
    "work in constants": Hostile(_works, "structure: expected at most 67108864 multiplications"),
    "name with a newline": Hostile(
        _renamed(KEY_MANIFEST, '"name":"gru_autoencoder"', '"name":"truck\\n"'), "manifest: "
    ),
    "unit with an escape": Hostile(_renamed(KEY_MANIFEST, '"unit":"km/h"', '"unit":"\\u001b[2J"'), "manifest: "),
    "words that turn a line round": Hostile(_renamed(KEY_MANIFEST, '"unit":"km/h"', '"unit":"\\u202e"'), "manifest: "),
}

MEASURED: dict[str, Hostile] = {
    "weights that have no effect": Hostile(
        lambda good, size: large_weights(good, min(2 * size, 62_000_000)), "memory: "
    ),
    "results of a call": Hostile(lambda good, _: large_results(good), "memory: "),
}
"""Files in which all is in order: what they cost is only found by running them."""

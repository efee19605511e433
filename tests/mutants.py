"""Hostile model files: seeded mutations of a good one, of its bytes and of its structure, half of them sealed again.

Needs only what the device has.
"""

import random
import struct

from tickover.model.file.proto import parse
from tickover.model.file.seal import SEAL_BYTES, seal

HUGE = (0, 1, -1, 2, 7, 127, 2**16, 2**31 - 1, 2**31, 2**40, 2**62, -(2**63), 2**63 - 1)
FLOATS = (0.0, -1.0, 1e38, -1e38, float("nan"), float("inf"), 1e-45)
OPERATORS = (b"If", b"Loop", b"Scan", b"Constant", b"Range", b"Expand", b"Tile", b"ConstantOfShape", b"Resize", b"Pad")
KNOWN = (b"GRU", b"LSTM", b"RNN", b"MatMul", b"Reshape", b"Concat", b"Slice", b"Gather", b"Split", b"Transpose", b"Add")


def mutate(data: bytes, seed: int) -> bytes:
    """One mutant; odd seeds are sealed again, so that the seal alone cannot refuse them."""
    dice = random.Random(seed)
    body = data[:-SEAL_BYTES]
    changed = dice.choice((_bytes, _structure, _structure))(body, dice)
    return seal(changed) if seed % 2 else changed + data[-SEAL_BYTES:]


def _bytes(body: bytes, dice: random.Random) -> bytes:
    mutant = bytearray(body)
    for _ in range(dice.choice((1, 1, 2, 8, 64))):
        place = dice.randrange(len(mutant))
        match dice.randrange(6):
            case 0:
                mutant[place] ^= 1 << dice.randrange(8)
            case 1:
                mutant[place] = dice.randrange(256)
            case 2:
                del mutant[place : place + dice.randrange(1, 200)]
            case 3:
                mutant[place:place] = dice.randbytes(dice.randrange(1, 40))
            case 4:
                mutant[place : place + 8] = struct.pack("<q", dice.choice(HUGE))
            case 5:
                piece = mutant[place : place + dice.randrange(1, 400)]
                at = dice.randrange(len(mutant))
                mutant[at:at] = piece
        if len(mutant) < 100:
            return bytes(mutant)
    return bytes(mutant)


def _structure(body: bytes, dice: random.Random) -> bytes:
    model = parse(body)
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        dice.choice((_tensor, _tensor, _node, _node, _attribute, _attribute, _value, _model, _metadata))(model, dice)
    changed: bytes = model.SerializeToString()
    return changed


def _tensor(model, dice: random.Random) -> None:
    tensor = dice.choice(model.graph.initializer)
    match dice.randrange(7):
        case 0 if tensor.dims:
            tensor.dims[dice.randrange(len(tensor.dims))] = dice.choice(HUGE)
        case 1:
            tensor.dims.append(dice.choice(HUGE))
        case 2:
            del tensor.dims[:]
        case 3:
            tensor.data_type = dice.randrange(-1, 25)
        case 4:
            tensor.raw_data = tensor.raw_data[: dice.randrange(len(tensor.raw_data) + 1)]
        case 5:
            _overwrite(tensor, dice)
        case _:
            tensor.name = dice.choice(model.graph.initializer).name


def _overwrite(tensor, dice: random.Random) -> None:
    """A number inside becomes an extreme one."""
    form, values = ("<q", HUGE) if tensor.data_type == 7 else ("<f", FLOATS)
    size = struct.calcsize(form)
    place = dice.randrange(max(1, len(tensor.raw_data) // size)) * size
    tensor.raw_data = tensor.raw_data[:place] + struct.pack(form, dice.choice(values)) + tensor.raw_data[place + size :]


def _node(model, dice: random.Random) -> None:
    nodes = model.graph.node
    node, other = dice.choice(nodes), dice.choice(nodes)
    match dice.randrange(9):
        case 0:
            node.op_type = dice.choice(OPERATORS)
        case 1:
            node.op_type = dice.choice(KNOWN)
        case 2 if node.input and other.output:
            node.input[dice.randrange(len(node.input))] = dice.choice(other.output)
        case 3 if node.input and other.input:
            node.input[dice.randrange(len(node.input))] = dice.choice(other.input)
        case 4:
            node.output[dice.randrange(len(node.output))] = dice.choice((b"", b"x", b"score", b"\xff", b"a" * 999))
        case 5:
            del nodes[dice.randrange(len(nodes))]
        case 6:
            nodes.add().CopyFrom(node)
        case 7:
            node.input.append(dice.choice((b"", b"x", b"score")))
        case _:
            node.domain = dice.choice((b"com.microsoft", b"ai.onnx.ml", b"\xff"))


def _attribute(model, dice: random.Random) -> None:
    bearing = [node for node in model.graph.node if node.attribute]
    node = dice.choice(bearing)
    attribute = dice.choice(node.attribute)
    match dice.randrange(6):
        case 0:
            attribute.i = dice.choice(HUGE)
        case 1:
            attribute.ints.append(dice.choice(HUGE))
        case 2:
            attribute.floats.append(dice.choice(FLOATS))
        case 3:
            attribute.strings.append(dice.choice((b"Tanh", b"Nonsense", b"\xff\xfe")))
        case 4:
            attribute.type = dice.randrange(-1, 16)
        case _:
            attribute.name = dice.choice((b"direction", b"layout", b"clip", b"axis", b"hidden_size"))


def _value(model, dice: random.Random) -> None:
    value = dice.choice((*model.graph.input, *model.graph.output))
    match dice.randrange(4):
        case 0:
            value.name = dice.choice((b"x", b"score", b"", b"other"))
        case 1:
            value.type.tensor_type.elem_type = dice.randrange(-1, 25)
        case 2:
            value.type.tensor_type.shape.dim.add().dim_value = dice.choice(HUGE)
        case _:
            dice.choice(value.type.tensor_type.shape.dim).dim_value = dice.choice(HUGE)


def _model(model, dice: random.Random) -> None:
    match dice.randrange(3):
        case 0:
            model.ir_version = dice.choice(HUGE)
        case 1:
            model.opset_import[0].version = dice.choice(HUGE)
        case _:
            model.opset_import.add(domain=b"com.microsoft", version=1)


def _metadata(model, dice: random.Random) -> None:
    entry = dice.choice(model.metadata_props)
    match dice.randrange(4):
        case 0:
            entry.key = dice.choice((b"", b"other", b"\xff"))
        case 1:
            place = dice.randrange(len(entry.value) + 1)
            entry.value = (
                entry.value[:place] + dice.choice((b"9", b"-", b'"', b"{", b"\xff", b"e99")) + entry.value[place:]
            )
        case 2:
            entry.value = b"[" * 5000
        case _:
            digits = [place for place, char in enumerate(entry.value) if 48 <= char < 58]
            place = dice.choice(digits or [0])
            entry.value = entry.value[:place] + dice.choice((b"0", b"9", b"99999999")) + entry.value[place + 1 :]

"""Tensors one tick later: each call of the graph hands its last tick on to the next."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from tickover_export.nodes import Nodes, next_of

FAR: Final = np.iinfo(np.int64).max
"""Where a slice ends that takes all there is."""


def delay(nodes: Nodes, before: str, series: str, *, name: str) -> str:
    """``series`` ``[T, B, N]`` one tick later; ``before`` ``[1, B, N]`` comes first."""
    longer = nodes.add("Concat", before, series, name=f"{name}/longer", axis=0)
    start, end = nodes.shared("first", [0]), nodes.shared("last", [-1])
    return nodes.add("Slice", longer, start, end, nodes.shared("time/axis", [0]), name=name)


def ticks_before(nodes: Nodes, state: str, tensors: Sequence[str], width: int) -> Sequence[str]:
    """``tensors`` ``[T, B, width]`` of the tick before each, all 0 at a trip's first."""
    before = nodes.state(state, len(tensors) * width, "trip")
    joined = nodes.add("Concat", *tensors, name=f"{state}/now", axis=-1)
    end, time = nodes.shared("previous/end", [FAR]), nodes.shared("time/axis", [0])
    nodes.add("Slice", joined, nodes.shared("last", [-1]), end, time, name=next_of(state))
    earlier = delay(nodes, before, joined, name=f"{state}/then")
    sizes = nodes.integers(f"{state}/sizes", [width] * len(tensors))
    names = [f"{state}/{place}" for place in range(len(tensors))]
    return nodes.add_many("Split", earlier, sizes, names=names, axis=-1)

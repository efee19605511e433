"""The trip's age in the graph, and what depends on it: the warm-up, and residuals that spread wider at first."""

from typing import Final

import numpy as np

from tickover.core.manifest import AGE
from tickover_export.cells import plain, without_directions
from tickover_export.nodes import Nodes, next_of
from tickover_export.spec import GraphSpec

AGE_STEP: Final = 2.0**-20
"""The age counts ticks in steps of this and stays at 1; a power of two, so that every count is exact."""


def ages(nodes: Nodes, mask: str, signals: int) -> str:
    """The trip's age in steps of ``AGE_STEP``, this tick counted, ``[T, B, 1]``.

    An ``RNN`` that adds one step to its state at every tick. It reads the mask with weights of 0: an operator must have
    an input.
    """
    age = nodes.state(AGE, 1, "trip")
    w, r = nodes.floats("age.W", np.zeros((1, 1, signals))), nodes.floats("age.R", np.ones((1, 1, 1)))
    b = nodes.floats("age.B", [[AGE_STEP, 0.0]])
    all_ages, _ = nodes.add_many(
        "RNN", mask, w, r, b, "", age, names=["age/all", next_of(AGE)], hidden_size=1, **plain("HardSigmoid")
    )
    return without_directions(nodes, all_ages, name="age/ticks")


def warm(nodes: Nodes, mask: str, age: str, warm_up: int) -> str:
    """``mask`` ``[T, B, F]`` with the first ``warm_up`` ticks of a trip taken out."""
    grown = nodes.add("Greater", age, nodes.floats("warm_up", warm_up * AGE_STEP), name="age/grown")
    return nodes.add("Mul", mask, nodes.add("Cast", grown, name="age/warm", to=1), name="valid")


def cold_spread(nodes: Nodes, spec: GraphSpec, age: str) -> str:
    """How many times wider than usual each residual spreads at this age, ``[T, B, F]``: see ``ColdStart``.

    Plain arithmetic without ``Exp``: ticks, chunks and batches must agree in the last bit.
    """
    step_s = spec.tick_period_s / AGE_STEP
    per_age = nodes.floats("cold.rate", [step_s / start.fades_s for start in spec.cold])
    excess, one = nodes.floats("cold.excess", [start.excess for start in spec.cold]), nodes.floats("cold.one", 1.0)
    grown = nodes.add("Add", nodes.add("Mul", age, per_age, name="cold/age"), one, name="cold/grown")
    left = nodes.add("Div", excess, nodes.add("Mul", grown, grown, name="cold/squared"), name="cold/left")
    return nodes.add("Add", left, one, name="cold/spread")

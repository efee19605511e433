"""The page of ``tickover compare``: cells and architectures side by side. No script, nothing loaded."""

from typing import TYPE_CHECKING

from tickover_train.pages.template import fill

if TYPE_CHECKING:
    from tickover_train.comparison import Comparison


def render(found: "Comparison", trips: int, epochs: int, seed: int) -> str:
    """The page; ``trips`` were given, ``epochs`` at most were trained."""
    return fill("comparison.html.j2", found=found, trips=trips, epochs=epochs, seed=seed)

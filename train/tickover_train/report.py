"""The run's report: placeholder until the page is written."""

from pathlib import Path

from tickover_train.horizon import Horizons
from tickover_train.workshop import Job, Product


def write(path: Path, job: Job, product: Product, horizon: Horizons) -> None:
    """Write the page."""

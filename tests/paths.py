"""Where tests find the project's own files."""

from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).resolve().parent
ROOT: Final = TESTS.parent
DOCS: Final = ROOT / "docs"
MODELS: Final = TESTS / "models"
"""Small model files with seeded random weights (``small_models.py`` writes them)."""

"""A damaged store never stops the start, goes aside, and is said aloud."""

from pathlib import Path

from faults.damage import damage


def test_flips_and_truncations_are_survived_and_said(quick_folder: Path) -> None:
    found = damage(quick_folder, 60)
    assert found.failed == []
    assert found.silent == []
    assert found.said > 20

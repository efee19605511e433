"""The power goes: what the store said is safe is there, and nothing is unreadable; a weakened store is found out."""

from pathlib import Path

import pytest

from faults.power_cut import cut_daemon, cut_writer, record_daemon, record_writer
from faults.recording import STRACE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(STRACE is None, reason="strace is not installed (apt install strace)"),
]


def test_200_power_cuts_lose_nothing_that_was_acknowledged(quick_folder: Path) -> None:
    cuts, rounds = 200, 260
    ops = record_writer(quick_folder, 1, rounds)
    assert sum(op.kind == "sync" for op in ops) > rounds
    assert any(op.kind == "write" and op.name.endswith(".sqlite") and op.at for op in ops), "WAL copied into the file"
    verdict = cut_writer(ops, 1, rounds, cuts, quick_folder)
    assert verdict.cuts == cuts
    assert verdict.at_risk > cuts / 2, "most cuts had something to lose"
    assert verdict.unreadable == []
    assert verdict.lost == []


@pytest.mark.parametrize("level", ["OFF", "NORMAL"])
def test_the_same_harness_finds_a_store_that_does_not_sync(quick_folder: Path, level: str) -> None:
    cuts, rounds = 60, 200
    ops = record_writer(quick_folder, 1, rounds, level)
    verdict = cut_writer(ops, 1, rounds, cuts, quick_folder)
    assert len(verdict.lost) > cuts / 4
    assert level == "NORMAL" or verdict.unreadable, "without any sync, files are damaged too"


def test_the_daemon_goes_on_after_a_power_cut_as_if_there_had_been_none(quick_folder: Path) -> None:
    ops = record_daemon(quick_folder)
    verdict = cut_daemon(ops, 40, quick_folder)
    assert verdict.at_risk > 20
    assert verdict.unreadable == []
    assert verdict.lost == []


def test_the_same_harness_finds_a_daemon_whose_store_does_not_sync(quick_folder: Path) -> None:
    verdict = cut_daemon(record_daemon(quick_folder, "OFF"), 15, quick_folder)
    assert verdict.lost

"""A hundred thousand payload mutants; tests/bench/faults_payloads.py sends five million."""

from faults.fuzz import fuzz


def test_mutants_never_crash_and_nothing_but_finite_values_comes_through() -> None:
    found = fuzz(100_000, seed=0)
    assert found.crashes == []
    assert found.unsafe == []
    assert found.rows > 10_000, "many mutants are near enough to be read"
    assert found.reasons["bad_json"] > 1000
    assert found.reasons["not_finite"] > 100

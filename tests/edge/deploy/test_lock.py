"""``deploy/requirements-device.txt`` names what the device installs, in the versions that are tested, with hashes."""

import re
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[3]
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)(?:\s*;[^\\]*)?((?:\s*\\\n\s+--hash=\S+)*)", re.MULTILINE)


def pins(name: str) -> dict[str, tuple[str, list[str]]]:
    """Package to version and hashes."""
    found = PIN.findall((ROOT / name).read_text())
    return {canonicalize_name(package): (version, hashes.split()) for package, version, hashes in found}


LOCKED = pins("deploy/requirements-device.txt")


def closure() -> set[str]:
    """What tickover's own dependencies need, as far as the packages installed here say."""
    known: set[str] = set()
    waiting = [Requirement(line) for line in project_dependencies()]
    while waiting:
        name = canonicalize_name(waiting.pop().name)
        if name in known:
            continue
        known.add(name)
        try:
            needed = [Requirement(line) for line in requires(name) or ()]
        except PackageNotFoundError:  # pragma: no cover
            pytest.fail(f"{name} is not installed: the device's packages are missing")
        waiting += [one for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    return known


def project_dependencies() -> list[str]:
    import tomllib

    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]


def test_it_has_the_versions_that_are_tested() -> None:
    tested = pins("constraints.txt")
    assert {name: version for name, (version, _) in LOCKED.items()} == {name: tested[name][0] for name in LOCKED}


def test_it_has_all_that_the_device_needs_and_no_more() -> None:
    assert set(LOCKED) == closure()


@pytest.mark.parametrize("name", LOCKED)
def test_every_package_has_sha256_hashes(name: str) -> None:
    _, hashes = LOCKED[name]
    ours = [word for word in hashes if word != "\\"]
    assert ours
    assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", word) for word in ours)
    assert len(set(ours)) == len(ours)

"""Checks of all that the daemon needs before the first alert: the device here, the broker over the network."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from tickover.daemon.config import Config


class State(StrEnum):
    """The result of a check; ``warn``: it works, but not as well as it should."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its name, its result, what was seen, and what to do about it (empty when it is ok)."""

    name: str
    state: State
    seen: str
    fix: str = ""


def ok(name: str, seen: str) -> Check:
    """All is well."""
    return Check(name, State.OK, seen)


def warn(name: str, seen: str, fix: str) -> Check:
    """It works, but not as it should."""
    return Check(name, State.WARN, seen, fix)


def fail(name: str, seen: str, fix: str) -> Check:
    """The daemon would not work."""
    return Check(name, State.FAIL, seen, fix)


def examine(config: Config, own: bool = False) -> Iterator[Check]:
    """All checks, as each is done; a check that needs one that failed is left out.

    ``own``: the configuration names a certificate that the daemon does not use.
    """
    from tickover.doctor import broker, device

    yield from device.examine(config)
    yield from broker.examine(config, own)

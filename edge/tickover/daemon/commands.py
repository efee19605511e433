"""Commands by MQTT: ``<base>/v1/<vehicle or node>/cmd/<name>/request`` and ``…/response``.

A request is a JSON object, possibly empty; its ``id`` is repeated in the response. Addressed to the node, a command
is for every vehicle, unless a vehicle has that name. Commands that change something are
committed before they are answered.
"""

from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec

from tickover.core.ledger import Verdict
from tickover.core.values import SECOND
from tickover.daemon.modes import EVERYONE, LONGEST_S, Mode
from tickover.daemon.verdicts import LONGEST_NOTE
from tickover.payloads.base import PayloadError
from tickover.payloads.strict_json import parse_json
from tickover.payloads.values import LATEST, microseconds


class Commanded(Protocol):
    """What the commands need of the daemon."""

    def has_seen(self, vehicle: str) -> bool: ...

    def vehicles(self) -> list[str]: ...

    def status_report(self) -> dict[str, Any]: ...

    def snapshot(self, vehicle: str) -> dict[str, Any]: ...

    def set_mode(self, mode: Mode, vehicle: str, until: int) -> None: ...

    def reset(self, vehicle: str) -> None: ...

    def replay(self, vehicle: str, since: int) -> int: ...

    def judge(self, vehicle: str, name: str, verdict: Verdict, note: str) -> dict[str, Any]: ...

    def now(self) -> int: ...


class CommandError(Exception):
    """A request that cannot be carried out; the text is the answer."""


def _status(daemon: Commanded, vehicle: str, request: dict[str, Any]) -> dict[str, Any]:
    return daemon.status_report()


def _snapshot(daemon: Commanded, vehicle: str, request: dict[str, Any]) -> dict[str, Any]:
    return daemon.snapshot(vehicle)


def _reset(daemon: Commanded, vehicle: str, request: dict[str, Any]) -> dict[str, Any]:
    daemon.reset(vehicle)
    return {}


def _replay(daemon: Commanded, vehicle: str, request: dict[str, Any]) -> dict[str, Any]:
    since = request.get("since")
    moment = microseconds(since, "iso" if isinstance(since, str) else "s")
    if moment is None or not 0 <= moment <= LATEST:
        raise CommandError(f"expected since: seconds since 1970 or ISO 8601, got {since!r}")
    return {"messages": daemon.replay(vehicle, moment)}


def _verdict(daemon: Commanded, vehicle: str, request: dict[str, Any]) -> dict[str, Any]:
    name, verdict, note = request.get("alert"), request.get("verdict"), request.get("note", "")
    if vehicle == EVERYONE:
        raise CommandError("expected one vehicle, got all: a verdict is on one vehicle's alert")
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_ID:
        raise CommandError(f"expected alert: the id of an alert or an episode, got {_short(name)}")
    if verdict not in list(Verdict):
        raise CommandError(f"expected verdict: {', '.join(Verdict)}, got {_short(verdict)}")
    if not isinstance(note, str) or len(note) > LONGEST_NOTE or not note.isprintable():
        raise CommandError(f"expected note: up to {LONGEST_NOTE} printed characters, got {_short(note)}")
    return daemon.judge(vehicle, name, Verdict(verdict), note)


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}…"


def _mode(mode: Mode) -> "Command":
    def command(daemon: Commanded, vehicle: str, request: dict[str, Any]) -> dict[str, Any]:
        seconds = request.get("for_s")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= LONGEST_S:
            raise CommandError(f"expected for_s: seconds from 0 (off) to {LONGEST_S}, got {seconds!r}")
        until = daemon.now() + round(seconds * SECOND)
        daemon.set_mode(mode, vehicle, until)
        return {"until": until}

    return command


Command = Callable[[Commanded, str, dict[str, Any]], dict[str, Any]]
COMMANDS: Final[dict[str, Command]] = {
    "status": _status,
    "snapshot": _snapshot,
    "reset": _reset,
    "replay": _replay,
    "verdict": _verdict,
    "shelve": _mode(Mode.SHELVED),
    "out_of_service": _mode(Mode.OUT_OF_SERVICE),
    # The names of these two before ISA-18.2's; they stay for who publishes them.
    "mute": _mode(Mode.SHELVED),
    "workshop": _mode(Mode.OUT_OF_SERVICE),
}
ABOUT_ALL: Final = frozenset({"status"})
"""Commands whose answer is the same for every vehicle."""
ABOUT_ONE_SEEN: Final = frozenset({*COMMANDS} - ABOUT_ALL - {"replay"})
"""Commands that need a vehicle that has reported: for another, which may be misspelt, nothing is written."""
LONGEST_ID: Final = 64
SHOWN: Final = 80
"""Characters of a wrong value in an answer."""
KNOWN_SHOWN: Final = 20
"""The most vehicles that an answer names."""


def obey(daemon: Commanded, node: str, target: str, name: str, payload: bytes) -> bytes:
    """Carry out one request; the body of the response, which says ``ok`` or ``error``."""
    answer: dict[str, Any] = {"command": name}
    try:
        request = parse_json(payload) if payload else {}
        if not isinstance(request, dict):
            raise CommandError("expected a JSON object")
        answer["id"] = request.get("id")
        if name not in COMMANDS:
            raise CommandError(f"unknown command {name!r}; known: {', '.join(COMMANDS)}")
        note = "" if target in (node, EVERYONE) or name in ABOUT_ALL else _unseen(daemon, node, target)
        if note and name in ABOUT_ONE_SEEN:
            raise CommandError(note)
        # A daemon of one truck may have its name: then the truck is meant.
        everyone = target == node and not daemon.has_seen(node)
        result = COMMANDS[name](daemon, EVERYONE if everyone else target, request)
        answer["result"] = {**result, "note": note} if note else result
    except PayloadError as error:
        answer["error"] = f"the request cannot be read: {error.reason}"
    except CommandError as error:
        answer["error"] = str(error)
    answer["ok"] = "error" not in answer
    return msgspec.json.encode(answer)


def _unseen(daemon: Commanded, node: str, vehicle: str) -> str:
    """What the answer says of a vehicle that was never seen and may be misspelt; empty when it was seen."""
    if daemon.has_seen(vehicle):
        return ""
    import difflib  # for wrong names only

    known = daemon.vehicles()
    close = difflib.get_close_matches(vehicle, known)
    names = ", ".join(known[:KNOWN_SHOWN]) or "none"
    more = f" and {len(known) - KNOWN_SHOWN} more" if len(known) > KNOWN_SHOWN else ""
    hint = f"did you mean {' or '.join(close)}?" if close else f"known: {names}{more}"
    return f"{node} has not seen a vehicle {vehicle!r} yet; {hint}"

"""What a hook is: takes one alert, and says whether the receiver has it."""

import urllib.error
import urllib.request
from typing import Any, Final, Protocol

import msgspec

from tickover.core.time_format import iso_seconds
from tickover.core.values import Alert
from tickover.messages.alerts import decode_alert

TIMEOUT_S: Final = 10.0
LARGEST_ANSWER: Final = 300
NOT_THE_MESSAGE: Final = frozenset({401, 403, 404, 405, 408, 425, 429})
"""Refusals that are about the receiver or the key, not about the message: they are waited out."""


class AwayError(Exception):
    """The receiver cannot take anything now: the message waits."""


class RefusedError(Exception):
    """The receiver does not take this message."""


class Hook(Protocol):
    """One way out."""

    def send(self, id: str, body: bytes) -> None:
        """Hand on an alert, as it was published; ``id`` is the alert's. AwayError or RefusedError: it is not taken."""


def post(url: str, body: bytes, headers: dict[str, str]) -> None:
    """POST, without following redirects; AwayError or RefusedError says what the receiver answered."""
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            answer.read(LARGEST_ANSWER)
    except urllib.error.HTTPError as error:
        said = error.read(LARGEST_ANSWER).decode("utf-8", "replace").strip()
        text = f"HTTP {error.code} {error.reason} {said}".strip()
        is_about_message = 400 <= error.code < 500 and error.code not in NOT_THE_MESSAGE
        raise (RefusedError if is_about_message else AwayError)(text) from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise AwayError(str(reason) or type(reason).__name__) from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect could lead a request with a key in it anywhere."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """None."""
        return


def alert_in(body: bytes) -> Alert:
    """The alert in a message that waited."""
    return decode_alert(body)


def summary(alert: Alert) -> str:
    """``truck-7: coolant_temp high (major)``."""
    first = alert.signals[0] if alert.signals else None
    what = f"{first.signal} {first.direction}" if first else alert.detector
    if alert.detector.startswith("sensor."):
        what = f"{what}, {alert.detector}"
    state = "" if alert.end is None else ", over"
    return f"{alert.vehicle}: {what} ({alert.severity.value}{state})"


def details(alert: Alert) -> str:
    """Observed against expected, since when, the peak."""
    lines = []
    for part in alert.signals:
        observed = "missing" if part.observed is None else f"{part.observed:.5g} {part.unit}".rstrip()
        expected = "" if part.expected is None else f", expected {part.expected:.5g}"
        lines.append(f"{part.signal}: {observed}{expected} ({part.direction}, {part.level:.1f} times its limit)")
    ended = f", ended {iso_seconds(alert.end)} ({alert.reason})" if alert.end is not None else ""
    lines.append(f"since {iso_seconds(alert.start)}{ended}, peak {alert.peak:.1f}")
    return "\n".join(lines)


def encode(body: Any) -> bytes:
    """JSON."""
    return msgspec.json.encode(body)

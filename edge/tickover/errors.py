"""The errors that a user sees. Each says what was expected, what was got and where.

The exit codes are those of the command line: 1 failed, 2 wrong usage, 78 bad configuration
(``EX_CONFIG`` of sysexits.h).
"""

from collections.abc import Iterable


class TickoverError(Exception):
    """Base of every error that is shown as one clear message instead of a traceback."""

    exit_code = 1


class ModelError(TickoverError):
    """A model file was refused; the message names the check that failed."""


class LogError(TickoverError):
    """A log cannot be read: a bad header, or a bad row under ``--strict``; names file and line."""


class StateError(TickoverError):
    """Saved state does not fit: damaged, or of another model."""


class RunError(TickoverError):
    """A run folder is incomplete, damaged, or cannot be written."""


class ConfigError(TickoverError):
    """A configuration or mapping file is wrong; names the file, the key and what was expected."""

    exit_code = 78


class BrokerError(TickoverError):
    """An MQTT broker cannot be reached, or refused; names the broker, what happened and what to look at."""


def suggestion(word: str, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` when a known word is close, else the list of known words."""
    import difflib  # for wrong words only: a running daemon meets none

    known = list(known)
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"

"""Whether others than the daemon may read its credentials and keys."""

import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from tickover.host.certificates import read_certificate, validity
from tickover.transports.mqtt.settings import Broker

GROUP: Final = stat.S_IRGRP | stat.S_IWGRP
OTHERS: Final = stat.S_IROTH | stat.S_IWOTH


class Exposed(NamedTuple):
    """One file that others may read or write: what was seen, and the command that corrects it."""

    seen: str
    fix: str


def exposed(broker: Broker) -> Iterator[Exposed]:
    """The credentials file and the TLS key, where group or others have access; files that are not there are left out.

    A file of another owner (root's, under /etc) may be our group's to read: the daemon gets it that way.
    """
    key = broker.tls.key if broker.tls else None
    for word, name in (("credentials", broker.credentials), ("TLS key", key)):
        if name and Path(name).exists():
            about = Path(name).stat()
            through_group = about.st_uid != os.geteuid() and about.st_gid in {os.getegid(), *os.getgroups()}
            bad = about.st_mode & (OTHERS if through_group else GROUP | OTHERS)
            if bad:
                who = "anybody on this device" if bad & OTHERS else "its group"
                seen = f"{word} {name}: mode {stat.S_IMODE(about.st_mode):04o}, open to {who}"
                yield Exposed(seen, f"chmod {'640' if through_group else '600'} {name}")


def troubles(broker: Broker) -> Iterator[str]:
    """One line each, with what to do; for files that `connection.check_files` has read before."""
    yield from (f"{file.seen}: {file.fix}" for file in exposed(broker))
    for name in (broker.tls.ca, broker.tls.certificate) if broker.tls else ():
        if name:
            yield from _out_of_date(name)


def _out_of_date(name: str) -> Iterator[str]:
    """OpenSSL accepts more kinds of PEM than `read_certificate` does (``TRUSTED CERTIFICATE``)."""
    now = datetime.now(UTC)
    try:
        begins, ends = validity(read_certificate(Path(name)))
    except ValueError as error:
        yield f"certificate {name}: cannot tell how long it is valid: {error}"
        return
    if not begins <= now <= ends:
        dates = f"valid from {begins:%Y-%m-%d} to {ends:%Y-%m-%d}"
        yield f"certificate {name}: {dates}, and today is {now:%Y-%m-%d}: renew it, or set the clock"

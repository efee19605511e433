"""Whether others than the daemon may read the files that let someone pass for it."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from tickover.config import Broker

GROUP: Final = stat.S_IRGRP | stat.S_IWGRP
OTHERS: Final = stat.S_IROTH | stat.S_IWOTH


class Exposed(NamedTuple):
    """One file that too many may read or write: what was seen, and the command that mends it."""

    seen: str
    fix: str


def exposed(broker: Broker) -> Iterator[Exposed]:
    """The credentials file and the TLS key, where group or others have access; files that are not there are left out.

    A file of another owner (root's, under /etc) may be our group's to read: that is how we come by it.
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

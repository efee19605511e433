"""The broker is restarted, is killed while alerts are on their way, is rolled back, a gateway sends again, and
connections die without notice."""

from argparse import Namespace
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from faults_common import broker_in, campaign

KEEPALIVES_S = (2, 3, 5, 10, 30)


def run(given: Namespace, folder: Path) -> dict:
    """A part with a count of 0 is left out. Roll-backs are shared out among brokers: most of their time is waiting."""
    from faults.campaigns import kill_broker, restart_broker
    from faults.reconnects import reconnects
    from faults.rollbacks import resend, roll_back_broker

    parts = {"restarts": (restart_broker, given.restarts)}
    each = -(-given.rollbacks // given.brokers)
    shares = [min(each, given.rollbacks - first) for first in range(0, given.rollbacks, each or 1)]
    parts |= {f"rollbacks {place + 1}": (roll_back_broker, share) for place, share in enumerate(shares)}
    parts["resends"] = (resend, given.resends)
    parts = {name: (part, count) for name, (part, count) in parts.items() if count}
    with ThreadPoolExecutor(given.brokers) as pool:
        done = {name: pool.submit(_alone, folder / name.replace(" ", ""), *part) for name, part in parts.items()}
    told = {name: one.result() for name, one in done.items()}
    if given.kills:  # alone: it gives the daemon a second for what the broker is killed after
        told["kills"] = _alone(folder / "kills", kill_broker, given.kills)
    with broker_in(folder) as broker:
        times = [reconnects(broker, keepalive_s, given.links) for keepalive_s in KEEPALIVES_S if given.links]
    longest = {
        f"reconnect, keepalive {one.keepalive_s} s": {
            "links": one.links,
            "half-open": round(max(one.half_open_s), 2),
            "broker is back": round(max(one.back_s), 2),
            "must": one.bound_s,
        }
        for one in times
    }
    good = all(one.good for one in (*told.values(), *times))
    return {**{name: asdict(one) for name, one in told.items()}, **longest, "good": good}


def _alone(folder: Path, part: Callable[..., Any], count: int) -> Any:
    """One part with a broker of its own."""
    from faults.gateway import Ear

    folder.mkdir()
    with broker_in(folder) as broker:
        ear = Ear(broker)
        told = part(folder, broker, ear, count, patience=120)
        ear.close()
    return told


if __name__ == "__main__":
    campaign(
        __doc__,
        run,
        restarts=(50, "clean ends"),
        kills=(50, "SIGKILLs"),
        rollbacks=(100, "times that an older file of the broker is put back"),
        resends=(50, "times that the gateway begins again some minutes before"),
        brokers=(4, "at once"),
        links=(20, "for each keepalive"),
    )

"""The broker is restarted, is killed while alerts are on their way, is rolled back, a gateway sends again, and
connections die without notice."""

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

from faults_common import broker_in, campaign

KEEPALIVES_S = (2, 3, 5, 10, 30)


def run(given: Namespace, folder: Path) -> dict:
    """A part with a count of 0 is left out."""
    from faults.campaigns import kill_broker, restart_broker
    from faults.gateway import Ear
    from faults.reconnects import reconnects
    from faults.rollbacks import resend, roll_back_broker

    parts = {
        "restarts": (restart_broker, given.restarts),
        "kills": (kill_broker, given.kills),
        "rollbacks": (roll_back_broker, given.rollbacks),
        "resends": (resend, given.resends),
    }
    with broker_in(folder) as broker:
        ear = Ear(broker)
        told = {name: part(folder, broker, ear, n, patience=120) for name, (part, n) in parts.items() if n}
        ear.close()
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


if __name__ == "__main__":
    campaign(
        __doc__,
        run,
        restarts=(50, "clean ends"),
        kills=(50, "SIGKILLs"),
        rollbacks=(100, "times that an older file of the broker is put back"),
        resends=(50, "times that the gateway begins again some minutes before"),
        links=(20, "for each keepalive"),
    )

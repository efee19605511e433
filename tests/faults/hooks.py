"""Alerts handed on by a real ``tickover web`` while receivers are down and the page is killed.

Two hooks: one receiver is out of order for a while, in each way that servers are; the other is well all the time, and
must not wait for the first. The page is killed (SIGKILL) at random moments, in and after the outage, while alerts go
on being published.
"""

import json
import random
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import web_fleet as fleet
from broker import Broker, wait_until
from receiver import FAILS, HANGS, REFUSED, Receiver
from tickover.core.values import SECOND, Phase
from tickover.web.hooks.delivery import AT_ONCE, LONGEST_WAIT_S
from web_process import Publisher, WebProcess

HOOK: Final = '[[hooks]]\nname = "{name}"\nkind = "webhook"\nurl = "{url}"\n'
SLOW_S: Final = 0.02
"""A receiver takes this long for an alert, so that kills fall into hand-overs."""
PATIENCE_S: Final = LONGEST_WAIT_S + 600.0
"""A campaign may be stopped meanwhile, for measurements of others on the same machine."""
TRUCKS: Final = 50


class Sender(threading.Thread):
    """Publishes alerts at a steady pace until it is told to stop; ``bodies`` by id, in order."""

    def __init__(self, broker: Broker, every_s: float) -> None:
        super().__init__(daemon=True)
        self.bodies: dict[str, bytes] = {}
        self.at: dict[str, float] = {}
        self._publisher, self._every_s, self._over = Publisher(broker), every_s, threading.Event()

    def run(self) -> None:
        while not self._over.wait(self._every_s):
            number = len(self.bodies) + 1
            truck, start = f"truck-{number % TRUCKS}", fleet.T0 + number * SECOND
            body = fleet.event(truck, Phase.START, start, start=start)
            id = json.loads(body)["id"]
            self.bodies[id], self.at[id] = body, time.monotonic()
            self._publisher.send(truck, "alert/anomaly", body)

    def stop(self) -> None:
        self._over.set()
        self.join()
        self._publisher.drain()
        self._publisher.close()


def run(folder: Path, *, down_s: float, kills: int, every_s: float, seed: int) -> dict[str, object]:
    """``kills`` in the outage of ``down_s`` seconds and as many while what waited is handed on."""
    moments = random.Random(seed)
    with ExitStack() as stack:
        broker = stack.enter_context(Broker(folder / "broker"))
        broken, well = Receiver(), Receiver()
        stack.callback(broken.close)
        stack.callback(well.close)
        hooks = folder / "hooks.toml"
        hooks.write_text(HOOK.format(name="broken", url=broken.url) + HOOK.format(name="well", url=well.url))
        web = WebProcess(broker, folder / "state", "--hooks", str(hooks)).start()
        stack.callback(web.kill)
        sender = Sender(broker, every_s)
        sender.start()
        broken.slow_s = SLOW_S
        for number, how in enumerate((REFUSED, HANGS, FAILS)):
            part = kills // 3 + (number < kills % 3)
            with broken.down(how):
                _kill(web, part, down_s / 3, moments)
        back = time.monotonic()
        waited = _waiting(web)
        for _ in range(kills):
            _until_handing_on(broken, web)
            time.sleep(moments.random() * SLOW_S * AT_ONCE)
            web.kill()
            web.start()
        sender.stop()
        ids = list(sender.bodies)
        end = time.monotonic() + PATIENCE_S
        while not (set(ids) <= set(broken.ids()) and set(ids) <= set(well.ids())) and time.monotonic() < end:
            time.sleep(0.1)
        took_s = time.monotonic() - back
        left = web.get("/api/fleet")["page"]
    return {
        "alerts": len(ids),
        "kills": 2 * kills,
        "waited_for_the_receiver": waited,
        "all_there_after_s": round(took_s, 1),
        "hooks_in_the_end": [{key: hook[key] for key in ("name", "waiting", "trouble")} for hook in left["hooks"]],
        "broken": _figures(broken, sender),
        "well": {**_figures(well, sender), "worst_delay_s": round(_worst_delay(well, sender), 1)},
        "good": all(_good(one, sender, 2 * kills) for one in (broken, well)),
    }


def _kill(web: WebProcess, times: int, seconds: float, moments: random.Random) -> None:
    """SIGKILL at random moments of so many seconds, and at once a new start."""
    end = time.monotonic() + seconds
    for moment in sorted(end - seconds * moments.random() for _ in range(times)):
        time.sleep(max(0.0, moment - time.monotonic()))
        web.kill()
        web.start()
    time.sleep(max(0.0, end - time.monotonic()))


def _until_handing_on(receiver: Receiver, web: WebProcess) -> None:
    """Until the receiver is sent something anew."""
    before = len(receiver.got)
    wait_until(lambda: len(receiver.got) > before or not _waiting(web), PATIENCE_S, "the receiver is tried again")


def _waiting(web: WebProcess) -> int:
    return sum(hook["waiting"] for hook in web.get("/api/fleet")["page"]["hooks"])


def _figures(receiver: Receiver, sender: Sender) -> dict[str, int]:
    """What came: lost, invented, altered, repeated, and first arrivals out of the order of publishing."""
    ids = receiver.ids()
    times, first = Counter(ids), list(dict.fromkeys(ids))
    altered = [id for id, (_, _, body) in zip(ids, receiver.got, strict=True) if sender.bodies.get(id) != body]
    known = [id for id in sender.bodies if id in times]
    return {
        "lost": len(sender.bodies.keys() - times.keys()),
        "invented_or_altered": len(altered),
        "repeated_with_the_same_id": times.total() - len(times),
        "out_of_order": sum(one != other for one, other in zip(first, known, strict=False)),
    }


def _worst_delay(receiver: Receiver, sender: Sender) -> float:
    """Seconds from the publish of an alert to its first arrival."""
    arrivals: dict[str, float] = {}
    for id, at in zip(receiver.ids(), receiver.at, strict=True):
        arrivals.setdefault(id, at)
    return max(arrivals[id] - at for id, at in sender.at.items())


def _good(receiver: Receiver, sender: Sender, kills: int) -> bool:
    """Each alert is there and whole; a kill costs at most one hand-over's repetitions.

    What a broker delivers again after a kill may be out of order, which is counted only.
    """
    found = _figures(receiver, sender)
    return not (found["lost"] or found["invented_or_altered"]) and found["repeated_with_the_same_id"] <= kills * AT_ONCE

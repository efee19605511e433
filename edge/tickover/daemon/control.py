"""What the commands do to the daemon (`tickover.daemon.commands.Commanded`)."""

from typing import Any, Final

from tickover.core.ledger import KEPT, Verdict
from tickover.daemon.commands import CommandError
from tickover.daemon.config import Config
from tickover.daemon.engine import Engine
from tickover.daemon.health import Health
from tickover.daemon.modes import EVERYONE, Mode
from tickover.daemon.outbox import Outbox
from tickover.daemon.promises import promise_of
from tickover.daemon.silencing import Asker, asker
from tickover.daemon.verdicts import META_VERDICTS, appended, record
from tickover.host.clock import now_us

FOR_ALL: Final = (
    "expected one vehicle, got all: shelve, out_of_service and reset for every vehicle need vehicles.commands_for_all "
    "= true in the configuration"
)
SNAPSHOT_MOST: Final = 100
"""The most vehicles in one snapshot."""


class Control:
    """What a command changes is durable with the next commit."""

    def __init__(self, config: Config, engine: Engine, outbox: Outbox, health: Health) -> None:
        self._keep_s = config.outbox.keep_s
        self._for_all = config.vehicles.commands_for_all
        self._by = Asker()
        self._engine, self._outbox, self._health = engine, outbox, health

    def now(self) -> int:
        """The clock, microseconds."""
        return now_us()

    def has_seen(self, vehicle: str) -> bool:
        """Whether the vehicle has reported, in this run or in one that the store remembers."""
        engine = self._engine
        return vehicle in engine.fleet or vehicle in engine.intake.vehicles or engine.store.has_seen(vehicle)

    def vehicles(self) -> list[str]:
        """Every vehicle that has a state, in memory or on disk, in order."""
        return sorted({*self._engine.fleet.vehicles, *self._engine.store.vehicles()})

    def status_report(self) -> dict[str, Any]:
        """The health report, the models and the modes."""
        engine = self._engine
        return {**self._health.report(), "models": engine.opened.digests, "modes": engine.modes.report()}

    def snapshot(self, vehicle: str) -> dict[str, Any]:
        """The newest tick of a vehicle, or of all."""
        chosen = self._engine.fleet.vehicles if vehicle == EVERYONE else (vehicle,)
        return {name: self._engine.live.snapshot(name) for name in chosen[:SNAPSHOT_MOST]}

    def asked(self, sender: str, payload: bytes) -> None:
        """Who sends the request that is carried out next."""
        self._by = asker(sender, payload)

    def set_mode(self, mode: Mode, vehicle: str, until: int) -> None:
        """Enter or leave a mode."""
        if until > now_us():  # to end it is always allowed
            self._check(vehicle)
        self._engine.silencing.set(mode, vehicle, until, self._by)
        self._engine.keep_modes()

    def _check(self, vehicle: str) -> None:
        if vehicle == EVERYONE and not self._for_all:
            raise CommandError(FOR_ALL)

    def reset(self, vehicle: str) -> None:
        """Forget all that is known of a vehicle, or of all; open episodes end with reason reset."""
        self._check(vehicle)
        self._engine.silencing.reset(vehicle, self._by)
        for name in self.vehicles() if vehicle == EVERYONE else (vehicle,):
            self._engine.reset(name)

    def judge(self, vehicle: str, name: str, verdict: Verdict, note: str) -> dict[str, Any]:
        """A person's verdict on an episode, by the id of it or of one of its alerts."""
        engine = self._engine
        found = engine.fleet.entry(vehicle, name) if engine.keeper.wake(vehicle) else None
        if found is None:
            raise CommandError(
                f"{vehicle} has no episode or alert {name!r} (the newest {KEPT} episodes of a detector are remembered)"
            )
        detector, entry = found
        before = entry.verdict
        if verdict is not before:
            at = engine.fleet.reached(vehicle, detector)
            engine.judge(vehicle, entry.name, verdict)
            line = record(vehicle, engine.opened.digests[detector], entry, before, at, self._by, note, now_us())
            change = engine.committer.change.meta
            change[META_VERDICTS] = appended(change.get(META_VERDICTS) or engine.store.meta(META_VERDICTS), line)
            engine.silencing.judged(vehicle, entry, self._by)
        meter, raised = engine.fleet.promises(vehicle)[detector].read(), engine.fleet.raised(vehicle, detector)
        return {
            "episode": entry.name,
            "detector": entry.detector,
            "start": entry.start,
            "end": entry.end,
            "verdict": verdict.value,
            "before": before.value,
            "charts": {chart: round(raised.get(chart, 1.0), 4) for chart in entry.charts},
            "promise": promise_of(detector, meter),
        }

    def replay(self, vehicle: str, since: int) -> int:
        """Send again what was delivered since then (microseconds of the clock); how many messages."""
        if not self._keep_s:
            raise CommandError("delivered alerts are not kept: outbox.keep_s is 0")
        engine = self._engine
        engine.commit()
        start = "" if vehicle == EVERYONE else engine.topics.of(vehicle, "")
        engine.committer.change.resend.append((since, start))
        self._outbox.resend()
        return engine.store.kept(since, start)

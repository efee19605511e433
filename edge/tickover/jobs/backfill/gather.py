"""The results of all vehicles into one: their alerts read one by one, their figures added up."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tickover.core.manifest import Manifest
from tickover.core.values import Phase
from tickover.jobs.backfill import results
from tickover.jobs.backfill.labels import Repair
from tickover.jobs.backfill.summary import Episode, FleetSummary, VehicleSummary
from tickover.jobs.backfill.tables import AlertTable, alert_table, write_tables
from tickover.jobs.backfill.task import Result, Split, file_id
from tickover.messages.alerts import Outline, decode_outline


def gather(
    out: Path,
    manifest: Manifest,
    came: Iterable[Result],
    splits: Sequence[Split],
    repairs: Sequence[Repair],
) -> FleetSummary:
    """Write the tables of what ``came`` of the vehicles; memory holds figures of vehicles, days and repairs alone."""
    fleet = FleetSummary(manifest.false_alarms, manifest.tick_period_s)
    known: dict[str, list[Repair]] = {}
    for repair in repairs:
        known.setdefault(repair.vehicle, []).append(repair)
    with alert_table(out) as table:
        for result in sorted(came, key=lambda result: result.vehicle):
            if result.why:
                fleet.failed.append(result)
                continue
            one = VehicleSummary(result, manifest.tick_period_s)
            one.take(_episodes(results.alerts_file(out, file_id(result.vehicle)), table), known.pop(result.vehicle, []))
            fleet.vehicles.append(one)
            fleet.broken += result.broken
    for split in sorted(splits, key=lambda split: split.where):
        if split.why:
            fleet.broken.append((split.where, split.why))
        if split.dropped.counts or split.dropped.signals:
            fleet.shared_dropped.append((Path(split.where).name, split.dropped))
    write_tables(out, fleet)
    return fleet


def unknown_vehicles(repairs: Sequence[Repair], vehicles: Mapping[str, object]) -> list[str]:
    """The vehicles that repairs name and the archive does not have."""
    return sorted({repair.vehicle for repair in repairs if repair.vehicle not in vehicles})


def _episodes(path: Path, table: AlertTable) -> list[Episode]:
    """A vehicle's episodes; each of its alerts goes into the table."""
    found: dict[str, Episode] = {}
    with path.open("rb") as lines:
        for line in lines:
            event = line.rstrip(b"\n")
            alert = decode_outline(event)
            table.add(alert, event.decode())
            _note(found, alert)
    return list(found.values())


def _note(found: dict[str, Episode], alert: Outline) -> None:
    """Severities only rise, so the last alert's is the episode's. One that was open before the logs begin is none."""
    before = found.get(alert.episode_id)
    if before is None and alert.phase is not Phase.START:
        return
    cause = before.cause if before else _cause(alert)
    found[alert.episode_id] = Episode(alert.start, alert.end or alert.time, alert.severity, cause)


def _cause(alert: Outline) -> str:
    """The signal that an episode is about; that of a sensor with what is wrong with it."""
    if alert.detector.startswith("sensor."):
        return alert.detector
    return alert.signals[0] if alert.signals else alert.detector

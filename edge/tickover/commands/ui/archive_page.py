"""From the figures of a back-fill to its page."""

from collections import Counter
from typing import Final

from tickover.core.time_format import iso_seconds
from tickover.jobs.backfill.summary import FleetSummary, Recalled, VehicleSummary
from tickover.report.archive import ArchivePage, MonthCell, RepairRow, VehicleRow, render_archive

LISTED: Final = 200
"""Vehicles, failures, repairs and drops that the page lists; the tables have all."""
CAUSES: Final = 3


def page_of(fleet: FleetSummary, title: str, digest: str, unknown: list[str]) -> str:
    """The page as text."""
    months = fleet.months
    worst = fleet.worst(LISTED)
    some = sum(one.episodes > 0 for one in fleet.vehicles)
    dropped = fleet.dropped().most_common(LISTED)
    return render_archive(
        ArchivePage(
            title=title,
            digest=digest,
            budget=fleet.budget.per_hour,
            months=months,
            fleet=_whole(fleet, months),
            worst=[_row(one, months) for one in worst],
            vehicles=len(fleet.vehicles),
            quiet=len(fleet.vehicles) - some,
            unlisted=some - len(worst),
            failed=[(one.vehicle, one.why) for one in fleet.failed[:LISTED]],
            broken=fleet.broken[:LISTED],
            dropped=[(reason, signal, count) for (reason, signal), count in dropped],
            repairs=[_repair(name, one) for name, one in fleet.repairs[:LISTED]],
            unknown=unknown[:LISTED],
        )
    )


def _row(one: VehicleSummary, months: list[str]) -> VehicleRow:
    hours, rate = one.hours_of_months(), one.rate
    follow = ", ".join(f"{chart} {factor:.2f}" for chart, factor in one.result.adapted.items())
    notes = [one.result.promise, f"limits that follow it, times the trained ones: {follow}" if follow else ""]
    return VehicleRow(
        name=one.name,
        logs=one.result.files,
        hours=one.hours,
        episodes=one.episodes,
        severe=_severe(one.severities),
        per_hour=rate.per_hour,
        low=rate.low,
        high=rate.high,
        months=[MonthCell(one.months.get(month, 0), hours.get(month, 0.0)) for month in months],
        causes=one.causes.most_common(CAUSES),
        notes="; ".join(note for note in notes if note),
    )


def _whole(fleet: FleetSummary, months: list[str]) -> VehicleRow:
    """All vehicles as one row."""
    episodes, severities = Counter[str](), Counter[str]()
    hours = dict.fromkeys(months, 0.0)
    for one in fleet.vehicles:
        episodes.update(one.months)
        severities.update(one.severities)
        for month, driven in one.hours_of_months().items():
            hours[month] += driven
    rate = fleet.rate
    return VehicleRow(
        name="all trucks",
        logs=sum(one.result.files for one in fleet.vehicles),
        hours=fleet.hours,
        episodes=rate.episodes,
        severe=_severe(severities),
        per_hour=rate.per_hour,
        low=rate.low,
        high=rate.high,
        months=[MonthCell(episodes.get(month, 0), hours[month]) for month in months],
    )


def _severe(severities: Counter[str]) -> int:
    return severities["major"] + severities["critical"]


def _repair(name: str, one: Recalled) -> RepairRow:
    return RepairRow(
        vehicle=name,
        what=one.repair.what,
        start=_day(one.repair.start),
        end=_day(one.repair.end),
        hours=one.hours,
        episodes=one.episodes,
        first="" if one.first is None else _day(one.first),
        chance=one.chance,
    )


def _day(time: int) -> str:
    """To the minute, as all times of the page in UTC."""
    return iso_seconds(time)[:16].replace("T", " ")

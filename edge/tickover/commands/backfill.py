"""``tickover backfill``: run a model over a whole archive, vehicle by vehicle, on this machine or on a cluster."""

import contextlib
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from tickover.commands.ui.files import FILE, write_errors_named
from tickover.commands.ui.options import (
    VEHICLE,
    bus_options,
    map_option,
    mapping_for,
    settings_of,
    start_option,
)
from tickover.commands.ui.terminal import INTERRUPTED, CtrlC, Progress
from tickover.commands.ui.words import many
from tickover.errors import TickoverError
from tickover.jobs.backfill import results
from tickover.jobs.backfill.archive import find
from tickover.jobs.backfill.gather import gather, unknown_vehicles
from tickover.jobs.backfill.labels import Repair, load_repairs
from tickover.jobs.backfill.lanes import Lanes, Runner
from tickover.jobs.backfill.plan import Plan, has_verdicts, plan_of
from tickover.jobs.backfill.run import backfill as run_backfill
from tickover.jobs.backfill.summary import FleetSummary
from tickover.jobs.backfill.task import Part, Result, Rules
from tickover.jobs.backfill.vehicles import CHOICES, Choice, Rule
from tickover.model.detector import Detector
from tickover.storage.files import replace_file

SHOWN: Final = 10
"""Reasons and names that are printed; the rest is counted."""
PAGE: Final = "index.html"
RULES: Final[dict[Rule, str]] = {
    "key": "a key of the path",
    "column": "a column",
    "folder": "the folder",
    "name": "the file's name",
}


@click.command()
@click.argument("model", type=FILE, metavar="MODEL.onnx")
@click.argument("archives", nargs=-1, required=True, metavar="ARCHIVE...")
@click.option(
    "--out", type=FILE, required=True, metavar="DIR", help="Folder of the results; a call that goes on names it again."
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Processes on this machine. Default: one for each processor.",
)
@click.option(
    "--scheduler",
    metavar="tcp://HOST:PORT",
    help="Work on this Dask cluster instead (needs tickover[cluster]); all machines see the same folders.",
)
@click.option(
    "--vehicle",
    metavar="NAME",
    help=f"All logs are of this one vehicle. Default: found, see --vehicle-from; {VEHICLE} where nothing tells.",
)
@click.option(
    "--vehicle-from",
    "choice",
    type=click.Choice(CHOICES),
    default="auto",
    show_default=True,
    help="What tells whose log a file is: vehicle=… in its path, a column, its folder, its name; auto: the first one.",
)
@click.option("--vehicle-column", metavar="NAME", help="Column that names the vehicle. Default: found.")
@click.option(
    "--state",
    "states",
    type=FILE,
    metavar="DIR|FILE",
    help="Begin with these states: VEHICLE.state in a folder, or a file of `replay --state`. The last states are kept.",
)
@click.option(
    "--events",
    type=FILE,
    metavar="DIR|FILE",
    help="Give these verdicts where they were given live: VEHICLE.jsonl in a folder, or one file for all.",
)
@click.option(
    "--labels",
    type=FILE,
    metavar="FILE.csv",
    help="Known repairs, with columns vehicle (or log), start, end, what: how many had an episode.",
)
@map_option
@bus_options
@start_option
@click.option("--strict", is_flag=True, help="A vehicle fails at its first bad row.")
@click.option("--plan", "only_plan", is_flag=True, help="Show which vehicles were found, and run nothing.")
def backfill(
    model: Path,
    archives: tuple[str, ...],
    out: Path,
    workers: int | None,
    scheduler: str | None,
    vehicle: str | None,
    choice: Choice,
    vehicle_column: str | None,
    states: Path | None,
    events: Path | None,
    labels: Path | None,
    map_file: Path | None,
    start: int,
    strict: bool,
    only_plan: bool,
    **bus: Any,
) -> None:
    """Run MODEL.onnx over the recorded logs of many vehicles: what would it have said about last year?

    An ARCHIVE is a log, a folder of logs, a glob in quotes, or a URL that fsspec knows (s3://… needs tickover[s3]); a
    log is what `tickover replay` reads. Each vehicle's logs are run in order of time, its state handed on, and give the
    alerts that `replay` gives of them, byte for byte.

    Into DIR go alerts.parquet, daily.csv, drops.csv, vehicles.csv and the page index.html. What is done stays done:
    call again after Ctrl-C, a crash, or with more logs, and only what is missing or has changed is run.

    Exit codes: 0 done, 1 some vehicle or log failed (the others are done), 2 wrong usage, 78 wrong mapping or labels,
    130 stopped by Ctrl-C.
    """
    if workers and scheduler:
        raise click.UsageError("expected --workers or --scheduler, got both")
    _need_extras()
    detector = Detector.load(model)
    rules, column = _rules(detector, model, out, map_file, vehicle_column, start, strict, states is not None, bus)
    for option, path in (("state", states), ("events", events), ("labels", labels)):
        if path is not None and not path.exists():
            raise TickoverError(f"--{option} {path}: expected a file or a folder, got nothing there")
    with write_errors_named(), CtrlC() as ctrl_c, contextlib.ExitStack() as held:
        plan = _plan(archives, out, rules, column, choice, vehicle)
        if only_plan:
            _show(plan)
            return
        repairs = _repairs(labels, plan)
        if events is not None and not has_verdicts(events):
            click.echo(f"--events {events}: no verdicts there, so none is given", err=True)
        held.enter_context(results.hold(out))
        runner = _runner(workers, scheduler, out, held)
        if not states and detector.manifest.episodes.adapt_limits:
            click.echo("limits start as trained, for each vehicle; those of a truck may follow it (--state)", err=True)
        say = _Listener(runner)
        came = run_backfill(plan, rules, runner, say, states=states, events=events, stopped=ctrl_c.is_pressed)
        say.clear()
        if came.stopped:
            left = len(came.tasks) - len(came.results)
            rest = f"; {many(left, 'vehicle')} left" if came.tasks else ""
            click.echo(f"tickover: stopped{rest}; the same call goes on", err=True)
            sys.exit(INTERRUPTED)
        fleet = gather(out, detector.manifest, came.results.values(), came.splits, repairs)
        unknown = unknown_vehicles(repairs, came.results)
        _write_page(out, fleet, detector, model, unknown)
    for line in _summary(fleet, out, repairs, unknown):
        click.echo(line, err=True)
    sys.exit(bool(fleet.failed or fleet.broken))


def _need_extras() -> None:
    """What is missing is said before hours of work, not behind them."""
    import jinja2  # noqa: F401
    import pyarrow  # noqa: F401


def _rules(
    detector: Detector,
    model: Path,
    out: Path,
    map_file: Path | None,
    vehicle_column: str | None,
    start: int,
    strict: bool,
    keep_open: bool,
    bus: dict[str, Any],
) -> tuple[Rules, str]:
    """What is the same for all vehicles, and the column that names them, if it is known."""
    mapping = mapping_for(detector.manifest, map_file, **bus)
    settings_of(mapping, detector.manifest, map_file)
    column = vehicle_column or mapping.log.vehicle_column
    dbc = tuple(str(Path(name).absolute()) for name in mapping.log.dbc)
    log = msgspec.structs.replace(mapping.log, vehicle_column="", dbc=dbc)
    return (
        Rules(
            model=str(model.absolute()),
            digest=detector.digest,
            out=str(out.absolute()),
            mapping=msgspec.structs.replace(mapping, log=log),
            start=start,
            strict=strict,
            keep_open=keep_open,
        ),
        column,
    )


def _plan(archives: Sequence[str], out: Path, rules: Rules, column: str, choice: Choice, vehicle: str | None) -> Plan:
    progress = Progress(logged=False)
    found = find(archives, out)

    def tell(count: int) -> None:
        if progress.is_due():
            progress.tell(f"looked at {count:,} of {many(len(found.files), 'log')}", count / len(found.files))

    if vehicle and not column:
        parts = [Part(file.where, file.size, file.stamp) for file in found.files]
        plan = Plan(owned={vehicle: parts}, rules=Counter({"given": len(parts)}))
    else:
        chosen: Choice = "column" if vehicle else choice
        plan = plan_of(found.files, rules, column=column, choice=chosen, default=vehicle or VEHICLE, tell=tell)
    progress.clear()
    others = f"; {many(found.others, 'other file')} left out" if found.others else ""
    click.echo(f"{many(len(found.files), 'log')}{_told(plan.rules, vehicle)}{others}", err=True)
    return plan


def _told(rules: Counter[Rule], vehicle: str | None) -> str:
    """How it is known whose logs they are."""
    named = ", ".join(f"{RULES[rule]} ({count:,})" for rule, count in rules.most_common() if rule in RULES)
    text = f"; the vehicle is named by {named}" if named else ""
    if not (count := rules["given"]):
        return text
    if vehicle:
        return f"{text}; {count:,} of vehicle {_shown(vehicle)} (--vehicle)"
    return f"{text}; {count:,} without a vehicle's name, taken for logs of {VEHICLE} (--vehicle NAME says whose)"


def _show(plan: Plan) -> None:
    """The plan for people: whose logs there are."""
    for vehicle in sorted(plan.owned):
        parts = plan.owned[vehicle]
        click.echo(f"{vehicle}: {many(len(parts), 'log')}, {sum(part.size for part in parts) / 1e6:,.1f} MB")
    for task in plan.shared:
        click.echo(f"{task.part.where}: vehicles in column '{task.column}', {task.size / 1e6:,.1f} MB")


def _repairs(labels: Path | None, plan: Plan) -> list[Repair]:
    if labels is None:
        return []
    logs = ((vehicle, part.where) for vehicle, parts in plan.owned.items() for part in parts)
    return load_repairs(labels, logs)


def _runner(workers: int | None, scheduler: str | None, out: Path, held: contextlib.ExitStack) -> Runner:
    if scheduler is None:
        return Lanes(workers or len(os.sched_getaffinity(0)))
    from tickover.jobs.backfill.dask_cluster import DaskCluster

    cluster = DaskCluster(scheduler, out)
    held.callback(cluster.close)
    return cluster


class _Listener:
    """Prints how far the work is, and what went wrong as it happens."""

    def __init__(self, runner: Runner) -> None:
        self._where = runner.where
        self._progress = Progress(logged=False)
        self._said = 0
        self._again = 0

    def clear(self) -> None:
        """Take the line of progress away."""
        self._progress.clear()
        if self._again > SHOWN:
            self._progress.say(f"and {many(self._again - SHOWN, 'further vehicle')} again")

    def split(self, done: int, all_: int, share: float) -> None:
        """See `run.Listener`."""
        self._progress.tell(f"{done:,} of {many(all_, 'log')} of several vehicles split, {self._where}", share)

    def ran(self, result: Result | None, done: int, all_: int, share: float) -> None:
        """See `run.Listener`."""
        if result is not None and not result.is_whole:
            self._said += 1
            if self._said <= SHOWN:
                self._progress.say(f"{_shown(result.vehicle)}: {_trouble(result)}")
        if result is None and done:
            self._progress.say(f"{done:,} of {many(all_, 'vehicle')} were done before")
        self._progress.tell(f"{done:,} of {many(all_, 'vehicle')}, {self._where}", share)

    def again(self, vehicle: str, why: str) -> None:
        """See `run.Listener`."""
        self._again += 1
        if self._again <= SHOWN:
            self._progress.say(f"{_shown(vehicle)}: again, because {why}")


def _trouble(result: Result) -> str:
    if result.why:
        return f"failed: {result.why}"
    log, why = result.broken[0]
    more = f" (and {many(len(result.broken) - 1, 'further log')})" if len(result.broken) > 1 else ""
    return f"without {log}: {why}{more}"


def _write_page(out: Path, fleet: FleetSummary, detector: Detector, model: Path, unknown: list[str]) -> None:
    from tickover.commands.ui.archive_page import page_of

    title = f"{model.name} over {many(len(fleet.vehicles) + len(fleet.failed), 'vehicle')}"
    with replace_file(out / PAGE) as file:
        file.write(page_of(fleet, title, detector.digest, unknown).encode("utf-8", "backslashreplace"))


def _summary(fleet: FleetSummary, out: Path, repairs: Sequence[Repair], unknown: Sequence[str]) -> Iterator[str]:
    """What came of it, for people."""
    rate, budget = fleet.rate, fleet.budget
    alerts = sum(one.result.alerts for one in fleet.vehicles)
    yield (
        f"{many(len(fleet.vehicles), 'vehicle')}, {fleet.hours:,.1f} h: {many(rate.episodes, 'episode')}, "
        f"{many(alerts, 'alert')}"
    )
    if rate.hours:
        spread = f"95 % interval {rate.low:.2g} to {rate.high:.2g}"
        yield f"{rate.per_hour:.2g} episodes an hour ({spread}); the budget of false ones is {budget.per_hour:.2g}"
    elif not fleet.failed:
        yield "no tick was run: look at drops.csv; a mapping of columns to signals may be missing (tickover inspect)"
    if verdicts := sum((Counter(one.result.verdicts) for one in fleet.vehicles), Counter[str]()):
        given, other, passed = (verdicts[what] for what in ("given", "not_known", "passed"))
        before = f", {passed:,} that the first states knew" if passed else ""
        yield f"{many(given, 'verdict')} given, {other:,} on episodes that are not of these logs{before}"
    if repairs:
        judged = [one for _, one in fleet.repairs if one.hours]
        hit = sum(one.episodes > 0 for one in judged)
        by_chance = sum(one.chance for one in judged if one.chance == one.chance)
        yield f"{hit} of {many(len(judged), 'known repair')} with driving had an episode; by chance {by_chance:.1f}"
        if unknown:
            yield f"--labels: not in the archive: {', '.join(map(_shown, unknown[:SHOWN]))}"
    if fleet.failed:
        yield f"{many(len(fleet.failed), 'vehicle')} failed; vehicles.csv and the page say why"
    if fleet.broken:
        yield f"{many(len(fleet.broken), 'log')} could not be read (to the end): {fleet.broken[0][1]}"
    yield f"{out / PAGE}"


def _shown(name: str) -> str:
    """Names come from files: what is not printed is escaped."""
    return name if name.isprintable() else repr(name)

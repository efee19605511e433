"""``tickover state``: what a state folder holds, and how to go back to the release before."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import msgspec

from tickover.commands.ui.files import FILE as PATH
from tickover.commands.ui.files import WRITABLE, write_errors_named
from tickover.commands.ui.words import aligned, many
from tickover.core.time_format import iso_seconds
from tickover.daemon.config import load_config
from tickover.daemon.engine import META_MODES
from tickover.daemon.modes import Modes
from tickover.daemon.recovery import META_MODELS
from tickover.daemon.verdicts import META_VERDICTS
from tickover.storage import moving
from tickover.storage.contents import Contents, look
from tickover.storage.files import replace_file
from tickover.storage.store import FILE

SHOW: Final = "show"
SHOWN: Final = 20
"""Names in a line, at most."""
DEFAULT: Final = Path("/var/lib/tickover")
ASIDE: Final = (
    (f"{FILE}.damaged-", "a damaged store; what could be trusted was taken over"),
    (f"{FILE}.model-", "the store before another model was taken up"),
    (f"{FILE}.version-", "the store as an earlier release left it"),
)
"""How the names of stores kept beside begin, and what they are."""


class _Group(click.Group):
    """Commands beside the plain one, which is meant where none is named: `tickover state FOLDER`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = [SHOW, *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Group)
def state() -> None:
    """Show what a state folder holds, or move it: `tickover state [FOLDER]`, `state export`, `state import`."""


@state.command("export")
@click.argument("out", type=PATH, metavar="FILE")
@click.argument("folder", type=PATH, required=False)
@click.option("--config", "file", type=PATH, metavar="CONFIG", help="Take the folder of this configuration.")
def export_(out: Path, folder: Path | None, file: Path | None) -> None:
    """Write the whole state of FOLDER into one FILE, to go on elsewhere; the daemon must be stopped.

    With the same client id, the broker keeps what comes meanwhile for the daemon that goes on. Do not start the old one
    again.
    """
    with write_errors_named():
        found = moving.export(_folder(folder, file), out)
    click.echo(f"{out}: {many(len(found.vehicles), 'vehicle')}, {many(found.waiting, 'message')} to send", err=True)


@state.command("import")
@click.argument("source", type=PATH, metavar="FILE")
@click.argument("folder", type=PATH, required=False)
@click.option("--config", "file", type=PATH, metavar="CONFIG", help="Take the folder of this configuration.")
def import_(source: Path, folder: Path | None, file: Path | None) -> None:
    """Put an exported FILE into FOLDER, which has no state yet; run it as the daemon's user."""
    where = _folder(folder, file)
    with write_errors_named():
        found = moving.take(source, where)
    click.echo(f"{where}: {many(len(found.vehicles), 'vehicle')}, {many(found.waiting, 'message')} to send", err=True)


def _folder(folder: Path | None, file: Path | None) -> Path:
    return folder or (Path(load_config(file).state.folder) if file else DEFAULT)


@state.command(SHOW)
@click.argument("folder", type=PATH, required=False)
@click.option("--config", "file", type=PATH, metavar="FILE", help="Take the folder of this configuration.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--verdicts",
    type=WRITABLE,
    metavar="FILE.jsonl",
    help="Write what people said of alerts, one JSON object per line, in order.",
)
def show(folder: Path | None, file: Path | None, as_json: bool, verdicts: Path | None) -> None:
    """Show what the state FOLDER holds, and how to go back to the release before. Nothing is changed.

    It may run beside the daemon. FOLDER is /var/lib/tickover unless given. Run it as the daemon's user (sudo -u
    tickover).
    """
    found = look(_folder(folder, file))
    if verdicts:
        lines = found.meta.get(META_VERDICTS, b"").splitlines()
        with write_errors_named(), replace_file(verdicts) as out:
            out.writelines(line + b"\n" for line in lines)
        click.echo(f"{verdicts}: {many(len(lines), 'verdict')}", err=True)
        return
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(_facts(found)), indent=2).decode())
        return
    for line in (*_lines(found), *_way_back(found)):
        click.echo(line)


def _facts(found: Contents) -> dict[str, object]:
    return {
        "folder": str(found.folder),
        "version": found.version,
        "writer": found.writer,
        "bytes": found.size,
        "held": found.is_held,
        "problem": found.problem,
        "models": _models(found),
        "vehicles": found.vehicles,
        "journal": found.journal,
        "waiting": found.waiting,
        "delivered": found.delivered,
        "dropped": found.dropped,
        "alarms": found.alarms,
        "aside": found.aside,
    }


def _models(found: Contents) -> dict[str, str]:
    try:
        return msgspec.json.decode(found.meta.get(META_MODELS, b"{}"), type=dict[str, str])
    except msgspec.DecodeError:
        return {}


def _lines(found: Contents) -> Iterator[str]:
    """What it holds."""
    if found.version is None and not found.problem:
        yield f"{found.folder}: no store; the daemon makes one when it starts"
        return
    written = f", written by tickover {_shown(found.writer)}" if found.writer else ""
    yield f"{found.folder}: store of version {found.version or '?'}{written}, {found.size / 1e6:.2f} MB"
    if found.is_held:
        yield "  a running daemon holds it; this is a copy of this moment"
    if found.problem:
        yield f"  damaged: {found.problem}; the daemon puts it aside when it starts, and takes over what can be trusted"
    elif found.is_newer:
        yield "  a later release wrote it: this one does not read what is in it"
    else:
        yield from (f"  {line}" for line in aligned(_holdings(found)))
    for name, size in found.aside.items():
        about = next((words for start, words in ASIDE if name.startswith(start)), "not the daemon's")
        yield f"  kept beside: {_shown(name)}, {size / 1e6:.2f} MB: {about}"


def _holdings(found: Contents) -> Iterator[tuple[str, str]]:
    yield "models", _list([f"{name} {digest[:12]}" for name, digest in _models(found).items()])
    yield "vehicles", f"{len(found.vehicles):,} with a state: {_list(found.vehicles)}"
    yield "inputs", f"{many(found.journal, 'commit')} since the last checkpoint"
    yield "messages", f"{found.waiting:,} wait for the broker, {found.delivered:,} delivered and kept"
    if found.dropped:
        yield "", f"{found.dropped:,} were dropped when too many waited (outbox.rows, outbox.bytes)"
    yield "alarms", f"{len(found.alarms):,} stand: {_list(found.alarms)}"
    for mode, names in Modes(found.meta.get(META_MODES)).report().items():
        yield mode, _list([f"{name} until {iso_seconds(until)}" for name, until in names.items()])


def _way_back(found: Contents) -> Iterator[str]:
    """What to type to run an earlier release."""
    if not (found.earlier or found.is_newer):
        return
    folder, away = shlex.quote(str(found.folder)), f"{FILE}.away"
    yield ""
    yield "To go back to the release before:"
    yield "  sudo systemctl stop tickover"
    yield f"  sudo -u tickover mkdir -m 700 {folder}/{away}"
    ours = f"-maxdepth 1 -regex '.*/{FILE}\\(-wal\\)?'"
    yield f"  sudo -u tickover find {folder} {ours} -exec mv -t {folder}/{away} {{}} +"
    if found.earlier:
        yield f"  sudo -u tickover mv {folder}/{found.earlier} {folder}/{FILE}"
    yield "  # install that release, then"
    yield "  sudo systemctl start tickover"
    if found.earlier:
        yield f"Detection goes on as {found.earlier} left it: what was read since is not known to it,"
    else:
        yield "Detection starts afresh, and open episodes are cleared at the broker:"
    yield f"and messages that wait in the newer store ({found.waiting:,} now) are not sent; to keep them, let the newer"
    yield "release run until `tickover state` shows none that wait."


def _list(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return (", ".join(map(_shown, names[:SHOWN])) + more) or "none"


def _shown(name: str) -> str:
    """Names come from messages: what is not printed is escaped."""
    return name if name.isprintable() else repr(name)

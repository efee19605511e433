"""The command line: a lazy click group. Only the chosen command is imported."""

import importlib
import sys
from typing import Any, Final, NamedTuple

import click

from tickover import __version__
from tickover.errors import TickoverError


class Entry(NamedTuple):
    """Where a command lives, ``module:function``, and its line in ``tickover --help``."""

    where: str
    line: str


COMMANDS: Final[dict[str, Entry]] = {
    "inspect": Entry("tickover.commands.inspect:inspect", "Show what a log holds and propose a mapping."),
    "train": Entry("tickover_train.commands.train:train", "Train a detector on recorded trips."),
    "export": Entry("tickover_export.command:export", "Write a trained run as one sealed .onnx file."),
    "show": Entry("tickover.commands.show:show", "Describe a model file: signals, memory, limits, training."),
    "replay": Entry("tickover.commands.replay:replay", "Run a model over recorded logs and list the alerts."),
    "backfill": Entry("tickover.commands.backfill:backfill", "Run a model over an archive of many vehicles."),
    "run": Entry("tickover.commands.run:run", "Run the daemon: sensor streams from MQTT in, alerts out."),
    "evaluate": Entry("tickover_train.commands.evaluate:evaluate", "Measure a model's detections and false alarms."),
    "retune": Entry("tickover_train.commands.retune:retune", "Set new limits for another truck or season."),
    "compare": Entry("tickover_train.commands.compare:compare", "Train and evaluate several cells and architectures."),
    "config": Entry("tickover.commands.config:config", "Check the daemon's configuration; print schema or example."),
    "doctor": Entry("tickover.commands.doctor:doctor", "Check this device and its broker, and say what to fix."),
    "state": Entry("tickover.commands.state:state", "Show what a state folder holds, and how to go back a release."),
    "watch": Entry("tickover.commands.watch:watch", "Show the alerts of one truck or a fleet as they arrive."),
    "web": Entry("tickover.commands.web:web", "Serve the page of a fleet: trucks, episodes, verdicts."),
    "record": Entry("tickover.commands.record:record", "Record what trucks publish over MQTT, one log per trip."),
    "play": Entry("tickover.commands.play:play", "Publish a recorded log over MQTT as a truck would."),
    "simulate": Entry("tickover.commands.simulate:simulate", "Publish simulated trucks over MQTT without end."),
}
"""All commands, in the order of ``--help``. A new command is one file and one entry here."""

EXTRAS: Final[dict[str, str]] = {
    "onnx": "export",
    "safetensors": "export",
    "torch": "train",
    "scipy": "judge",
    "jinja2": "report",
    "plotly": "report",
    "pyarrow": "parquet",
    "rich": "watch",
    "prometheus_client": "metrics",
    "starlette": "web",
    "uvicorn": "web",
    "apprise": "notify",
    "distributed": "cluster",
    "dask": "cluster",
    "fsspec": "s3",
}
"""Third-party module to the extra that brings it."""


def missing_extra(error: ImportError) -> str | None:
    """The pip command that brings a missing *extra*, or None when the ImportError is something else."""
    extra = EXTRAS.get((error.name or "").split(".")[0]) if isinstance(error, ModuleNotFoundError) else None
    return f"pip install 'tickover[{extra}]'" if extra else None


INTERRUPTED: Final = 130
"""The exit code of a command that Ctrl-C ended, as shells have it: 128 and the signal's number."""


class LazyGroup(click.Group):
    """A click group that imports a command's module only when that command is chosen."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of ``COMMANDS``."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command; UsageError with a suggestion when there is no such name."""
        if cmd_name not in COMMANDS:
            from tickover.errors import suggestion  # here, because --help needs none of what it imports

            ctx.fail(f"no command '{cmd_name}'; {suggestion(cmd_name, COMMANDS)}")
        module, _, function = COMMANDS[cmd_name].where.partition(":")
        command = getattr(importlib.import_module(module), function)
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Ctrl-C, where a command does not take it itself, is one sentence and exit code 130."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo(f"tickover: {ctx.invoked_subcommand or 'the command'} was interrupted", err=True)
            sys.exit(INTERRUPTED)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their lines, importing none of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.line) for name, entry in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="tickover")
def root() -> None:
    """Streaming anomaly detection for delivery trucks, in constant memory.

    From recorded trips to alerts: train, export, replay. On the truck: config example, doctor, run, watch.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 78 wrong configuration or mapping.
    """


def main(args: list[str] | None = None) -> Any:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong usage, 78 wrong configuration."""
    try:
        root.main(args=args, prog_name="tickover", standalone_mode=True)
    except TickoverError as error:
        click.echo(f"tickover: {error}", err=True)
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        command = missing_extra(error)
        if command is None:
            raise
        click.echo(f"tickover: this needs the Python package '{error.name}'. Install it: {command}", err=True)
        sys.exit(1)

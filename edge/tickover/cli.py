"""The command line: a lazy click group. Only the chosen command is imported."""

import importlib
import sys
from typing import Any, Final

import click

from tickover import __version__
from tickover.errors import TickoverError

COMMANDS: Final[dict[str, str]] = {
    "inspect": "tickover.commands.inspect:inspect",
    "train": "tickover_train.commands.train:train",
    "export": "tickover_export.command:export",
    "show": "tickover.commands.show:show",
    "replay": "tickover.commands.replay:replay",
    "run": "tickover.commands.run:run",
    "evaluate": "tickover_train.commands.evaluate:evaluate",
    "retune": "tickover_train.commands.retune:retune",
    "compare": "tickover_train.commands.compare:compare",
    "config": "tickover.commands.config:config",
    "doctor": "tickover.commands.doctor:doctor",
    "watch": "tickover.commands.watch:watch",
    "record": "tickover.commands.record:record",
    "play": "tickover.commands.play:play",
    "simulate": "tickover.commands.simulate:simulate",
}

HELP: Final[dict[str, str]] = {
    "inspect": "Say what is in a log, and propose a mapping.",
    "train": "Train a detector on recorded trips.",
    "export": "Write a trained run as one sealed .onnx file.",
    "show": "Say what a model watches, remembers and was made of.",
    "replay": "Run a model over recorded logs and list the alerts.",
    "run": "Run the daemon: sensor streams from MQTT in, alerts out.",
    "evaluate": "Measure what a model would catch, and at how many false alarms.",
    "retune": "Set new limits for another truck or season, without training.",
    "compare": "Train and judge cells and architectures side by side.",
    "config": "Check the daemon's configuration, print its schema or an example.",
    "doctor": "Try what the daemon will need, and say what to fix.",
    "watch": "Watch the alerts of one truck or a fleet.",
    "record": "Record what trucks publish over MQTT into per-trip logs.",
    "play": "Publish a recorded log over MQTT as a truck would.",
    "simulate": "Publish endless simulated trucks over MQTT.",
}

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
}
"""Third-party module to the extra that brings it."""


def missing_extra(error: ImportError) -> str | None:
    """The pip command that brings a missing *extra*, or None when the ImportError is something else."""
    extra = EXTRAS.get((error.name or "").split(".")[0]) if isinstance(error, ModuleNotFoundError) else None
    return f"pip install 'tickover[{extra}]'" if extra else None


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
        module, _, function = COMMANDS[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), function)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from ``HELP``, importing none of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, HELP[name]) for name in COMMANDS])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="tickover")
def root() -> None:
    """Streaming anomaly detection for delivery trucks, in constant memory.

    From trips to alerts: train, export, replay; on the truck: config example, doctor, run, watch. Exit codes: 0 done,
    1 failed, 2 wrong usage, 78 wrong configuration or mapping.
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

"""``tickover export``: a trained run becomes one sealed model file, once its parity with torch is proven."""

import platform
from pathlib import Path

import click
import numpy as np
import onnx
import onnxruntime
from msgspec import structs

from tickover import __version__
from tickover.core.budget import budget_words, parse_budget
from tickover.core.ladder import rung_for, rung_words
from tickover.core.manifest import Budget, Manifest, Rung
from tickover.errors import ModelError, RunError
from tickover.model.session import open_bytes
from tickover.storage.files import replace_file
from tickover_export.charts_off import WHY_OFF, off_lines, why_mute
from tickover_export.graph import build
from tickover_export.package import manifest_of, package
from tickover_export.parity import prove
from tickover_export.retune import Retuned
from tickover_export.run import Run, RunFile, limits_array, read_run


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The model file to write.")
@click.option(
    "--false-alarms",
    metavar="N/DURATION",
    help="False episodes allowed, such as 1/10h or 1/week. Default: what the run's limits were set for.",
)
def export(run: Path, out: Path, false_alarms: str | None) -> None:
    """Write the trained RUN as one .onnx file, after proving that it says what torch said."""
    if out.suffix != ".onnx":
        raise click.BadParameter(f"expected a file called *.onnx, got {out.name}", param_hint="--out")
    trained = read_run(run)
    rung = rung_of(run, trained, parse_budget(false_alarms)) if false_alarms else None
    data, manifest = build_model(trained, progress=True)
    if rung:
        data = at_rung(data, rung)
    model = open_bytes(data)
    manifest = model.manifest
    try:
        with replace_file(out) as file:
            file.write(data)
    except OSError as error:
        raise RunError(f"{out}: cannot be written: {error.strerror or error}") from error
    assert manifest.parity is not None
    tiled = ", tiled from fewer" if manifest.parity.tiled else ""
    click.echo(f"{out}: {len(data):,} bytes, digest {model.digest}")
    click.echo(f"parity with torch: {manifest.parity.error:.2g} over {manifest.parity.ticks:,} ticks{tiled}")
    for line in off_lines(manifest.charts, limits_array(tuple(chart.limit for chart in manifest.charts))):
        click.echo(line)


def rung_of(folder: Path, run: Run, budget: Budget) -> Rung:
    """The run's limits for another budget; RunError when its ladder does not reach it, or they could not alarm."""
    try:
        rung = rung_for(run.file.ladder, budget)
    except ModelError as error:
        raise RunError(f"{folder}: {error}") from error
    if why := why_mute(run.file.spec.charts, limits_array(rung.limits)):
        raise RunError(
            f"{folder}: limits for {budget_words(budget)}: {why}; {WHY_OFF}: allow more false alarms (--false-alarms)"
        )
    click.echo(f"limits for {budget_words(rung.budget)}: {rung_words(rung)}")
    return rung


def at_rung(model: bytes, rung: Rung) -> bytes:
    """The model file, whose parity is proven under its run's limits, with those of another budget."""
    return Retuned(model).finish(limits_array(rung.limits), rung.budget)


def build_model(run: Run, *, progress: bool = False) -> tuple[bytes, Manifest]:
    """The sealed model file of a run, and its manifest; RunError when parity fails."""
    file = run.file
    proto = build(run.weights, file.spec, file.limit_array)
    manifest = manifest_of(
        file.spec,
        file.limit_array,
        budget=file.budget,
        ladder=file.ladder,
        episodes=file.policy,
        horizons=file.horizons,
        training=file.training,
        versions=_versions(file),
        log_mapping=file.log_mapping,
    )
    unproven = package(proto, manifest)
    with click.progressbar(length=len(run.parity.x), label="parity", hidden=not progress) as bar:
        parity = prove(unproven, run.parity, tiled=file.parity_tiled, tell=lambda done, _: bar.update(done - bar.pos))
    manifest = structs.replace(manifest, parity=parity)
    return package(proto, manifest), manifest


def _versions(file: RunFile) -> dict[str, str]:
    """What made the model: training's versions and this machine's."""
    return file.versions | {
        "tickover": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "onnx": onnx.__version__,
        "onnxruntime": onnxruntime.__version__,
    }

"""``tickover export``: a trained run becomes one sealed model file, once its parity with torch is proven."""

import platform
from pathlib import Path

import click
import numpy as np
import onnx
import onnxruntime
from msgspec import structs

from tickover import __version__
from tickover.core.manifest import Manifest
from tickover.errors import RunError
from tickover.model.session import open_bytes
from tickover.storage.files import replace_file
from tickover_export.charts_off import off_lines
from tickover_export.graph import build
from tickover_export.package import manifest_of, package
from tickover_export.parity import prove
from tickover_export.run import Run, RunFile, limits_array, read_run


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The model file to write.")
def export(run: Path, out: Path) -> None:
    """Write the trained RUN as one .onnx file, after proving that it says what torch said."""
    if out.suffix != ".onnx":
        raise click.BadParameter(f"expected a file called *.onnx, got {out.name}", param_hint="--out")
    data, manifest = build_model(read_run(run), progress=True)
    model = open_bytes(data)
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


def build_model(run: Run, *, progress: bool = False) -> tuple[bytes, Manifest]:
    """The sealed model file of a run, and its manifest; RunError when parity fails."""
    file = run.file
    proto = build(run.weights, file.spec, file.limit_array)
    manifest = manifest_of(
        file.spec,
        file.limit_array,
        budget=file.budget,
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

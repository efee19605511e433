"""Make the demo's files again: ``rebuild.py data`` the recording from its seed, ``rebuild.py model`` the model.

The model is trained with ``tickover train`` on trips without faults of other trucks (other seeds); the recording is not
among them.
"""

import argparse
import csv
import gzip
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tickover.core.time_format import iso_seconds
from tickover.core.values import SECOND, Readings
from tickover.logs.mapping import Mapping, SignalColumn, TickRule
from tickover.simulator import CHANNELS, Fault, Truck

HERE: Final = Path(__file__).resolve().parent
RECORDING: Final = HERE / "trip.csv.gz"
LABELS: Final = HERE / "labels.json"
MAPPING: Final = HERE / "mapping.toml"
MODEL: Final = HERE / "truck.onnx"
CONFIG: Final = HERE / "train.toml"

VEHICLE: Final = "truck-1"
SEED: Final = 2026
OUTSIDE_C: Final = 19.0
HOURS: Final = 3
FAULTS: Final = (
    Fault("boost_leak", 900, 1380),
    Fault("alternator_failing", 2100, 2640),
    Fault("speed_sensor_stuck", 3360, 3840),
    Fault("cooler_failure", 6900, 8100),
    Fault("radiator_blocked", 8700, 9300),
    Fault("tyre_leak", 9960, 10_800),
)
"""Two trips, a break from 4672 to 6175 s. The tyre leak comes last: nobody pumps the tyre up again."""
TRAINING_SEEDS: Final = range(100, 160)
TRAINING_HOURS: Final = 2


def truck() -> Truck:
    """The demo's truck, at its start."""
    return Truck(SEED, vehicle=VEHICLE, faults=FAULTS, outside=OUTSIDE_C)


def rows(block: Readings) -> Iterator[list[str]]:
    """A block as CSV rows: ISO time, then each value with its sensor's decimals; empty = no reading."""
    for time, values in zip(block.time, block.values, strict=True):
        pairs = zip(values, CHANNELS, strict=True)
        cells = ("" if value != value else f"{value:.{channel.decimals}f}" for value, channel in pairs)
        yield [iso_seconds(int(time)), *cells]


def csv_text(truck: Truck, hours: float) -> str:
    """The first ``hours`` of a truck's clock (breaks included) as a CSV log."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["time", *(channel.signal.name for channel in CHANNELS)])
    end = truck.start + round(hours * 3600 * SECOND)
    while (block := truck.block(1)).time[0] < end:
        writer.writerows(rows(block))
    return text.getvalue()


def labels_text(truck: Truck) -> str:
    """The faults of the recording as JSON."""
    labels = [
        {
            "kind": label.kind,
            "signals": label.signals,
            "start": iso_seconds(label.start),
            "end": iso_seconds(label.end),
        }
        for label in (fault.label(truck.start) for fault in FAULTS)
    ]
    return json.dumps(labels, indent=2) + "\n"


def mapping_text() -> str:
    """The mapping of the truck's logs: units, plausible ranges, hold limits and SPNs of its sensors."""
    signals = {
        channel.signal.name: SignalColumn(
            unit=channel.signal.unit,
            low=channel.signal.low,
            high=channel.signal.high,
            hold_s=channel.signal.hold_s,
            spn=channel.signal.spn,
            vss=channel.signal.vss,
        )
        for channel in CHANNELS
    }
    return Mapping(signals=signals, ticks=TickRule()).to_toml()


def write_data() -> None:
    """Recording, labels and mapping."""
    with RECORDING.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as packed:
        packed.write(csv_text(truck(), HOURS).encode())
    LABELS.write_text(labels_text(truck()), encoding="utf-8")
    MAPPING.write_text(mapping_text(), encoding="utf-8")


def write_model(out: Path) -> None:
    """Simulate trips without faults, train, export."""
    out.mkdir(parents=True, exist_ok=True)
    logs = []
    for seed in TRAINING_SEEDS:
        log = out / f"truck-{seed}.csv"
        log.write_text(csv_text(Truck(seed), TRAINING_HOURS), encoding="utf-8")
        logs.append(str(log))
    run = str(out / "run")
    tickover = (sys.executable, "-m", "tickover")
    training = ("train", *logs, "--map", str(MAPPING), "--config", str(CONFIG), "--out", run)
    subprocess.run([*tickover, *training], check=True)
    subprocess.run([*tickover, "export", run, "--out", str(MODEL)], check=True)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("data", "model"))
    parser.add_argument("--out", type=Path, default=Path("out/demo-model"), help="where trips and the run go")
    options = parser.parse_args()
    if options.what == "data":
        write_data()
    else:
        write_model(options.out)


if __name__ == "__main__":
    main()

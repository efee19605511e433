"""Recordings of a truck's bus for measurements: ten J1939 messages with twenty signals among as many others."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

START = 1_764_480_000.0
KNOWN = (
    0x0CF00400, 0x0CF00300, 0x18FEF100, 0x18FEF200, 0x18FEEE00,
    0x18FEEF00, 0x18FEF500, 0x18FEF600, 0x18FEF700, 0x18F00503,
)  # fmt: skip
OTHER = tuple(0x18FF0000 + 0x100 * n + 0x21 for n in range(10))
CYCLE_ORDER = (0, None, 0, None, 1, None, 2, None, 3, None, 0, None, 4, None, 5, None, 6, None, 7, None, 8, 9)
"""One cycle of the traffic: numbers of the known messages, the others in between; fast messages come more often."""
CYCLE = tuple(OTHER[place // 2 % len(OTHER)] if n is None else KNOWN[n] for place, n in enumerate(CYCLE_ORDER))
STEP_S = 0.000_5
SIGNALS = (
    "engine_speed", "actual_engine_torque", "demand_engine_torque", "accelerator_pedal_position", "engine_load",
    "vehicle_speed", "fuel_rate", "throttle_position", "engine_coolant_temperature", "engine_oil_temperature",
    "fuel_temperature", "engine_oil_pressure", "fuel_delivery_pressure", "barometric_pressure",
    "ambient_air_temperature", "boost_pressure", "intake_manifold_temperature", "exhaust_gas_temperature",
    "battery_voltage", "current_gear",
)  # fmt: skip


def frames(number: int) -> Iterator[tuple[float, int, bytes]]:
    """Seconds since the start, identifier, payload."""
    for k in range(number):
        word = (k * 2_654_435_761) & 0xFFFFFFFF
        low = word % 0xC8
        yield (
            k * STEP_S,
            CYCLE[k % len(CYCLE)],
            bytes((low, 0x7D, low, word >> 8 & 0x7F, 0x1F, word >> 16 & 0x7F, 0x20, low)),
        )


def write(path: Path, number: int) -> Path:
    """A recording in the format of its suffix; ``screen.log`` is candump's screen form."""
    writer = {".log": _candump, ".asc": _asc, ".trc": _trc}.get(path.suffix)
    if writer is None:
        # python-can is slow, and its MF4 needs asammdf: in a process of its own.
        code = "import sys; sys.path[:0] = sys.argv[3:]; import can_traffic; can_traffic.by_python_can(*sys.argv[1:3])"
        folder = str(Path(__file__).parent)
        subprocess.run([sys.executable, "-c", code, str(path), str(number), folder], check=True, capture_output=True)
        return path
    with path.open("w") as file:
        file.writelines(writer(number, path.stem == "screen"))
    return path


def by_python_can(path: str, number: str) -> None:
    import can

    with can.Logger(path) as writer:
        for t, identifier, data in frames(int(number)):
            writer(
                can.Message(timestamp=START + t, arbitration_id=identifier, is_extended_id=True, data=data, channel=0)
            )


def _candump(number: int, screen: bool) -> Iterator[str]:
    for t, identifier, data in frames(int(number)):
        if screen:
            yield f" ({START + t:.6f})  can0  {identifier:08X}   [8]  {data.hex(' ').upper()}\n"
        else:
            yield f"({START + t:.6f}) can0 {identifier:08X}#{data.hex().upper()}\n"


def _asc(number: int, _: bool) -> Iterator[str]:
    yield "date Sun Nov 30 05:20:00.000 am 2025\nbase hex  timestamps absolute\ninternal events logged\n"
    yield "Begin Triggerblock Sun Nov 30 05:20:00.000 am 2025\n   0.000000 Start of measurement\n"
    for t, identifier, data in frames(number):
        tail = f"Length = 244000 BitCount = 125 ID = {identifier}x"
        yield f"   {t:.6f} 1  {identifier:X}x       Rx   d 8 {data.hex(' ').upper()}  {tail}\n"
    yield "End TriggerBlock\n"


def _trc(number: int, _: bool) -> Iterator[str]:
    yield ";$FILEVERSION=1.1\n;$STARTTIME=45991.2222222222\n;---\n"
    for k, (t, identifier, data) in enumerate(frames(number)):
        yield f"{k + 1:6d}) {t * 1000:11.1f}  Rx     {identifier:08X}  8  {data.hex(' ').upper()} \n"

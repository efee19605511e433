"""The signals of trucks that are known without a DBC: where J1939 has them, and what VSS calls them.

Positions, scales and rates: SAE J1939-71 as published by FMS and in public DBC files, each checked against a second
source. Paths: COVESA Vehicle Signal Specification 6.0; a signal that it does not have keeps its own name.
"""

import csv
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from typing import Final, Literal, NamedTuple

from tickover.payloads.can import obd
from tickover.payloads.can.catalogue import Catalogue, MessageLayout, catalogue_of
from tickover.payloads.can.frames import EXTENDED
from tickover.payloads.can.j1939 import NO_SOURCE, PRIORITY
from tickover.payloads.can.layouts import SignalLayout

Names = Literal["dbc", "ours", "vss"]
"""What signals are called: as in the DBC, as in this table, or by their VSS path where they have one."""

_ENGINE: Final = "Vehicle.Powertrain.CombustionEngine"
_TABLE: Final = f"""\
name,pgn,message,spn,byte,bit,length,scale,offset,unit,low,high,kind,vss,vss_unit,vss_factor
engine_speed,F004,EEC1,190,4,1,16,0.125,0,rpm,0,4000,,{_ENGINE}.Speed,rpm,1
actual_engine_torque,F004,EEC1,513,3,1,8,1,-125,%,-125,125,,,,
demand_engine_torque,F004,EEC1,512,2,1,8,1,-125,%,-125,125,,,,
accelerator_pedal_position,F003,EEC2,91,2,1,8,0.4,0,%,0,100,,Vehicle.Chassis.Accelerator.PedalPosition,%,1
engine_load,F003,EEC2,92,3,1,8,1,0,%,0,125,,,,
vehicle_speed,FEF1,CCVS1,84,2,1,16,0.00390625,0,km/h,0,140,,Vehicle.Speed,km/h,1
parking_brake,FEF1,CCVS1,70,1,3,2,1,0,,0,1,status,Vehicle.Chassis.ParkingBrake.IsEngaged,,1
tachograph_speed,FE6C,TCO1,1624,7,1,16,0.00390625,0,km/h,0,140,,,,
front_axle_speed,FEBF,EBC2,904,1,1,16,0.00390625,0,km/h,0,140,,,,
engine_coolant_temperature,FEEE,ET1,110,1,1,8,1,-40,°C,-40,130,,{_ENGINE}.EngineCoolant.Temperature,°C,1
fuel_temperature,FEEE,ET1,174,2,1,8,1,-40,°C,-40,120,,,,
engine_oil_temperature,FEEE,ET1,175,3,1,16,0.03125,-273,°C,-40,160,,{_ENGINE}.EngineOil.Temperature,°C,1
fuel_delivery_pressure,FEEF,EFL_P1,94,1,1,8,4,0,kPa,0,1000,,,,
engine_oil_pressure,FEEF,EFL_P1,100,4,1,8,4,0,kPa,0,1000,,{_ENGINE}.EOP,kPa,1
crankcase_pressure,FEEF,EFL_P1,101,5,1,16,0.0078125,-250,kPa,-250,251,,,,
engine_coolant_level,FEEF,EFL_P1,111,8,1,8,0.4,0,%,0,100,,,,
fuel_rate,FEF2,LFE1,183,1,1,16,0.05,0,L/h,0,150,,,,
throttle_position,FEF2,LFE1,51,7,1,8,0.4,0,%,0,100,,{_ENGINE}.TPS,%,1
total_fuel_used,FEE9,LFC1,250,5,1,32,0.5,0,L,0,2105540607,counter,,,
total_fuel_used_high_resolution,FD09,HRLFC,5054,5,1,32,0.001,0,L,0,4211081,counter,,,
barometric_pressure,FEF5,AMB,108,1,1,8,0.5,0,kPa,50,110,,Vehicle.Exterior.AirPressure,hPa,10
ambient_air_temperature,FEF5,AMB,171,4,1,16,0.03125,-273,°C,-40,60,,Vehicle.Exterior.AirTemperature,°C,1
boost_pressure,FEF6,IC1,102,2,1,8,2,0,kPa,0,500,,,,
intake_manifold_temperature,FEF6,IC1,105,3,1,8,1,-40,°C,-40,120,,,,
air_filter_pressure,FEF6,IC1,107,5,1,8,0.05,0,kPa,0,12.5,,,,
exhaust_gas_temperature,FEF6,IC1,173,6,1,16,0.03125,-273,°C,-40,800,,,,
battery_voltage,FEF7,VEP1,168,5,1,16,0.05,0,V,6,36,,Vehicle.LowVoltageBattery.CurrentVoltage,V,1
brake_circuit_1_pressure,FEAE,AIR1,1087,3,1,8,8,0,kPa,0,1400,,,,
brake_circuit_2_pressure,FEAE,AIR1,1088,4,1,8,8,0,kPa,0,1400,,,,
brake_primary_pressure,FEFA,B,117,2,1,8,4,0,kPa,0,1000,,,,
brake_secondary_pressure,FEFA,B,118,3,1,8,4,0,kPa,0,1000,,,,
current_gear,F005,ETC2,523,4,1,8,1,-125,,-3,18,status,Vehicle.Powertrain.Transmission.CurrentGear,,1
transmission_oil_temperature,FEF8,TRF1,177,5,1,16,0.03125,-273,°C,-40,150,,Vehicle.Powertrain.Transmission.Temperature,°C,1
retarder_torque,F000,ERC1,520,2,1,8,1,-125,%,-125,0,,,,
output_shaft_speed,F002,ETC1,191,2,1,16,0.125,0,rpm,0,4000,,,,
fuel_level,FEFC,DD1,96,2,1,8,0.4,0,%,0,100,,Vehicle.Powertrain.FuelSystem.RelativeLevel,%,1
total_distance,FEC1,VDHR,917,1,1,32,0.005,0,km,0,21055406,counter,Vehicle.TraveledDistance,m,1000
engine_hours,FEE5,HOURS,247,1,1,32,0.05,0,h,0,210554060,counter,{_ENGINE}.EngineHours,h,1
def_level,FE56,AT1T1I,1761,1,1,8,0.4,0,%,0,100,,{_ENGINE}.DieselExhaustFluid.Level,%,1
dpf_differential_pressure,FDB2,AT1IMG,3251,5,1,16,0.1,0,kPa,0,60,,{_ENGINE}.DieselParticulateFilter.DeltaPressure,Pa,1000
dpf_intake_temperature,FDB4,AT1IG1,3242,3,1,16,0.03125,-273,°C,-40,800,,{_ENGINE}.DieselParticulateFilter.InletTemperature,°C,1
dpf_outlet_temperature,FDB3,AT1OG1,3246,3,1,16,0.03125,-273,°C,-40,800,,{_ENGINE}.DieselParticulateFilter.OutletTemperature,°C,1
dpf_soot_load,FD7B,AT1S,3719,1,1,8,1,0,%,0,250,,,,
tire_location,FEF4,TIRE,929,1,1,8,1,0,,0,250,status,,,
tire_pressure,FEF4,TIRE,241,2,1,8,4,0,kPa,0,1000,,Vehicle.Chassis.Axle.Row1.Wheel.Left.Tire.Pressure,kPa,1
axle_location,FEEA,VW,928,1,1,8,1,0,,0,250,status,,,
axle_load,FEEA,VW,582,2,1,16,0.5,0,kg,0,20000,,,,
"""
_ONE_OF_SEVERAL: Final = frozenset((241,))
"""SPNs whose VSS path is that of one place of several: not a name for all of them."""
COUNTER_SPNS: Final = frozenset((182, 244, 245, 247, 249, 250, 917, 918, 1029, 5053, 5054))
"""SPNs that only ever grow, those without a row in the table included."""


class Known(NamedTuple):
    """One row: the signal under its own name, and its VSS path, the unit there, and how many of it are one of ours."""

    pgn: int
    message: str
    signal: SignalLayout
    vss: str | None
    vss_unit: str
    vss_factor: float


@cache
def table() -> tuple[Known, ...]:
    """All rows, in order."""
    return tuple(_known(row) for row in csv.DictReader(_TABLE.splitlines()))


@cache
def by_spn() -> dict[int, Known]:
    """The rows by SPN."""
    return {one.signal.spn: one for one in table() if one.signal.spn is not None}


@cache
def shipped_catalogue(names: Names = "ours") -> Catalogue:
    """The catalogue of the table, and the signals of OBD-II."""
    signals: dict[tuple[int, str], list[SignalLayout]] = {}
    for known in table():
        signals.setdefault((known.pgn, known.message), []).append(_named(known.signal, known, names))
    j1939 = [
        MessageLayout(name, EXTENDED | PRIORITY << 26 | pgn << 8 | NO_SOURCE, tuple(found), is_j1939=True)
        for (pgn, name), found in signals.items()
    ]
    return catalogue_of([*j1939, *obd.messages()])


def renamed(messages: Iterable[MessageLayout], names: Names) -> Iterable[MessageLayout]:
    """Messages of a DBC with their signals under other names, told by their SPN, else by where they lie in their PGN.

    What only the table knows is added either way: the VSS path, whether it is a counter or a state.
    """
    for message in messages:
        yield replace(message, signals=tuple(_renamed(message, signal, names) for signal in message.signals))


def _renamed(message: MessageLayout, signal: SignalLayout, names: Names) -> SignalLayout:
    known = _find(message, signal)
    if known is None:
        return replace(signal, counter=True) if signal.spn in COUNTER_SPNS else signal
    like = known.signal
    vss = known.vss if known.signal.spn not in _ONE_OF_SEVERAL else None
    signal = replace(
        signal, spn=signal.spn or like.spn, vss=vss, status=signal.status or like.status, counter=like.counter
    )
    return signal if names == "dbc" else _named(signal, known, names)


def _find(message: MessageLayout, signal: SignalLayout) -> Known | None:
    if not message.is_j1939:
        return None
    if signal.spn is not None:
        return by_spn().get(signal.spn)
    place = (message.pgn, signal.start, signal.length)
    return next((one for one in table() if (one.pgn, one.signal.start, one.signal.length) == place), None)


def _named(signal: SignalLayout, known: Known, names: Names) -> SignalLayout:
    """A signal under the name that is wanted; under its VSS path it has that path's unit."""
    usable = known.vss is not None and known.signal.spn not in _ONE_OF_SEVERAL
    if (
        names != "vss"
        or not usable
        or signal.unit.lower() not in (known.signal.unit.lower(), _OTHER.get(known.signal.unit))
    ):
        return signal.renamed(known.signal.name)
    return signal.renamed(known.vss or "", vss=known.vss, unit=known.vss_unit, factor=known.vss_factor)


_OTHER: Final = {"°C": "degc", "L/h": "l/h", "L": "l", "rpm": "1/min"}
"""Units as DBC files write them, in lower case, where that is not how the table does."""


def _known(row: dict[str, str]) -> Known:
    signal = SignalLayout(
        name=row["name"],
        start=8 * (int(row["byte"]) - 1) + int(row["bit"]) - 1,
        length=int(row["length"]),
        scale=float(row["scale"]),
        offset=float(row["offset"]),
        unit=row["unit"],
        spn=int(row["spn"]),
        vss=row["vss"] or None,
        low=float(row["low"]),
        high=float(row["high"]),
        status=row["kind"] == "status",
        counter=row["kind"] == "counter",
    )
    return Known(
        int(row["pgn"], 16), row["message"], signal, row["vss"] or None, row["vss_unit"], float(row["vss_factor"] or 1)
    )

"""The mapping file: what it accepts, what it refuses and how it says so, and its way back to text."""

import json
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import paths
from tickover.core.manifest import Signal
from tickover.errors import ConfigError
from tickover.logs.mapping import (
    LogLayout,
    Mapping,
    SignalColumn,
    TickRule,
    TimeColumn,
    parse_mapping,
)
from tickover.logs.reading import load_mapping

FULL = """
[time]
column = "Time"
kind = "time_of_day"

[log]
layout = "long"
delimiter = ";"
decimal = ","
encoding = "cp1252"
vehicle_column = "truck"
signal_column = "what"
value_column = "how much"

[ticks]
period_s = 0.1
gap_limit_s = 60
lateness_s = 0.5

[signals.coolant]
column = "T [°F]"
unit = "°C"
scale = 0.5555
offset = -17.7
low = -40
high = 150
hold_s = 3
aggregation = "mean"
spn = 110
vss = "Vehicle.Powertrain.CombustionEngine.ECT"

[signals."oil.pressure"]
"""


def test_every_documented_key_is_read() -> None:
    mapping = parse_mapping(FULL)
    assert mapping.time == TimeColumn(column="Time", kind="time_of_day")
    assert mapping.log == LogLayout(
        layout="long",
        delimiter=";",
        decimal=",",
        encoding="cp1252",
        vehicle_column="truck",
        signal_column="what",
        value_column="how much",
    )
    assert mapping.ticks == TickRule(period_s=0.1, gap_limit_s=60, lateness_s=0.5)
    assert mapping.columns == ("T [°F]", "oil.pressure")
    assert mapping.manifest_signals() == (
        Signal(
            name="coolant",
            unit="°C",
            low=-40,
            high=150,
            hold_s=3,
            aggregation="mean",
            spn=110,
            vss="Vehicle.Powertrain.CombustionEngine.ECT",
        ),
        Signal(name="oil.pressure"),
    )


def test_a_signals_keys_keep_their_order_in_toml_and_in_the_manifest() -> None:
    mapping = parse_mapping(FULL)
    table = mapping.to_toml().partition("[signals.coolant]\n")[2].partition("\n\n")[0]
    keys = ["column", "unit", "scale", "offset", "low", "high", "hold_s", "aggregation", "spn", "vss"]
    assert [line.partition(" ")[0] for line in table.splitlines()] == keys
    keys = ["name", "unit", "low", "high", "hold_s", "aggregation", "spn", "vss"]
    keys += ["constant", "outside_s", "stale_s", "frozen_s"]  # what training finds of the sensor
    assert [*json.loads(msgspec.json.encode(mapping.manifest_signals()[0]))] == keys


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[signals.a]\nlwo = 1", "m.toml: unknown key 'signals.a.lwo'; did you mean 'low'?"),
        ("[signal.a]", "m.toml: unknown key 'signal'; did you mean 'signals'?"),
        ("[time]\nzon = 1\n[signals.a]", "m.toml: unknown key 'time.zon'; did you mean"),
        ("[signals.a]\nlow = 'x'", "m.toml: key 'signals.a.low': Expected `float`, got `str`"),
        ("[signals.a]\nhold_s = -1", "m.toml: key 'signals.a.hold_s': Expected `float` >= 0.0, got -1"),
        ("[signals.a]\nlow = 5\nhigh = 5", "m.toml: key 'signals.a.low': expected finite low < high, got 5.0 .. 5.0"),
        (
            "[signals.a]\nhigh = inf",
            "m.toml: key 'signals.a.low': expected finite low < high, got -1000000000.0 .. inf",
        ),
        ("[signals.a]\nscale = 0", "m.toml: key 'signals.a.scale': expected a finite scale other than 0"),
        ("[signals.a]\ncolumn = 'b'\n[signals.b]", "m.toml: key 'signals': expected one signal per column"),
        (
            "[signals.a]\nunit = '" + "x" * 99 + "'",
            "m.toml: key 'signals.a.unit': Expected `str` of length <= 32, got 'xxx",
        ),
        ("[signals]", "m.toml: key 'signals': expected 1 to 512 signals, got 0"),
        ("[signals.'1a']", "m.toml: key 'signals.1a': Expected `str` matching regex"),
        ("signals = 3", "m.toml: key 'signals': Expected `object`, got `int`"),
        ("", "m.toml: key 'signals': expected 1 to 512 signals, got 0"),
        (
            "[time]\nkind = 'rate'\n[signals.a]",
            "m.toml: key 'time.rate_hz': expected with kind = \"rate\" and only then",
        ),
        ("[time]\nrate_hz = 2\n[signals.a]", "m.toml: key 'time.rate_hz': expected with kind = \"rate\" and only then"),
        (
            "[time]\nkind = 'rate'\nrate_hz = 1\ncolumn = 't'\n[signals.a]",
            "m.toml: key 'time.column': expected none with kind = \"rate\", got 't'",
        ),
        (
            "[time]\nkind = 'rate'\nrate_hz = 1\n[log]\nlayout = 'long'\n[signals.a]",
            "m.toml: key 'time.kind': a fixed rate needs a wide log of one vehicle",
        ),
        ("[log]\ndelimiter = ','\ndecimal = ','\n[signals.a]", "m.toml: key 'log.decimal': expected another mark"),
        ("[log]\nencoding = 'x'\n[signals.a]", "m.toml: key 'log.encoding': expected a known text encoding, got 'x'"),
        ("[log]\nencoding = 'hex'\n[signals.a]", "m.toml: key 'log.encoding': expected a known text encoding"),
        (
            "[log]\nencoding = 'utf-16'\n[signals.a]",
            "m.toml: key 'log.encoding': expected an encoding that keeps ASCII",
        ),
        ("[ticks]\nperiod_s = 0\n[signals.a]", "m.toml: key 'ticks.period_s': Expected `float` >= 0.001"),
        ("x =", "m.toml: expected TOML: Invalid value"),
    ],
)
def test_a_wrong_key_is_named_with_its_file(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse_mapping(text, "m.toml")
    assert str(refusal.value).startswith(message)


def test_a_file_that_cannot_be_read_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    (tmp_path / "huge.toml").write_bytes(b"#" * (5 << 20))
    for name, message in (
        ("none.toml", "cannot read the mapping: No such file"),
        ("bytes.toml", "expected UTF-8 text"),
        ("huge.toml", "expected at most 4194304 bytes"),
    ):
        with pytest.raises(ConfigError, match=f"{name}: .*{message}") as refusal:
            load_mapping(tmp_path / name)
        assert refusal.value.exit_code == 78


numbers = st.floats(-1e6, 1e6)
columns = st.builds(
    SignalColumn,
    unit=st.text(st.characters(exclude_categories=["C", "Z"]), max_size=32),
    scale=st.floats(0.001, 1e3),
    offset=numbers,
    low=st.floats(-1e9, 0),
    high=st.floats(1, 1e9),
    hold_s=st.floats(0, 1e6),
    aggregation=st.sampled_from(["last", "mean", "max"]),
    spn=st.none() | st.integers(0, 524_287),
    vss=st.none() | st.text(st.characters(exclude_categories=["C", "Z"]), max_size=20),
)


@given(
    signals=st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_.\-]{0,20}", fullmatch=True), columns, min_size=1),
    column=st.text(st.characters(exclude_categories=["Cs"])),
    rule=st.builds(TickRule, period_s=st.floats(0.001, 86_400), gap_limit_s=st.floats(0.1, 1e9)),
)
def test_a_mapping_survives_its_own_text(signals: dict[str, SignalColumn], column: str, rule: TickRule) -> None:
    mapping = Mapping(signals=signals, time=TimeColumn(column=column, kind="iso"), ticks=rule)
    assert parse_mapping(mapping.to_toml()) == mapping


def test_the_mapping_in_the_documentation_is_a_mapping() -> None:
    text = (paths.ROOT / "docs" / "logs.md").read_text(encoding="utf-8")
    example = parse_mapping(text.split("```toml\n")[1].split("```")[0])
    for table in (example.time, example.log, example.ticks, example.signals["engine_coolant_temperature"]):
        for key in table.__struct_fields__:
            assert re.search(rf"[`.]{key}`", text), f"{key} is not documented"


def test_one_key_says_the_zone_of_rows_and_of_recordings(caplog: pytest.LogCaptureFixture) -> None:
    signals = "[signals.speed]\n"
    new = parse_mapping(f'[time]\nzone = "Europe/Berlin"\n{signals}')
    assert (new.time.zone, new.log.zone) == ("Europe/Berlin", "Europe/Berlin")
    assert not caplog.records
    old = parse_mapping(f'[log]\nzone = "Europe/Berlin"\n{signals}', "old.toml")
    assert old == new == parse_mapping(old.to_toml())
    assert "old.toml: key 'log.zone' is called 'time.zone' now" in caplog.text
    assert "[log]" not in old.to_toml()
    with pytest.raises(ConfigError, match=r"key 'log\.zone': expected 'time.zone' alone"):
        parse_mapping(f'[time]\nzone = "UTC"\n[log]\nzone = "Europe/Berlin"\n{signals}')

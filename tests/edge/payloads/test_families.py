"""Every family of payloads is read by the example that ``config example --for`` prints, by the daemon and by record."""

import re
import tomllib
from collections import Counter

import msgspec
import pytest

import paths
from payload_samples import SAMPLES, Sample
from tickover.daemon.config import Config, Vehicles
from tickover.daemon.intake import Intake
from tickover.host.toml import decode
from tickover.payloads.base import Input, Row, open_decoder
from tickover.payloads.examples import EXAMPLES, example_text
from tickover.payloads.listener import Listener
from tickover.payloads.topic_template import TopicTemplate
from tickover.transports.base import Received

ARRIVED = 1_700_000_100_000_000
FAMILIES = sorted({sample.family for sample in SAMPLES})


def inputs(family: str) -> list[Input]:
    return msgspec.convert(tomllib.loads(example_text(family))["inputs"], list[Input])


def columns() -> dict[str, int]:
    names = dict.fromkeys(name for sample in SAMPLES for _, _, values in sample.rows for name in values)
    return {name: place for place, name in enumerate(names)}


def read(sample: Sample, decoders: dict) -> list[Row]:
    """The rows of a message by the one input that takes it; decoders that learn are kept from message to message."""
    rows: list[Row] = []
    for spec in inputs(sample.family):
        fields = TopicTemplate(spec.topic).match(sample.topic)
        if fields is not None:
            decoder = decoders.setdefault(spec.topic, open_decoder(spec, columns()))
            rows += decoder.decode(fields, sample.payload, Counter())
    return rows


def shown(rows: list[Row]) -> list[tuple[str, int | None, dict[str, float]]]:
    names = list(columns())
    return [
        (row.vehicle, row.time, {name: round(x, 4) for name, x in zip(names, row.values, strict=True) if x == x})
        for row in rows
    ]


def test_every_family_has_an_example_and_a_sample() -> None:
    assert sorted(EXAMPLES) == FAMILIES


@pytest.mark.parametrize("family", FAMILIES)
def test_the_example_is_a_good_configuration_with_nothing_useless_in_it(family: str) -> None:
    for spec in inputs(family):
        assert spec.problem() is None
        assert spec.without_effect() == []


@pytest.mark.parametrize("family", FAMILIES)
def test_the_samples_are_read(family: str) -> None:
    decoders: dict = {}
    for sample in SAMPLES:
        if sample.family == family:
            assert shown(read(sample, decoders)) == sample.rows, sample.topic


@pytest.mark.parametrize("family", FAMILIES)
def test_the_daemon_takes_them(family: str) -> None:
    intake = Intake(inputs(family), tuple(columns()), Vehicles(), lambda _: False)
    samples = [sample for sample in SAMPLES if sample.family == family]
    for sample in samples:
        assert intake.take(Received(sample.topic, sample.payload, ARRIVED, None), synced=True) is None, sample.topic
    assert intake.counts["rows"] == sum(len(sample.rows) for sample in samples)


@pytest.mark.parametrize("family", FAMILIES)
def test_record_reads_them_without_a_model(family: str) -> None:
    listener = Listener(inputs(family))
    for sample in SAMPLES:
        if sample.family == family:
            rows = listener.rows(sample.topic, sample.payload, ARRIVED)
            assert len(rows) == sum(bool(values) for _, _, values in sample.rows), sample.topic
            for row, (vehicle, time, values) in zip(rows, (row for row in sample.rows if row[2]), strict=True):
                assert (row.vehicle, row.time) == (vehicle, ARRIVED if time is None else time)
                assert values.items() <= {name: round(value, 4) for name, value in row.values.items()}.items()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_whole_example_file_is_read(family: str) -> None:
    from click.testing import CliRunner

    from tickover.commands.config import config

    done = CliRunner().invoke(config, ["example", "--for", family])
    assert done.exit_code == 0, done.output
    whole = decode(done.stdout, Config, "tickover.toml")
    assert list(whole.inputs) == inputs(family)
    assert whole.broker.tls, "the rest of the example stays"


@pytest.mark.parametrize("family", FAMILIES)
def test_record_takes_them_by_name_and_keeps_the_senders_names(family: str) -> None:
    from tickover.commands.record import _inputs_of

    specs = _inputs_of(family)
    assert [spec.topic for spec in specs] == [spec.topic for spec in inputs(family)]
    assert not any(spec.signals for spec in specs)


def test_the_list_names_every_family_and_a_misspelt_one_is_answered_with_the_nearest() -> None:
    from click.testing import CliRunner

    from tickover.commands.config import config

    listed = CliRunner().invoke(config, ["example", "--list"])
    assert re.findall(r"^([\w-]+)  +\S", listed.stdout, re.MULTILINE) == list(EXAMPLES)
    wrong = CliRunner().invoke(config, ["example", "--for", "telegraff"])
    assert wrong.exit_code == 2
    assert "did you mean 'telegraf'?" in wrong.output


def test_the_table_of_the_docs_is_made_from_the_samples() -> None:
    assert table() in (paths.ROOT / "docs" / "payloads.md").read_text(encoding="utf-8"), (
        "docs/payloads.md: put this table there\n" + table()
    )


def table() -> str:
    """Each family's first message and what is read in it."""
    lines = ["| `--for` | topic | payload (its beginning) | read |", "|---|---|---|---|"]
    for family in EXAMPLES:
        sample = next(sample for sample in SAMPLES if sample.family == family)
        vehicle, time, values = sample.rows[0]
        body = (
            "binary"
            if sample.family == "sparkplug_b"
            else f"`{' ⏎ '.join(sample.payload.decode().split(chr(10))).strip()[:90]}`"
        )
        moment = "time of arrival" if time is None else "time of the payload"
        told = ", ".join(f"{name} = {value:g}" for name, value in values.items())
        lines.append(f"| `{family}` | `{sample.topic}` | {body} | {vehicle}, {moment}: {told} |")
    return "\n".join(lines)

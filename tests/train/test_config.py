"""The training configuration: old names are read, banks of charts are checked before anything is trained."""

import pytest

from tickover.errors import ConfigError
from tickover.host import toml
from tickover_export.charts.cusum import Cusum
from tickover_export.charts.ewma import Ewma
from tickover_export.charts.ewms import Ewms
from tickover_train.config import TrainConfig, load_config

OLD = """
[fit]
lanes = 5
[charts]
climate_span_s = 77.0
[[charts.banks]]
name = "unrest"
kind = "energy"
span_s = 30.0
[episodes]
cool_down_s = 8.0
"""
NEW = """
[fit]
batch_rows = 5
[charts]
input_drift_span_s = 77.0
[[charts.banks]]
name = "unrest"
kind = "ewms"
span_s = 30.0
[episodes]
hold_off_s = 8.0
"""


def load(tmp_path, text):
    path = tmp_path / "train.toml"
    path.write_text(text)
    return load_config(path)


def test_old_names_mean_what_they_meant(tmp_path, caplog):
    toml.tell_renamed.cache_clear()
    found = load(tmp_path, OLD)
    assert [record.getMessage().split(": ", 1)[1].split(" now;")[0] for record in caplog.records] == [
        "key 'fit.lanes' is called 'fit.batch_rows'",
        "key 'charts.climate_span_s' is called 'charts.input_drift_span_s'",
        "charts.banks[0].kind = 'energy' is called 'ewms'",
        "key 'episodes.cool_down_s' is called 'episodes.hold_off_s'",
    ]
    caplog.clear()
    assert found == load(tmp_path, NEW)
    assert not caplog.records
    assert found.charts.banks == (Ewms(name="unrest", span_s=30.0),)
    assert (found.fit.batch_rows, found.charts.input_drift_span_s, found.episodes.hold_off_s) == (5, 77.0, 8.0)


@pytest.mark.parametrize(
    ("key", "both"),
    [
        ("fit.batch_rows", "[fit]\nlanes = 5\nbatch_rows = 5"),
        ("charts.input_drift_span_s", "[charts]\nclimate_span_s = 1\ninput_drift_span_s = 1"),
        ("episodes.hold_off_s", "[episodes]\ncool_down_s = 1\nhold_off_s = 1"),
    ],
)
def test_both_names_at_once_are_refused(tmp_path, key, both):
    with pytest.raises(ConfigError, match=rf"train\.toml: expected '{key}' alone"):
        load(tmp_path, both)


BANK = '[[charts.banks]]\nname = "a"\n'


@pytest.mark.parametrize(
    ("banks", "message"),
    [
        (BANK + 'kind = "ewma"', r"key 'charts\.banks\[0\]': Object missing required field `span_s`"),
        (BANK + 'kind = "ewma"\nspan_s = 1\nshare = 2.0', r"key 'charts\.banks\[0\]\.share': Expected `float` <= 1.0"),
        (BANK + 'kind = "ewma"\nallowance = 1.0', r"unknown key 'charts\.banks\[0\]\.allowance'"),
        (BANK + 'kind = "ewma"\nspan_s = 0.0', r"key 'charts\.banks\[0\]\.span_s': Expected `float` > 0.0, got 0.0"),
        (
            BANK + 'kind = "emwa"',
            r"key 'charts\.banks\[0\]\.kind': expected one of ewma, .*frozen, got 'emwa'",
        ),
        (2 * (BANK + 'kind = "ewma"\nspan_s = 1.0\n'), r"key 'charts\.banks': expected a name of its own for each"),
        ("[charts]\nbanks = []", r"key 'charts\.banks': Expected `array` of length >= 1"),
    ],
)
def test_a_wrong_bank_is_refused_before_anything_is_trained(tmp_path, banks, message):
    with pytest.raises(ConfigError, match=rf"train\.toml: {message}"):
        load(tmp_path, banks)


def test_each_kind_is_read_by_its_name(tmp_path):
    text = (
        '[[charts.banks]]\nname = "a"\nkind = "cusum"\nallowance = 0.5\nsaturation = 9\n'
        '[[charts.banks]]\nname = "b"\nkind = "ewma"\nspan_s = 3'
    )
    banks = load(tmp_path, text).charts.banks
    assert banks == (Cusum(name="a", allowance=0.5, saturation=9.0), Ewma(name="b", span_s=3.0))
    assert [bank.kind for bank in TrainConfig().charts.banks] == ["ewma", "change", "spike", "frozen"]

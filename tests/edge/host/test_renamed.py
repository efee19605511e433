"""Old names of keys and kinds in TOML files: read for one version, told once, refused beside the new name."""

import logging
from typing import ClassVar

import pytest
from msgspec import Struct

from tickover.core.policy import EpisodeOverrides, Settings
from tickover.daemon.config import Config
from tickover.errors import ConfigError
from tickover.host import toml
from tickover.logs.mapping import Mapping, parse_mapping


class Round(Struct, forbid_unknown_fields=True, tag="round", tag_field="shape"):
    OLD_TAGS: ClassVar = ("circle",)
    OLD_KEYS: ClassVar = {"r": "radius"}
    radius: float


class Square(Struct, forbid_unknown_fields=True, tag="square", tag_field="shape"):
    side: float


class Inner(Struct, forbid_unknown_fields=True):
    OLD_KEYS: ClassVar = {"old": "new"}
    new: int = 0


class Whole(Struct, forbid_unknown_fields=True):
    one: Inner | None = None
    named: dict[str, Inner] = {}
    shapes: tuple[Round | Square, ...] = ()


@pytest.fixture(autouse=True)
def nothing_told():
    toml.tell_renamed.cache_clear()


def told(caplog):
    return [record.getMessage() for record in caplog.records]


def test_an_old_key_is_read_and_told_once(caplog):
    text = "[episodes]\ncool_down_s = 7.5\n"
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert toml.decode(text, Settings, "cfg.toml").episodes == EpisodeOverrides(hold_off_s=7.5)
    assert told(caplog) == [
        "cfg.toml: key 'episodes.cool_down_s' is called 'episodes.hold_off_s' now; "
        "the old name is read until version 0.3"
    ]


def test_both_names_at_once_are_refused():
    text = "[episodes]\ncool_down_s = 7.5\nhold_off_s = 7.5\n"
    message = r"cfg: expected 'episodes\.hold_off_s' alone, got 'episodes\.cool_down_s' too, its old name"
    with pytest.raises(ConfigError, match=message):
        toml.decode(text, Settings, "cfg")


def test_what_an_old_key_holds_is_checked_under_its_new_name():
    with pytest.raises(ConfigError, match=r"cfg: key 'episodes\.hold_off_s': Expected `float` >= 0"):
        toml.decode("[episodes]\ncool_down_s = -1", Settings, "cfg")


def test_a_mapping_reads_it_and_writes_the_new_name():
    mapping = parse_mapping("[signals.a]\n[episodes]\ncool_down_s = 3.0\n")
    assert mapping.episodes.hold_off_s == 3.0
    assert "hold_off_s = 3.0" in mapping.to_toml()
    assert "cool_down_s" not in mapping.to_toml()


@pytest.mark.parametrize("kind", [Config, Mapping, Settings])
def test_every_file_with_an_episodes_table_knows_the_old_key(kind):
    assert kind.__annotations__["episodes"].OLD_KEYS == {"cool_down_s": "hold_off_s"}


def test_old_names_are_found_in_tables_lists_and_kinds(caplog):
    text = "[one]\nold = 1\n[named.x]\nold = 2\n"
    text += "[[shapes]]\nshape = 'square'\nside = 3\n[[shapes]]\nshape = 'circle'\nr = 4"
    assert toml.decode(text, Whole, "w") == Whole(Inner(1), {"x": Inner(2)}, (Square(3.0), Round(4.0)))
    assert [line.split(" now;")[0] for line in told(caplog)] == [
        "w: key 'one.old' is called 'one.new'",
        "w: key 'named.x.old' is called 'named.x.new'",
        "w: shapes[1].shape = 'circle' is called 'round'",
        "w: key 'shapes[1].r' is called 'shapes[1].radius'",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[shapes]]\nshape = 'oval'", r"w: key 'shapes\[0\]\.shape': expected one of round, square, got 'oval'"),
        ("[[shapes]]\nside = 1", r"w: key 'shapes\[0\]\.shape': expected one of round, square, got None"),
        ("[[shapes]]\nshape = 'round'\nradios = 1", r"w: unknown key 'shapes\[0\]\.radios'; did you mean 'radius'\?"),
        ("[[shapes]]\nshape = 'round'", r"w: key 'shapes\[0\]': Object missing required field `radius`"),
        ("[[shapes]]\nshape = 'round'\nradius = 'x'", r"w: key 'shapes\[0\]\.radius': Expected `float`, got `str`"),
        ("shapes = [3]", r"w: key 'shapes\[0\]': Expected `object`, got `int`"),
        ("shapes = 3", r"w: key 'shapes': Expected `array`, got `int`"),
        ("one = 3", r"w: key 'one': Expected `object \| null`, got `int`"),
    ],
)
def test_errors_inside_lists_and_kinds_name_the_full_key(text, message):
    with pytest.raises(ConfigError, match=message):
        toml.decode(text, Whole, "w")

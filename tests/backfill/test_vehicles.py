"""Whose log a file of an archive is."""

import pytest

from tickover.jobs.backfill.archive import dated, natural
from tickover.jobs.backfill.archive_file import ArchiveFile
from tickover.jobs.backfill.task import file_id
from tickover.jobs.backfill.vehicles import owner_of


def owner(where, folders=(), columns=(), column="", choice="auto"):
    return owner_of(ArchiveFile(where, 1, "", tuple(folders)), columns, ("speed",), column, choice, "truck-1")


@pytest.mark.parametrize(
    ("where", "folders", "vehicle", "rule"),
    [
        ("/a/vehicle=7/date=2024-01-01/part-0.parquet", ("vehicle=7", "date=2024-01-01"), "7", "key"),
        ("/a/truck_id=van%207/x.csv", (), "van 7", "key"),
        ("s3://b/lake/vin=WDB1/y=2024/part-0.parquet", ("vin=WDB1", "y=2024"), "WDB1", "key"),
        ("/a/vehicle=__HIVE_DEFAULT_PARTITION__/x.csv", ("vehicle=__HIVE_DEFAULT_PARTITION__",), "x", "name"),
        ("/a/truck-7/20240101T060000Z.csv.gz", ("truck-7",), "truck-7", "folder"),
        ("/a/2024/05/truck-7/06.csv", ("2024", "05", "truck-7"), "truck-7", "folder"),
        ("/a/truck-7/2024/05/06.csv", ("truck-7", "2024", "05"), "truck-7", "folder"),
        ("/a/17/trip.csv", ("17",), "17", "folder"),
        ("/a/2024-05-06/truck-7.csv", ("2024-05-06",), "truck-7", "name"),
        ("/a/truck-7_2024-05-06T06-00-00.parquet", (), "truck-7", "name"),
        ("/a/truck-7_20240506_060000.csv.gz", (), "truck-7", "name"),
        ("/a/2024-05-06_truck-7_trip3.csv", (), "truck-7", "name"),
        ("/a/truck7_trip_12.csv", (), "truck7", "name"),
        ("/a/1042_2024-05-06.csv", (), "1042", "name"),
        ("/a/trip 3.csv", (), "truck-1", "given"),
        ("/a/2024-05-06.csv", (), "truck-1", "given"),
        ("/a/part-00000-1f2e3d4c-aaaa-bbbb-cccc-0123456789ab.snappy.parquet", (), "truck-1", "given"),
    ],
)
def test_the_path_tells(where, folders, vehicle, rule):
    found = owner(where, folders)
    assert (found.vehicle, found.rule) == (vehicle, rule)


def test_a_column_goes_before_folder_and_name_and_a_key_before_it():
    assert owner("/a/may/x.csv", ["may"], ["time", "Vehicle ID", "speed"]).column == "Vehicle ID"
    assert owner("/a/vehicle=7/x.csv", ["vehicle=7"], ["time", "vehicle", "speed"]).vehicle == "7"
    assert owner("/a/t1/x.csv", ["t1"], ["time", "vehicle", "imei", "speed"]).vehicle == "t1"  # two: neither is it
    assert owner("/a/t1/x.csv", ["t1"], ["time", "who", "speed"], column="who").column == "who"
    assert owner("/a/t1/x.csv", ["t1"], ["time", "vehicle"], choice="folder").vehicle == "t1"
    assert owner("/a/t1/x.csv", ["t1"], ["time", "speed"], choice="column").rule == "given"


def test_names_are_in_the_order_of_their_numbers():
    assert sorted(["trip 10", "trip 9", "trip", "trip 9b"], key=natural) == ["trip", "trip 9", "trip 9b", "trip 10"]


def test_any_name_gives_a_file_name_of_its_own():
    names = ["a/b", "a-b", "../../etc", "", "\x00", "\ud800", "x" * 5000, "Ä", "ä", ".", "con "]
    ids = [file_id(name) for name in names]
    assert len(set(map(str.lower, ids))) == len(names)
    assert all(len(one) < 64 and one.isascii() and "/" not in one and not one.startswith(".") for one in ids)


@pytest.mark.parametrize(
    ("where", "date"),
    [
        ("/a/date=2024-05-06/part-0.parquet", "2024-05-06"),
        ("/2023/a/truck_20240506_060000.csv", "20240506_060000"),
        ("/a/2024-05-06T06-00-00.csv", "2024-05-06T06-00-00"),
        ("/a/trip 12.csv", ""),
        ("/a/06-05-2024.csv", ""),
    ],
)
def test_dates_in_paths_are_those_with_the_year_first(where, date):
    assert dated(where) == date

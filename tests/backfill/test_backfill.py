"""What a back-fill says of an archive: the alerts of each truck, and the figures of the fleet."""

import csv
import gzip
import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import paths
from archives import NAMES, folders, table, times, trip, write_csv
from tickover.core.ledger import Verdict
from tickover.core.pipeline import Pipeline
from tickover.errors import LogError, TickoverError
from tickover.jobs.backfill.results import hold
from tickover.jobs.replay_state import load_state
from tickover.messages.alerts import decode_alert
from tickover.model.detector import Detector

MODEL = paths.MODELS / "gru_autoencoder.onnx"


def alerts_of(out):
    return pq.read_table(out / "alerts.parquet").to_pylist()


def events_of(out, vehicle):
    return "".join(row["event"] + "\n" for row in alerts_of(out) if row["vehicle"] == vehicle).encode()


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def rows_by_vehicle(vehicles, days=2):
    """Rows of several vehicles in turns, as a platform exports them: the vehicle, the time and the values."""
    rows = []
    for day in range(days):
        tables = {name: table(place * 10 + day, fault=place == 1) for place, name in enumerate(vehicles)}
        for row, moment in enumerate(times(day)):
            rows += [[name, moment, *tables[name][row].tolist()] for name in vehicles]
    return rows


def test_each_vehicle_has_the_alerts_of_a_replay_byte_for_byte(run, replayed, tmp_path):
    archive = folders(tmp_path / "archive")
    out = tmp_path / "out"
    result = run(archive)
    assert {row["vehicle"] for row in alerts_of(out)} == {"truck-0", "truck-1", "truck-2"}
    for place in range(3):
        logs = [archive / f"truck-{place}" / f"trip {day}.csv" for day in (8, 9, 10)]  # by time, not by text
        assert events_of(out, f"truck-{place}") == replayed(f"truck-{place}", *logs) != b""
    for row in alerts_of(out):
        alert = decode_alert(row["event"].encode())
        assert (row["alert_id"], row["phase"], row["peak"]) == (alert.alert_id, alert.phase.value, alert.peak)
        assert round(row["time"].timestamp() * 1e6) == alert.time
        assert row["signals"] == [part.signal for part in alert.signals]
        assert row["reason"] == (alert.reason.value if alert.reason else None)
    assert "9 logs; the vehicle is named by the folder (9)" in result.stderr
    assert "3 vehicles, 0.8 h: 3 episodes" in result.stderr


def test_rows_are_in_order_of_vehicles_and_the_bytes_do_not_depend_on_how_the_archive_is_named(run, tmp_path):
    archive = folders(tmp_path / "archive")
    run(archive, out=tmp_path / "one")
    run(f"{archive}/**/*.csv", archive, out=tmp_path / "two")
    names = [row["vehicle"] for row in alerts_of(tmp_path / "one")]
    assert names == sorted(names)
    plans = [run(archive, "--plan").stdout, run(*sorted(archive.glob("*/"), reverse=True), "--plan").stdout]
    assert plans[0] == plans[1] == run(*archive.glob("*/*.csv"), "--plan").stdout  # as a shell writes it out
    for table_ in ("alerts.parquet", "daily.csv", "vehicles.csv", "drops.csv", "index.html"):
        assert (tmp_path / "one" / table_).read_bytes() == (tmp_path / "two" / table_).read_bytes()


def test_days_and_months_hold_the_hours_driven_and_the_episodes_that_began(run, tmp_path):
    run(folders(tmp_path / "archive"))
    days = rows_of(tmp_path / "out" / "daily.csv")
    assert [row["day"] for row in days if row["vehicle"] == "truck-0"] == ["2024-01-30", "2024-01-31", "2024-02-01"]
    assert {row["hours"] for row in days} == {"0.0833"}
    assert [row["episodes"] for row in days if row["vehicle"] == "truck-0"] == ["1", "0", "0"]
    assert sum(int(row["critical"]) for row in days) == 3
    vehicles = rows_of(tmp_path / "out" / "vehicles.csv")
    assert [(row["vehicle"], row["status"], row["episodes"]) for row in vehicles] == [
        (f"truck-{place}", "done", "1") for place in range(3)
    ]
    page = (tmp_path / "out" / "index.html").read_text()
    assert "<th>2024-01</th><th>2024-02</th>" in page


def test_several_vehicles_in_one_file_are_split_and_each_is_as_if_alone(run, replayed, tmp_path):
    names = ["van 7", "<b>9</b>", "a/../b"]
    rows = rows_by_vehicle(names)
    write_csv(tmp_path / "archive" / "export.csv", rows, ["vehicle", "time", *NAMES])
    result = run(tmp_path / "archive")
    assert "named by a column (1)" in result.stderr
    for name in names:
        mine = [row[1:] for row in rows if row[0] == name]
        alone = write_csv(tmp_path / "alone.csv", mine, ["time", *NAMES])
        assert events_of(tmp_path / "out", name) == replayed(name, alone)
    assert events_of(tmp_path / "out", "<b>9</b>")
    assert "<b>9" not in (tmp_path / "out" / "index.html").read_text()
    assert not [path for path in (tmp_path / "out" / "split").iterdir() if path.is_dir()]  # what was split is removed


def test_a_vehicle_goes_on_from_one_shared_file_to_the_next_in_order_of_time(run, replayed, tmp_path):
    rows = rows_by_vehicle(["v1", "v2"], days=2)
    half = len(rows) // 2
    write_csv(tmp_path / "archive" / "b.csv", rows[:half], ["vehicle", "time", *NAMES])
    write_csv(tmp_path / "archive" / "a.csv", rows[half:], ["vehicle", "time", *NAMES])
    run(tmp_path / "archive")
    whole = write_csv(tmp_path / "v2.csv", [row[1:] for row in rows if row[0] == "v2"], ["time", *NAMES])
    assert events_of(tmp_path / "out", "v2") == replayed("v2", whole) != b""


def test_hive_partitions_name_the_vehicle_and_parquet_parts_are_read(run, replayed, tmp_path):
    for day in range(2):
        stamps = pa.array([moment[:-1] for moment in times(day)]).cast(pa.timestamp("us"))
        columns = dict(zip(NAMES, table(day, fault=day == 1).T.tolist(), strict=True))
        folder = tmp_path / "lake" / "vehicle=van%207" / f"date=2024-01-3{day}"
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"time": stamps, **columns}), folder / f"part-0000{day}.parquet")
        (folder / "_SUCCESS").write_text("")
    run(tmp_path / "lake")
    logs = sorted((tmp_path / "lake").rglob("*.parquet"))
    assert events_of(tmp_path / "out", "van 7") == replayed("van 7", *logs) != b""


def test_a_vehicle_with_a_state_and_verdicts_goes_on_as_on_the_truck(run, tmp_path):
    archive = folders(tmp_path / "archive", vehicles=1, days=4)
    logs = sorted(archive.rglob("*.csv"), key=lambda path: int(path.stem.split()[1]))
    first, second = tmp_path / "first", tmp_path / "second"
    for place, log in enumerate(logs):
        target = (first if place < 2 else second) / "truck-0" / log.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(log, target)
    (tmp_path / "none").mkdir()
    run(archive, "--state", tmp_path / "none", out=tmp_path / "whole")
    run(first, "--state", tmp_path / "none", out=tmp_path / "one")
    run(second, "--state", tmp_path / "one" / "states", out=tmp_path / "two")
    parts = [events_of(tmp_path / name, "truck-0") for name in ("one", "two")]
    assert parts[0] + parts[1] == events_of(tmp_path / "whole", "truck-0") != b""
    assert all(parts)

    # A verdict is given at its place: the state behind it knows it.
    episode = json.loads(parts[0].splitlines()[0])["data"]["episode_id"]
    said = {"vehicle": "truck-0", "episode": episode, "at": 1_706_623_199_000_000, "verdict": Verdict.REAL.value}
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "truck-0.jsonl").write_text(json.dumps(said) + "\n")
    run(archive, "--state", tmp_path / "none", "--events", tmp_path / "events", out=tmp_path / "told")
    pipeline = Pipeline(Detector.load(MODEL))
    load_state(pipeline, tmp_path / "told" / "states" / "truck-0.state")
    entry = pipeline.entry("truck-0", episode)
    assert entry is not None
    assert entry.verdict is Verdict.REAL


def test_one_broken_log_costs_itself_and_one_broken_vehicle_itself(run, replayed, tmp_path):
    archive = folders(tmp_path / "archive")
    cut = gzip.compress((archive / "truck-1" / "trip 9.csv").read_bytes())
    (archive / "truck-1" / "trip 9.csv").unlink()
    (archive / "truck-1" / "trip 9.csv.gz").write_bytes(cut[: len(cut) // 2])
    bad = archive / "truck-x" / "trip 1.csv"
    bad.parent.mkdir()
    bad.write_bytes(b"\x00\x01\x02\x03 no log")
    result = run(archive, code=1)
    assert "truck-x: failed: " in result.stderr
    assert "1 vehicle failed; vehicles.csv" in result.stderr
    assert "trip 9.csv.gz: the packed data are damaged or cut short" in result.stderr
    status = {row["vehicle"]: row["status"] for row in rows_of(tmp_path / "out" / "vehicles.csv")}
    assert status == {"truck-0": "done", "truck-1": "partly", "truck-2": "done", "truck-x": "failed"}
    logs = [archive / "truck-2" / f"trip {day}.csv" for day in (8, 9, 10)]
    assert events_of(tmp_path / "out", "truck-2") == replayed("truck-2", *logs)
    page = (tmp_path / "out" / "index.html").read_text()
    assert "1 vehicle failed, 1 log could not be read to the end" in page
    # Once they are mended, only they are run.
    (archive / "truck-1" / "trip 9.csv.gz").write_bytes(cut)
    bad.unlink()
    result = run(archive)
    assert "2 of 3 vehicles were done before" in result.stderr
    assert "truck-1: again, because its logs" in result.stderr


def test_what_is_done_is_not_run_again_unless_something_changed(run, tmp_path, monkeypatch):
    archive = folders(tmp_path / "archive")
    first = run(archive)
    alerts = (tmp_path / "out" / "alerts.parquet").read_bytes()
    second = run(archive)
    assert "were done before" not in first.stderr
    assert "3 of 3 vehicles were done before" in second.stderr
    assert (tmp_path / "out" / "alerts.parquet").read_bytes() == alerts
    trip(archive / "truck-1" / "trip 11.csv", 7, 3, fault=True)
    third = run(archive)
    assert "2 of 3 vehicles were done before" in third.stderr
    assert "truck-1: again, because its logs, the model or the settings have changed" in third.stderr
    assert "4 episodes" in third.stderr
    damaged = next((tmp_path / "out" / "done").glob("truck-2-*.alerts.jsonl"))
    damaged.write_bytes(damaged.read_bytes()[:-9])
    fourth = run(archive)
    assert "truck-2: again, because its alerts are not there any more" in fourth.stderr
    assert "4 episodes" in fourth.stderr


def test_known_repairs_are_recalled_beside_chance(run, tmp_path):
    archive = folders(tmp_path / "archive")
    labels = tmp_path / "repairs.csv"
    labels.write_text(
        "vehicle,start,end,what\n"
        "truck-0,2024-01-30T06:00:00Z,2024-01-30T08:00:00Z,thermostat\n"  # its episode is on this day
        "truck-1,2024-01-31T06:00:00Z,2024-01-31T08:00:00Z,<i>pump</i>\n"  # its only episode is on another day
        "truck-2,2025-01-30,2025-01-31,tyre\n"  # not driven
        "truck-9,2024-01-30,2024-01-31,unknown\n"
    )
    result = run(archive, "--labels", labels)
    assert "1 of 2 known repairs with driving had an episode; by chance" in result.stderr
    assert "--labels: not in the archive: truck-9" in result.stderr
    page = (tmp_path / "out" / "index.html").read_text()
    assert "thermostat" in page
    assert "not driven" in page
    assert "<i>pump" not in page
    by_log = tmp_path / "by-log.csv"
    by_log.write_text("log,start,end\ntruck-0/trip 8.csv,2024-01-30T06:00:00Z,2024-01-30T08:00:00Z\n")
    assert "1 of 1 known repair with driving" in run(archive, "--labels", by_log).stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("truck,when\n1,2\n", "expected the columns vehicle (or log), start, end, got truck, when"),
        ("", "expected the columns vehicle (or log), start, end, got an empty file"),
        ("vehicle,start,end\nt,yesterday,2024-01-01\n", "expected ISO 8601 times or seconds, got 'yesterday'"),
        ("vehicle,start,end\nt,2024-01-02,2024-01-01\n", "expected an end at or after the start"),
        ("vehicle,start,end\n", "expected rows with repairs, got none"),
        ("log,start,end\nx.csv,2024-01-01,2024-01-02\n", "expected a log of one vehicle of the archive, got 'x.csv'"),
    ],
)
def test_wrong_labels_are_refused_before_any_work(text, said, run, tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text(text)
    with pytest.raises(Exception, match=r"--labels") as caught:
        run(folders(tmp_path / "archive", 1, 1), "--labels", labels)
    assert said in str(caught.value)
    assert not (tmp_path / "out" / "alerts.parquet").exists()


def test_logs_without_a_signal_of_the_model_say_what_to_do_next(run, tmp_path):
    write_csv(tmp_path / "archive" / "t1" / "a.csv", [[moment, "", "", ""] for moment in times(0)], ["time", *NAMES])
    result = run(tmp_path / "archive")
    assert "no tick was run" in result.stderr
    assert "tickover inspect" in (tmp_path / "out" / "index.html").read_text()
    assert alerts_of(tmp_path / "out") == []


def test_an_archive_without_logs_is_refused(run, tmp_path):
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "readme.md").write_text("no log")
    for archive, said in ((tmp_path / "archive", "expected logs named"), (tmp_path / "none", "got nothing there")):
        with pytest.raises(LogError, match=said):
            run(archive)
    assert not (tmp_path / "out").exists()


def test_an_error_before_any_work_leaves_no_folder_behind_and_takes_none_away(tmp_path):
    for there in (False, True):
        out = tmp_path / f"out {there}"
        if there:
            out.mkdir()
            (out / "mine.txt").write_text("mine")
        with pytest.raises(TickoverError, match="no cluster"), hold(out):
            raise TickoverError("no cluster")
        assert out.exists() == there


def test_verdicts_that_are_none_or_of_other_episodes_are_told(run, tmp_path):
    archive = folders(tmp_path / "archive", vehicles=1)
    events = tmp_path / "verdicts.jsonl"
    events.write_text("\n")
    assert "no verdicts there, so none is given" in run(archive, "--events", events, out=tmp_path / "one").stderr
    said = {"vehicle": "truck-0", "episode": "of another model", "at": 1_706_623_199_000_000, "verdict": "real"}
    events.write_text(json.dumps(said) + "\n")
    told = run(archive, "--events", events, out=tmp_path / "two").stderr
    assert "0 verdicts given, 1 on episodes that are not of these logs" in told


def test_logs_without_a_vehicles_name_say_whose_they_are_taken_for(run, tmp_path):
    log = next(folders(tmp_path / "archive", 1, 1).rglob("*.csv"))
    alone = tmp_path / "2024-01-30.csv"
    alone.write_bytes(log.read_bytes())
    assert "1 log; 1 without a vehicle's name, taken for logs of truck-1" in run(alone).stderr
    assert "1 log; 1 of vehicle van 7 (--vehicle)" in run(alone, "--vehicle", "van 7").stderr


def test_the_folder_of_results_may_lie_in_the_archive(run, tmp_path):
    archive = folders(tmp_path / "archive")
    run(archive, out=archive / "out")
    assert "3 of 3 vehicles were done before" in run(archive, out=archive / "out").stderr


def test_the_plan_shows_whose_logs_there_are_and_runs_nothing(run, tmp_path):
    archive = folders(tmp_path / "archive")
    result = run(archive, "--plan")
    assert [line.split(":")[0] for line in result.stdout.splitlines()] == ["truck-0", "truck-1", "truck-2"]
    assert not (tmp_path / "out").exists()


def test_an_option_says_that_all_logs_are_of_one_vehicle(run, replayed, tmp_path):
    archive = folders(tmp_path / "archive", vehicles=1)
    run(archive, "--vehicle", "mine")
    logs = [archive / "truck-0" / f"trip {day}.csv" for day in (8, 9, 10)]
    assert events_of(tmp_path / "out", "mine") == replayed("mine", *logs) != b""


def test_an_archive_may_be_named_by_a_url(run, tmp_path):
    pytest.importorskip("fsspec", reason="archives elsewhere are read by fsspec (extra s3)")
    archive = folders(tmp_path / "archive")
    run(archive, out=tmp_path / "one")
    run(f"file://{archive}", out=tmp_path / "two")
    run(f"file://{archive}/*/trip*.csv", out=tmp_path / "three")
    for name in ("alerts.parquet", "daily.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "three" / name).read_bytes()
    assert "3 of 3 vehicles were done before" in run(f"file://{archive}", out=tmp_path / "two").stderr
    with pytest.raises(LogError, match="expected a URL that fsspec can open, got nowhere://"):
        run("nowhere://archive")


def test_an_archive_may_lie_in_an_object_store(run, tmp_path):
    """As in S3: names without folders, changes told by what the store says, no path of this machine."""
    fsspec = pytest.importorskip("fsspec", reason="archives elsewhere are read by fsspec (extra s3)")
    archive, store = folders(tmp_path / "archive"), fsspec.filesystem("memory")
    for log in archive.rglob("*.csv"):
        store.pipe_file(f"/fleet/{log.relative_to(archive)}", log.read_bytes())
    try:
        run(archive, out=tmp_path / "one")
        run("memory://fleet", out=tmp_path / "two")
        for name in ("alerts.parquet", "daily.csv"):
            assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
        assert "3 of 3 vehicles were done before" in run("memory://fleet/*/*.csv", out=tmp_path / "two").stderr
        changed = sorted(store.find("/fleet"))[0]
        store.pipe_file(changed, store.cat_file(changed))
        assert "2 of 3 vehicles were done before" in run("memory://fleet", out=tmp_path / "two").stderr
    finally:
        store.rm("/fleet", recursive=True)


def test_a_second_back_fill_into_the_same_folder_is_refused(run, tmp_path):
    archive = folders(tmp_path / "archive", 1, 1)
    with hold(tmp_path / "out"), pytest.raises(TickoverError, match="another back-fill writes there"):
        run(archive)

"""A replay from a truck's state with the verdicts that were given there gives its alerts, bit for bit."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import paths
from tickover.commands.replay import replay
from tickover.core.ledger import Verdict
from tickover.core.pipeline import Pipeline
from tickover.core.policy import EpisodeOverrides, Settings
from tickover.core.values import SECOND, Phase, Readings
from tickover.jobs.replay_state import save_state
from tickover.messages.alerts import encode_alert
from tickover.model.detector import Detector

MODEL = paths.MODELS / "lstm_forecaster.onnx"  # has slow means
NAMES = ("coolant", "rpm", "speed")
DAYS, SECONDS = 3, 600
TODAY = Settings(episodes=EpisodeOverrides(adapt_limits=True, hold_slow_means=True))
MAPPING = "[episodes]\nadapt_limits = true\nhold_slow_means = true\n" + "".join(f"[signals.{name}]\n" for name in NAMES)


def day(number):
    """Rows of a trip with many excursions of speed, some of which pass a limit that was raised."""
    random = np.random.default_rng(number)
    table = random.normal([24, 49, 45], 1, (SECONDS, 3))
    for start in range(100, SECONDS - 100, 200):
        table[start : start + 20, 2] += random.uniform(8, 16) * random.choice([-1, 1], 20)
    return number * 86_400 + np.arange(SECONDS), np.round(table, 3)


def write(path, numbers):
    with path.open("w") as file:
        file.write("t_s," + ",".join(NAMES) + "\n")
        for number in numbers:
            for time, row in zip(*day(number), strict=True):
                file.write(f"{time}," + ",".join(f"{value:.3f}" for value in row) + "\n")
    return path


class Lived:
    """A truck's days, cut as messages come, with a verdict now and then."""

    def __init__(self, folder, saved_before):
        self.pipeline = Pipeline(Detector.load(MODEL), TODAY)
        self.alerts, self.lines, self.kept = [], [], folder / "state"
        for number in range(DAYS):
            if number == saved_before:
                save_state(self.pipeline, self.kept)
                self.alerts.clear()
            self._drive(*day(number), verdict_at=SECONDS // 2 + number)

    def _drive(self, time, table, verdict_at):
        for start in range(0, len(time), 37):
            part = slice(start, start + 37)
            self.pipeline.feed(Readings("truck-1", NAMES, time[part] * SECOND, table[part]))
            self.alerts += [alert for output in self.pipeline.pump() for alert in output.alerts]
            if start <= verdict_at < start + 37:
                self._judge()

    def _judge(self):
        said = [alert for alert in self.alerts if alert.phase is Phase.START][-3:]
        for alert, verdict in zip(said, (Verdict.FALSE, Verdict.REAL, Verdict.FALSE), strict=False):
            at = self.pipeline.reached("truck-1")
            assert self.pipeline.judge("truck-1", alert.alert_id, verdict)
            line = {"vehicle": "truck-1", "episode": alert.episode_id, "at": at, "verdict": verdict, "note": "x"}
            self.lines.append(json.dumps(line))


@pytest.mark.parametrize("saved_before", [None, 1])
def test_replay_with_state_and_verdicts_gives_the_trucks_alerts(tmp_path, saved_before):
    lived = Lived(tmp_path, saved_before)
    assert lived.pipeline.adapted("truck-1")  # limits did follow
    events = tmp_path / "verdicts.jsonl"
    events.write_text("\n".join(lived.lines) + "\n")
    log = write(tmp_path / "log.csv", range(saved_before or 0, DAYS))
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(MAPPING)

    def alerts(*options):
        out = tmp_path / "alerts.jsonl"
        arguments = [MODEL, log, "--map", mapping, "--alerts", out, *options]
        result = CliRunner().invoke(replay, [str(argument) for argument in arguments])
        assert result.exit_code == 0, result.output
        lines = [line for line in out.read_bytes().splitlines() if b'"end_of_log"' not in line]
        return lines, result.output

    state = ["--state", lived.kept] if saved_before else []
    expected = [encode_alert(alert) for alert in lived.alerts]
    found, output = alerts(*state, "--events", events)
    assert found == expected
    assert f"{len(lived.lines) if not saved_before else ''} verdict" in output or saved_before
    assert "limits that follow it" in output
    assert ("limits start as trained" in output) is not bool(saved_before)
    without, _ = alerts()
    assert without != expected


def test_a_file_that_holds_no_verdicts_is_refused_with_its_line(tmp_path):
    events = tmp_path / "events.jsonl"
    events.write_text('{"vehicle": "v", "episode": "e", "at": 1, "verdict": "real"}\n{"vehicle": "v"}\n')
    log = write(tmp_path / "log.csv", [0])
    result = CliRunner().invoke(replay, [str(MODEL), str(log), "--events", str(events)])
    assert result.exit_code != 0
    assert "events.jsonl, line 2: expected a verdict" in str(result.exception)

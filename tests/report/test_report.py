"""The report page: self-contained, safe with hostile text, complete, and alive in a real browser."""

import html
import json
import re
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import structs

pytest.importorskip("jinja2", reason="the report extra is not installed")
pytest.importorskip("plotly", reason="the report extra is not installed")

import chromium
import reported
from reported import START
from tickover.core.manifest import Manifest
from tickover.core.values import (
    SECOND,
    Alert,
    Contribution,
    Phase,
    ScoredTicks,
    Scores,
    TickBlock,
)
from tickover.report import Report
from tickover.report import contents as limits
from tickover.report.log_rows import LogSpan

HOSTILE = "</script><script>document.title='PWNED'</script><img src=x onerror=alert(1)>&amp;\u2028"
LARGEST_PAGE = 10_000_000
DESK, PHONE = (1200, 1400), (500, 1400)
PATIENCE_MS = 60_000
"""Of the browser's own clock, which jumps."""
"""Sizes of the window; Chromium makes none narrower than the phone's."""


def manifest(unit: str = "kPa") -> Manifest:
    return reported.manifest(("boost", "coolant", "voltage"), ("fast",), unit=unit)


def scored(ticks: int = 3000, vehicle: str = "truck-1", start: int = START) -> ScoredTicks:
    """A break after half of the ticks, an episode of ``coolant`` from 500 to 700, some missing voltage."""
    rng = np.random.default_rng(5)
    number = np.arange(ticks)
    late = number >= ticks // 2
    time = start + (number + 3600 * late) * SECOND
    expected = (100 + 10 * np.sin(number[:, None] / 50 + np.arange(3))).astype(np.float32)
    values = expected + rng.normal(0, 0.5, expected.shape).astype(np.float32)
    wrong = (number >= 500) & (number < 700)
    values[wrong, 1] += 40
    values[100:110, 2] = np.nan
    chart = rng.uniform(0.1, 0.6, expected.shape).astype(np.float32)
    chart[wrong, 1] = 3.0
    return ScoredTicks(
        TickBlock(vehicle, time, late.astype(np.int64), values), Scores(chart.max(axis=1), chart, expected), wrong
    )


def alerts(vehicle: str = "truck-1", start: int = START, number: int = 0, peak: float = 3.0) -> list[Alert]:
    """An episode's start, update and end. The update is the one that tells most."""

    def told(phase: Phase, second: int, observed: float, score: float) -> Alert:
        blame = Contribution("coolant", "kPa", "coolant.fast", score, 1.0, "high", observed, 100.0)
        begun, time = start + 500 * SECOND, start + second * SECOND
        return reported.alert(phase, blame, vehicle=vehicle, number=number, start=begun, time=time, peak=peak)

    return [
        told(Phase.START, 500, 111.0, 1.1),
        told(Phase.UPDATE, 600, 142.5, 3.0),
        told(Phase.END, 730, 101.0, 0.4),
    ]


def filled(*, title: str = "A day", vehicle: str = "truck-1", unit: str = "kPa", start: int = START) -> Report:
    report = Report(manifest(unit), title=title, digest="ab" * 32)
    report.add(scored(vehicle=vehicle, start=start), alerts(vehicle, start))
    return report


class Scripts(HTMLParser):
    """The scripts of a page and every attribute that may load something."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.kinds: list[str | None] = []
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "script":
            self.kinds.append(dict(attrs).get("type"))
        self.loads += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "action"}]

    def handle_data(self, data: str) -> None:
        if self.lasttag not in {"script", "style"}:
            self.text.append(data)


def browse(tmp_path: Path, page: str, then: str = "", size: tuple[int, int] = DESK) -> str:
    """The page's document after the browser has drawn it and run ``then`` (JavaScript) a second later.

    The browser's clock jumps from timer to timer, but its first frame, with which the page begins, takes real time: so
    the probe looks again and again.
    """
    if chromium.CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    probe = """<script>
const faults = [];
addEventListener("error", (event) => faults.push(event.message));
addEventListener("securitypolicyviolation", (event) => faults.push(event.violatedDirective + " " + event.blockedURI));
const ask = () => setTimeout(() => { THEN; setTimeout(() => {
  const answer = document.createElement("output");
  answer.id = "answer";
  answer.textContent = JSON.stringify({
    title: document.title, faults, requests: performance.getEntriesByType("resource").map((entry) => entry.name),
    drawn: document.querySelectorAll(".drawn .main-svg").length, range: $("range").textContent,
    theme: document.documentElement.dataset.theme, chosen: document.querySelectorAll("tr.chosen").length,
    first: document.querySelector(".signal h3") && document.querySelector(".signal h3").firstChild.textContent,
    points: $("score").data ? $("score").data[0].x.length : null,
    furthest: $("score").calcdata ? new Set($("score").calcdata[0].filter((point) => point.x !== undefined).map(
      (point) => Number.isFinite(point.x) ? new Date(point.x).getUTCFullYear() : 1970)).size : null,
    breaks: $("score").data ? $("score").data[0].y.filter((y) => y === null).length : null,
    shapes: $("score").layout ? $("score").layout.shapes.length : null,
    overflow: document.documentElement.scrollWidth - innerWidth, tallest: Math.max(...[...document.querySelectorAll(
      "tr[data-episode]")].map((row) => row.offsetHeight)),
    room: ["score", "heat"].map((id) => $(id)._fullLayout ? $(id)._fullLayout._size.w / innerWidth : 0),
  });
  document.body.append(answer);
}, 1500); }, 1500);
const whenDrawn = () => document.querySelector(".drawn .main-svg") ? ask() : setTimeout(whenDrawn, 1);
addEventListener("load", whenDrawn);
</script>""".replace("THEN", then)
    file = tmp_path / "page.html"
    file.write_text(page.replace("</head>", probe + "</head>", 1), encoding="utf-8")
    flags = (f"--virtual-time-budget={PATIENCE_MS}", "--dump-dom")
    command = chromium.command(tmp_path / "profile", file.as_uri(), size=size, flags=flags)
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def answer(dom: str) -> dict[str, object]:
    found = re.search(r'<output id="answer">(.*?)</output>', dom, re.DOTALL)
    assert found, "the page gave no answer"
    result: dict[str, object] = json.loads(html.unescape(found[1]))
    return result


def test_the_page_is_one_file_that_loads_nothing(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    filled().write(path, {"late": 3, "duplicate": 0})
    text = path.read_text(encoding="utf-8")
    scripts = Scripts(text)
    assert scripts.loads == []
    assert scripts.kinds == ["application/json", "text/plain", None]
    assert "default-src 'none'" in text
    assert path.stat().st_size < LARGEST_PAGE
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"], "no temporary file stays behind"


def test_the_tables_tell_what_happened() -> None:
    words = " ".join(" ".join(Scripts(filled().html({"late": 3, "duplicate": 0})).text).split())
    assert "1 episode. 1 major" in words
    assert "2026-03-02 06:08:20" in words, "the episode's start"
    assert "3 min 51 s" in words, "from 500 s to the end of the tick at 730 s"
    assert "recovered" in words
    assert "coolant too high 142.5 kPa, expected 100 kPa" in words, "as told by the alert with the highest score"
    assert "voltage kPa – 10 0.33%" in words, "missing ticks of a signal"
    assert "late 3" in words
    assert "duplicate" not in words
    assert "3,000" in words


def test_a_quiet_log_says_so_plainly() -> None:
    report = Report(manifest(), title="Quiet")
    report.add(scored(400), [])
    words = " ".join(" ".join(Scripts(report.html()).text).split())
    assert "No alert. No episode opened in 6 min 40 s of driving; the highest score was 0.6" in words
    assert '<table class="episodes">' not in report.html()


def test_a_log_without_ticks_gives_a_page() -> None:
    report = Report(manifest(), title="Nothing")
    report.add(scored(0), [])
    assert "No ticks." in report.html()
    assert "No ticks." in Report(manifest()).html()


def test_a_log_that_counts_from_its_start_shows_no_date() -> None:
    words = " ".join(Scripts(filled(start=0).html()).text)
    assert "0:08:20" in words
    assert "1970" not in words


@pytest.mark.slow
def test_the_browser_draws_a_log_that_counts_from_its_start(tmp_path: Path) -> None:
    """Plotly takes numbers such as 2000 for years; a line drawn so would cross the whole picture."""
    page = filled(start=0).html()
    assert answer(browse(tmp_path, page))["furthest"] == 1, "no point is left or right of the log"
    told = answer(browse(tmp_path, page, "document.querySelector('button.go').click()"))
    assert told["faults"] == []
    assert re.fullmatch(r"0:0\d:\d\d to 0:1\d:\d\d", str(told["range"]))


def test_hostile_text_stays_text() -> None:
    text = filled(title=HOSTILE, vehicle=HOSTILE, unit="</script><script>alert(1)//").html({HOSTILE: 1})
    scripts = Scripts(text)
    assert scripts.kinds == ["application/json", "text/plain", None]
    assert "img" not in scripts.tags
    packed = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)
    assert packed is not None
    assert json.loads(packed[1])["vehicles"][0]["name"] == HOSTILE


def test_the_page_does_not_depend_on_how_the_ticks_came() -> None:
    whole, cut = filled(), Report(manifest(), title="A day", digest="ab" * 32)
    ticks = scored()
    for first in range(0, 3000, 250):
        part = ticks.at(slice(first, first + 250))
        told = [a for a in alerts() if first <= (a.time - START) // SECOND < first + 250]
        cut.add(part, told)
    assert cut.html() == whole.html()


def test_many_vehicles_and_episodes_stay_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "EPISODES", 10)
    report = Report(manifest(), title="Fleet")
    for number in range(limits.VEHICLES + 3):
        vehicle = f"truck-{number}"
        told = [alert for n in range(3) for alert in alerts(vehicle, START + n, n, peak=float(number + 1))]
        report.add(scored(300, vehicle), told)
    assert len(report.episodes) == 10
    assert report.unlisted == 3 * (limits.VEHICLES + 3) - 10
    assert min(story.peak for story in report.episodes) > limits.VEHICLES - 2, "the worst are listed"
    page = report.html()
    assert "vehicles not drawn" in page
    assert f"{3 * (limits.VEHICLES + 3)} episodes." in page
    assert len(page) < LARGEST_PAGE


@pytest.mark.slow
def test_the_browser_draws_zooms_and_changes_its_theme(tmp_path: Path) -> None:
    page = filled(title=HOSTILE, vehicle=HOSTILE, unit="<b>kPa</b>").html()
    plain = answer(browse(tmp_path, page))
    assert plain["faults"] == []
    assert plain["requests"] == []
    assert plain["title"] != "PWNED"
    assert plain["drawn"] >= 3
    assert plain["range"] == ""
    assert plain["first"] == "coolant", "the highest chart comes first"
    assert plain["breaks"] == 1, "the line breaks between the trips"
    assert plain["shapes"] == 3, "the limit, the episode and the break between the trips"
    other = "dark" if plain["theme"] == "light" else "light"
    zoomed = answer(browse(tmp_path, page, "document.querySelector('button.go').click(); $('theme').click()"))
    assert zoomed["faults"] == []
    assert zoomed["chosen"] == 1
    assert zoomed["theme"] == other
    assert str(zoomed["range"]).startswith("2026-03-02 06:0")
    assert zoomed["points"] < plain["points"], "only the range is drawn"


@pytest.mark.slow
def test_the_page_fits_a_phone(tmp_path: Path) -> None:
    """Long names leave the pictures their width, and an episode is a few lines, not a column of single words."""
    long = "pressure_of_the_brake_air_circuit"
    report = Report(reported.manifest((long, "coolant", "voltage"), ("fast",)))
    report.add(scored(), alerts())
    told = answer(browse(tmp_path, report.html(), size=PHONE))
    assert told["faults"] == []
    assert told["overflow"] <= 0
    assert min(told["room"]) > 0.7
    assert told["tallest"] < 130


def verdict(report: Report) -> str:
    """The class of the page's verdict."""
    found = re.search(r'<p class="verdict ?(\w*)">', report.html({}))
    assert found
    return found[1]


def calm(missing: float) -> ScoredTicks:
    """Ticks with nothing wrong but the voltage, which is missing in this share of them."""
    ticks = scored().ticks
    values = ticks.values.copy()
    values[:, 1] = 100
    values[: round(missing * len(values)), 2] = np.nan
    low = np.full(values.shape, 0.2, np.float32)
    block = TickBlock("truck-1", ticks.time, ticks.trip, values)
    return ScoredTicks(block, Scores(low[:, 0], low, values), np.zeros(len(values), np.bool_))


@pytest.mark.parametrize(("missing", "expected"), [(0.0, "calm"), (0.1, "calm"), (0.3, "doubt"), (1.0, "doubt")])
def test_a_log_in_which_a_signal_is_unusable_for_a_large_share_is_no_all_clear(missing: float, expected: str) -> None:
    report = Report(manifest())
    report.add(calm(missing), [])
    assert verdict(report) == expected


def test_a_model_with_a_signal_that_no_chart_watches_gives_no_all_clear() -> None:
    charts = manifest().charts
    report = Report(structs.replace(manifest(), charts=(structs.replace(charts[0], limit=None), *charts[1:])))
    report.add(calm(0.0), [])
    assert verdict(report) == "doubt"
    assert "no chart watches boost" in report.html({})


LATER = START + 214 * 86_400 * SECOND
"""Seven months on, when Berlin has summer time."""


def apart(zone: str = "") -> Report:
    """Two logs, seven months apart."""
    report = Report(manifest(), zone=zone)
    report.add(scored(), alerts())
    report.add(scored(start=LATER), alerts("truck-1", LATER, 1))
    return report


def told_by(tmp_path: Path, page: str, script: str, answers: str, size: tuple[int, int] = DESK) -> dict[str, Any]:
    """What the expression ``answers`` is a moment after ``script``; the page has no faults."""
    later = f"{script}; setTimeout(() => {{ document.title = JSON.stringify({answers}); }}, 500)"
    found = answer(browse(tmp_path, page, later, size))
    assert found["faults"] == []
    assert found["overflow"] <= 0
    told: dict[str, Any] = json.loads(str(found["title"]))
    return told


@pytest.mark.slow
def test_months_between_two_logs_are_a_narrow_break_that_tells_its_length(tmp_path: Path) -> None:
    """Drawing, pointing and zooming share one function from time to position, and its inverse."""
    first, last = LATER // 1000 + 400_000, LATER // 1000 + 800_000
    script = f"""Plotly.Fx.hover($("score"), {{ xval: axis().place({LATER // 1000 + 600_500}) }}, "xy");
        let seen = null;
        setTimeout(() => {{
            seen = {{
                breaks: axis().breaks.map((gap) => (gap.end - gap.at) / axis().perPixel),
                notes: $("score").layout.annotations.map((note) => note.text),
                astray: data.episodes.map(({{ start }}) => axis().timeAt(axis().place(start)) - start),
                rising: $("score").data[0].x.filter((x) => x !== null).every((x, i, all) => !i || x > all[i - 1]),
                hover: document.querySelector(".hoverlayer .legendtitletext").textContent,
                heat: $("heat").layout.shapes.length,
                ranges: [$("score"), document.querySelector("#signals .drawn")].map((e) => [...e.layout.xaxis.range]),
            }};
            const [from, to] = [{first}, {last}].map(axis().place);
            Plotly.relayout($("score"), {{ "xaxis.range[0]": from, "xaxis.range[1]": to }});
        }}, 200)"""
    told = told_by(tmp_path, apart().html(), script, "{ ...seen, zoomed: $('range').textContent, left: axis().breaks }")
    assert told["notes"] == ["limit", "1 h", "214 d", "1 h"]
    assert all(10 < width < 30 for width in told["breaks"])
    assert max(map(abs, told["astray"])) < 1
    assert told["rising"]
    assert told["hover"] == "2026-10-02 06:10:00"
    assert told["heat"] == 3
    assert told["ranges"][0] == told["ranges"][1], "all panels share the axis"
    assert told["zoomed"] == "2026-10-02 06:06:40 to 2026-10-02 06:13:20"
    assert told["left"] == [], "no gap is in the range"


@pytest.mark.slow
def test_the_viewer_chooses_the_time_zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    page = apart("Europe/Berlin").html()
    assert "2026-03-02 06:08:20" in page, "without a script, times are UTC"
    script = """const pick = (name) => {
            $("zone").value = name;
            $("zone").dispatchEvent(new Event("change"));
            const starts = [...document.querySelectorAll(".go time")].map((time) => time.textContent);
            return [document.querySelector("th .zone").textContent, ...starts];
        };
        const offered = [...$("zone").options].map((option) => option.value);
        const picked = [...offered, "Europe/Berlin"].map(pick)"""
    told = told_by(tmp_path, page, script, "{ offered, picked, ticks: $('score').layout.xaxis.ticktext }", PHONE)
    assert told["offered"] == ["UTC", "Europe/Berlin", "America/New_York"]
    assert told["picked"][0] == ["UTC", "2026-03-02 06:08:20", "2026-10-02 06:08:20"]
    assert told["picked"][1] == ["Europe/Berlin", "2026-03-02 07:08:20", "2026-10-02 08:08:20"]
    assert told["picked"][2] == ["America/New_York", "2026-03-02 01:08:20", "2026-10-02 02:08:20"]
    assert told["ticks"][0] == "07:00<br>Mar 2, 2026"
    assert "08:00<br>Oct 2, 2026" in told["ticks"]


def with_dropped(block: int = 3000) -> Report:
    """Boost was over its range for 100 ticks, where nothing else was read; coolant twice in the episode."""
    told = manifest()
    ranged = tuple(structs.replace(signal, low=0.0, high=150.0) for signal in told.signals)
    report = Report(structs.replace(told, signals=ranged))
    whole = scored()
    values, outside = whole.ticks.values.copy(), np.full(whole.ticks.values.shape, np.nan, np.float32)
    outside[560, 1], outside[640, 1], outside[2000:2100, 0] = 512, -40, 300
    values[640, 1] = values[2000:2100, 0] = np.nan
    ticks = ScoredTicks(replace(whole.ticks, values=values, outside=outside), whole.scores, whole.open)
    for first in range(0, 3000, block):
        piece = ticks.at(slice(first, first + block))
        report.add(piece, [alert for alert in alerts() if alert.time in piece.ticks.time])
    return report


def test_what_was_dropped_is_told_by_signal() -> None:
    page = with_dropped().html({}, {"out_of_range": [100, 2, 0], "late": [0, 1234, 0], "missing": [100, 1, 10]})
    words = " ".join(" ".join(Scripts(page).text).split())
    assert "boost kPa 0 to 150 100 3.33% 100 out of range" in words
    assert "coolant kPa 0 to 150 1 0.03% 1,234 late, 2 out of range" in words
    assert "voltage kPa 0 to 150 10 0.33% –" in words


def test_marks_of_dropped_readings_do_not_depend_on_how_the_ticks_came() -> None:
    assert with_dropped(250).html() == with_dropped().html()


@pytest.mark.slow
def test_a_signals_panel_marks_ticks_without_a_value_and_readings_out_of_range(tmp_path: Path) -> None:
    script = """const seen = () => Object.fromEntries([...document.querySelectorAll("#signals .drawn")].map((panel) => [
            panel.parentElement.querySelector("h3").firstChild.textContent,
            Object.fromEntries(panel.data.filter((trace) => trace.yaxis === "y2").map((trace) => [trace.name, {
                texts: trace.text.filter(Boolean), at: trace.x.map((x) => x && axis().timeAt(x)), y: trace.y }]))]));
        const all = seen();
        choose(0)"""
    told = told_by(tmp_path, with_dropped().html(), script, "{ all, zoomed: seen() }", (1200, 2400))
    boost, coolant = told["all"]["boost"], told["zoomed"]["coolant"]
    assert set(boost["out of range"]["texts"]) == {"300 kPa, out of range"}
    assert len(boost["out of range"]["texts"]) == 100
    assert (min(filter(None, boost["missing"]["at"])) - START // 1000) // 1000 == 2000 + 3600
    assert list(told["all"]["voltage"]) == ["missing"]
    assert coolant["out of range"]["texts"] == ["512 kPa, out of range", "-40 kPa, out of range"]
    assert coolant["out of range"]["y"][0] > 0.5 > coolant["out of range"]["y"][1], "at the edge that it lay beyond"
    assert [round(at / 1000 - START / SECOND, 1) for at in coolant["out of range"]["at"]] == [560.5, 640.5]
    assert coolant["missing"]["texts"] == ["no usable value"] * 3


def named(zone: str = "") -> Report:
    """The two logs by their names, and a third that overlaps the first."""
    report = apart(zone)
    day = 86_400 * SECOND
    for name, first in (("march.csv", START), ("again <b>.csv", START + 600 * SECOND), ("october.csv", LATER)):
        report.add_log(LogSpan(name, "truck-1", first, first + day))
    return report


def copies(page: str) -> list[list[str]]:
    """What each episode's buttons copy."""
    rows = page.split("<tr data-episode")[1:]
    return [[html.unescape(text) for text in re.findall(r'data-copy="([^"]*)"', row)] for row in rows]


def test_an_episode_names_the_logs_and_the_times_of_its_rows() -> None:
    first, second = copies(named().html())
    assert first == [
        "march.csv: rows from 2026-03-02T06:08:20Z to 2026-03-02T06:12:11Z",
        "again <b>.csv: rows from 2026-03-02T06:10:00Z to 2026-03-02T06:12:11Z",
    ]
    assert second == ["october.csv: rows from 2026-10-02T06:08:20Z to 2026-10-02T06:12:11Z"]
    assert "Log rows" not in filled().html(), "no log is known"


@pytest.mark.parametrize(
    ("zone", "clock"), [("Europe/Berlin", "T08:08:20+02:00"), ("-05:30", "T00:38:20-05:30"), ("No/Where", None)]
)
def test_rows_are_told_by_the_clock_of_the_named_zone_too(zone: str, clock: str | None) -> None:
    text = copies(named(zone).html())[1][0]
    assert text.startswith("october.csv: rows from 2026-10-02T06:08:20Z to 2026-10-02T06:12:11Z")
    assert (f"(2026-10-02{clock} to " in text and text.endswith(f" in {zone})")) if clock else "(" not in text


def test_rows_of_a_log_that_counts_from_its_start_are_told_in_seconds() -> None:
    report = filled(start=0)
    report.add_log(LogSpan("bench.csv", "truck-1", 0, 9000 * SECOND))
    assert copies(report.html()) == [["bench.csv: rows from 500 s to 731 s of the log (0:08:20 to 0:12:11)"]]


def test_rows_of_a_log_of_several_vehicles_name_the_vehicle() -> None:
    report = filled(vehicle="truck-2")
    report.add_log(LogSpan("fleet.csv", "truck-1", START, LATER, alone=False))
    report.add_log(LogSpan("fleet.csv", "truck-2", START, LATER, alone=False))
    (told,) = copies(report.html())
    assert [text.split(": ")[0] for text in told] == ["fleet.csv, vehicle truck-2"]


@pytest.mark.slow
def test_a_click_copies_the_rows_and_does_not_zoom(tmp_path: Path) -> None:
    """Where the browser does not let the page copy, the text is shown."""
    script = """let copied = null;
        const [first, second] = document.querySelectorAll(".copy");
        const clipboard = { writeText: async (text) => { copied = text; } };
        Object.defineProperty(navigator, "clipboard", { configurable: true, value: clipboard });
        first.click();
        Object.defineProperty(navigator, "clipboard", { value: undefined });
        second.click()"""
    answers = """{ copied, said: document.querySelectorAll(".copied").length, range: $("range").textContent,
        shown: document.querySelector(".rows code").textContent }"""
    told = told_by(tmp_path, named().html(), script, answers, PHONE)
    march, again = copies(named().html())[0]
    assert told == {"copied": march, "said": 1, "range": "", "shown": again}

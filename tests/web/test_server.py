"""``tickover web`` as a process: what it keeps through kills and outages, and whom it answers."""

import http.client
import json
import re
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import paths
import web_fleet as fleet
from broker import MOSQUITTO, Broker, free_port, wait_until
from tickover.core.values import SECOND, Phase
from tickover.host.clock import now_us
from tickover.messages.alerts import encode_alert
from web_process import Publisher, WebProcess

pytest.importorskip("starlette", reason="the page needs the extra web")
pytest.importorskip("uvicorn", reason="the page needs the extra web")

MAKE_CERTS = paths.ROOT / "deploy" / "mosquitto" / "make-certs.sh"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed (apt install mosquitto)")
    with Broker(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture(scope="module")
def web(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebProcess]:
    process = WebProcess(broker, tmp_path_factory.mktemp("web") / "state").start()
    yield process
    process.kill()


@pytest.fixture
def publisher(broker: Broker) -> Iterator[Publisher]:
    one = Publisher(broker)
    yield one
    one.close()


def refused(web: WebProcess, path: str, headers: dict[str, str] | None = None, body: object = None) -> tuple[int, str]:
    with pytest.raises(urllib.error.HTTPError) as caught:
        web.read(path, headers, body)
    return caught.value.code, caught.value.read().decode()


def test_alerts_published_while_the_page_is_killed_are_in_its_history_once(
    broker: Broker, web: WebProcess, publisher: Publisher
) -> None:
    def send(numbers: range) -> None:
        for number in numbers:
            publisher.send("killed", "alert/anomaly", fleet.event("killed", Phase.START, number * SECOND, start=number))
        publisher.drain()

    send(range(1, 30))
    web.kill()
    send(range(30, 60))
    web.start()
    send(range(50, 70))
    wait_until(lambda: len(web.get("/api/truck?name=killed")["episodes"]) == 69, 10, "all 69 episodes are there")
    assert {one["alerts"] for one in web.get("/api/truck?name=killed")["episodes"]} == {1}


def test_the_stream_resumes_after_the_number_that_was_seen(web: WebProcess, publisher: Publisher) -> None:
    view = web.get("/api/fleet")
    publisher.send("resumed", "status", fleet.status())
    publisher.drain()
    seen = f"{view['epoch']}-{view['number']}"
    for header in (False, True):
        address = f"{web.url}/api/stream" + ("" if header else f"?seen={seen}")
        request = urllib.request.Request(address, headers={"Last-Event-ID": seen} if header else {})
        with urllib.request.urlopen(request, timeout=10) as stream:
            wait_until(lambda: b"resumed" in stream.readline(), 10, "the truck is told")
    with urllib.request.urlopen(f"{web.url}/api/stream?seen=elsewhere-5", timeout=10) as stream:
        assert b"event: anew\n" in (stream.readline(), stream.readline())


def test_a_verdict_is_kept_and_exported_though_no_daemon_answers(web: WebProcess, publisher: Publisher) -> None:
    publisher.send("judged", "alert/anomaly", fleet.event("judged", Phase.START, now_us(), start=now_us()))
    wait_until(lambda: any(one["vehicle"] == "judged" for one in web.get("/api/recent")["episodes"]), 10, "it is there")
    (id,) = [one["id"] for one in web.get("/api/recent")["episodes"] if one["vehicle"] == "judged"]
    said = {"episode": id, "what": "verdict", "value": "false", "reason": "wiper", "who": "eve"}
    assert web.post("/api/mark", said)["ok"] is True
    lines = [json.loads(line) for line in web.read("/api/verdicts.jsonl").splitlines()]
    assert [(one["episode"], one["verdict"], one["by"]) for one in lines] == [(id, "false", "eve")]
    assert "unknown" in refused(web, "/api/mark", {"x-tickover": "1"}, {**said, "episode": "x"})[1]
    assert refused(web, "/api/mark", {"x-tickover": "1"}, {**said, "value": "x"})[0] == 400
    assert refused(web, "/api/mark", {"x-tickover": "1"}, {"reason": "x" * 20_000})[0] == 400


def test_an_alert_of_a_model_with_three_hundred_signals_arrives(web: WebProcess, publisher: Publisher) -> None:
    one = fleet.alert("wide", Phase.START, fleet.T0)
    frame, more = one.freeze_frame, tuple(f"signal_{number}" for number in range(300))
    wider = replace(
        frame,
        signals=frame.signals + more,
        observed=tuple((*row, *(n + 0.123 for n in range(300))) for row in frame.observed),
        expected=tuple((*row, *(n + 0.321 for n in range(300))) for row in frame.expected),
    )
    body = encode_alert(replace(one, freeze_frame=wider))
    assert len(body) > 100_000
    publisher.send("wide", "alert/anomaly", body)
    wait_until(lambda: any(row[1] == "wide" for row in web.get("/api/fleet")["rows"]), 10, "it is there")


def test_metrics_tell_of_the_fleet_and_of_trucks_that_need_somebody(web: WebProcess, publisher: Publisher) -> None:
    pytest.importorskip("prometheus_client", reason="needs the extra metrics")
    at = now_us()
    publisher.send('odd"name\\', "alert/anomaly", fleet.event('odd"name\\', Phase.START, at, start=at, peak=5.0))
    publisher.send("gone", "status", fleet.status("offline"))
    wait_until(lambda: b'vehicle="gone"' in web.read("/metrics"), 10, "it is told")
    text = web.read("/metrics").decode()
    assert re.search(r'^tickover_fleet_trucks\{state="offline"\} 1\.0$', text, re.M)
    assert r'{detector="anomaly",severity="critical",vehicle="odd\"name\\"} 5.0' in text
    assert "tickover_fleet_broker_connected 1.0" in text


def test_another_site_can_neither_read_nor_change_anything(web: WebProcess) -> None:
    assert refused(web, "/", {"Host": "evil.example"})[0] == 421
    assert refused(web, "/api/forget", {}, {"vehicle": "killed"})[0] == 403
    with urllib.request.urlopen(web.url + "/?truck=x", timeout=10) as answer:
        policy = answer.headers["content-security-policy"]
        body = answer.read().decode()
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"https?://", body), "the page loads nothing from elsewhere"
    assert not re.search(r"<script>|style=|\son\w+=", body), "nothing inline, which the policy forbids"


@pytest.mark.parametrize("path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static/x.js", "/api/truck?name=no"])
def test_what_is_not_there_is_answered_as_such(web: WebProcess, path: str) -> None:
    assert refused(web, path)[0] == 404


def test_a_token_is_asked_for_and_opens_the_page(broker: Broker, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("0123456789abcdef0123\n")
    web = WebProcess(broker, tmp_path / "state", "--token-file", str(token), "--listen", "0.0.0.0", "--plaintext-web")
    web.process = subprocess.Popen(web.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: is_up(web), 20, "the page is served")
        assert refused(web, "/api/fleet")[0] == 401
        assert refused(web, "/api/fleet", {"Authorization": "Bearer wrong"})[0] == 401
        assert json.loads(web.read("/api/fleet", {"Authorization": "Bearer 0123456789abcdef0123"}))["rows"] == []
        assert b'name="token"' in web.read("/")
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with opener.open(f"{web.url}/login", b"token=0123456789abcdef0123", timeout=10) as answer:
            assert answer.url == f"{web.url}/"
        with opener.open(f"{web.url}/api/fleet", timeout=10) as answer:
            assert answer.status == 200
    finally:
        web.kill()


def test_a_client_certificate_opens_the_page_and_without_one_there_is_none(broker: Broker, tmp_path: Path) -> None:
    certs, make = tmp_path / "certs", str(MAKE_CERTS)
    for part in (["broker", "localhost", "127.0.0.1"], ["person", "alice"]):
        subprocess.run([make, str(certs), *part], check=True, capture_output=True)
    tls = ["--tls-cert", str(certs / "broker.crt"), "--tls-key", str(certs / "broker.key")]
    web = WebProcess(broker, tmp_path / "state", *tls, "--client-ca", str(certs / "ca.crt"), "--listen", "0.0.0.0")
    web.process = subprocess.Popen(web.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    known, unknown = (ssl.create_default_context(cafile=str(certs / "ca.crt")) for _ in range(2))
    known.load_cert_chain(certs / "alice.crt", certs / "alice.key")

    def status(context: ssl.SSLContext) -> int:
        try:
            with urllib.request.urlopen(f"https://localhost:{web.port}/", timeout=5, context=context) as answer:
                return int(answer.status)
        except (OSError, http.client.HTTPException):
            return 0

    try:
        wait_until(lambda: status(known) == 200, 20, "the page is served")
        assert status(unknown) == 0
    finally:
        web.kill()


def is_up(web: WebProcess) -> bool:
    try:
        return b"login" in web.read("/login")
    except (urllib.error.URLError, ConnectionError):
        return False


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--listen", "0.0.0.0"], "expected --token-file FILE or --client-ca FILE"),
        (["--listen", "::", "--token-file", "TOKEN"], "expected --tls-cert and --tls-key"),
        (["--client-ca", "TOKEN"], "client certificates need TLS"),
        (["--token-file", "SHORT"], "expected at least 16 characters, got 3"),
    ],
)
def test_a_page_that_others_could_read_is_refused_before_it_starts(
    options: list[str], expected: str, tmp_path: Path
) -> None:
    (tmp_path / "TOKEN").write_text("x" * 32)
    (tmp_path / "SHORT").write_text("abc")
    command = [sys.executable, "-m", "tickover", "web", "--broker", f"127.0.0.1:{free_port()}", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode in (2, 78)
    assert expected in done.stderr


def test_a_port_in_use_is_answered_with_what_to_change(web: WebProcess, tmp_path: Path) -> None:
    command = [*web.command[: web.command.index("--state")], "--state", str(tmp_path / "state")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    expected = f"cannot listen on 127.0.0.1:{web.port}: Address already in use; choose another --port or --listen"
    assert done.stderr.splitlines() == [f"tickover: {expected}"]


def test_without_a_broker_the_page_is_served_and_says_so_and_sigterm_ends_it(tmp_path: Path) -> None:
    with Broker(tmp_path / "broker") as broker:
        pass
    web = WebProcess(broker, tmp_path / "state").start(connected=False)
    try:
        wait_until(lambda: "nobody listens" in web.get("/api/fleet")["page"]["broker"]["trouble"], 10, "it says why")
        assert f"http://127.0.0.1:{web.port}/" in web.stop()
        assert web.process
        assert web.process.returncode == 0
    finally:
        web.kill()

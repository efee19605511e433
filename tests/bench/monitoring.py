"""Tries `/metrics`, the board's and the rules' expressions, and the hook with Debian's Prometheus and Alertmanager.

    python tests/bench/monitoring.py

A real daemon reads a truck; the page, Prometheus and Alertmanager run beside it. Prints one line for each thing tried,
and ends with 1 when one fails: an expression of the board that gets no series is a failure.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

import monitoring_files as files  # noqa: E402
import web_fleet as fleet  # noqa: E402
from broker import Broker, free_port, wait_until  # noqa: E402
from daemon_process import SIGNALS, Daemon  # noqa: E402
from tickover.core.values import SECOND, Phase  # noqa: E402
from tickover.host.clock import now_us  # noqa: E402
from web_process import Publisher, WebProcess  # noqa: E402

PROMETHEUS = shutil.which("prometheus")
PROMTOOL = shutil.which("promtool")
ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
ROUTE = "route: { receiver: none, group_wait: 1s }\nreceivers: [{ name: none }]\n"
RULES_TEST = """
rule_files: [tickover.rules.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - { series: 'tickover_truck_gone_seconds{vehicle="a", state="silent"}', values: "0+60x30" }
      - { series: 'tickover_fleet_broker_connected', values: "1x5 0x25" }
      - { series: 'tickover_hook_waiting{hook="ops"}', values: "0x5 3x25" }
      - { series: 'tickover_fleet_promises_broken', values: "0x15 2x15" }
    alert_rule_test:
      - { eval_time: 9m, alertname: TruckDoesNotReport, exp_alerts: [] }
      - eval_time: 20m
        alertname: TruckDoesNotReport
        exp_alerts:
          - exp_labels: { vehicle: a, state: silent, severity: major }
            exp_annotations: { summary: "a is silent for 20m 0s" }
      - { eval_time: 8m, alertname: PageHearsNoBroker, exp_alerts: [] }
      - eval_time: 12m
        alertname: PageHearsNoBroker
        exp_alerts:
          - exp_labels: { severity: critical }
            exp_annotations: { summary: "tickover web has no connection to its broker, or is not running" }
      - { eval_time: 10m, alertname: HookWaits, exp_alerts: [] }
      - eval_time: 20m
        alertname: HookWaits
        exp_alerts:
          - exp_labels: { hook: ops, severity: warning }
            exp_annotations: { summary: "3 alerts wait for the hook ops" }
      - eval_time: 20m
        alertname: PromiseBroken
        exp_alerts:
          - exp_labels: { severity: warning }
            exp_annotations: { summary: "2 trucks raise more episodes than their model's budget allows" }
"""


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.load(answer)


def is_up(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=2):
            return True
    except OSError:
        return False


def main() -> int:
    """Run it."""
    if not (PROMETHEUS and PROMTOOL and ALERTMANAGER):
        print("needs prometheus and prometheus-alertmanager (apt install)", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as text, ExitStack() as stack:
        return rules_fire(Path(text)) | tried(stack, Path(text), stack.enter_context(Broker(Path(text) / "broker")))


def rules_fire(folder: Path) -> int:
    """Each rule fires when it should and not before, by promtool's clock."""
    shutil.copy(files.GRAFANA / "tickover.rules.yml", folder)
    (folder / "rules.test.yml").write_text(RULES_TEST)
    done = subprocess.run(
        [str(PROMTOOL), "test", "rules", str(folder / "rules.test.yml")], capture_output=True, text=True
    )
    print(f"promtool, {len(files.rules())} rules: {(done.stdout + done.stderr).strip().splitlines()[-1].strip()}")
    return done.returncode


def tried(stack: ExitStack, folder: Path, broker: Broker) -> int:
    """With everything running."""
    names = ("prometheus", "alertmanager", "daemon")
    ports = {name: free_port() for name in names}
    url = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    hooks = folder / "hooks.toml"
    hooks.write_text(f'[[hooks]]\nname = "am"\nkind = "alertmanager"\nurl = "{url["alertmanager"]}"\ntrucks = true\n')
    web = WebProcess(broker, folder / "state", "--hooks", str(hooks)).start()
    stack.callback(web.kill)
    out = {"metrics_port": ports["daemon"], "health_s": 1.0}
    daemon = Daemon(folder / "daemon", broker.port, out=out).start()
    stack.callback(daemon.kill)
    config = (files.GRAFANA / "prometheus.yml").read_text().replace("15s", "1s")
    for shipped, port in ((8080, web.port), (9093, ports["alertmanager"]), (9464, ports["daemon"])):
        assert f"127.0.0.1:{shipped}" in config
        config = config.replace(f"127.0.0.1:{shipped}", f"127.0.0.1:{port}")
    (folder / "prometheus.yml").write_text(config)
    (folder / "am.yml").write_text(ROUTE)
    store, listen = f"--storage.tsdb.path={folder}/tsdb", "--web.listen-address=127.0.0.1:"
    commands = [
        [PROMETHEUS, f"--config.file={folder}/prometheus.yml", store, f"{listen}{ports['prometheus']}"],
        [ALERTMANAGER, f"--config.file={folder}/am.yml", f"--storage.path={folder}/am", "--cluster.listen-address="],
    ]
    commands[1].append(f"{listen}{ports['alertmanager']}")
    for command in commands:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # type: ignore[arg-type]
        stack.callback(process.wait, 20)
        stack.callback(process.terminate)
    publisher = Publisher(broker)
    stack.callback(publisher.close)
    wait_until(lambda: is_up(url["prometheus"]) and is_up(url["alertmanager"]), 30, "both are ready")
    return steps(web, publisher, url)


def steps(web: WebProcess, publisher: Publisher, url: dict[str, str]) -> int:
    """An episode from its start to its end, and every expression."""
    start = now_us()
    publisher.send("truck-1", "alert/anomaly", fleet.event("truck-1", Phase.START, start, start=start, peak=1.5))
    for state in ("online", "offline"):
        publisher.send("truck-2", "status", fleet.status(state))

    def firing(name: str = "tickover") -> list[str]:
        found = get(f"{url['alertmanager']}/api/v2/alerts?active=true")
        return sorted(one["labels"]["severity"] for one in found if one["labels"]["alertname"] == name)

    wait_until(lambda: firing() == ["warning"], 20, "the episode fires")
    print("fires as warning")
    risen = fleet.event("truck-1", Phase.UPDATE, start + SECOND, start=start, peak=5.0, sequence=1)
    publisher.send("truck-1", "alert/anomaly", risen)
    wait_until(lambda: firing() == ["critical"], 20, "it rises, and the lower one is resolved")
    print("rises to critical, the warning is resolved")
    failed = expressions_are_answered(publisher, url["prometheus"])
    over = fleet.event("truck-1", Phase.END, start + 9 * SECOND, start=start, peak=5.0, sequence=2)
    publisher.send("truck-1", "alert/anomaly", over)
    wait_until(lambda: firing() == [], 20, "the end resolves it")
    print("resolved by its end")
    wait_until(lambda: firing("TruckDoesNotReport") == ["major"], 20, "the truck that is gone fires")
    publisher.send("truck-2", "status", fleet.status("online"))
    wait_until(lambda: firing("TruckDoesNotReport") == [], 20, "it reports again")
    print("a truck that is gone fires, and is resolved when it reports again")
    return failed


def expressions_are_answered(publisher: Publisher, prometheus: str) -> int:
    """The board's with at least one series each, the rules' without an error."""

    def series(text: str) -> int:
        answer = get(f"{prometheus}/api/v1/query?{urllib.parse.urlencode({'query': text})}")
        return len(answer["data"]["result"]) if answer["status"] == "success" else -1

    for second in range(8):  # rows of a truck for the daemon
        body = {"t": time.time(), **dict.fromkeys(SIGNALS, 30.0 + second)}
        publisher.client.publish("truck/van-1/telemetry", json.dumps(body).encode())
        time.sleep(1.0)
    failed = 0
    for text in files.board_expressions():
        number = series(text)
        failed |= number < 1
        print(f"{'answered' if number > 0 else 'FAILED  '} {number:2} series  {text}")
    for text in files.rules():
        number = series(text)
        failed |= number < 0
        print(f"{'answered' if number >= 0 else 'FAILED  '} {number:2} series  {text}")
    rules = get(f"{prometheus}/api/v1/rules")["data"]["groups"][0]["rules"]
    healthy = all(rule["health"] in ("ok", "unknown") for rule in rules)
    print(f"{len(rules)} rules {'loaded' if healthy else 'FAILED'}")
    return int(failed or not healthy)


if __name__ == "__main__":
    sys.exit(main())

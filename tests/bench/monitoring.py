"""Tries `/metrics`, the board's and the rules' expressions, and the hook with Debian's Prometheus and Alertmanager.

    python tests/bench/monitoring.py

Prints one line for each thing tried, and ends with 1 when one fails.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

import web_fleet as fleet  # noqa: E402
from broker import Broker, free_port, wait_until  # noqa: E402
from tickover.core.values import SECOND, Phase  # noqa: E402
from tickover.host.clock import now_us  # noqa: E402
from web_process import Publisher, WebProcess  # noqa: E402

GRAFANA = Path(__file__).resolve().parents[2] / "deploy" / "grafana"
PROMETHEUS = shutil.which("prometheus")
ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
ROUTE = "route: { receiver: none, group_wait: 1s }\nreceivers: [{ name: none }]\n"


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.load(answer)


def is_up(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=2):
            return True
    except OSError:
        return False


def expressions() -> list[str]:
    """Of the board and of the rules."""
    board = json.loads((GRAFANA / "dashboards" / "fleet.json").read_text())
    found = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    found += [one["expr"] for one in board["annotations"]["list"]]
    rules = (GRAFANA / "tickover.rules.yml").read_text().splitlines()
    found += [line.split("expr:", 1)[1].strip() for line in rules if "expr:" in line]
    return [one.replace("$vehicle", ".*") for one in found]


def main() -> int:
    """Run it."""
    if not PROMETHEUS or not ALERTMANAGER:
        print("needs prometheus and prometheus-alertmanager (apt install)", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as text, Broker(Path(text) / "broker") as broker:
        return tried(Path(text), broker)


def tried(folder: Path, broker: Broker) -> int:
    """With everything running."""
    ports = {"prometheus": free_port(), "alertmanager": free_port()}
    url = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    hooks = folder / "hooks.toml"
    hooks.write_text(f'[[hooks]]\nname = "am"\nkind = "alertmanager"\nurl = "{url["alertmanager"]}"\ntrucks = true\n')
    web = WebProcess(broker, folder / "state", "--hooks", str(hooks)).start()
    config = (GRAFANA / "prometheus.yml").read_text().replace("127.0.0.1:8080", f"127.0.0.1:{web.port}")
    config = config.replace("127.0.0.1:9093", f"127.0.0.1:{ports['alertmanager']}").replace("15s", "1s")
    (folder / "prometheus.yml").write_text(config)
    shutil.copy(GRAFANA / "tickover.rules.yml", folder)
    (folder / "am.yml").write_text(ROUTE)
    store, listen = f"--storage.tsdb.path={folder}/tsdb", "--web.listen-address=127.0.0.1:"
    commands = [
        [PROMETHEUS, f"--config.file={folder}/prometheus.yml", store, f"{listen}{ports['prometheus']}"],
        [ALERTMANAGER, f"--config.file={folder}/am.yml", f"--storage.path={folder}/am", "--cluster.listen-address="],
    ]
    commands[1].append(f"{listen}{ports['alertmanager']}")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    running = [subprocess.Popen(command, **quiet) for command in commands]  # type: ignore[call-overload]
    publisher = Publisher(broker)
    try:
        wait_until(lambda: all(map(is_up, url.values())), 30, "Prometheus and Alertmanager are ready")
        failed = steps(web, publisher, url)
    finally:
        publisher.close()
        web.kill()
        for process in running:
            process.terminate()
            process.wait(20)
    return failed


def steps(web: WebProcess, publisher: Publisher, url: dict[str, str]) -> int:
    """An episode from its start to its end, and every expression."""
    start, failed = now_us(), 0
    publisher.send("truck-1", "alert/anomaly", fleet.event("truck-1", Phase.START, start, start=start, peak=1.5))
    for state in ("online", "offline"):
        publisher.send("truck-2", "status", fleet.status(state))

    def firing(name: str = "tickover") -> list[str]:
        found = get(f"{url['alertmanager']}/api/v2/alerts?active=true")
        return sorted(one["labels"]["severity"] for one in found if one["labels"]["alertname"] == name)

    def query(text: str) -> Any:
        return get(f"{url['prometheus']}/api/v1/query?{urllib.parse.urlencode({'query': text})}")

    wait_until(lambda: firing() == ["warning"], 20, "the episode fires")
    print("fires as warning")
    risen = fleet.event("truck-1", Phase.UPDATE, start + SECOND, start=start, peak=5.0, sequence=1)
    publisher.send("truck-1", "alert/anomaly", risen)
    wait_until(lambda: firing() == ["critical"], 20, "it rises, and the lower one is resolved")
    print("rises to critical, the warning is resolved")
    wait_until(lambda: bool(query("tickover_truck_open_episode")["data"]["result"]), 30, "Prometheus has scraped")
    for text in expressions():
        answer = query(text)
        known = answer["status"] == "success"
        failed |= not known
        print(f"{'answered' if known else 'FAILED  '} {len(answer['data']['result']):2} series  {text}")
    rules = get(f"{url['prometheus']}/api/v1/rules")["data"]["groups"][0]["rules"]
    healthy = all(rule["health"] in ("ok", "unknown") for rule in rules)
    print(f"{len(rules)} rules {'loaded' if healthy else 'FAILED'}")
    over = fleet.event("truck-1", Phase.END, start + 9 * SECOND, start=start, peak=5.0, sequence=2)
    publisher.send("truck-1", "alert/anomaly", over)
    wait_until(lambda: firing() == [], 20, "the end resolves it")
    print("resolved by its end")
    wait_until(lambda: firing("TruckDoesNotReport") == ["major"], 20, "the truck that is gone fires")
    publisher.send("truck-2", "status", fleet.status("online"))
    wait_until(lambda: firing("TruckDoesNotReport") == [], 20, "it reports again")
    print("a truck that is gone fires, and is resolved when it reports again")
    return int(failed or not healthy)


if __name__ == "__main__":
    sys.exit(main())

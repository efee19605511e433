"""The page beside a real daemon: what it shows of a truck, and what it asks of it."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from broker import Broker, broker, wait_until
from daemon_process import Daemon, Truck, drive
from web_process import WebProcess

pytest.importorskip("starlette", reason="the page needs the extra web")
__all__ = ["broker"]

SECONDS = 130  # with one fault


def live_points(web: WebProcess, truck: str) -> dict[str, Any]:
    """The first ticks that a browser on the truck's page is sent."""
    seen = web.get(f"/api/truck?name={truck}")
    address = f"{web.url}/api/stream?truck={truck}&seen={seen['epoch']}-{seen['number']}"
    with urllib.request.urlopen(address, timeout=15) as stream:
        for line in stream:
            if line.startswith(b"data: ") and (points := json.loads(line[6:])["live"]["points"]):
                return points
    raise AssertionError("the stream ended")


def test_a_truck_its_episode_its_signals_a_verdict_and_out_of_service(broker: Broker, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, broker.port, out={"health_s": 1.0, "score_s": 0.5})
    web = WebProcess(broker, tmp_path / "web").start()
    try:
        with daemon, Truck(broker) as truck:
            truck.send(drive(SECONDS))
            wait_until(lambda: ended(web), 20, "the episode has ended on the page")
            (episode,) = web.get("/api/truck?name=t1")["episodes"]
            (points,) = live_points(web, "t1").values()
            assert set(points[-1]["signals"]) == {"coolant", "rpm", "speed"}
            asked = {"vehicle": "t1", "command": "verdict", "alert": episode["id"], "verdict": "false", "note": "wiper"}
            answer = web.post("/api/command", asked)
            assert answer["ok"], answer
            assert answer["result"]["verdict"] == "false"
            assert not web.post("/api/command", {**asked, "alert": "nothing"})["ok"]
            assert web.post("/api/command", {"vehicle": "t1", "command": "out_of_service", "for_s": 60})["ok"]
            wait_until(lambda: "out_of_service" in notices(web), 10, "the notice stands on the page")
            assert "until" in notices(web)["out_of_service"]
            wait_until(lambda: bool(web.get("/api/truck?name=t1")["promises"]), 10, "the promise meter is there")
            gateway = web.get("/api/truck?name=gateway")
            assert gateway["health"]["rows"] > 100
            assert gateway["info"]["models"][0]["name"]
        wait_until(lambda: web.get("/api/truck?name=gateway")["row"][2] == "offline", 10, "the daemon was killed")
    finally:
        web.kill()


def ended(web: WebProcess) -> bool:
    return [one["phase"] for one in web.get("/api/recent")["episodes"]] == ["end"]


def notices(web: WebProcess) -> dict[str, str]:
    return {one["kind"]: one["text"] for one in web.get("/api/truck?name=t1")["notices"]}

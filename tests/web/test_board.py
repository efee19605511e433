"""What `deploy/grafana` ships is understood by Grafana's own types, and asks only for what is served.

`tests/bench/monitoring.py` tries the same with a real Prometheus and Alertmanager.
"""

import json
import re

import msgspec
import pytest

import monitoring_files as files
import web_fleet as fleet
from tickover.core.values import Phase
from tickover.host.clock import now_us
from tickover.messages.bodies import Health
from tickover.storage.history import History
from tickover.web.desk import Desk
from tickover.web.fleet import Fleet
from tickover.web.hooks.config import HookConfig
from tickover.web.hooks.registry import deliveries

OF_DATASOURCE = {"titleFormat", "textFormat", "tagKeys", "step"}
"""Keys of an annotation that belong to the data source Prometheus, which Grafana's types leave to it."""


def served() -> set[str]:
    """Names of all series of a page with a truck in trouble and one that is gone, and of a daemon."""
    from tickover.web import metrics

    history, at = History(None), now_us()
    hooks = deliveries((HookConfig(name="x", kind="webhook", url="http://x"),), history)
    desk = Desk(history, "tickover", Fleet(), hooks)
    desk.connected("broker")
    desk.take("tickover/v1/a/alert/anomaly", fleet.event("a", Phase.START, at, start=at))
    for state in ("online", "offline"):
        desk.take("tickover/v1/b/status", fleet.status(state))
    desk.settle()
    page = set(re.findall(r"^(tickover_\w+)", metrics.text(desk).decode(), re.M))
    return page | {f"tickover_{field.encode_name}" for field in msgspec.structs.fields(Health)}


def test_board_and_rules_ask_for_what_page_and_daemon_serve() -> None:
    pytest.importorskip("prometheus_client", reason="needs the extra metrics")
    asked = {
        name for text in (*files.board_expressions(), *files.rules()) for name in re.findall(r"tickover_\w+", text)
    }
    assert len(asked) >= 8
    assert asked <= served()


def test_a_healthy_page_serves_every_reason_at_zero() -> None:
    """A rate over a series that begins with its first count does not see it."""
    pytest.importorskip("prometheus_client", reason="needs the extra metrics")
    from tickover.web import metrics

    desk = Desk(History(None), "tickover", Fleet())
    assert b'tickover_fleet_left_out_total{reason="not_an_alert"} 0.0' in metrics.text(desk)
    desk.take("tickover/v1/a/alert/anomaly", b"{}")
    assert b'tickover_fleet_left_out_total{reason="not_an_alert"} 1.0' in metrics.text(desk)


def test_the_board_is_one_of_grafana() -> None:
    """Read into Grafana's own types and written again, it holds all that it held."""
    dashboard = pytest.importorskip("grafana_foundation_sdk.models.dashboard", reason="Grafana's types")
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins

    register_default_plugins()
    board = files.board()
    again = json.loads(JSONEncoder().encode(dashboard.Dashboard.from_json(board)))
    assert list(lost(board, again)) == []
    spots = [tuple(panel["gridPos"].values()) for panel in board["panels"]]
    assert len(set(spots)) == len(spots)
    assert len({panel["id"] for panel in board["panels"]}) == len(spots)


def lost(one: object, other: object, path: str = ""):
    """Where a part of ``one`` is missing or different in ``other``."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key, value in one.items():
            if key not in OF_DATASOURCE:
                yield from lost(value, other.get(key), f"{path}/{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for place, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from lost(left, right, f"{path}/{place}")
    elif one != other:
        yield path, one, other

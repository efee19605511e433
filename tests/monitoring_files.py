"""The board and the rules of `deploy/grafana`, as tests read them."""

import json
from typing import Any

import yaml

import paths

GRAFANA = paths.ROOT / "deploy" / "grafana"


def board() -> Any:
    """The board, as JSON."""
    return json.loads((GRAFANA / "dashboards" / "fleet.json").read_text())


def board_expressions() -> list[str]:
    """What its panels and annotations ask Prometheus for; every truck chosen."""
    found = [target["expr"] for panel in board()["panels"] for target in panel["targets"]]
    found += [one["expr"] for one in board()["annotations"]["list"]]
    return [one.replace("$vehicle", ".*") for one in found]


def rules() -> list[str]:
    """The conditions of the rules."""
    groups = yaml.safe_load((GRAFANA / "tickover.rules.yml").read_text())["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]

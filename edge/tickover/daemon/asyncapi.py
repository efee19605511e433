"""The AsyncAPI 3.0 description of what the daemon publishes and obeys, made from the code (docs/asyncapi.json)."""

from typing import Any, Final, NamedTuple

import msgspec

from tickover.daemon.commands import COMMANDS
from tickover.messages.alerts import AlertEvent
from tickover.messages.bodies import (
    Health,
    Info,
    Request,
    Response,
    Score,
    Status,
)
from tickover.messages.notices import NoticeEvent
from tickover.messages.topics import Topics

VERSION: Final = "1.0.0"
"""Of the topics and bodies (``v1`` in every topic), not of the program."""
BODIES: Final[dict[str, Any]] = {
    "Alert": AlertEvent,
    "Notice": NoticeEvent,
    "Status": Status,
    "Info": Info,
    "Health": Health,
    "Score": Score,
    "Request": Request,
    "Response": Response,
}
PARAMETERS: Final[dict[str, dict[str, Any]]] = {
    "base": {"default": "tickover", "description": "out.base of the configuration"},
    "node": {"description": "the daemon's own name: out.node, or its client id"},
    "vehicle": {"description": "a vehicle, or the node for notices of the daemon itself"},
    "detector": {"description": "a model's detector name, or a kind of notice"},
    "target": {"description": "a vehicle, or the node: for all vehicles"},
    "command": {"enum": list(COMMANDS)},
}


class _Channel(NamedTuple):
    """One topic: what travels on it, whether it is retained, and what it is for."""

    address: str
    bodies: tuple[str, ...]
    retain: bool
    about: str


def _channels() -> dict[str, _Channel]:
    topics = Topics("{base}", "{node}")
    request = topics.of("{target}", "cmd/{command}/request")
    alert, alarm, score = (topics.of("{vehicle}", name) for name in ("alert/{detector}", "alarm/{detector}", "score"))
    return {
        "status": _Channel(topics.status, ("Status",), True, "online, stopped, or offline by the last will"),
        "info": _Channel(topics.info, ("Info",), True, "models, signals, version"),
        "health": _Channel(topics.health, ("Health",), False, "every out.health_s"),
        "alert": _Channel(alert, ("Alert", "Notice"), False, "at least once; the same alert has the same id"),
        "alarm": _Channel(alarm, ("Alert", "Notice"), True, "while it stands; an empty payload clears it"),
        "score": _Channel(score, ("Score",), False, "every out.score_s, when that is set"),
        "request": _Channel(request, ("Request",), False, "commands"),
        "response": _Channel(topics.response("{target}", "{command}"), ("Response",), False, "answers to commands"),
    }


def document() -> dict[str, Any]:
    """The whole document as plain JSON values."""
    channels = _channels()
    schemas, components = msgspec.json.schema_components(
        list(BODIES.values()), ref_template="#/components/schemas/{name}"
    )
    messages = {name: {"payload": schema} for name, schema in zip(BODIES, schemas, strict=True)}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "tickover",
            "version": VERSION,
            "description": "What the daemon publishes and obeys. Its inputs are what the configuration says.",
        },
        "defaultContentType": "application/json",
        "channels": {name: _channel(channel) for name, channel in channels.items()},
        "operations": {name: _operation(name, channel) for name, channel in channels.items()},
        "components": {"messages": messages, "schemas": components},
    }


def _channel(channel: _Channel) -> dict[str, Any]:
    named = {name: about for name, about in PARAMETERS.items() if f"{{{name}}}" in channel.address}
    return {
        "address": channel.address,
        "description": channel.about,
        "parameters": named,
        "messages": {body: {"$ref": f"#/components/messages/{body}"} for body in channel.bodies},
    }


def _operation(name: str, channel: _Channel) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "action": "receive" if name == "request" else "send",
        "channel": {"$ref": f"#/channels/{name}"},
        "bindings": {"mqtt": {"qos": 1, "retain": channel.retain, "bindingVersion": "0.2.0"}},
    }
    if name == "request":
        operation["reply"] = {"channel": {"$ref": "#/channels/response"}}
    return operation

"""Ready tables of ``[[inputs]]`` for the payloads of well-known senders: a file a family, its first line says whose."""

from importlib import resources
from typing import Final

EXAMPLES: Final = (
    "telegraf",
    "telegraf-line",
    "aws-iot-shadow",
    "thingsboard",
    "thingsboard-gateway",
    "name-value",
    "senml",
    "csv",
    "teltonika",
    "ovms",
    "kuksa",
    "sparkplug_b",
    "zigbee2mqtt",
    "shelly",
    "chirpstack",
    "the-things-network",
    "ruuvi",
    "home-assistant",
    "node-red",
    "flespi",
    "tasmota",
)


def example_text(family: str) -> str:
    """The tables of one family, as TOML; KeyError when there is none."""
    if family not in EXAMPLES:
        raise KeyError(family)
    return (resources.files(__package__) / f"{family}.toml").read_text(encoding="utf-8")


def title(family: str) -> str:
    """What the family is, in one line."""
    return example_text(family).partition("\n")[0].removeprefix("# ")

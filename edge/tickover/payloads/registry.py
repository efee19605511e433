"""Which payload formats there are: a new one is a file beside this one, and a line in ``FORMATS``."""

from collections.abc import Callable, Mapping
from typing import Final

from tickover.payloads.base import Decoder, Input
from tickover.payloads.json import JsonBatch, JsonObject, SingleValue


def _sparkplug(spec: Input, columns: Mapping[str, int]) -> Decoder:
    """Loaded on demand: protobuf costs start-up time that most trucks need not pay."""
    from tickover.payloads.sparkplug import SparkplugB

    return SparkplugB(spec, columns)


FORMATS: Final[dict[str, Callable[[Input, Mapping[str, int]], Decoder]]] = {
    "json": JsonObject,
    "json_batch": JsonBatch,
    "value": SingleValue,
    "sparkplug_b": _sparkplug,
}
"""Name in the config file to what builds the decoder from the input's table and signal name -> column."""


def open_decoder(spec: Input, columns: Mapping[str, int]) -> Decoder:
    """The decoder of one input; ``columns`` maps the models' signal names to columns."""
    return FORMATS[spec.format](spec, columns)

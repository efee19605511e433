"""Which payload formats there are: a new one is a file beside this one, and a line in ``FORMATS``."""

from pkgutil import resolve_name
from typing import Any, Final

FORMATS: Final[dict[str, str]] = {
    "json": "tickover.payloads.json_object:JsonObject",
    "json_batch": "tickover.payloads.json_batch:JsonBatch",
    "json_by_vehicle": "tickover.payloads.json_by_vehicle:JsonByVehicle",
    "value": "tickover.payloads.single_value:SingleValue",
    "influx_line": "tickover.payloads.line_protocol:LineProtocol",
    "senml": "tickover.payloads.senml:SenMl",
    "csv": "tickover.payloads.csv_lines:CsvLines",
    "ruuvi": "tickover.payloads.ruuvi:Ruuvi",
    "sparkplug_b": "tickover.payloads.sparkplug:SparkplugB",
}
"""``format`` in the configuration file to its `base.Decoder`, as ``module:Class``.

Text instead of the class, because a decoder is loaded when an input names it: Sparkplug's protobuf costs start-up time
and memory that most trucks need not pay.
"""


def decoder_class(name: str) -> Any:
    """The `base.Decoder` class of a format; KeyError when there is none."""
    return resolve_name(FORMATS[name])

"""One message or more of each family of payloads, as its vendor documents them, and the readings in it.

The values are ours; the shapes are those of the vendors' documentation. docs/payloads.md shows the first of each.
"""

import json
from typing import Any, NamedTuple

from tickover.payloads.sparkplug import Payload

T = 1_700_000_000
ISO = "2023-11-14T22:13:20Z"
AT = T * 1_000_000
ARRIVAL = None


class Sample(NamedTuple):
    """A message, and what the example of ``family`` reads in it: vehicle, time (us; None: of arrival), values."""

    family: str
    topic: str
    payload: bytes
    rows: list[tuple[str, int | None, dict[str, float]]]


def sample(family: str, topic: str, payload: Any, *rows: tuple[str, int | None, dict[str, float]]) -> Sample:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Sample(family, topic, body, list(rows))


def sparkplug(*, alias_only: bool) -> bytes:
    message = Payload(timestamp=T * 1000, seq=1 if alias_only else 0)
    metric = message.metrics.add(alias=7, datatype=9)
    metric.float_value = 812.5
    if not alias_only:
        metric.name = "Engine/Speed"
        message.metrics.add(name="driver", datatype=12).string_value = b"Bob"
    return message.SerializeToString()


METRIC = {"fields": {"rpm": 812.5, "state": "idle"}, "name": "engine", "tags": {"host": "truck-1"}, "timestamp": T}
UPLINK = {
    "deduplicationId": "3ac7e3c4-4401-4b8d-9386-a5c902f9202d",
    "time": "2023-11-14T22:13:20.000000242+00:00",
    "deviceInfo": {"tenantName": "ChirpStack", "deviceName": "truck-1", "devEui": "0101010101010101", "tags": {}},
    "devAddr": "00189440",
    "dr": 1,
    "fPort": 1,
    "data": "qg==",
    "object": {"temperatureSensor": {"1": 4.1}, "digitalInput": {"1": 0}},
    "rxInfo": [{"gatewayId": "0016c001f153a14c", "rssi": -48, "snr": 9, "location": {}}],
    "txInfo": {"frequency": 868500000, "modulation": {"lora": {"bandwidth": 125000, "spreadingFactor": 11}}},
}
RPC = {
    "src": "shellypro1pm-f008d1d8b8b8",
    "dst": "shellypro1pm-f008d1d8b8b8/events",
    "method": "NotifyStatus",
    "params": {"ts": float(T), "switch:0": {"id": 0, "apower": 81.5, "temperature": {"tC": 53.3, "tF": 127.9}}},
}
SWITCH = {"id": 0, "source": "init", "output": True, "apower": 81.5, "aenergy": {"total": 6.5, "by_minute": [0, 0, 0]}}
AVL = {"16": 12345, "24": 61, "66": 13_950, "85": 812, "115": 88, "239": 1, "latlng": "54.69826,25.24405", "sat": 13}
ADVERTISEMENT = "0201061BFF990405166455D5C6DE0008FFF403F0AE760F2A8BF41F0C28CBD6"

SAMPLES = [
    sample("telegraf", "telegraf/truck-1/engine", METRIC, ("truck-1", AT, {"engine_speed": 812.5})),
    sample(
        "telegraf",
        "telegraf/truck-1/engine",
        {"metrics": [METRIC, {**METRIC, "timestamp": T + 1, "fields": {"rpm": 813}}]},
        ("truck-1", AT, {"engine_speed": 812.5}),
        ("truck-1", AT + 1_000_000, {"engine_speed": 813.0}),
    ),
    sample(
        "telegraf",
        "telegraf/truck-1/engine",
        [METRIC, {**METRIC, "timestamp": T + 1, "tags": {"host": "truck-2"}}],
        ("truck-1", AT, {"engine_speed": 812.5}),
        ("truck-2", AT + 1_000_000, {"engine_speed": 812.5}),
    ),
    sample(
        "telegraf-line",
        "telegraf/truck-1/engine",
        b'engine,host=truck-1,site=a\\ b rpm=812.5,state="idle, \\"warm\\"" 1700000000000000000\n',
        ("truck-1", AT, {"engine_speed": 812.5}),
    ),
    sample(
        "telegraf-line",
        "telegraf/truck-1/engine",
        b"engine,host=truck-1 rpm=812i 1700000000000000000\nbroken\nengine,host=truck-2 rpm=650u 1700000000500000000",
        ("truck-1", AT, {"engine_speed": 812.0}),
        ("truck-2", AT + 500_000, {"engine_speed": 650.0}),
    ),
    sample(
        "telegraf-line", "telegraf/a/b", b"engine,host=truck-1 rpm=812", ("truck-1", ARRIVAL, {"engine_speed": 812.0})
    ),
    sample(
        "aws-iot-shadow",
        "$aws/things/truck-1/shadow/update/accepted",
        {
            "state": {"reported": {"engine": {"speed": 812.5, "oil": {"level": 0.7}}}},
            "metadata": {"reported": {"engine": {"speed": {"timestamp": T}}}},
            "version": 10,
            "timestamp": T,
        },
        ("truck-1", AT, {"engine_speed": 812.5}),
    ),
    sample(
        "aws-iot-shadow",
        "$aws/things/truck-1/shadow/update/documents",
        {
            "previous": {"state": {"reported": {"engine": {"speed": 800}}}, "version": 9},
            "current": {"state": {"reported": {"engine": {"speed": 812.5}}}, "version": 10},
            "timestamp": T,
        },
        ("truck-1", AT, {"engine_speed": 812.5}),
    ),
    sample(
        "aws-iot-shadow",
        "$aws/things/truck-1/shadow/get/accepted",
        {"state": {"desired": {"led": "on"}, "reported": {"engine": {"speed": "812.5"}}}, "timestamp": T},
        ("truck-1", AT, {"engine_speed": 812.5}),
    ),
    sample(
        "aws-iot-shadow",
        "$aws/things/truck-1/shadow/name/engine/update/documents",
        {"previous": None, "current": {"state": {"reported": {"engine": {"speed": 812.5}}}}, "timestamp": T},
        ("truck-1", AT, {"engine_speed": 812.5}),
    ),
    sample(
        "aws-iot-shadow",
        "$aws/things/truck-1/shadow/update",
        {"state": {"desired": None, "reported": {"engine": {"speed": 812.5}}}, "clientToken": "t"},
        ("truck-1", ARRIVAL, {"engine_speed": 812.5}),
    ),
    sample(
        "aws-iot-shadow",
        "$aws/things/truck-1/shadow/name/engine/update/accepted",
        {"state": {"reported": {"engine.speed": 812.5}}, "version": 3, "timestamp": T},
        ("truck-1", AT, {"engine_speed": 812.5}),
    ),
    sample(
        "aws-iot-shadow",
        "$aws/things/truck-1/shadow/name/engine/update",
        {"state": {"reported": {"engine": {"speed": 812.5}}}},
        ("truck-1", ARRIVAL, {"engine_speed": 812.5}),
    ),
    sample(
        "thingsboard",
        "v1/devices/me/telemetry",
        {"ts": T * 1000, "values": {"rpm": 812.5, "firmware": "1.2.3"}},
        ("truck-1", AT, {"engine_speed": 812.5}),
    ),
    sample(
        "thingsboard",
        "v1/devices/me/telemetry",
        [{"ts": T * 1000, "values": {"rpm": "812.5"}}, {"ts": T * 1000 + 500, "values": {"rpm": 813}}],
        ("truck-1", AT, {"engine_speed": 812.5}),
        ("truck-1", AT + 500_000, {"engine_speed": 813.0}),
    ),
    sample("thingsboard", "v1/devices/me/telemetry", {"rpm": 812.5}, ("truck-1", ARRIVAL, {"engine_speed": 812.5})),
    sample(
        "thingsboard",
        "v1/devices/me/telemetry",
        [{"rpm": 812.5}, {"humidity": 80, "rpm": "813 rpm"}],
        ("truck-1", ARRIVAL, {"engine_speed": 812.5}),
        ("truck-1", ARRIVAL, {"engine_speed": 813.0}),
    ),
    sample(
        "thingsboard-gateway",
        "v1/gateway/telemetry",
        {
            "Truck A": [
                {"ts": T * 1000, "values": {"rpm": 812.5, "humidity": 80}},
                {"ts": T * 1000 + 1000, "values": {"rpm": 813, "humidity": 82}},
            ],
            "Truck B": [{"ts": T * 1000, "values": {"rpm": 650, "humidity": 80}}],
        },
        ("Truck A", AT, {"engine_speed": 812.5}),
        ("Truck A", AT + 1_000_000, {"engine_speed": 813.0}),
        ("Truck B", AT, {"engine_speed": 650.0}),
    ),
    sample(
        "thingsboard-gateway",
        "v1/gateway/telemetry",
        {"Truck A": [{"rpm": 812.5}], "Truck B": {"ts": T * 1000, "values": {"rpm": 650}}},
        ("Truck A", ARRIVAL, {"engine_speed": 812.5}),
        ("Truck B", AT, {"engine_speed": 650.0}),
    ),
    sample(
        "name-value",
        "plant/truck-1/tags",
        [
            {"name": "Engine/Speed", "value": 812.5, "ts": T * 1000},
            {"name": "coolant_temp", "value": "88 °C", "ts": T * 1000},
            {"name": "Engine/Speed", "value": 813, "ts": T * 1000 + 1000},
            {"name": "driver", "value": "Bob", "ts": T * 1000},
        ],
        ("truck-1", AT, {"engine_speed": 812.5, "coolant_temp": 88.0}),
        ("truck-1", AT + 1_000_000, {"engine_speed": 813.0}),
    ),
    sample(
        "senml",
        "senml/truck-1",
        [
            {"bn": "urn:dev:truck-1:", "bt": T, "bu": "Cel", "n": "coolant", "v": 88},
            {"n": "coolant", "t": 1, "v": 89},
            {"n": "speed", "u": "1/min", "v": 812.5},
            {"n": "driver", "vs": "Bob"},
        ],
        ("truck-1", AT, {"coolant_temp": 88.0, "engine_speed": 812.5}),
        ("truck-1", AT + 1_000_000, {"coolant_temp": 89.0}),
    ),
    sample(
        "csv",
        "csv/truck-1",
        b"time,rpm,driver\n1700000000,812.5,Bob\n1700000001,813,Bob",
        ("truck-1", AT, {"engine_speed": 812.5}),
        ("truck-1", AT + 1_000_000, {"engine_speed": 813.0}),
    ),
    sample(
        "csv",
        "csv/truck-1",
        b"time;rpm;driver\r\n14.11.2023 22:13:20;812,5;Bob\r\n",
        ("truck-1", AT, {"engine_speed": 812.5}),
    ),
    sample("csv", "csv/truck-1/plain", b"1700000000;812.5", ("truck-1", AT, {"engine_speed": 812.5})),
    sample(
        "teltonika",
        "352093081452251/data",
        {"state": {"reported": {**AVL, "ts": T * 1000, "pr": 0, "alt": 93, "ang": 151, "sp": 61, "evt": 0}}},
        (
            "352093081452251",
            AT,
            {"speed": 61.0, "supply_mv": 13_950.0, "engine_speed": 812.0, "coolant_temp": 88.0},
        ),
    ),
    sample("ovms", "ovms/demo/truck-1/metric/v/p/speed", b"61.2", ("truck-1", ARRIVAL, {"speed": 61.2})),
    sample("ovms", "ovms/demo/truck-1/metric/v/m/rpm", b"812", ("truck-1", ARRIVAL, {"engine_speed": 812.0})),
    sample("ovms", "ovms/demo/truck-1/metric/v/e/on", b"yes", ("truck-1", ARRIVAL, {"v.e.on": 1.0})),
    sample(
        "kuksa",
        "kuksa/truck-1/Vehicle/Speed",
        {"value": "61.2", "timestamp": ISO},
        ("truck-1", AT, {"speed": 61.2}),
    ),
    sample(
        "kuksa",
        "kuksa/truck-1/Vehicle/Powertrain/CombustionEngine/Speed",
        {"value": 812, "timestamp": "2023-11-14T22:13:20.000000000Z"},
        ("truck-1", AT, {"Vehicle.Powertrain.CombustionEngine.Speed": 812.0}),
    ),
    sample("kuksa", "kuksa/truck-1/Vehicle/Speed", b"61.2", ("truck-1", ARRIVAL, {"speed": 61.2})),
    sample(
        "kuksa",
        "kuksa/truck-1/Vehicle/Speed",
        {"timestamp": {"seconds": T, "nanos": 500_000_000}, "value": 61.2},
        ("truck-1", AT + 500_000, {"speed": 61.2}),
    ),
    sample(
        "kuksa",
        "kuksa/truck-1/Vehicle/Speed",
        {"timestamp": "2023-11-14T22:13:20.500000000Z", "value": {"float": 61.2}},
        ("truck-1", AT + 500_000, {"speed": 61.2}),
    ),
    sample(
        "kuksa",
        "viss/truck-1",
        {"action": "subscription", "path": "Vehicle.Speed", "value": 61.2, "timestamp": ISO},
        ("truck-1", AT, {"speed": 61.2}),
    ),
    sample(
        "kuksa",
        "viss/truck-1",
        {
            "data": {
                "path": "Vehicle/Speed",
                "dp": [{"value": "60", "ts": "2023-11-14T22:13:19Z"}, {"value": "61.2", "ts": ISO}],
            }
        },
        ("truck-1", AT, {"speed": 61.2}),
    ),
    sample(
        "kuksa",
        "viss/truck-1",
        {
            "action": "subscription",
            "subscriptionId": "357386",
            "data": {"path": "Vehicle.Speed", "dp": {"value": "61.2", "ts": ISO}},
        },
        ("truck-1", AT, {"speed": 61.2}),
    ),
    sample(
        "zigbee2mqtt",
        "zigbee2mqtt/cargo",
        {"battery": 97, "contact": True, "humidity": 44.72, "linkquality": 120, "temperature": 4.1},
        ("truck-1", ARRIVAL, {"cargo_temp": 4.1, "cargo.contact": 1.0}),
    ),
    sample("zigbee2mqtt", "zigbee2mqtt/trailer/door", {"cargo_temp": 4.1}, ("truck-1", ARRIVAL, {"cargo_temp": 4.1})),
    sample("shelly", f"{RPC['src']}/events/rpc", RPC, (RPC["src"], AT, {"power": 81.5, "relay_temp": 53.3})),
    sample(
        "shelly",
        f"{RPC['src']}/events/rpc",
        {**RPC, "params": {"ts": None, "switch:0": {"id": 0, "apower": 81.5}}},
        (RPC["src"], ARRIVAL, {"power": 81.5}),
    ),
    sample("shelly", "truck-1/status/switch:0", SWITCH, ("truck-1", ARRIVAL, {"power": 81.5})),
    sample("shelly", "shellies/truck-1/relay/0/power", b"81.50", ("truck-1", ARRIVAL, {"power": 81.5})),
    sample("shelly", "shellies/truck-1/relay/0", b"on", ("truck-1", ARRIVAL, {"relay_on": 1.0})),
    sample(
        "chirpstack",
        "application/f3d1/device/0101010101010101/event/up",
        UPLINK,
        ("0101010101010101", AT, {"cargo_temp": 4.1}),
    ),
    sample(
        "chirpstack",
        "application/1/device/0101010101010101/event/up",
        {
            "applicationID": "1",
            "devEUI": "AQEBAQEBAQE=",
            "rxInfo": [{"gatewayID": "AAAA", "time": None, "rssi": -48}],
            "fPort": 1,
            "data": "qg==",
            "objectJSON": '{"temperatureSensor":{"1":4.1},"digitalInput":{"1":0}}',
            "publishedAt": "2023-11-14T22:13:20.000000242Z",
        },
        ("0101010101010101", AT, {"cargo_temp": 4.1}),
    ),
    sample(
        "chirpstack",
        "application/1/device/0101010101010101/event/up",
        {"applicationID": "1", "rxInfo": [{"rssi": -48}], "object": {"temperatureSensor": {"1": 4.1}}},
        ("0101010101010101", ARRIVAL, {"cargo_temp": 4.1}),
    ),
    sample(
        "ruuvi",
        "ruuvi/C8:25:2D:8E:9C:2C/D6:22:4C:3B:C0:B1",
        {
            "gw_mac": "C8:25:2D:8E:9C:2C",
            "rssi": -26,
            "aoa": [],
            "gwts": str(T),
            "ts": str(T),
            "data": ADVERTISEMENT,
            "coords": "",
        },
        ("C8:25:2D:8E:9C:2C", AT, {"cargo_temp": 28.66, "D6:22:4C:3B:C0:B1.humidity": 54.9325}),
    ),
    sample(
        "ruuvi",
        "ruuvi/C8:25:2D:8E:9C:2C/D6:22:4C:3B:C0:B1",
        {"gw_mac": "C8:25:2D:8E:9C:2C", "rssi": -26, "ts": str(T), "temperature": 28.66, "humidity": 54.9},
        ("C8:25:2D:8E:9C:2C", AT, {"cargo_temp": 28.66, "D6:22:4C:3B:C0:B1.humidity": 54.9}),
    ),
    sample(
        "ruuvi",
        "ruuvi/C8:25:2D:8E:9C:2C/D6:22:4C:3B:C0:B1",
        {"gw_mac": "C8:25:2D:8E:9C:2C", "rssi": -26, "ts": T, "data": "02010411FF990403178145355803E804E705E60886"},
        ("C8:25:2D:8E:9C:2C", AT, {"cargo_temp": -1.69, "D6:22:4C:3B:C0:B1.humidity": 11.5}),
    ),
    sample(
        "ruuvi",
        "ruuvi/C8:25:2D:8E:9C:2C/D6:22:4C:3B:C0:B1",
        {"gw_mac": "C8:25:2D:8E:9C:2C", "ts": str(T), "data": "0201061BFF990406170C5668C79E007000C90501D9FFCD004C884F"},
        ("C8:25:2D:8E:9C:2C", AT, {"cargo_temp": 29.5, "D6:22:4C:3B:C0:B1.humidity": 55.3}),
    ),
    sample(
        "sparkplug_b",
        "spBv1.0/fleet/NBIRTH/truck-1",
        sparkplug(alias_only=False),
        ("truck-1", AT, {"engine_speed": 812.5}),
    ),
    sample(
        "sparkplug_b",
        "spBv1.0/fleet/NDATA/truck-1",
        sparkplug(alias_only=True),
        ("truck-1", AT, {"engine_speed": 812.5}),
    ),
    sample(
        "home-assistant",
        "homeassistant/sensor/truck_engine_speed/state",
        b"812.5",
        ("truck-1", ARRIVAL, {"engine_speed": 812.5}),
    ),
    sample("home-assistant", "homeassistant/sensor/truck_engine_speed/state", b"unavailable", ("truck-1", ARRIVAL, {})),
    sample(
        "node-red",
        "node-red/truck-1/msg",
        {"_msgid": "5b1cd7f2.a4e328", "topic": "rpm", "payload": 812.5, "qos": 0, "retain": False},
        ("truck-1", ARRIVAL, {"engine_speed": 812.5}),
    ),
    sample(
        "node-red",
        "node-red/truck-1/msg",
        [{"topic": "rpm", "payload": 812.5}, {"topic": "rpm", "payload": "813"}],
        ("truck-1", ARRIVAL, {"engine_speed": 812.5}),
        ("truck-1", ARRIVAL, {"engine_speed": 813.0}),
    ),
    sample(
        "node-red",
        "node-red/truck-1/msg",
        [
            {"_msgid": "1", "topic": "can/engine", "payload": {"rpm": 812.5, "gear": "D"}, "timestamp": T * 1000},
            {"_msgid": "2", "payload": {"rpm": 813}},
            {"_msgid": "3", "topic": "rpm", "payload": {"value": 814}},
            {"_msgid": "4", "topic": "rpm", "payload": [1, 2]},
        ],
        ("truck-1", AT, {"engine_speed": 812.5}),
        ("truck-1", ARRIVAL, {"engine_speed": 813.0}),
        ("truck-1", ARRIVAL, {"engine_speed": 814.0}),
        ("truck-1", ARRIVAL, {}),
    ),
    sample("node-red", "node-red/truck-1/signal/rpm", b"812.5", ("truck-1", ARRIVAL, {"engine_speed": 812.5})),
    sample("node-red", "node-red/truck-1/signals", {"rpm": 812.5}, ("truck-1", ARRIVAL, {"engine_speed": 812.5})),
    sample(
        "the-things-network",
        "v3/app@tenant/devices/truck-1/up",
        {
            "end_device_ids": {"device_id": "truck-1", "application_ids": {"application_id": "app"}},
            "received_at": "2023-11-14T22:13:20.000000000Z",
            "uplink_message": {"f_port": 1, "frm_payload": "AQ==", "decoded_payload": {"temperature_1": 4.1}},
        },
        ("truck-1", AT, {"cargo_temp": 4.1}),
    ),
    sample(
        "flespi",
        "flespi/message/gw/devices/truck-1",
        {"ident": "352093081452251", "timestamp": float(T), "position.speed": 61, "can.engine.rpm": 812, "gsm": {}},
        ("truck-1", AT, {"speed": 61.0, "engine_speed": 812.0}),
    ),
    sample(
        "flespi",
        "flespi/message/gw/devices/truck-1",
        [{"ident": "352093081452251", "timestamp": T, "position.speed": 61}],
        ("truck-1", AT, {"speed": 61.0}),
    ),
    sample(
        "tasmota",
        "tele/truck-1/SENSOR",
        {"Time": "2023-11-14T22:13:20", "DS18B20": {"Id": "01191ED79190", "Temperature": 4.1}, "TempUnit": "C"},
        ("truck-1", AT, {"cargo_temp": 4.1}),
    ),
]

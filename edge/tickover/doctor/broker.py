"""The broker: connection, certificates, permission to publish, readings received; for its queue, see ``queue``."""

import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import uuid4

from msgspec.structs import replace

from tickover.core.values import SECOND
from tickover.daemon.config import Config
from tickover.doctor import Check, State, fail, identity, ok, queue, warn
from tickover.doctor.device import gate_signals
from tickover.errors import BrokerError
from tickover.host.certificates import read_certificate, validity
from tickover.messages import remedies
from tickover.payloads.listener import Listener
from tickover.payloads.topic_template import TopicTemplate
from tickover.transports.mqtt.client import MqttClient
from tickover.transports.mqtt.connection import Connection, configured
from tickover.transports.mqtt.versions import AUTO, FIVE, WEAKER

ANSWER_S: Final = 5.0
LISTEN_S: Final = 3.0
SOON_DAYS: Final = 30
SHOWN: Final = 5
RENAME: Final = "rename them under inputs.signals (payload's name = model's name), or train on the names received"

DOTS: Final = (
    "the broker turns '.' in topics into '/' (RabbitMQ does): use names without dots for client_id, node and vehicles"
)
GATE: Final = "correct vehicles.gate, or publish its signals; until then it drops every reading"


def examine(config: Config, own: bool = False) -> Iterator[Check]:
    """The checks in order; clients of their own, so that a running daemon keeps its connection.

    ``own``: with a certificate that the daemon does not use.
    """
    connection = configured(config.broker)
    yield from _certificates(connection)
    try:
        if not own and (reason := identity.is_taken(config)):
            yield warn("broker", f"not tried: {reason}", identity.OWN)
            return
        with MqttClient(connection, client_id=f"{config.broker.client_id}-doctor") as client:
            yield _connected(client, config)
            tried = replace(config, broker=replace(config.broker, protocol=client.speaks))
            if (peer := client.peer_certificate()) is not None:
                yield _dates("broker", connection.address, *validity(peer))
            allowed = list(_topics(client, config))
            yield from allowed
            yield _readings(client, config)
        if all(check.state is State.OK for check in allowed):
            yield from queue.examine(tried)
    except BrokerError as error:
        fix = remedies.for_connection(str(error)) or "the daemon needs the broker for its inputs and its alerts"
        yield fail("broker", str(error), f"{fix} (the daemon keeps trying)")


def _connected(client: MqttClient, config: Config) -> Check:
    where, wanted = client.where, config.broker.protocol
    seen = f"{where.address}, MQTT {client.speaks}, {'TLS' if where.tls else 'plaintext'}"
    if client.speaks != FIVE and wanted == AUTO:
        return warn("broker", f"{seen}; the broker does not speak MQTT 5", f"with MQTT 3.1.1 {WEAKER}")
    if client.speaks != FIVE:
        fix = 'set protocol = "auto": with 3.1.1 the broker reports a publish that its ACL refused as accepted'
        return warn("broker", f"{seen}; broker.protocol is {wanted}", fix)
    return ok("broker", seen)


def _certificates(connection: Connection) -> Iterator[Check]:
    for word, path in (("authority", connection.ca), ("certificate", connection.certificate)):
        if path is not None:
            yield _certificate(word, path)


def _certificate(word: str, path: Path) -> Check:
    try:
        begins, ends = validity(read_certificate(path))
    except (OSError, ValueError) as error:
        return fail(f"TLS {word}", str(error), "check the path, and that this user may read the file")
    return _dates(word, str(path), begins, ends)


def _dates(word: str, what: str, begins: datetime, ends: datetime) -> Check:
    now = datetime.now(UTC)
    seen = f"{what}: valid from {begins:%Y-%m-%d} to {ends:%Y-%m-%d}"
    if not begins <= now <= ends:
        return fail(f"TLS {word}", f"{seen}; today is {now:%Y-%m-%d}", "renew it, or set the clock")
    if (ends - now).days < SOON_DAYS:
        return warn(f"TLS {word}", seen, f"it expires in {(ends - now).days} days: renew it")
    return ok(f"TLS {word}", seen)


def _topics(client: MqttClient, config: Config) -> Iterator[Check]:
    """Publish under each of the daemon's own names, and receive it."""
    names = {config.node} | {item.vehicle for item in config.inputs if item.vehicle}
    for name in sorted(names):
        yield _round_trip(client, f"{config.out.base}/v1/{name}/doctor")


def _round_trip(client: MqttClient, topic: str) -> Check:
    fix = f"let the daemon's user read and write {topic.removesuffix('doctor')}# in the broker's ACL"
    before = client.counts["refused"]
    try:
        client.subscribe(topic)
    except BrokerError as error:
        return fail("permission", str(error), fix)
    began = time.monotonic()
    client.publish(topic, word := uuid4().bytes)
    client.drain(ANSWER_S)
    if client.counts["refused"] > before:
        return fail("permission", f"may not publish to {topic}: {client.refusal}", fix)
    while time.monotonic() - began < ANSWER_S:
        message = client.receive(ANSWER_S)
        if message is not None and message.payload == word and message.topic != topic:
            return fail("permission", f"published to {topic}, received as {message.topic}", DOTS)
        if message is not None and message.payload == word:
            took_ms = (time.monotonic() - began) * 1e3
            return ok("permission", f"published to {topic} and received it after {took_ms:.0f} ms")
    return fail("permission", f"published to {topic}, but did not receive it", fix)


def _readings(client: MqttClient, config: Config) -> Check:
    """Whether readings are received, and whether their names are the models'."""
    filters = [TopicTemplate(item.topic).filter for item in config.inputs]
    try:
        for pattern in filters:
            client.subscribe(pattern)
    except BrokerError as error:
        return fail("readings", str(error), "let the daemon's user read its input topics in the broker's ACL")
    listener = Listener(config.inputs)
    vehicles: Counter[str] = Counter()
    newest = 0
    deadline = time.monotonic() + LISTEN_S
    while (left := deadline - time.monotonic()) > 0:
        message = client.receive(left)
        if message is not None and not message.retained:
            rows = listener.rows(message.topic, message.payload, round(time.time() * SECOND))
            vehicles.update(row.vehicle for row in rows)
            newest = max((row.time for row in rows), default=newest)
    where = ", ".join(filters)
    if not vehicles and not +listener.counts:
        return warn("readings", f"none in {LISTEN_S:g} s", remedies.on_silence(filters))
    if not vehicles:
        reasons = ", ".join(f"{name} {count}" for name, count in (+listener.counts).items())
        fixes = "; ".join(remedies.on_reading(name) for name in +listener.counts)
        return fail("readings", f"none that could be read on {where}: {reasons}", fixes)
    strange = remedies.on_times(newest, round(time.time() * SECOND))
    if strange:
        return warn(
            "readings", f"{len(vehicles)} vehicle(s), but {strange}", "compare inputs.time_unit with the payload"
        )
    return _compared(config, listener, vehicles)


def _compared(config: Config, listener: Listener, vehicles: Counter[str]) -> Check:
    rate = vehicles.total() / LISTEN_S
    seen = f"{rate:.1f} rows/s from {len(vehicles)} vehicle{'s' * (len(vehicles) > 1)}, {len(listener.columns)} signals"
    shut = sorted(gate_signals(config) - listener.columns.keys())
    if shut:
        return fail("readings", f"{seen}; vehicles.gate got no value of: {', '.join(shut)}", GATE)
    wanted = _wanted(config)
    missing = sorted(wanted - listener.columns.keys())
    if wanted and len(missing) == len(wanted):
        came = ", ".join(sorted(listener.columns)[:SHOWN])
        return fail("readings", f"{seen}, and none is a model's; they are: {came}", RENAME)
    if missing:
        listed = ", ".join(missing[:SHOWN]) + (" …" if len(missing) > SHOWN else "")
        return warn("readings", f"{seen}; {len(missing)} that the models need were not received: {listed}", RENAME)
    return ok("readings", seen)


def _wanted(config: Config) -> set[str]:
    """The signals of all models that can be opened (those that cannot have failed a check before)."""
    from tickover.errors import ModelError
    from tickover.model.session import open_model

    names: set[str] = set()
    for model in config.models:
        try:
            names |= set(open_model(model.path).manifest.names)
        except ModelError:
            continue
    return names

"""Whether the broker names its clients itself, by certificate or user (Mosquitto: use_username_as_clientid).

With such a broker every client that uses the daemon's certificate is the daemon: it takes over the connection, and a
clean start ends the session with all that is queued in it.
"""

import uuid
from pathlib import Path
from typing import Final

from tickover.daemon.config import Config
from tickover.storage.lock import is_held
from tickover.transports.mqtt.client import MqttClient
from tickover.transports.mqtt.connection import Connection, configured

OWN: Final = (
    "give doctor a certificate of its own, --cert and --key (make-certs.sh truck makes one), or stop the daemon if it "
    "runs and its session is not there yet"
)


def is_taken(config: Config) -> str:
    """Why doctor cannot use the daemon's own certificate or user; empty when it can."""
    connection = configured(config.broker)
    if not (connection.certificate or connection.username):
        return ""
    if connection.certificate and is_held(Path(config.state.folder)):
        return "the daemon runs, and this broker may take us for it, by the certificate"
    if has_session(connection, config.broker.session_expiry_s):
        return "this broker takes us for the daemon, by the certificate or user, and keeps its session"
    return ""


def has_session(connection: Connection, expiry_s: int) -> bool:
    """Whether there is a session for a client id that nobody has used: the broker named us itself.

    Nothing in that session is acknowledged; a session that we began is ended.
    """
    name = f"tickover-doctor-{uuid.uuid4().hex[:12]}"
    with MqttClient(connection, client_id=name, session_s=expiry_s, acknowledge=False, receive_maximum=1) as client:
        if not client.session_present:
            client.end_session()
        return client.session_present

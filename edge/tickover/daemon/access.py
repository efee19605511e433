"""What is wrong with the files that let us in at the broker, and does not stop the start."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from tickover.config import Broker
from tickover.doctor.certificates import read_certificate, validity
from tickover.io.secrets import exposed


def troubles(broker: Broker) -> Iterator[str]:
    """One line each, with what to do; for files that were read before (`io.mqtt_connection.check_files`)."""
    yield from (f"{file.seen}: {file.fix}" for file in exposed(broker))
    for name in (broker.tls.ca, broker.tls.certificate) if broker.tls else ():
        if name:
            yield from _out_of_date(name)


def _out_of_date(name: str) -> Iterator[str]:
    """OpenSSL accepts more kinds of PEM than ours (``TRUSTED CERTIFICATE``)."""
    now = datetime.now(UTC)
    try:
        begins, ends = validity(read_certificate(Path(name)))
    except ValueError as error:
        yield f"certificate {name}: cannot tell how long it is good: {error}"
        return
    if not begins <= now <= ends:
        dates = f"good from {begins:%Y-%m-%d} to {ends:%Y-%m-%d}"
        yield f"certificate {name}: {dates}, and today is {now:%Y-%m-%d}: renew it, or set the clock"

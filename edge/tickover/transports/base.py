"""What the daemon asks of a transport: a source of messages, a sink for its own, and nothing of how either works.

Topics have levels with ``/`` between them; in a filter ``+`` is any one level, ``#`` all that follow. A transport is a
module that offers source and sink (`tickover.transports.mqtt.link.Link` is both), and a line in
`tickover.daemon.sources`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, NamedTuple, Protocol

from msgspec import Meta

Level = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[^+#/\x00-\x1f\x7f-\x9f]+$(?!\n)")]
"""One level of a topic, as a configuration names it."""


class Received(NamedTuple):
    """A message; ``arrival`` in microseconds of the clock. ``sender``: who sent it, as far as the peer says.

    ``token`` is the source's own: the daemon hands it to `Source.acknowledge` once the message is on disk. ``early``:
    it came before its turn (`Session.early`), in which it may come again.
    """

    topic: str
    payload: bytes
    arrival: int
    token: object
    sender: str = ""
    early: bool = False


class Connected(NamedTuple):
    """The peer accepted the connection; ``resumed``: it kept our session, and repeats what was not acknowledged.

    ``address``: of the peer, where a source has several. ``note``: what this connection does not promise, and what to
    do about it; empty when nothing is missing. ``alone``: nobody else was online under our name just before.
    """

    resumed: bool
    address: str = ""
    note: str = ""
    alone: bool = False


class Disconnected(NamedTuple):
    """The connection ended, or could not be made. Nothing that was in flight is known to have arrived.

    ``taken_over``: another client uses our name; the source stays away for `About.away_s`. ``address``: of the peer,
    where a source has several.
    """

    reason: str
    taken_over: bool
    address: str = ""


class Published(NamedTuple):
    """What became of the message published with ``token``; ``refused`` is the peer's reason, empty when it took it."""

    token: object
    refused: str


class Subscribed(NamedTuple):
    """The subscriptions are in force, but for the filters ``refused``."""

    refused: tuple[str, ...]


Event = Received | Connected | Disconnected | Published | Subscribed


class Will(NamedTuple):
    """What is published in our name, retained, when the connection ends without a goodbye."""

    topic: str
    payload: bytes


class Double(NamedTuple):
    """How another client that uses our name is told, by a retained topic on which each says that it is online.

    ``is_other`` says of a message on it whether another is online; a source may call it from any thread. ``farewell``
    tells the other that we leave.
    """

    topic: str
    is_other: Callable[[bytes], bool]
    farewell: bytes


@dataclass(frozen=True)
class Session:
    """What the daemon wants of a source.

    ``filters``: the topics to receive, without messages retained from before. ``retained``: the topics to receive with
    them, before what waits, and with nothing kept of them while there is no connection: news of now. ``double``: how a
    source that was cut off soon after it connected finds out whether another client did that. ``early``: narrower
    filters than those of ``filters``, of messages that are wanted before what waits, too, where the peer can do that.
    """

    filters: tuple[str, ...]
    retained: tuple[str, ...] = ()
    will: Will | None = None
    double: Double | None = None
    early: tuple[str, ...] = ()


class About(NamedTuple):
    """What the daemon needs to know of a transport.

    ``address``: of the peer, for messages. ``client_id``: our name there; two clients of one name cut each other off.
    ``away_s``: how long the source stays away when that happened (seconds). ``window``: how many messages may be
    unacknowledged; the peer may wait when there are more.
    """

    address: str
    client_id: str
    away_s: float
    window: int


class Deduplication(Protocol):
    """Which messages were received before, for a peer that repeats those that it has not seen acknowledged.

    It is as durable as the messages: `new` goes into the journal with them, `pages` into each checkpoint, and after a
    restart `restore` gets both.
    """

    def is_repeat(self, message: Received) -> bool:
        """Whether this message was noted before."""

    def note(self, message: Received) -> None:
        """The daemon uses this message."""

    def new(self) -> bytes:
        """The messages noted since the last call."""

    def pages(self, everything: bool) -> dict[str, bytes]:
        """Name to body of what has changed since the last call, or of all."""

    def restore(self, stored: Callable[[str], bytes | None], journalled: bytes) -> None:
        """Continue with the newest pages, by name, and all that `new` gave after them."""

    def forget(self) -> None:
        """The peer began a new session and repeats nothing."""


class Source(Protocol):
    """Messages in. One thread calls all methods; a source may have threads of its own behind them."""

    @property
    def about(self) -> About:
        """What does not change."""

    @property
    def deduplication(self) -> Deduplication:
        """Which messages were received before."""

    @property
    def beat(self) -> float:
        """When the source's own thread last gave a sign of life (monotonic seconds)."""

    @property
    def heard(self) -> float:
        """When the peer was last heard (monotonic seconds)."""

    def start(self, session: Session) -> None:
        """Begin to connect, and connect again whenever the connection ends; returns at once."""

    def stop(self, timeout: float) -> None:
        """Say goodbye, so that no will is published, within ``timeout`` seconds."""

    def receive(self, timeout: float, limit: int, gather: float = 0.0) -> list[Event]:
        """What happened, in order, at most ``limit`` events.

        Waits up to ``timeout`` seconds for the first. While messages are few they may be held back for ``gather``
        seconds, so that others join them.
        """

    def acknowledge(self, tokens: Iterable[object]) -> None:
        """These messages are on disk, in order of arrival; those of an earlier connection will be repeated."""

    def back_off(self, reason: str) -> None:
        """Disconnect and stay away for `About.away_s`, since another client has our name."""


class Sink(Protocol):
    """Messages out, on the connection of the source."""

    @property
    def waiting(self) -> int:
        """Bytes that were handed over and have not left this machine; 0 where that cannot be told."""

    def publish(self, token: object, topic: str, payload: bytes, retain: bool = False) -> None:
        """Publish; a `Published` with the token follows from the source, or a `Disconnected`."""

    def send(self, topic: str, payload: bytes, retain: bool = False) -> None:
        """Publish without an answer: the message may be lost."""

"""What the daemon publishes and obeys besides alerts and notices, for docs/asyncapi.json.

The daemon writes the status and info bodies through these structs. It assembles health, score and response bodies as
plain dicts (``daemon/health``, ``daemon/latest``, ``daemon/commands``), and reads requests key by key, to answer each
wrong value with its own error. ``tests/edge/daemon/test_asyncapi.py`` decodes all that a real daemon publishes with the
structs, which refuse unknown keys.
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

Microseconds = Annotated[int, Meta(ge=0, description="microseconds since 1970-01-01 UTC")]
State = Literal["online", "stopped", "offline"]
Count = Annotated[int, Meta(ge=0, description="since the start of the daemon")]


class Status(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Retained; ``offline`` is the last will. ``instance`` is different after each start."""

    state: State
    instance: str
    time: Microseconds | UnsetType = UNSET


class ModelInfo(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One model: ``digest`` is the seal of its file."""

    detector: str
    name: str
    digest: str
    signals: tuple[str, ...]


class Info(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Retained: what runs."""

    version: str
    models: tuple[ModelInfo, ...]


class BusHealth(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The bus that the daemon listens to. ``trouble``: why it is not open, empty when it is."""

    interface: str
    open: bool
    trouble: str
    frames: Count
    error_frames: Count
    dropped: Annotated[int, Meta(ge=0, description="frames that were lost because nobody took them in time")]
    opened: Annotated[int, Meta(ge=0, description="how often the interface was opened")]


class Promise(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A vehicle's promise meter: its rate of episodes against the budget of the model's limits.

    ``episodes`` that no person judged real or known, in its newest ``hours`` of driving; ``low`` and ``high`` are the
    99.9 % interval of ``per_hour``. ``blame``: how many each chart opened, of those with most. ``raised``: the limits
    that follow the vehicle, chart to times the trained limit.
    """

    detector: str
    budget: Annotated[float, Meta(ge=0, description="episodes an hour")]
    hours: float
    episodes: Annotated[int, Meta(ge=0)]
    per_hour: float
    low: float
    high: float
    broken: bool
    blame: dict[str, int]
    raised: dict[str, float] | UnsetType = UNSET


class Health(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Each minute. ``dropped``: by reason, how many readings or messages were refused, left out or repaired.

    ``dropped_by_signal``: the same of single signals, of those with most; a name in a payload that no model has is one.
    """

    time: Microseconds
    rows: Count
    rows_per_s: float | UnsetType = UNSET
    ticks: Count
    last_tick: Microseconds | None
    lag_s: Annotated[float, Meta(description="clock minus newest tick")] | None
    vehicles: Annotated[int, Meta(ge=0, description="in memory")]
    dropped: dict[str, int]
    dropped_by_signal: dict[str, dict[str, int]]
    muted: Annotated[int, Meta(ge=0, description="alerts of shelved vehicles, which were not published")]
    rebirths_asked: Count
    outbox: Annotated[int, Meta(ge=0, description="messages that wait for the broker")]
    outbox_bytes: int
    outbox_dropped: Annotated[int, Meta(ge=0, description="by overflow, since the store began")]
    delivered: Count
    up_today: Annotated[dict[str, int], Meta(description="bytes sent since midnight UTC, by what for")]
    left_out_today: Annotated[dict[str, int], Meta(description="messages left out for out.bytes_per_day")]
    remarks_lost: Count
    commits: Count
    durable: Annotated[bool, Meta(description="commits reach the disk")]
    connected: bool
    clock_synced: bool
    memory_mb: Annotated[float, Meta(description="resident, 10^6 bytes; 0: unknown")]
    models: Annotated[dict[str, str], Meta(description="detector to digest")]
    promises_broken: Annotated[int, Meta(ge=0, description="vehicles in memory over their false-alarm budget")]
    promises: Annotated[dict[str, tuple[Promise, ...]], Meta(description="by vehicle; of those with most over it")]
    bus: BusHealth | UnsetType = UNSET
    buses: tuple[BusHealth, ...] | UnsetType = UNSET


class Request(Struct, frozen=True, kw_only=True):
    """A command; ``id`` is repeated in the response. ``for_s``: how long a mode lasts; ``since``: for replay.

    ``alert``, ``verdict`` and ``note`` are for ``verdict``: the id of an alert or an episode, and what is said of it.
    """

    id: Any = None
    for_s: Annotated[float, Meta(ge=0)] | UnsetType = UNSET
    since: str | float | UnsetType = UNSET
    alert: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET
    verdict: Literal["real", "false", "known", "none"] | UnsetType = UNSET
    note: Annotated[str, Meta(max_length=200)] | UnsetType = UNSET


class VerdictRecord(Struct, frozen=True, kw_only=True):
    """A person's verdict on an episode, as a line of the export: the episode, its model, and who said so.

    ``at``: the vehicle's event time then, that of its newest tick, microseconds. ``verdict``: a later line on the same
    episode takes the place of an earlier one; ``none`` takes it back. ``charts``: those over their limits when it
    opened, the highest first. Times are ISO 8601.
    """

    time: str
    at: Microseconds
    vehicle: str
    episode: str
    detector: str
    model: str
    start: str
    end: str | None
    peak: float
    charts: tuple[str, ...]
    verdict: str
    before: str
    by: str = ""
    request: str = ""
    note: str = ""


class Response(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``result`` when ``ok``, else ``error``."""

    command: str
    id: Any = None
    ok: bool
    result: dict[str, Any] | UnsetType = UNSET
    error: str | UnsetType = UNSET


Score = dict[str, float | None]
"""Detector to score; null: every signal missing."""

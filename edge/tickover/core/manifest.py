"""What a model file says of itself: the ``tickover.manifest`` metadata entry, JSON.

Every number that the host uses is named here. Durations end in ``_s`` and are seconds. ``manifest_codec`` reads and
writes it.
"""

import math
from typing import Annotated, Any, ClassVar, Final, Literal, get_args

from msgspec import UNSET, Meta, Struct, UnsetType

FORMAT_VERSION: Final = 2
KEY_MANIFEST: Final = "tickover.manifest"
KEY_GOLDEN: Final = "tickover.golden"
KEY_SEAL: Final = "tickover.sha256"

INPUT: Final = "x"
SCORE: Final = "score"
CHART: Final = "chart"
EXPECTED: Final = "expected"
AGE: Final = "age"
"""The state tensor that counts a trip's ticks for the warm-up; at 1 it is certainly over."""
NEXT_PREFIX: Final = "next."
"""A state tensor ``s`` enters as input ``s`` and leaves as output ``next.s``; both float32 ``[1, B, size]``."""

HORIZON_TICKS: Final = 300
"""Horizons are looked for up to this lag; one that lies there is that or longer."""

MAX_SIGNALS: Final = 512
MAX_STATE: Final = 65_536
MAX_CHARTS: Final = 8192
MEMORY_MB: Final = 40
"""What a model may take of a daemon's memory unless the configuration says otherwise: its file and its calls."""
MAX_VERSIONS: Final = 64

# Python's $ also matches before a last newline, JSON Schema's does not: (?!\n) makes both mean the end.
Name = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_.@\-]*$(?!\n)")]
_PRINTED: Final = (
    r"^[^\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]*$(?!\n)"
)
"""Text that is shown to people: no control characters, none that cannot be seen, nor those that reorder a line."""
Positive = Annotated[float, Meta(gt=0, le=1e9)]
NotNegative = Annotated[float, Meta(ge=0, le=1e9)]
Words = Annotated[str, Meta(max_length=200, pattern=_PRINTED)]
LogMapping = Annotated[str, Meta(max_length=1 << 20)]
"""The mapping of the logs that a model was trained on, TOML: `tickover.logs.mapping`."""
Cell = Literal["rnn", "gru", "lstm"]
Architecture = Literal["autoencoder", "forecaster", "seq2seq"]
CELLS: Final[tuple[Cell, ...]] = get_args(Cell)
ARCHITECTURES: Final[tuple[Architecture, ...]] = get_args(Architecture)
"""The only lists of both; whatever has something for each is a dict whose keys a test compares with these."""
Aggregation = Literal["last", "mean", "max"]
SensorKind = Literal["out_of_range", "no_data", "frozen", "departed_constant"]
SENSOR_KINDS: Final[tuple[SensorKind, ...]] = get_args(SensorKind)
SENSOR_PREFIX: Final = "sensor."
"""A sensor episode's detector is ``sensor.<kind>.<signal>``."""
BASELINE_STATE: Final = "baseline"
INPUT_DRIFT_STATE: Final = "climate"
SLOW_STATES: Final = frozenset({BASELINE_STATE, INPUT_DRIFT_STATE})
"""State tensors that follow the vehicle slowly; the host holds them while an episode is open, and any whose name
starts with ``slow.``."""


MOST_OVER: Final = 3.0
"""A budget is supported when the interval of the realised rate ends at this many times the budget, or below."""
MAX_RUNGS: Final = 16


class SignalRules(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a signal's readings become ticks, in a manifest as in a mapping.

    ``low`` and ``high``: the plausible range (values outside are missing and counted), in the ``unit``. ``hold_s``: how
    long a last value stands, seconds. ``aggregation``: what a tick takes of several readings. ``spn``, ``vss``: the
    signal's SAE J1939 number and COVESA VSS path.
    """

    unit: Annotated[str, Meta(max_length=32, pattern=_PRINTED)] = ""
    low: float = -1e9
    high: float = 1e9
    hold_s: NotNegative = 0.0
    aggregation: Aggregation = "last"
    spn: Annotated[int, Meta(ge=0, le=524_287)] | None = None
    vss: Words | None = None

    def rules(self) -> dict[str, Any]:
        """The rules alone, by key, for another struct that has them."""
        return {key: getattr(self, key) for key in SignalRules.__struct_fields__}


class StandsAt(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """For how long a signal must have one value, from ``above`` on, to be called frozen there."""

    above: float
    frozen_s: Positive


MAX_LEVELS: Final = 64


class SensorHabits(SignalRules, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What training found of a signal's sensor; None: not known, the device uses ``SensorPolicy``.

    ``core.sensor_habits`` measures it, and ``core.sensors`` judges by it. ``constant``: the only value that the signal
    had. ``outside_s``, ``stale_s``, ``unseen_s`` and ``frozen_s``: for how long the signal must be out of its plausible
    range, without readings (not read since a start: ``unseen_s``), or at one value while its companions move, to be
    called faulty; longer than any of it in training.
    Seconds of event time. ``frozen_at``: shorter limits than ``frozen_s`` where the signal always moved on sooner, such
    as a coolant that is cold; the first holds for all lower values, too, and none is longer than ``frozen_s``.
    """

    constant: float | None = None
    outside_s: Positive | None = None
    stale_s: Positive | None = None
    frozen_s: Positive | None = None
    unseen_s: Positive | UnsetType = UNSET
    frozen_at: Annotated[tuple[StandsAt, ...], Meta(min_length=1, max_length=MAX_LEVELS)] | UnsetType = UNSET


# kw_only is off so that the name comes first: msgspec puts keyword-only fields, the inherited ones, behind the others.
class Signal(SensorHabits, frozen=True, forbid_unknown_fields=True, kw_only=False):
    """One signal of a model: its name, its rules, and the habits of its sensor."""

    name: Name


class StateTensor(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One recurrent state tensor, float32 ``[1, B, size]``; ``reset`` says whether it starts anew at a trip."""

    name: Name
    size: Annotated[int, Meta(ge=1, le=MAX_STATE)]
    reset: Literal["trip", "never"]
    initial: float = 0.0


class Chart(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One control chart over the residuals of one signal or of several, in residual units. ``limit`` None: it is off.

    ``bound`` is the largest value that the chart can reach before division by the limit; ``clears_s`` is how
    long it takes, with a zero residual, to fall from there to under the limit. ``settings`` are the kind's own numbers,
    such as the span of a mean; only ``tickover retune`` reads them. ``why_off``: for people, why there is no limit.
    ``share``: what part of an equal share of the false-alarm budget its limit was set for; less than 1 for the
    kinds of chart that buy least, and where the signal's level differs from trip to trip. ``level``: whether a
    residual that stays off by a constant keeps it up.
    """

    name: Name
    signals: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=MAX_SIGNALS)]
    kind: Name
    limit: Positive | None
    bound: Positive
    clears_s: NotNegative
    settings: Annotated[dict[Name, Positive], Meta(max_length=32)] = {}
    why_off: Words = ""
    share: Annotated[float, Meta(gt=0, le=1)] = 1.0
    level: bool = False


class ColdStart(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How much wider a signal's residual spreads while the network is new to a trip.

    At age ``t`` the spread is ``1 + excess / (1 + t / fades_s)**2`` times the usual one.
    """

    excess: NotNegative
    fades_s: Positive

    def over_s(self, times: float) -> float:
        """The age in seconds from which on the spread is under ``times`` the usual one."""
        return max(0.0, self.fades_s * (math.sqrt(self.excess / (times - 1.0)) - 1.0))


class Legs(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the limits realised on the held-out trips cut into legs of ``shortest_s`` to ``longest_s``: see Budget."""

    shortest_s: Positive
    longest_s: Positive
    hours: NotNegative
    realised: NotNegative
    low: NotNegative
    high: NotNegative


class Budget(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The false-alarm budget that the limits were set for: ``episodes`` in ``per_s`` seconds.

    ``low`` and ``high`` bound the realised rate per hour on held-out trips (95 % Poisson); ``hours`` is how much
    held-out driving that rests on. With ``legs`` the limits were set to keep the budget on whole trips and on legs.
    """

    episodes: Positive
    per_s: Positive
    hours: NotNegative = 0.0
    realised: NotNegative | None = None
    low: NotNegative | None = None
    high: NotNegative | None = None
    legs: Legs | None = None

    @property
    def per_hour(self) -> float:
        """False episodes allowed in an hour."""
        return self.episodes / self.per_s * 3600.0

    @property
    def is_measured(self) -> bool:
        """Whether a realised rate is stated, with its interval."""
        return self.realised is not None and self.low is not None and self.high is not None

    @property
    def is_supported(self) -> bool:
        """Whether held-out driving shows that the limits keep the budget, on whole trips and in legs.

        The interval of the realised rate begins no higher than the budget, and ends no higher than ``MOST_OVER`` times
        the budget.
        """
        stated = [(self.low, self.high), *([(self.legs.low, self.legs.high)] if self.legs else [])]
        allowed = self.per_hour
        return self.is_measured and all(
            low is not None and high is not None and low <= allowed and high <= MOST_OVER * allowed
            for low, high in stated
        )


class Rung(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One budget of a model's ladder, with the limits that were set for it.

    ``limits``: one for each chart, in the order of ``Manifest.charts``; None: the chart is off. ``recall``: by kind of
    injected fault, the share that these limits detect on trips that the network has not seen.
    """

    budget: Budget
    limits: Annotated[tuple[Positive | None, ...], Meta(max_length=MAX_STATE)]
    recall: Annotated[dict[Name, Annotated[float, Meta(ge=0, le=1)]], Meta(max_length=256)] = {}

    @property
    def mean_recall(self) -> float | None:
        """The mean over the kinds; None where it was not measured."""
        return sum(self.recall.values()) / len(self.recall) if self.recall else None


FollowBack = Annotated[float, Meta(ge=0, le=20)]
"""Times the usual speed; at most so that a mean over 1,800 s and ticks of a minute cannot overshoot twofold."""


class EpisodePolicy(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When an episode opens, updates and closes. Levels are scores: 1.0 is the alarm limit.

    Opens after ``open_after_s`` of ticks at or over 1.0; closes after ``close_after_s`` under ``close_level``; does not
    open again for ``hold_off_s`` after that (the re-alarm hold-off); ends with ``no_data`` when its evidence has been
    missing for ``no_data_s``. An update is sent every ``update_every_s`` of event time, when severity rises, and, with
    ``update_on_signal``, when another signal passes its limit. While the charts have cleared but a signal's level is
    not back where it was before (``core.standing``), the episode stays open; after ``persist_s`` of that it ends as
    ``adapted``. With ``hold_slow_means`` what follows the vehicle slowly (``Manifest.slow_states``) stays as it is
    while an episode is open, for the signals that were over a limit in it: a fault that lasts is not taken for
    usual. With ``skip_carried`` a chart that a trip begins with over its limit opens no episode (``core.carried``).
    With ``follow_back`` the slow means of a signal that deviates by less than half of its most in the episode do not
    hold but follow, so many times as fast as usual: to where the vehicle settles.
    With ``adapt_limits`` limits follow a vehicle that keeps raising episodes (``core.adaptation``).
    """

    OLD_KEYS: ClassVar[dict[str, str]] = {"cool_down_s": "hold_off_s"}

    open_after_s: NotNegative = 0.0
    close_after_s: NotNegative = 30.0
    close_level: Annotated[float, Meta(gt=0, le=1)] = 0.8
    hold_off_s: NotNegative = 60.0
    no_data_s: Positive = 120.0
    update_every_s: Positive = 300.0
    major_level: Annotated[float, Meta(ge=1)] = 2.0
    critical_level: Annotated[float, Meta(ge=1)] = 4.0
    top_signals: Annotated[int, Meta(ge=1, le=32)] = 3
    freeze_frame_ticks: Annotated[int, Meta(ge=1, le=600)] = 30
    update_on_signal: bool = True
    hold_slow_means: bool = True
    skip_carried: bool = True
    adapt_limits: bool = True
    persist_s: NotNegative = 7200.0
    follow_back: FollowBack = 0.0


class SensorPolicy(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When the sensor of one signal is called faulty, for each kind of ``SENSOR_KINDS`` in ``kinds``.

    ``outside_s``: readings out of the plausible range for this long, less a ninth of the time of plausible ones.
    ``departed_s``: the same for a signal that was constant in training and has another value. ``stale_s``: no reading
    for this long beyond the signal's hold, ``unseen_s`` when it was not read since the trip's start or since the
    vehicle was last at rest. ``frozen_s``: one value for this long. The last three count only while the other signals
    come and move. A signal's own ``outside_s``, ``stale_s``, ``unseen_s`` and ``frozen_s`` go before these.
    ``update_every_s``: how often an open episode is told again.
    """

    kinds: tuple[SensorKind, ...] = SENSOR_KINDS
    outside_s: Positive = 10.0
    departed_s: Positive = 10.0
    stale_s: Positive = 30.0
    unseen_s: Positive = 600.0
    frozen_s: Positive = 7200.0
    update_every_s: Positive = 3600.0


class Network(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What kind of network is inside; ``window`` in ticks, only for seq2seq."""

    cell: Cell
    arch: Architecture
    hidden: Annotated[int, Meta(ge=1, le=4096)]
    bottleneck: Annotated[int, Meta(ge=1, le=4096)]
    window: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    parameters: Annotated[int, Meta(ge=0)] = 0


class Training(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the weights and limits come from. ``data_sha256`` covers the tick arrays, in order."""

    data_sha256: Words = ""
    trips: int = 0
    hours: float = 0.0
    seed: int = 0


class Parity(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How far the graph is from torch: the largest |score difference| / max(1, score) over ``ticks``.

    ``tiled`` says that fewer real ticks were there and that they were repeated with seeded gaps.
    """

    ticks: int
    error: float
    tiled: bool = False


class Manifest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All that the host must know to run the graph; see the module's and each part's docstring.

    ``cold`` has one entry per signal, or none when residuals are not corrected for the trip's age. ``spreads``: how far
    each signal's residual spreads, in its unit; none in models of before, whose episodes end by their charts alone
    (``core.standing``). ``kinds`` says in
    words what the charts of each kind show: the device knows no kind by name. ``ladder``: limits for other budgets,
    from the most frequent to the rarest (``core.ladder``); empty in models of before.
    """

    format_version: int = FORMAT_VERSION
    name: Name
    signals: tuple[Signal, ...]
    tick_period_s: Positive
    gap_limit_s: Positive
    lateness_s: NotNegative
    states: tuple[StateTensor, ...]
    warm_up_ticks: Annotated[int, Meta(ge=0, le=1_000_000)]
    cold: tuple[ColdStart, ...] = ()
    spreads: tuple[Annotated[float, Meta(gt=0)], ...] = ()
    charts: tuple[Chart, ...]
    kinds: Annotated[dict[Name, Words], Meta(max_length=64)] = {}
    false_alarms: Budget
    ladder: Annotated[tuple[Rung, ...], Meta(max_length=MAX_RUNGS)] = ()
    episodes: EpisodePolicy = EpisodePolicy()
    sensors: SensorPolicy = SensorPolicy()
    network: Network
    memory_horizon_s: NotNegative | None = None
    state_horizon_s: NotNegative | None = None
    training: Training = Training()
    versions: Annotated[dict[Words, Words], Meta(max_length=MAX_VERSIONS)] = {}
    parity: Parity | None = None
    log_mapping: LogMapping | UnsetType = UNSET

    @property
    def period(self) -> int:
        """The tick period in microseconds."""
        return round(self.tick_period_s * 1e6)

    @property
    def slow_states(self) -> tuple[str, ...]:
        """The names of the state tensors that hold while an episode is open."""
        names = (state.name for state in self.states)
        return tuple(name for name in names if name in SLOW_STATES or name.startswith("slow."))

    @property
    def names(self) -> tuple[str, ...]:
        """The signals' names, in the order of the input's columns."""
        return tuple(signal.name for signal in self.signals)


def names_of(manifest: Manifest) -> tuple[str, ...]:
    """`Manifest.names`, a function of its own for `tickover.core.once`."""
    return manifest.names

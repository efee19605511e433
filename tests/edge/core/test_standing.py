"""An episode of a chart of changes ends as recovered when its signal is back, and not when the chart clears."""

import msgspec
import numpy as np
import pytest
from msgspec import structs

from tickover.core.episodes import Episodes
from tickover.core.manifest import Budget, Chart, EpisodePolicy, Manifest, Network, Signal, StandsAt, StateTensor
from tickover.core.proven import LONG_S
from tickover.core.record import DRIFT
from tickover.core.standing import OLDER_PARTS
from tickover.core.values import SECOND, EndReason, Phase, Scores, TickBlock
from tickover.core.watch import Watch
from tickover.errors import StateError

POLICY = EpisodePolicy(
    close_after_s=10, hold_off_s=20, update_every_s=60, persist_s=600, freeze_frame_ticks=20, adapt_limits=False
)
SPREADS = (2.0, 5.0)
BEGIN, TICKS = 100, 1500


def manifest(policy=POLICY, spreads=SPREADS):
    """Coolant and oil, each with a chart of changes and one of its level; 1 s ticks."""
    chart = {"limit": 1.0, "bound": 8.0, "clears_s": 10.0}
    charts = [
        Chart(name=f"{signal}.{kind}", signals=(signal,), kind=kind, level=kind == "ewma", **chart)
        for kind in ("change", "ewma")
        for signal in ("coolant", "oil")
    ]
    return Manifest(
        name="test",
        signals=(Signal(name="coolant", high=150.0), Signal(name="oil", high=900.0)),
        tick_period_s=1.0,
        gap_limit_s=4.0,
        lateness_s=0.0,
        states=(StateTensor(name="h", size=2, reset="trip"),),
        warm_up_ticks=0,
        charts=tuple(charts),
        kinds={"change": "a change", "ewma": "a level"},
        false_alarms=Budget(episodes=1, per_s=3600),
        episodes=policy,
        network=Network(cell="gru", arch="autoencoder", hidden=1, bottleneck=1),
        spreads=spreads,
    )


def drive(coolant, high=(), seed=0, level=None, walk=0.1):
    """Ticks in which the coolant is off its expectation by ``coolant`` ``[T]``; its chart of changes is at 3 in the
    ticks ``high``, its level chart at ``level`` ``[T]``."""
    random, ticks = np.random.default_rng(seed), len(coolant)
    expected = np.array([90.0, 400.0]) + random.normal(0, 1, (ticks, 2)).cumsum(axis=0) * walk
    observed = expected + random.normal(0, SPREADS, (ticks, 2)) * 0.5
    observed[:, 0] += coolant
    chart = np.zeros((ticks, 4), np.float32)
    chart[list(high), 0] = 3.0
    if level is not None:
        chart[:, 2] = level
    time = np.arange(ticks, dtype=np.int64) * SECOND
    block = TickBlock("truck", time, np.zeros(ticks, np.int64), observed.astype(np.float32))
    return block, Scores(chart.max(axis=1), chart, expected.astype(np.float32))


def step(size, until=TICKS):
    coolant = np.zeros(TICKS)
    coolant[BEGIN:until] = size
    return coolant


def moving_on(described):
    """The same model, whose training says that its signals do not stand for long."""
    return structs.replace(described, signals=tuple(structs.replace(one, frozen_s=600.0) for one in described.signals))


def run(block, scores, sizes=(TICKS,), resume=False, **changes):
    """Alerts of the ticks fed in blocks, and of their end."""
    described = moving_on(manifest(structs.replace(POLICY, **changes)))
    episodes, told, at = Episodes(described, "ab" * 32, "truck"), [], 0
    for size in sizes:
        rows = slice(at, at + size)
        told += episodes.feed(block.part(rows), scores.at(np.s_[rows]))[1]
        at += size
        if resume:
            saved, episodes = episodes.state(), Episodes(described, "ab" * 32, "truck")
            episodes.restore(saved)
    return told + episodes.end(EndReason.END_OF_LOG)


def ends(alerts):
    return [(alert.reason, alert.time // SECOND) for alert in alerts if alert.phase is Phase.END]


@pytest.mark.parametrize("size", [5.0, -5.0, 12.0, 1000.0])
def test_a_step_that_stays_is_not_recovered_when_its_chart_clears(size):
    alerts = run(*drive(step(size), range(BEGIN, BEGIN + 20)))
    assert ends(alerts) == [(EndReason.ADAPTED, BEGIN + 20 + 600)]
    told = [alert.time // SECOND for alert in alerts[:-1]]
    assert told == list(range(BEGIN, BEGIN + 620, 60)), "told again at the interval"


@pytest.mark.parametrize("size", [5.0, -5.0, 12.0, 1000.0])
def test_it_is_recovered_once_the_signal_is_back(size):
    [(reason, when)] = ends(run(*drive(step(size, until=400), range(BEGIN, BEGIN + 20))))
    assert reason is EndReason.RECOVERED
    assert 400 < when < 440, "the running mean has to fall"


def test_a_spike_that_is_gone_is_recovered_at_once():
    [(reason, when)] = ends(run(*drive(step(60.0, until=BEGIN + 1), range(BEGIN, BEGIN + 20))))
    assert (reason, when) == (EndReason.RECOVERED, BEGIN + 30)


def test_a_deviation_of_before_the_episode_is_no_part_of_it():
    coolant = np.zeros(TICKS)
    coolant[: BEGIN + 5] = 9.0  # it ends as the episode begins: the signal is back where it is expected
    [(reason, when)] = ends(run(*drive(coolant, range(BEGIN, BEGIN + 20))))
    assert (reason, when) == (EndReason.RECOVERED, BEGIN + 30)


def test_a_stuck_sensor_is_not_recovered_while_it_repeats_its_value():
    block, scores = drive(step(0.0), range(BEGIN, BEGIN + 20))
    block.values[BEGIN - 3 : 500, 0] = block.values[BEGIN - 3, 0]
    [(reason, when)] = ends(run(block, scores))
    assert (reason, when) == (EndReason.RECOVERED, 500)


STUCK = [(880.0, True), (None, False), (6000.0, False), ((60.0, 240.0, 6000.0), True), ((60.0, 6000.0, 240.0), False)]


@pytest.mark.parametrize(("frozen_s", "stays"), STUCK)
@pytest.mark.parametrize("ticks", [1, 12])
def test_a_signal_that_stands_where_it_deviated_has_not_recovered(frozen_s, stays, ticks):
    """The network comes to expect what it is shown: within 200 s the coolant deviates no more. It gets there in one
    step or in several."""
    block, scores = drive(step(0.0), range(BEGIN, BEGIN + 20))
    stuck = block.values[BEGIN - 1, 0] - 50.0
    block.values[BEGIN:, 0] = stuck
    block.values[BEGIN : BEGIN + ticks, 0] = np.linspace(90.0, stuck, ticks)
    fades = np.clip((np.arange(TICKS) - BEGIN) / 200.0, 0.0, 1.0)
    scores.expected[:, 0] += (fades * (stuck - scores.expected[:, 0])).astype(np.float32)
    scores.expected[900:, 0] = 90.0
    block.values[900:, 0] = scores.expected[900:, 0] + np.arange(600) % 2  # it is plugged in again
    habits = manifest().signals[0]
    if isinstance(frozen_s, tuple):  # at 40 C, and where it is usual
        above, cold, warm = frozen_s
        at = (StandsAt(above=-40.0, frozen_s=cold), StandsAt(above=above, frozen_s=warm))
        habits, frozen_s = structs.replace(habits, frozen_at=at), 6000.0
    habits = structs.replace(habits, frozen_s=frozen_s)
    described = structs.replace(manifest(structs.replace(POLICY, persist_s=5000)))
    described = structs.replace(described, signals=(habits, described.signals[1]))
    episodes = Episodes(described, "ab" * 32, "truck")
    [(reason, when)] = ends(episodes.feed(block, scores)[1])
    assert (900 <= when < 940) if stays else when < 400
    assert reason is (EndReason.RECOVERED if stays else EndReason.QUIET), "at 40 C it deviated never"


def test_a_fault_of_the_level_stands_while_its_chart_is_near_its_peak():
    level = np.zeros(TICKS)
    level[BEGIN : BEGIN + 50], level[BEGIN + 50 : 700] = 1.05, 0.7
    [(reason, when)] = ends(run(*drive(step(4.0, until=700), level=level, walk=0.0)))
    assert (reason, when) == (EndReason.RECOVERED, 700 + LONG_S - 1)


def test_an_episode_that_is_to_close_sooner_waits_no_longer_for_a_proof():
    """A fault that comes again every four seconds, each time an episode of its own."""
    coolant, level = np.zeros(TICKS), np.zeros(TICKS)
    for begin in range(BEGIN, BEGIN + 40, 4):
        coolant[begin], level[begin] = 12.0, 2.0
    found = ends(run(*drive(coolant, level=level, walk=0.0), close_after_s=1.0, hold_off_s=0.0))
    assert len(found) == 10, found


def test_a_high_chart_starts_the_time_anew():
    high = [*range(BEGIN, BEGIN + 20), *range(500, 505)]
    [(reason, when)] = ends(run(*drive(step(12.0), high)))
    assert (reason, when) == (EndReason.ADAPTED, 505 + 600)


def gain(place, factor=1.5, until=TICKS):
    """A coolant that reads ``factor`` of what it is from `BEGIN` on; what it is ``[T]``."""
    block, scores = drive(np.zeros(TICKS), range(BEGIN, BEGIN + 20), walk=0.0)
    true = np.asarray(place) + block.values[:, 0] - scores.expected[:, 0]
    scores.expected[:, 0] = place
    wrong = (np.arange(TICKS) >= BEGIN) & (np.arange(TICKS) < until)
    block.values[:, 0] = np.where(wrong, true * factor, true)
    return block, scores


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize(
    ("again", "until", "said"), [(0.0, TICKS, "quiet"), (20.0, 400, "recovered"), (0.0, 400, "quiet")]
)
def test_it_has_recovered_only_where_it_deviated(again, until, said, sign):
    """A wrong gain says nothing where the signal is near 0: whether it is gone shows where it was seen."""
    place = np.full(TICKS, 20.0)
    place[400:] = again
    alerts = run(*gain(sign * place, until=until))
    assert ends(alerts)[0][0] == said


def test_a_wrong_gain_that_is_seen_again_keeps_its_episode_open():
    place = np.where((np.arange(TICKS) + 10) % 100 < 60, 20.0, 3.0)
    assert EndReason.RECOVERED not in [reason for reason, _ in ends(run(*gain(place)))]


def test_what_deviates_at_single_ticks_only_has_recovered_when_it_does_no_more():
    """Noise has no place, and its mean is never off: while it goes on, nothing is proven."""
    for until, said in ((TICKS, EndReason.QUIET), (BEGIN + 25, EndReason.RECOVERED)):
        coolant = np.where(np.arange(TICKS) % 2, 6.0, -6.0) * (step(1.0, until) > 0)
        assert ends(run(*drive(coolant, range(BEGIN, BEGIN + 20))))[0][0] is said


@pytest.mark.parametrize(("stays", "said"), [(0.7, EndReason.QUIET), (0.1, EndReason.RECOVERED)])
def test_a_level_that_stays_near_its_limit_has_not_recovered(stays, said):
    level = np.zeros(TICKS)
    level[BEGIN : BEGIN + 50], level[BEGIN + 50 :] = 1.3, stays
    assert ends(run(*drive(step(0.0), level=level, walk=0.0)))[0][0] is said


def test_a_network_that_expects_what_it_is_shown_does_not_hide_that_a_signal_is_back():
    """While the coolant is off, it expects 40 more: where the coolant is once it is back was seen just before."""
    block, scores = drive(step(60.0, until=400), range(BEGIN, BEGIN + 20), walk=0.0)
    scores.expected[BEGIN:400, 0] += 40.0
    assert [reason for reason, _ in ends(run(block, scores))] == [EndReason.RECOVERED]


@pytest.mark.parametrize("changes", [{"persist_s": 0.0}])
def test_it_can_be_switched_off(changes):
    [(reason, when)] = ends(run(*drive(step(12.0), range(BEGIN, BEGIN + 20)), **changes))
    assert (reason, when) == (EndReason.RECOVERED, BEGIN + 30)


def test_a_model_that_knows_no_spreads_goes_by_its_charts():
    episodes = Episodes(manifest(spreads=()), "ab" * 32, "truck")
    block, scores = drive(step(12.0), range(BEGIN, BEGIN + 20))
    assert ends(episodes.feed(block, scores)[1]) == [(EndReason.RECOVERED, BEGIN + 30)]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("resume", [False, True])
def test_how_ticks_are_cut_never_matters(seed, resume):
    random = np.random.default_rng(seed)
    coolant = step(float(random.choice([3.0, 6.0, 20.0])), until=int(random.integers(200, 900)))
    high = random.choice(TICKS - BEGIN, 30) + BEGIN
    block, scores = drive(coolant, high, seed, level=random.choice([0.0, 1.2], TICKS, p=[0.99, 0.01]))
    block.values[:, 0] = np.round(block.values[:, 0], random.integers(-1, 1))
    block.values[random.random(block.values.shape) < 0.05] = np.nan
    sizes = random.multinomial(TICKS, np.full(40, 1 / 40)).tolist()
    assert run(block, scores, [size for size in sizes if size], resume) == run(block, scores)


def test_a_state_of_other_signals_is_refused():
    episodes = Episodes(manifest(), "ab" * 32, "truck")
    block, scores = drive(step(12.0)[: BEGIN + 10], range(BEGIN, BEGIN + 10))
    episodes.feed(block, scores)
    other = structs.replace(manifest(), spreads=(1.0, 1.0, 1.0))
    with pytest.raises(StateError, match="expected 12 lists of 3"):
        Episodes(other, "ab" * 32, "truck").restore(episodes.state())


def test_what_was_adapted_to_is_told():
    watch = Watch(manifest(), "ab" * 32, "truck")
    watch.feed(*drive(step(12.0), range(BEGIN, BEGIN + 20)))
    [remark] = [one for one in watch.remarks() if one.kind == DRIFT]
    assert "coolant" in remark.text
    assert remark.time == (BEGIN + 620) * SECOND


def test_a_sensor_that_is_back_in_its_range_has_not_recovered_while_the_signal_deviates():
    def reasons(after):
        block, scores = drive(step(after), range(BEGIN, BEGIN + 80))  # the chart holds while its signal is missing
        away = slice(BEGIN + 1, BEGIN + 60)
        outside = np.full_like(block.values, np.nan)
        outside[away, 0], block.values[away, 0] = 999.0, np.nan
        ticks = TickBlock("truck", block.time, block.trip, block.values, outside)
        watched = Watch(manifest(), "ab" * 32, "truck").feed(ticks, scores)
        return {alert.detector: (alert.reason, alert.time // SECOND) for alert in watched.alerts}

    assert reasons(after=0.0)["sensor.out_of_range.coolant"][0] is EndReason.RECOVERED
    reason, when = reasons(after=12.0)["sensor.out_of_range.coolant"]
    assert reason is not EndReason.RECOVERED or when > BEGIN + 600


def test_a_sensor_that_moves_again_has_not_recovered_while_the_signal_deviates():
    def reason(off):
        block, scores = drive(step(off), range(BEGIN + 250, TICKS) if off else ())  # the chart holds
        block.values[BEGIN : BEGIN + 280, 0] = block.values[BEGIN, 0]
        signals = (structs.replace(manifest().signals[0], frozen_s=240.0), manifest().signals[1])
        model = structs.replace(manifest(), signals=signals)
        alerts = Watch(model, "ab" * 32, "truck").feed(block, scores).alerts
        return {alert.detector: alert.reason for alert in alerts}["sensor.frozen.coolant"]

    assert reason(off=0.0) is EndReason.RECOVERED
    assert reason(off=12.0) is None


@pytest.mark.parametrize(("kind", "holds"), [("change", True), ("level", False)])
def test_in_a_vehicles_first_minutes_a_step_holds_what_is_slow_and_a_level_does_not(kind, holds):
    """A level may be the season's; a step is something that happened."""
    high = range(BEGIN, 200) if kind == "change" else ()
    level = np.where(np.arange(TICKS) >= BEGIN, 1.5, 0.0) if kind == "level" else None
    block, scores = drive(step(12.0), high, level=level)
    watch = Watch(manifest(), "ab" * 32, "truck")
    watch.feed(block.part(slice(0, 150)), scores.at(np.s_[:150]))
    assert watch.is_open
    assert watch.holds is holds


def test_an_episode_is_about_the_signals_that_were_over_a_limit_in_it():
    """What follows the vehicle slowly goes on for the others: an episode of the throttle keeps no cold day."""
    block, scores = drive(step(12.0), range(BEGIN, BEGIN + 20))
    scores.chart[BEGIN + 40, 3] = 1.5  # the oil's level, for one tick
    knowing, unknowing = (Episodes(manifest(spreads=spreads), "ab" * 32, "truck") for spreads in (SPREADS, ()))
    about = []
    for tick in range(BEGIN + 50):
        rows = slice(tick, tick + 1)
        for episodes in (knowing, unknowing):
            episodes.feed(block.part(rows), scores.at(np.s_[rows]))
        about.append(knowing.about.tolist())
        assert unknowing.about.all(), "a model that knows no spreads holds all, as it always did"
    assert about[BEGIN - 1] == [True, True], "no episode, nobody asks"
    assert about[BEGIN : BEGIN + 40] == [[True, False]] * 40
    assert about[BEGIN + 40 :] == [[True, True]] * 10


@pytest.mark.parametrize("seed", range(6))
def test_a_look_at_many_ticks_at_once_gives_the_same_to_the_bit_as_one_after_another(seed):
    """Steps, a level chart, missing and stuck signals, no chart fresh: whole blocks against single ticks, by state."""
    random = np.random.default_rng(seed)
    level = np.abs(random.normal(0, 0.7, TICKS)).cumsum() % 1.4 if seed % 2 else None
    block, scores = drive(random.normal(0, 8, TICKS).cumsum() % 30, random.integers(0, TICKS, 40), seed, level)
    block.values[random.random(TICKS) < 0.1, random.integers(0, 2)] = np.nan
    block.values[700:800, 0] = block.values[699, 0]
    outcomes, described = [], moving_on(manifest(structs.replace(POLICY, adapt_limits=True)))
    for size in (TICKS, 7, 1):
        watch, told = Watch(described, "ab" * 32, "truck"), []
        for at in range(0, TICKS, size):
            told += watch.feed(block.part(slice(at, at + size)), scores.at(np.s_[at : at + size])).alerts
        outcomes.append((told, watch.state()))
    assert outcomes[0][0]
    assert outcomes[0] == outcomes[1] == outcomes[2]


@pytest.mark.parametrize("stops", ["limits", "held"])
def test_a_block_that_ends_early_is_as_if_the_rest_had_not_come(stops):
    block, scores = drive(step(12.0, until=400), [*range(BEGIN, BEGIN + 20), *range(900, 940)])
    early, whole, at, ends = (Watch(manifest(), "ab" * 32, "truck") for _ in range(2)), [], 0, []
    watch, other = early
    while at < TICKS:
        rows = slice(at, TICKS)
        watched = watch.feed(block.part(rows), scores.at(np.s_[rows]), stops)
        at += len(watched.open)
        ends.append(at)
        whole += watched.alerts
        assert len(watched.scores.score) == len(watched.open)
    assert whole == other.feed(block, scores).alerts
    assert watch.state() == other.state()
    phases = [alert.phase for alert in whole]
    assert len(ends) == 1 + phases.count(Phase.END) + (phases.count(Phase.START) if stops == "held" else 0)


@pytest.mark.parametrize("parts", OLDER_PARTS)
def test_a_state_of_before_goes_on(parts):
    """It does not tell what stands where it deviated."""
    block, scores = drive(step(12.0, until=400), range(BEGIN, BEGIN + 20))
    episodes, rows, rest = Episodes(manifest(), "ab" * 32, "truck"), slice(0, BEGIN + 50), slice(BEGIN + 50, TICKS)
    told = episodes.feed(block.part(rows), scores.at(np.s_[rows]))[1]
    state = msgspec.msgpack.decode(episodes.state())
    state["standing"] = state["standing"][:parts]
    again = Episodes(manifest(), "ab" * 32, "truck")
    again.restore(msgspec.msgpack.encode(state))
    told += again.feed(block.part(rest), scores.at(np.s_[rest]))[1]
    assert told == Episodes(manifest(), "ab" * 32, "truck").feed(block, scores)[1]

"""Episodes are counted over arrays as the device counts them."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tickover.core.episodes import Episodes
from tickover.core.manifest import (
    Budget,
    Chart,
    EpisodePolicy,
    Manifest,
    Network,
    Signal,
    StateTensor,
)
from tickover.core.values import (
    SECOND,
    Phase,
    Scores,
    TickBlock,
)
from tickover_train.calibration.episode_count import count_episodes

HOURLY = Budget(episodes=1.0, per_s=3600.0)


def manifest(policy: EpisodePolicy) -> Manifest:
    return Manifest(
        name="one",
        signals=(Signal(name="a"),),
        tick_period_s=1.0,
        gap_limit_s=30.0,
        lateness_s=0.0,
        states=(StateTensor(name="h", size=1, reset="trip"),),
        warm_up_ticks=0,
        charts=(Chart(name="a.fast", signals=("a",), kind="ewma", limit=1.0, bound=8.0, clears_s=0.0),),
        false_alarms=HOURLY,
        episodes=policy,
        network=Network(cell="gru", arch="autoencoder", hidden=1, bottleneck=1),
    )


def counted_by_the_device(scores: np.ndarray, policy: EpisodePolicy) -> int:
    ticks = len(scores)
    block = TickBlock("v", np.arange(ticks) * SECOND, np.zeros(ticks, np.int64), np.ones((ticks, 1), np.float32))
    found = Scores(scores, scores[:, None], np.ones((ticks, 1), np.float32))
    _, alerts = Episodes(manifest(policy), "d", "v").feed(block, found)
    return sum(alert.phase == Phase.START for alert in alerts)


@settings(max_examples=150, deadline=None)
@given(
    runs=st.lists(st.tuples(st.sampled_from([0.1, 0.7, 0.9, 1.0, 3.0]), st.integers(1, 12)), min_size=1, max_size=25),
    open_after=st.sampled_from([0.0, 3.0]),
    close_after=st.sampled_from([0.0, 1.0, 5.0]),
    hold_off=st.sampled_from([0.0, 1.0, 7.0]),
)
def test_episodes_are_counted_as_the_device_counts_them(runs, open_after, close_after, hold_off):
    scores = np.concatenate([np.full(length, level, np.float32) for level, length in runs])
    policy = EpisodePolicy(open_after_s=open_after, close_after_s=close_after, hold_off_s=hold_off)
    assert count_episodes(scores, policy, 1.0) == counted_by_the_device(scores, policy)

"""How many episodes the device would open, counted over whole arrays of scores. No torch."""

import numpy as np
import numpy.typing as npt

from tickover.core.manifest import EpisodePolicy
from tickover.core.values import FloatArray


def count_episodes(scores: FloatArray, policy: EpisodePolicy, period_s: float) -> int:
    """How many episodes the device would open over one trip's scores ``[T]`` with 1.0 as the limit.

    The same rules as ``tickover.core.episodes``, without the messages: calibration counts thousands of times.
    """
    wait = _ticks(policy.open_after_s, period_s)
    with np.errstate(invalid="ignore"):
        opens = np.flatnonzero(_run(scores >= 1.0) >= wait)
        close = _run(scores < policy.close_level) >= _ticks(policy.close_after_s, period_s)
    gone = _run(np.isnan(scores)) >= _ticks(policy.no_data_s, period_s)
    closes = np.flatnonzero(close | gone)
    count, place = 0, 0
    # `place` is the first tick that may be part of the next episode: the run that opens it must begin there or later,
    # so it opens no sooner than `wait - 1` ticks on.
    while (first := np.searchsorted(opens, place + wait - 1)) < len(opens):
        count += 1
        last = np.searchsorted(closes, opens[first])
        if last == len(closes):
            break
        place = closes[last] + max(1, round(policy.hold_off_s / period_s))
    return count


def _ticks(seconds: float, period_s: float) -> int:
    """How many ticks in a row last ``seconds`` from the first to the last."""
    return round(seconds / period_s) + 1


def _run(flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """How long each flag has been set without a break, ``[T]``."""
    place = np.arange(1, len(flags) + 1)
    broken = np.maximum.accumulate(np.where(flags, 0, place))
    return place - broken

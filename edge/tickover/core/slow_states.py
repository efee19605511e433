"""Holds what follows a vehicle slowly while an episode is open.

A slow mean (``Manifest.slow_states``) that went on while a fault lasts would come to take it for usual, and the episode
would end as recovered with the fault still there. The graph does not know of episodes, so the host puts such states
back after each tick at whose beginning one was open. That asks for one tick at a time while it is, and for no more than
that: ticks, chunks and batches give the same.

What holds is what the episode is about: the means of the signals that were over a limit in it. Held for all signals, an
episode about the throttle in the first drive of a winter would keep the model from following the cold, come to be about
the ambient temperature, and stay open for as long as it is cold.

With ``follow_back`` a signal that is back, if not fully, does not hold: its slow means follow it, faster than usual, to
where it settles. A machine whose valve does not open again to the last bit would else stay in alarm for good.
"""

from typing import Final

import numpy as np

from tickover.core.chart_signals import BoolArray
from tickover.core.episode_block import Stops
from tickover.core.manifest import EpisodePolicy, Manifest
from tickover.core.values import FloatArray
from tickover.core.watch import Watch

ALL: Final = 2**62
"""As many ticks at once as there are."""
GROWTH: Final = 2
FIRST: Final = 64
"""Ticks at once after an episode; then more and more: what is run and not used stays a part of what is used."""


class SlowStates:
    """Where a model's slow states lie in a vehicle's flat state ``float32[S]``; nowhere when they never hold.

    ``stops``: behind which ticks a block has to be judged anew, for their sake or because limits may move.
    """

    def __init__(self, manifest: Manifest, policy: EpisodePolicy) -> None:
        slow = set(manifest.slow_states) if policy.hold_slow_means else set()
        sizes = [state.size for state in manifest.states]
        self._places = np.repeat([state.name in slow for state in manifest.states], sizes).astype(bool)
        # A slow state is a row, or several, of a number for each signal.
        places = [place % len(manifest.signals) for size in sizes for place in range(size)]
        self._signal = np.array(places, np.int64)
        self.any = bool(self._places.any())
        self.follow = np.float32(policy.follow_back)
        self.stops: Stops = "held" if self.any else "limits" if policy.adapt_limits else ""

    def held(
        self, before: FloatArray, after: FloatArray, signals: BoolArray, following: BoolArray | None = None
    ) -> FloatArray:
        """The states ``[..., S]`` after a tick, with the slow means of ``signals`` ``[..., F]`` as before it; those of
        ``following`` go on, ``follow`` times as fast as they do.
        """
        held = np.where(self._places & signals[..., self._signal], before, after)
        if following is None or not self.follow or not following.any():
            return held
        faster: FloatArray = before + self.follow * (after - before)
        return np.where(self._places & following[..., self._signal], faster, held)

    def most(self, watch: Watch, before: int = ALL) -> int:
        """How many ticks may be run at once, given how many were before."""
        if not self.any:
            return ALL
        if watch.holds:
            return 1
        return before if before == ALL else max(FIRST, min(before * GROWTH, ALL))

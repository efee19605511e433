"""The rules of ``tickover.core.arrivals``, one row at a time, with plain lists and dicts. Slow, and read in one go."""

import functools
import math
from collections import Counter

import numpy as np

from tickover.core import arrivals, seen


class ArrivalsOracle:
    """``out`` gathers the rows to be taken: time, values, whether the clock was set back before; ``late`` the late
    ones.

    It remembers each row for itself, so it equals pages of one key.
    """

    def __init__(self, limit, window=0, most=10):
        self.most, self.limit, self.window = most, limit, max(window, limit) if window else 0
        self.out, self.late, self.counts = [], [], Counter()
        self.begin()

    def begin(self):
        self.newest = self.left = None
        self.doubt = self.doubted = 0
        self.memory, self.far, self.top, self.anew = [], {}, None, False
        self.drop_held()

    def drop_held(self):
        self.held, self.count, self.low = [], 0, None

    def row(self, time, values):
        if self.newest is not None and time < self.newest - self.limit:
            self.behind(time, values)
        else:
            self.front(time, values)

    def front(self, time, values):
        if self.known(time, values):
            self.left_out("repeated", values)
            return
        self.give_up()
        if self.left is not None and time >= self.left - self.limit:
            if time - self.newest > self.limit:
                self.doubt, self.doubted = min(self.doubt + 1, arrivals.MAX_DOUBT), time
            self.left = None
        self.remember(time, values)
        self.newest = time if self.newest is None else max(time, self.newest)
        self.out.append((time, values, self.anew))
        self.anew = False

    def behind(self, time, values):
        if all(math.isnan(value) for value in values):
            return
        held_too = self.window and any(key(time, values) == key(*row[:2]) for row in self.held)
        repeats = bool(self.known(time, values) or held_too)
        if repeats and not self.count:
            self.left_out("repeated", values)
            return
        if not self.count and self.doubt and self.newest - self.doubted > arrivals.DOUBT_ENDS:
            self.doubt = 0
        self.held.append((time, values, repeats))
        if len(self.held) > self.most:
            self.leave(self.held.pop(0))
        if not repeats:
            self.low = min(self.low, time) if self.count else time
            self.count += 1
            asked = arrivals.DOUBT**self.doubt
            if self.count >= asked * arrivals.BACK_ROWS and time - self.low >= asked * arrivals.BACK_SPAN:
                self.decide()

    def decide(self):
        if self.was_here([row[:2] for row in self.held if not row[2]]):
            self.give_up()
            return
        held, left, doubt, doubted = self.held, self.newest, self.doubt, self.doubted
        self.begin()
        self.left, self.doubt, self.doubted, self.anew = left, doubt, doubted, True
        for time, values, _ in held:
            self.row(time, values)

    def give_up(self):
        for row in self.held:
            self.leave(row)
        if self.doubt and self.count:
            self.doubted = self.newest
        self.drop_held()

    def leave(self, row):
        time, values, repeats = row
        self.left_out("repeated" if repeats else "late", values)
        if not repeats:
            self.remember(time, values)
            self.late.append((time, values))

    def left_out(self, reason, values):
        self.counts[reason] += sum(not math.isnan(value) for value in values)

    def known(self, time, values):
        if not self.window or self.newest is None:
            return False
        return (time, key(time, values)) in [row for row in self.memory if row[0] >= self.newest - self.window]

    def remember(self, time, values):
        if not self.window:
            return
        self.memory.append((time, key(time, values)))
        bucket = time // seen.BUCKET
        self.top = bucket if self.top is None else max(self.top, bucket)
        self.far[bucket] = min(self.far.get(bucket, math.inf), key(time, values) >> 32)
        self.far = {number: least for number, least in self.far.items() if number > self.top - seen.BUCKETS}

    def was_here(self, rows):
        if not self.far:
            return False
        buckets = [time // seen.BUCKET for time, _ in rows]
        for number in set(buckets) - {min(buckets), max(buckets)}:
            least = min(key(*row) >> 32 for row, bucket in zip(rows, buckets, strict=True) if bucket == number)
            if self.far.get(number) == least:
                return True
        return False


def key(time, values):
    return key_of(time, tuple("nan" if math.isnan(value) else value + 0.0 for value in values))


@functools.cache
def key_of(time, values):
    return int(seen.keys_of(np.array([time]), np.array([[float(value) for value in values]]))[0])

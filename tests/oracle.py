"""The obvious detector: plain NumPy in float64, one tick and one signal at a time. Slow, and read in one go.

It shares no code with the graph builder; formulas are those of ``tickover_export.spec``.
"""

import math

import numpy as np


def sigmoid(v):
    return 1.0 / (1.0 + np.exp(-v))


def cell_step(kind, w, name, x, state):
    """One step of a torch cell; ``state`` is (h, c); gates r, z, n and i, f, g, o as torch stacks them."""
    h, c = state
    from_x = w[f"{name}.weight_ih"] @ x + w[f"{name}.bias_ih"]
    from_h = w[f"{name}.weight_hh"] @ h + w[f"{name}.bias_hh"]
    if kind == "rnn":
        return np.tanh(from_x + from_h), c
    if kind == "gru":
        (rx, zx, nx), (rh, zh, nh) = np.split(from_x, 3), np.split(from_h, 3)
        r, z = sigmoid(rx + rh), sigmoid(zx + zh)
        return (1 - z) * np.tanh(nx + r * nh) + z * h, c
    i, f, g, o = np.split(from_x + from_h, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


class Oracle:
    """Scores one vehicle's ticks; ``state`` lives from tick to tick in plain attributes."""

    def __init__(self, spec, weights, limits):
        self.spec, self.limits = spec, np.asarray(limits, float)
        self.w = {name: array.astype(float) for name, array in weights.items()}
        self.signals = len(spec.signals)
        self.means = {bank.name: np.zeros(self.signals) for bank in spec.banks if bank.kind != "cusum"}
        self.sums = {bank.name: np.zeros((2, self.signals)) for bank in spec.banks if bank.kind == "cusum"}
        self.still = {bank.name: 0.0 for bank in spec.banks if bank.kind == "frozen"}
        self.whole = {}  # the values of the newest tick in which all signals of the bank were there
        self.baseline = np.zeros(self.signals)
        self.moved = np.zeros(self.signals)
        self.reset()

    def reset(self):
        self.age = 0
        zero = np.zeros(self.spec.network.hidden)
        self.encoder, self.decoder = (zero, zero), (zero, zero)
        self.previous = np.zeros(2 * self.signals)
        self.past = []
        self.window = [np.zeros(2 * self.signals)] * (self.spec.network.window or 1)

    def run(self, x, trip_start):
        rows = []
        for row, starts in zip(x, trip_start, strict=True):
            if starts:
                self.reset()
            rows.append(self.tick(row.astype(float)))
        return tuple(np.array(part) for part in zip(*rows, strict=True))

    def tick(self, x):
        """(score, charts [C], expected [F])"""
        w, spec = self.w, self.spec
        present = np.isfinite(x)
        normalised = np.zeros(self.signals)
        for f in range(self.signals):
            if present[f]:
                scaled = (x[f] - w["scaler.center"][f]) / w["scaler.scale"][f]
                normalised[f] = min(max(scaled, -spec.input_clip), spec.input_clip)
        normalised_as_read = normalised
        if spec.input_drift:
            outside = normalised - np.clip(normalised, spec.input_drift.low, spec.input_drift.high)
            moved = self.moved
            normalised = np.where(present, normalised - moved, 0.0)
            self.moved = np.where(present, moved + self.rate(spec.input_drift.span_s) * (outside - moved), moved)
        else:
            moved = np.zeros(self.signals)
        expected = self.network(np.concatenate([normalised, present]))
        self.age += 1
        residual = (normalised - expected - w["residual.center"]) / w["residual.scale"]
        for f, cold in enumerate(spec.cold):
            residual[f] /= 1.0 + cold.excess / (1.0 + self.age * spec.tick_period_s / cold.fades_s) ** 2
        charts = []
        valid = present & (self.age > spec.warm_up_ticks)
        levelled = np.clip(residual - self.baseline if spec.baseline_span_s else residual, -spec.clip, spec.clip)
        self.past = [*self.past[-2:], (levelled, normalised_as_read, valid)]
        for bank in spec.banks:
            if bank.kind == "frozen":
                charts.append(self.frozen(bank))
                continue
            order = {"change": 1, "spike": 2}.get(bank.kind, 0)
            values, known = self.difference(order)
            charts += [self.chart(bank, f, values[f], known[f]) for f in range(self.signals)]
        if spec.baseline_span_s:
            rate = self.rate(spec.baseline_span_s)
            clipped = np.clip(residual, -spec.clip, spec.clip)
            self.baseline = np.where(valid, self.baseline + rate * (clipped - self.baseline), self.baseline)
        charts = np.array(charts) / self.limits
        score = charts.max() if present.any() else math.nan
        return score, charts, (expected + moved) * w["scaler.scale"] + w["scaler.center"]

    def difference(self, order):
        """The residual's difference of this order, and where it is known."""
        if len(self.past) <= order:
            return np.zeros(self.signals), np.zeros(self.signals, bool)
        ticks = self.past[-1 - order :]
        return np.diff([r for r, _, _ in ticks], order, axis=0)[0], np.all([valid for _, _, valid in ticks], axis=0)

    def frozen(self, bank):
        """Seconds in which no signal of the bank moved."""
        chosen = [not bank.signals or signal.name in bank.signals for signal in self.spec.signals]
        _, values, valid = self.past[-1]
        if valid[chosen].all():
            before = self.whole.get(bank.name, np.zeros(sum(chosen)))
            longer = min(self.still[bank.name] + self.spec.tick_period_s, bank.longest_s)
            self.still[bank.name] = longer if (before == values[chosen]).all() else 0.0
            self.whole[bank.name] = values[chosen]
        return self.still[bank.name]

    def rate(self, span_s):
        return 2.0 / (span_s / self.spec.tick_period_s + 1.0)

    def chart(self, bank, f, r, valid):
        if bank.kind == "cusum":
            sums = self.sums[bank.name]
            if valid:
                for side, signed in enumerate((r, -r)):
                    sums[side, f] = min(max(sums[side, f] + signed - bank.allowance, 0.0), bank.saturation)
            return sums[:, f].max()
        means = self.means[bank.name]
        if valid:
            means[f] += self.rate(bank.span_s) * ((r if bank.kind == "ewma" else r * r) - means[f])
        return abs(means[f]) if bank.kind == "ewma" else math.sqrt(means[f])

    def network(self, x):
        """Expected normalised values; advances the network."""
        network = self.spec.network
        if network.arch == "forecaster":
            (value, here), (previous, seen) = np.split(x, 2), np.split(self.previous, 2)
            expected = previous + self.dense("output", self.encoder[0])
            change = np.where(here * seen > 0, value - previous, 0.0)
            self.encoder = cell_step(network.cell, self.w, "encoder", np.concatenate([x, change]), self.encoder)
            self.previous = x
            return expected
        if network.arch == "seq2seq":
            self.reset_cells()
            self.window = [*self.window[1:], x]
            for row in self.window:
                self.encoder = cell_step(network.cell, self.w, "encoder", row, self.encoder)
        else:
            self.encoder = cell_step(network.cell, self.w, "encoder", x, self.encoder)
        context = np.tanh(self.dense("bottleneck", self.encoder[0]))
        self.decoder = cell_step(network.cell, self.w, "decoder", context, self.decoder)
        return self.dense("output", self.decoder[0])

    def reset_cells(self):
        zero = np.zeros(self.spec.network.hidden)
        self.encoder, self.decoder = (zero, zero), (zero, zero)

    def dense(self, name, h):
        return self.w[f"{name}.weight"] @ h + self.w[f"{name}.bias"]

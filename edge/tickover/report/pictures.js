"use strict";
// The kinds of picture: the score, the heat of signals, trouble codes, and a signal with what was not used of it.

function drawScore(element) {
  const x = [], y = [], { place } = axis();
  let peak = 1;
  walk((part, i) => {
    x.push(part ? place(part.start[i] + part.step / 2) : null);
    y.push(part && Number.isFinite(part.score[i]) ? part.score[i] : null);
    if (part && part.score[i] > peak) peak = part.score[i];
  });
  const logarithmic = peak > LOG_SCALE_FROM;
  const drawn = logarithmic ? y.map((value) => (value === null ? null : Math.max(value, SCORE_FLOOR))) : y;
  const top = Math.max(1.25, peak * 1.15);
  const yaxis = logarithmic
    ? { type: "log", range: [Math.log10(SCORE_FLOOR), Math.log10(top)], tickvals: [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100], title: { text: "score (log)" } }
    : { type: "linear", range: [0, top], title: { text: "score" } };
  const limit = { type: "line", xref: "paper", x0: 0, x1: 1, y0: 1, y1: 1, line: { color: colour("limit"), width: 1.5, dash: "dash" } };
  const note = { xref: "paper", x: 0, xanchor: "left", yref: "y", y: logarithmic ? 0 : 1, yanchor: "bottom", showarrow: false,
    text: "limit", font: { color: colour("limit"), size: 12 } };
  return draw(element, [{ x, y: drawn, customdata: y.map((value) => digits(value, 3)), mode: "lines", line: { color: colour("observed"), width: 1.4 }, hovertemplate: "score %{customdata}<extra></extra>" }],
    layout(yaxis, { shapes: [...shades(null), limit], annotations: [note], margin: topMargin() }));
}

function drawHeat(element) {
  const { coarse, level } = vehicle(shown);
  const x = [], rows = [], { place } = axis();
  for (let i = 0; i < coarse.start.length; i++) {
    if (i && coarse.start[i] - coarse.start[i - 1] > 1.5 * coarse.step) { x.push(place(coarse.start[i - 1] + coarse.step)); rows.push(null); }
    x.push(place(coarse.start[i]));
    rows.push(i);
  }
  if (coarse.start.length) x.push(place(coarse.start[coarse.start.length - 1] + coarse.step));
  const names = data.signals.map((signal) => signal.name);
  const z = names.map((_, s) => rows.map((i) => (i === null ? null : finite(level(s)[i]))));
  const scale = [[0, colour("page")], [0.8 / HEAT_TOP, colour("grid")], [0.999 / HEAT_TOP, colour("line")], [1 / HEAT_TOP, "#f2b134"], [2 / HEAT_TOP, "#e8590c"], [1, "#9c1c2b"]];
  element.style.height = `${60 + names.length * (narrow.matches ? NARROW_ROW : Math.min(ROW, TALLEST / names.length))}px`;
  const trace = { type: "heatmap", x, y: names.map((_, s) => s), z, zmin: 0, zmax: HEAT_TOP, colorscale: scale, ygap: narrow.matches ? NAME_ROOM : 2, hoverongaps: false,
    text: z.map((row, s) => row.map(() => names[s])), hovertemplate: "%{text}: %{z:.3~g} times its limit<extra></extra>",
    showscale: !narrow.matches,
    colorbar: { thickness: 10, outlinewidth: 0, tickvals: [0, 1, 2, 4], ticktext: ["0", "1 limit", "2", "4+"] } };
  const yaxis = { tickvals: names.map((_, s) => s), ticktext: names, range: [names.length - 0.5, narrow.matches ? -1 : -0.5],
    showgrid: false, ticks: "", showticklabels: !narrow.matches };
  const above = names.map((name, s) => ({ text: escaped(name), x: 0, xref: "paper", xanchor: "left", y: s - 0.5, yref: "y", showarrow: false, font: { size: 11 } }));
  const picture = layout(yaxis, { hovermode: "closest", margin: topMargin(), annotations: narrow.matches ? above : [] });
  picture.xaxis.showgrid = false;
  return draw(element, [trace], picture);
}
// A bar for each time that a code was active, a row a code; the score's panel has the same time range.
function drawCodes(element) {
  const here = data.codes.filter((code) => code.vehicle === shown);
  const names = [...new Set(here.map((code) => code.name))];
  const { place, perPixel } = axis();
  const shortest = CODE_PX * perPixel;   // a code of one moment is still seen
  element.style.height = `${60 + names.length * NARROW_ROW}px`;
  const traces = here.map((code) => {
    const y = names.indexOf(code.name), start = place(code.start), end = Math.max(place(code.end), start + shortest);
    return { x: [start, (start + end) / 2, end], y: [y, y, y], mode: "lines", line: { color: colour("limit"), width: 9 },
      text: escaped([code.name, code.words].filter(Boolean).join(": ")), hovertemplate: "%{text}<extra></extra>" };
  });
  const yaxis = { tickvals: names.map((_, y) => y), range: [names.length - 0.5, -1], showticklabels: false, ticks: "" };
  const above = names.map((name, y) => ({ text: escaped(name), x: 0, xref: "paper", xanchor: "left", y: y - 0.5, yref: "y", showarrow: false, font: { size: 11 } }));
  return draw(element, traces, layout(yaxis, { hovermode: "closest", margin: topMargin(), annotations: above, shapes: shades(null) }));
}
const finite = (value) => (Number.isFinite(value) ? value : null);

function drawSignal(element, number) {
  const signal = data.signals[number], { place } = axis();
  const seen = { x: [], y: [], text: [] }, wanted = { x: [], y: [] };
  walk((part, i) => {
    if (!part) { seen.x.push(null); seen.y.push(null); seen.text.push(""); wanted.x.push(null); wanted.y.push(null); return; }
    const { low, high, expected } = part.signal(number);
    const x = place(part.start[i] + part.step / 2);
    const text = low[i] === high[i] ? digits(low[i]) : digits(low[i]) + " to " + digits(high[i]);
    for (const y of low[i] === high[i] ? [low[i]] : i % 2 ? [high[i], low[i]] : [low[i], high[i]]) { seen.x.push(x); seen.y.push(finite(y)); seen.text.push(text); }
    wanted.x.push(x);
    wanted.y.push(finite(expected[i]));
  });
  const unit = escaped(signal.unit);
  const line = (name, trace, style) => ({ ...trace, name, mode: "lines", line: style, connectgaps: false });
  const expected = line("expected", wanted, { color: colour("expected"), width: 2.6 });
  const observed = line("observed", seen, { color: colour("observed"), width: 1.3 });
  expected.hovertemplate = `expected %{y:.4~g} ${unit}<extra></extra>`;
  observed.hovertemplate = `observed %{text} ${unit}<extra></extra>`;
  const edge = { overlaying: "y", range: [0, 1], fixedrange: true, visible: false };
  return draw(element, [expected, observed, ...unusedTraces(number, unit)], layout({ title: { text: unit } }, { shapes: shades(signal.name), yaxis2: edge }));
}
// Where readings were dropped: a strip along the bottom while there is no usable value, a triangle at the edge beyond which a reading lay.
function unusedTraces(number, unit) {
  const strip = { x: [], y: [], text: [] }, marks = { x: [], y: [], text: [], symbols: [] };
  const { place, perPixel } = axis();
  walk((part, i) => {
    const found = part && part.unused(number);
    if (!found) return;
    const from = place(part.start[i]), to = Math.max(place(part.start[i] + part.step), from + STRIP_PX * perPixel);
    if (found.missing[i] > 0) {
      const text = part.step > data.period ? `no usable value in ${found.missing[i]} tick${found.missing[i] > 1 ? "s" : ""}` : "no usable value";
      strip.x.push(from, (from + to) / 2, to, null);
      strip.y.push(STRIP_AT, STRIP_AT, STRIP_AT, null);
      strip.text.push(text, text, text, "");
    }
    if (!found.low || !Number.isFinite(found.low[i])) return;
    const { low, high } = data.signals[number];
    for (const value of new Set([found.low[i], found.high[i]])) {
      const above = value > high || (value >= low && value > (low + high) / 2);   // packed values are rounded
      marks.x.push(place(part.start[i] + part.step / 2));
      marks.y.push(above ? 1 - MARK_AT : MARK_AT);
      marks.symbols.push(above ? "triangle-up" : "triangle-down");
      marks.text.push(`${digits(value)} ${unit}, out of range`);
    }
  });
  const traces = [];
  if (strip.x.length) traces.push({ ...strip, yaxis: "y2", name: "missing", mode: "lines", line: { color: colour("doubt"), width: 5 }, hovertemplate: "%{text}<extra></extra>" });
  const { symbols, ...points } = marks;
  if (points.x.length) traces.push({ ...points, yaxis: "y2", name: "out of range", mode: "markers", marker: { symbol: symbols, color: colour("limit"), size: 8 }, hovertemplate: "%{text}<extra></extra>" });
  return traces;
}

"use strict";
// Draws the page's pictures from the packed numbers. Plotly starts after the first paint; a signal's panel is drawn
// when it comes into view. All panels share one range of time.

const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const MISSING = 65535;
const LOG_SCALE_FROM = 4;      // a higher peak gets a logarithmic axis
const SCORE_FLOOR = 0.05;      // the lowest score on that axis
const DETAIL_POINTS = 8000;    // ticks are drawn in the place of buckets while at most this many fall into the range
const CONTEXT = 0.6;           // share of an episode's length shown on either side of it
const SHORTEST = 30;           // an episode is framed as if it had at least this many ticks
const HEAT_TOP = 4;            // charts at this many times their limit have the strongest colour
const ROW = 22;                // height of a signal in the heat, in pixels,
const TALLEST = 460;           // of all of them together at most,
const NARROW_ROW = 32;         // and where its name stands above it,
const NAME_ROOM = 18;          // in this part
const STRIP_PX = 3;            // a tick without a value is at least this wide,
const STRIP_AT = 0.015;        // at this share of the panel's height,
const MARK_AT = 0.08;          // and a reading out of range so far from its edge
const COPIED_MS = 2000;        // how long a button says that it has copied
const CODE_PX = 3;             // a trouble code is at least this wide
const BREAK_LABEL = 12;        // a break that is so wide has room for its length
const NEAR = 150;              // a panel this many pixels from the view is drawn
const MARGIN = { l: 64, r: 12, t: 8, b: 38 };
const NAMES = Math.min(230, 24 + 7 * Math.max(...data.signals.map((signal) => signal.name.length)));
const WIDE_MARGIN = { ...MARGIN, l: Math.max(MARGIN.l, NAMES), r: 84, autoexpand: false };   // score and heat stand one above the other
const narrow = matchMedia("(max-width: 760px)");   // as in the style: no room for names beside the heat's rows, they stand above
const topMargin = () => (narrow.matches ? MARGIN : WIDE_MARGIN);

// ---- unpacking -------------------------------------------------------------------------------------------------

function bytes(text) {
  const raw = atob(text);
  const array = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) array[i] = raw.charCodeAt(i);
  return array.buffer;
}
const doubles = (text) => new Float64Array(bytes(text));
function values(packed, which) {
  const codes = new Uint16Array(bytes(packed.codes[which]));
  const result = new Float64Array(codes.length);
  for (let i = 0; i < codes.length; i++) result[i] = codes[i] === MISSING ? NaN : packed.low + packed.step * codes[i];
  return result;
}
function once(make) {
  const kept = new Map();
  return (key) => {
    if (!kept.has(key)) kept.set(key, make(key));
    return kept.get(key);
  };
}
function unpackVehicle(vehicle) {
  const span = (packed) => ({ low: values(packed, 0), high: values(packed, 1), expected: values(packed, 2) });
  // What was not used: ticks without a value in each piece of time, and the furthest readings out of range.
  const unused = (packed) => packed && { missing: values(packed.missing, 0), low: packed.outside && values(packed.outside, 0), high: packed.outside && values(packed.outside, 1) };
  const tick = (packed) => ({ low: values(packed, 0), high: values(packed, 0), expected: values(packed, 1) });
  return {
    name: vehicle.name,
    coarse: { step: vehicle.width, start: doubles(vehicle.start), score: doubles(vehicle.score), signal: once((s) => span(vehicle.values[s])), unused: once((s) => unused(vehicle.unused[s])) },
    level: once((s) => values(vehicle.level[s], 0)),
    windows: vehicle.windows.map((window) => ({
      step: data.period, start: doubles(window.start), score: doubles(window.score), signal: once((s) => tick(window.values[s])), unused: once((s) => unused(window.unused[s])),
    })),
  };
}
const vehicle = once((number) => unpackVehicle(data.vehicles[number]));

// ---- state: the vehicle and the range of time shown --------------------------------------------------------------

let shown = 0;
let range = null;              // [from, to] in ms, null = all
let chosen = null;             // the episode that was clicked
const panels = new Map();      // element -> function that draws it
const visible = new Set();

function whole() {
  const { start, step } = vehicle(shown).coarse;
  return start.length ? [start[0], start[start.length - 1] + step] : [0, 1];
}
const current = () => range || whole();
const gaps = once((number) => gapsOf(vehicle(number).coarse));
const plotWidth = () => Math.max(160, $("score").clientWidth - topMargin().l - topMargin().r);
let kept = null;               // the axis of all panels, until they are drawn anew
function axis() {
  if (!kept || kept.version !== version || kept.shown !== shown) kept = { ...axisOf(current(), gaps(shown), plotWidth()), version, shown };
  return kept;
}

// Pieces to draw in the range: the pyramid's buckets, and when near enough the ticks of the windows in their place.
function pieces() {
  const { coarse, windows } = vehicle(shown);
  const [from, to] = current();
  const within = ({ start }) => firstAtLeast(start, to) - firstAtLeast(start, from);
  const points = windows.reduce((sum, window) => sum + within(window), 0);
  if (coarse.step <= data.period || points > DETAIL_POINTS) return [{ part: coarse, from: -Infinity, to: Infinity }];
  const result = [];
  let reached = -Infinity;
  for (const part of windows) {
    const first = Math.max(part.start[0], reached);
    const last = part.start[part.start.length - 1] + part.step;
    if (last <= reached) continue;
    if (first > reached) result.push({ part: coarse, from: reached, to: first });
    result.push({ part, from: first, to: last });
    reached = last;
  }
  result.push({ part: coarse, from: reached, to: Infinity });
  return result;
}

// Calls visit(part, i) for each point of the range and visit(null) where time is missing between two of them.
function walk(visit) {
  const [from, to] = current();
  const margin = (to - from) * 0.5;
  let end = null;
  for (const piece of pieces()) {
    const { start, step } = piece.part;
    for (let i = firstAtLeast(start, Math.max(piece.from, from - margin)); i < start.length; i++) {
      if (start[i] >= piece.to || start[i] > to + margin) break;
      if (end !== null && start[i] - end > 1.5 * step) visit(null);
      visit(piece.part, i);
      end = start[i] + step;
    }
  }
}
function firstAtLeast(sorted, value) {
  let low = 0, high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value) low = middle + 1; else high = middle;
  }
  return low;
}

// ---- looks -------------------------------------------------------------------------------------------------------

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
const escaped = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const digits = (value, count = 4) => (Number.isFinite(value) ? String(+value.toPrecision(count)) : "missing");

function timeAxis() {
  const { from, to, place } = axis();
  const ticks = ticksOf(axis());
  return { type: "date", range: [place(from), place(to)], autorange: false, gridcolor: colour("grid"), linecolor: colour("line"), zeroline: false,
    tickvals: ticks.map((tick) => tick.at), ticktext: ticks.map((tick) => tick.text), hoverformat: "%Y-%m-%d %H:%M:%S.%3f",
    showspikes: true, spikemode: "across", spikethickness: 1, spikedash: "solid", spikecolor: colour("soft") };
}
// Gaps that the axis shortens: a band each, and how long it is. Where there are many, they have no room for that, and no borders.
const isWide = (gap) => gap.end - gap.at >= BREAK_LABEL * axis().perPixel;
function breakShapes() {
  return axis().breaks.map((gap) => ({
    type: "rect", xref: "x", yref: "paper", x0: gap.at, x1: gap.end, y0: 0, y1: 1, layer: "above", fillcolor: colour(isWide(gap) ? "page" : "grid"),
    line: { color: colour("soft"), width: isWide(gap) ? 1 : 0, dash: "dot" },
  }));
}
function breakNotes() {
  return axis().breaks.filter(isWide).map((gap) => ({
    text: lengthOf(gap.to - gap.from), textangle: -90, x: (gap.at + gap.end) / 2, xref: "x", y: 0.5, yref: "paper", showarrow: false, font: { color: colour("soft"), size: 11 },
  }));
}
function layout(yaxis, extra) {
  return {
    margin: MARGIN, paper_bgcolor: colour("card"), plot_bgcolor: colour("card"), showlegend: false,
    font: { color: colour("soft"), family: "system-ui, sans-serif", size: 12 }, hovermode: "x unified", dragmode: "zoom",
    hoverlabel: { bgcolor: colour("card"), bordercolor: colour("line"), font: { color: colour("text") } },
    xaxis: timeAxis(), yaxis: { fixedrange: true, gridcolor: colour("grid"), zeroline: false, ...yaxis }, ...extra,
    shapes: [...(extra.shapes || []), ...breakShapes()], annotations: [...(extra.annotations || []), ...breakNotes()],
  };
}
function shades(signal) {
  return data.episodes.filter((episode) => episode.vehicle === shown).map((episode) => ({
    type: "rect", xref: "x", yref: "paper", x0: axis().place(episode.start), x1: axis().place(episode.end), y0: 0, y1: 1, layer: "below", line: { width: 0 },
    fillcolor: colour(signal === null || episode.signals.includes(signal) ? "shade" : "faint"),
  }));
}
const config = { displaylogo: false, responsive: true, displayModeBar: false, doubleClick: false };

const drawn = new WeakSet();   // panels that Plotly has finished at least once
async function draw(element, traces, picture) {
  await Plotly.react(element, traces, picture, config);
  if (drawn.has(element)) return;
  drawn.add(element);
  element.classList.add("drawn");
  element.on("plotly_relayout", (change) => {
    if (change["xaxis.range[0]"] !== undefined) zoom([0, 1].map((end) => axis().timeAt(toMs(change[`xaxis.range[${end}]`]))));
  });
  element.on("plotly_doubleclick", () => choose(null));
  element.on("plotly_hover", (event) => point(element, event.xvals && event.xvals[0]));
  element.on("plotly_unhover", () => point(element, null));
  new MutationObserver(() => tellTime(element)).observe(element.querySelector(".hoverlayer"), { childList: true, subtree: true });
}
// Plotly heads its box with a position as if it were a date; the time that stands there takes its place.
function tellTime(element) {
  const title = element.querySelector(".hoverlayer .legendtitletext");
  if (!title || title.dataset.told === title.textContent) return;
  const words = stamp(axis().timeAt(toMs(title.textContent)));
  title.dataset.told = words;
  (title.querySelector("tspan") || title).textContent = words;
}
function toMs(value) {
  if (typeof value === "number") return value;
  return Date.parse(value.replace(" ", "T") + (value.length <= 10 ? "T00:00:00Z" : "Z"));
}

// A pointer at the same time in every visible panel.
let pointing = false;
function point(source, x) {
  if (pointing) return;
  pointing = true;
  for (const element of visible) {
    if (element === source || !drawn.has(element)) continue;
    if (x === null || x === undefined) Plotly.Fx.unhover(element);
    else Plotly.Fx.hover(element, { xval: x }, "xy");
  }
  pointing = false;
}

// ---- the page ----------------------------------------------------------------------------------------------------

const peakOf = (number) => vehicle(shown).level(number).reduce((most, value) => (value > most ? value : most), 0);

function layOutSignals() {
  const home = $("signals");
  for (const element of [...panels.keys()]) if (home.contains(element)) { watcher.unobserve(element); panels.delete(element); visible.delete(element); }
  home.replaceChildren();
  const named = chosen === null ? [] : data.episodes[chosen].signals;
  const rank = (number) => (named.includes(data.signals[number].name) ? Infinity : peakOf(number));
  const order = data.signals.map((_, number) => number).sort((a, b) => (rank(b) > rank(a)) - (rank(b) < rank(a)) || a - b);
  for (const number of order) {
    const box = document.createElement("div");
    box.className = "signal";
    const head = document.createElement("h3");
    const peak = peakOf(number);
    head.append(data.signals[number].name);
    head.append(Object.assign(document.createElement("small"), { textContent: data.signals[number].unit }));
    head.append(Object.assign(document.createElement("small"), { className: peak >= 1 ? "peak over" : "peak", textContent: `highest chart ${digits(peak, 3)} × its limit` }));
    const panel = Object.assign(document.createElement("div"), { className: "panel" });
    panel.setAttribute("role", "img");
    panel.setAttribute("aria-label", `${data.signals[number].name}, observed and expected over time`);
    box.append(head, panel);
    home.append(box);
    register(panel, () => drawSignal(panel, number));
  }
}
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) see(entry.target, entry.isIntersecting);
}, { rootMargin: NEAR + "px" });
let version = 0;
function register(element, drawIt) {
  panels.set(element, { drawIt, drawn: -1 });
  watcher.observe(element);
}
function see(element, isNear) {
  if (!isNear) { visible.delete(element); return; }
  visible.add(element);
  refresh(element);
}
function lookAround() {
  for (const element of panels.keys()) {
    const { top, bottom } = element.getBoundingClientRect();
    see(element, bottom > -NEAR && top < innerHeight + NEAR);
  }
}
function refresh(element) {
  const panel = panels.get(element);
  if (!panel || panel.drawn === version) return;
  panel.drawn = version;
  panel.drawIt();
}
function redraw() {
  version += 1;
  for (const element of visible) refresh(element);
}
function zoom(to) {
  if (to && !(Number.isFinite(to[0]) && Number.isFinite(to[1]) && to[0] < to[1])) return;
  range = to;
  $("reset").hidden = range === null;
  tellRange();
  redraw();
}
const tellRange = () => { $("range").textContent = range ? range.map(stamp).join(" to ") : ""; };
// All times of the page in another zone; a time in a table carries its ms.
function changeZone(name) {
  useZone(name);
  for (const element of document.querySelectorAll("time[data-ms]")) element.textContent = stamp(+element.dataset.ms);
  for (const element of document.querySelectorAll(".zone")) element.textContent = name;
  tellRange();
  redraw();
}
function offerZones() {
  const offered = zones();
  if (data.relative || offered.length < 2) return;
  for (const [name, words] of offered) $("zone").append(new Option(words, name));
  $("zone").addEventListener("change", (event) => changeZone(event.target.value));
  $("zone").parentElement.hidden = false;
}
// Zooms to an episode and puts the signals of its alert first; null: all time, the highest charts first.
function choose(number) {
  const episode = number === null ? null : data.episodes[number];
  if (episode && episode.vehicle === null) return;
  chosen = number;
  for (const row of document.querySelectorAll("tr[data-episode]")) row.classList.toggle("chosen", +row.dataset.episode === number && episode !== null);
  show(episode ? episode.vehicle : shown);
  if (!episode) return zoom(null);
  const length = Math.max(episode.end - episode.start, SHORTEST * data.period);
  const [first, last] = whole();
  zoom([Math.max(first, episode.start - CONTEXT * length), Math.min(last, episode.end + CONTEXT * length)]);
  $("score-title").scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
}
function show(number) {
  shown = number;
  if ($("vehicle")) $("vehicle").value = String(number);
  layOutSignals();
  lookAround();
}
function theme(dark) {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  $("theme").textContent = dark ? "Light" : "Dark";
  redraw();
}

// A page from a file, or in an older browser, may have no clipboard; then a text field gives the text, or it is shown.
async function copy(button) {
  try { await navigator.clipboard.writeText(button.dataset.copy); } catch { if (!copyFromField(button.dataset.copy)) return tell(button); }
  button.classList.add("copied");
  setTimeout(() => button.classList.remove("copied"), COPIED_MS);
}
function tell(button) {
  button.replaceWith(Object.assign(document.createElement("code"), { textContent: button.dataset.copy }));
}
function copyFromField(text) {
  const field = Object.assign(document.createElement("textarea"), { value: text, readOnly: true });
  field.style.cssText = "position: fixed; opacity: 0";
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  return done;
}

const prefersDark = matchMedia("(prefers-color-scheme: dark)");
prefersDark.addEventListener("change", (event) => theme(event.matches));
narrow.addEventListener("change", redraw);
$("theme").addEventListener("click", () => theme(document.documentElement.dataset.theme !== "dark"));
$("reset").addEventListener("click", () => choose(null));
if ($("vehicle")) $("vehicle").addEventListener("change", (event) => { shown = +event.target.value; choose(null); });
for (const row of document.querySelectorAll("tr[data-episode]")) row.addEventListener("click", () => choose(+row.dataset.episode));
for (const button of document.querySelectorAll(".copy")) button.addEventListener("click", (event) => { event.stopPropagation(); copy(button); });
theme(prefersDark.matches);
offerZones();

function begin() {
  const script = document.createElement("script");
  script.textContent = $("plotly").textContent;
  document.head.append(script);
  $("plotly").remove();
  if (!data.vehicles.length) return;
  register($("score"), () => drawScore($("score")));
  register($("heat"), () => drawHeat($("heat")));
  if ($("codes")) register($("codes"), () => drawCodes($("codes")));
  layOutSignals();
  lookAround();
}
requestAnimationFrame(() => setTimeout(begin));

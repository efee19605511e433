// Small charts over time (uPlot, loaded when first needed): score against its limit, observed against expected.

let loading = null;
function library() {
  loading ||= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = "/static/uplot.js";
    script.onload = () => resolve(window.uPlot);
    script.onerror = () => reject(new Error("the chart library did not load"));
    document.head.append(script);
  });
  return loading;
}
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const drawn = new Set();

function axes() {
  const axis = { stroke: colour("--soft"), grid: { stroke: colour("--grid"), width: 1 }, ticks: { stroke: colour("--grid"), width: 1 } };
  return [{ ...axis, space: 70 }, { ...axis, size: 56, values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : String(Number(tick.toPrecision(5))))) }];
}
// One point, or none, spans a minute: by itself the library spreads it over years.
const LONE_S = 60;
function span(plot, low, high) {
  const times = plot.data[0];
  if (times.length > 1 && low < high) return [low, high];
  const end = times.at(-1) ?? Date.now() / 1000;
  return [end - LONE_S, end];
}
const few = (plot) => plot.data[0].length < 3;
const narrow = () => matchMedia("(max-width: 760px)").matches;

// columns: [seconds, ...values]; kind: "score" or "signal". The element must be in the document. Returns setData.
export async function chart(element, columns, kind, label) {
  const uPlot = await library();
  const size = () => ({ width: Math.max(200, element.clientWidth), height: kind === "score" ? 150 : narrow() ? 130 : 140 });
  const score = { label: "score", stroke: colour("--observed"), width: 1.5, points: { show: few } };
  const observed = { label: "observed", stroke: colour("--observed"), width: 1.6, spanGaps: false, points: { show: few } };
  const expected = { label: "expected", stroke: colour("--expected"), width: 1.6, dash: [5, 3], points: { show: false } };
  const limit = { label: "limit", stroke: colour("--limit"), width: 1, points: { show: false } };
  const options = {
    ...size(), axes: axes(), legend: { show: false }, cursor: { y: false, drag: { x: true, y: false } },
    series: kind === "score" ? [{}, score, limit] : [{}, observed, expected],
    bands: kind === "score" ? [] : [{ series: [1, 2], fill: colour("--shade") }, { series: [2, 1], fill: colour("--shade") }],
    scales: { x: { time: true, range: span }, y: kind === "score" ? { range: (_, low, high) => [0, Math.max(1.2, (high || 0) * 1.1)] } : {} },
  };
  element.setAttribute("role", "img");
  element.setAttribute("aria-label", label);
  element.replaceChildren();
  const plot = new uPlot(options, columns, element);
  const one = { element, resize: () => plot.setSize(size()) };
  drawn.add(one);
  return { set: (next) => plot.setData(next), destroy: () => { drawn.delete(one); plot.destroy(); } };
}
addEventListener("resize", () => { for (const one of drawn) if (one.element.isConnected) one.resize(); else drawn.delete(one); });

// One truck: live signals, episodes on the time line, the newest freeze-frame, health, notices, who silenced it.
import { HOURS, ask, ago, count, episodeHref, fill, fromMicros, get, h, now, number, pill, post, span, tell, time, title, trying, words } from "./ui.js";
import { chart } from "./charts.js";
import { drawFrame, episodeTable } from "./episode.js";

const FIRST_SIGNALS = 6, KEPT = 450;
const DAY = 86_400_000;

function facts(told, names) {
  const row = told.row, at = (name) => row?.[names[name]];
  if (!row) return [h("p.hint", {}, "Not in the list of trucks now: it was removed from it, or has not published since this page was started.")];
  const word = at("state"), models = told.info?.models || [];
  return [h("p.facts", {},
    h("span", {}, h(`i.dot.${word}`), " ", h("b", {}, word === "silent" ? "silent since " : word === "unknown" ? "no live data" : word), word === "silent" ? time(at("since")) : word !== "unknown" && at("since") ? [" since ", time(at("since"))] : null),
    h("span", {}, "last reading ", h("b", {}, ago(at("fed")))),
    at("lag_s") === null ? null : h("span", {}, "lag ", h("b", {}, span(1000 * at("lag_s")))),
    at("score") === null ? null : h("span", {}, "score ", h("b", {}, number(at("score")))),
    at("version") ? h("span", {}, "tickover ", h("b", {}, at("version"))) : null,
    models.map((model) => h("span", {}, "model ", h("b", {}, model.name || "?"), " ", h("code", { title: model.digest || "" }, String(model.digest || "").slice(0, 12)))))];
}
function notices(told) {
  const standing = told.notices.map((one) => h("li", {}, time(fromMicros(one.time)), " ", h("b", {}, words(one.kind)), `: ${one.text}`));
  const mutes = told.mutes.map((one) => h("li", {}, h("b", {}, "muted here"), one.detector ? ` (${one.detector})` : " (everything)", " until ", time(one.until), one.who ? ` by ${one.who}` : "", `: ${one.reason}`));
  return standing.length + mutes.length ? h("ul", {}, standing, mutes) : h("p.hint", {}, "None.");
}
function flat(table, prefix = "") {
  return Object.entries(table).flatMap(([name, value]) => (value && typeof value === "object" && !Array.isArray(value) ? flat(value, `${prefix}${name} / `) : [[prefix + name, value]]));
}
function cell(name, value) {
  if (value === null) return "–";
  if (["time", "last_tick"].includes(name) && typeof value === "number") return time(fromMicros(value));
  return typeof value === "number" ? (Number.isInteger(value) ? count(value) : number(value)) : String(value);
}
function table(entries) {
  return entries.length ? h("div.scroll", {}, h("table.small", {}, h("tbody", {}, entries.map(([name, value]) => h("tr", {}, h("td", {}, words(name)), h("td.n", {}, cell(name, value))))))) : h("p.hint", {}, "Not reported yet.");
}
// Episodes an hour against the budget, of each detector; what its limits were raised to.
function promises(meters) {
  if (!meters?.length) return h("p.hint", {}, "Not reported: the daemon has no promise meter, or other trucks of it have used more of their budget.");
  return h("div.scroll", {}, h("table", {}, h("thead", {}, h("tr", {}, ["Detector", "Episodes", "An hour", "Budget", "Interval", "Blame"].map((text) => h("th", {}, text)))),
    h("tbody", {}, meters.map((one) => h("tr", {}, h("td", {}, one.detector), h("td", {}, `${count(one.episodes ?? 0)} in ${number(one.hours)} h`),
      h(`td${one.broken ? ".over" : ""}`, {}, number(one.per_hour), one.broken ? " broken" : ""), h("td", {}, number(one.budget)), h("td", {}, `${number(one.low)} to ${number(one.high)}`),
      h("td", {}, Object.entries(one.blame || {}).map(([chart, times]) => `${chart} ${times}`).join(", "), Object.entries(one.raised || {}).map(([chart, factor]) => ` ${chart} limit × ${number(factor)}`).join(",")))))));
}
// Episodes as bars over the last days, one lane each severity.
function timeline(list) {
  const end = now(), first = Math.min(end - DAY, ...list.map((one) => fromMicros(one.start)));
  const whole = end - first, place = (ms) => `${(100 * (ms - first)) / whole}%`;
  const bars = list.map((one) => {
    const from = fromMicros(one.start), to = one.phase === "end" ? fromMicros(one.end ?? one.last) : end;
    return h(`a.bar-${one.severity}`, { href: episodeHref(one.id), title: `${title(one.kind)}, peak ${number(one.peak)}`, "aria-label": title(one.kind), style: { left: place(from), width: `${Math.max(0.3, (100 * (to - from)) / whole)}%` } });
  });
  return h("div.timeline", {}, h("div.lanes", {}, bars), h("div.ends", {}, time(first), time(end)));
}

export async function show(view, params) {
  const name = params.get("truck");
  const body = await get(`/api/truck?name=${encodeURIComponent(name)}`);
  const names = Object.fromEntries(body.columns.map((one, place) => [one, place]));
  const head = h("div"), standing = h("div"), health = h("div"), promise = h("div"), drops = h("div"), live = h("div.panels"), hint = h("p.hint", {}, "Asking the truck for its newest ticks."), scoreBox = h("div.panels");
  const frame = h("div.panels"), openList = h("div");
  let told = body, all = false, closed = false;
  const plots = new Map(), points = new Map();

  const silence = async (command, text) => {
    const given = await ask(`${text} ${name}`, [{ name: "for_s", label: "For", options: [...HOURS, ["0", "end it now"]] }], text);
    if (!given) return;
    const answer = await trying(() => post("/api/command", { vehicle: name, command, for_s: Number(given.for_s) }));
    if (answer) tell(answer.ok ? "Done." : answer.error, !answer.ok);
  };
  const forget = async () => {
    if (!(await ask(`Remove ${name} from the list?`, [], "Remove"))) return;
    if (await trying(() => post("/api/forget", { vehicle: name }))) location.assign("/");
  };
  const drawHead = () => {
    fill(head, facts(told, names));
    standing.replaceChildren(notices(told));
    promise.replaceChildren(promises(told.promises));
    const report = told.health || {};
    health.replaceChildren(table(flat({ ...report, dropped: null, dropped_by_signal: null, models: null }).filter(([, value]) => value !== null)));
    drops.replaceChildren(table([...Object.entries(report.dropped || {}).sort((a, b) => b[1] - a[1]), ...flat(report.dropped_by_signal || {})]));
  };
  const drawOpen = (list) => openList.replaceChildren(...list.filter((one) => one.phase !== "end").map((one) => h("p.verdict.alert", {}, pill(one.severity), " ", h("a", { href: episodeHref(one.id) }, h("b", {}, title(one.kind))), ` for ${span(now() - fromMicros(one.start))}, peak ${number(one.peak)}`)));
  const drawScore = async () => {
    const [detector, list] = [...points][0] || [];
    const x = detector ? list.map((one) => one.time / 1e6) : body.trail.map(([ms]) => ms / 1000), y = detector ? list.map((one) => one.score) : body.trail.map(([, score]) => score);
    if (!x.length) return;
    if (plots.has("score")) { plots.get("score").set([x, y, x.map(() => 1)]); return; }
    const at = h("div.plot");
    scoreBox.replaceChildren(h("div.panelbox.full", {}, h("h3", {}, "score"), at));
    plots.set("score", { set: () => {} });
    plots.set("score", await chart(at, [x, y, x.map(() => 1)], "score", "Score over time; 1 is the alarm limit"));
  };
  const drawLive = async () => {
    await drawScore();
    const [, list] = [...points][0] || [];
    if (!list) return;
    hint.textContent = `Asked every two seconds while this page is open; newest tick ${ago(fromMicros(list.at(-1).time))}.`;
    const newest = list.at(-1).signals, signals = Object.keys(newest);
    const chosen = all ? signals : signals.slice(0, FIRST_SIGNALS);
    for (const signal of chosen) {
      const columns = [list.map((one) => one.time / 1e6), list.map((one) => one.signals[signal]?.observed ?? null), list.map((one) => one.signals[signal]?.expected ?? null)];
      if (plots.has(signal)) { plots.get(signal).set(columns); plots.get(signal).value?.replaceChildren(number(newest[signal].observed)); continue; }
      const at = h("div.plot"), value = h("small", {}, number(newest[signal].observed));
      live.append(h("div.panelbox", {}, h("h3", {}, signal, " ", value), at));
      plots.set(signal, { set: () => {} });
      const one = await chart(at, columns, "signal", `${signal}, observed and expected`);
      plots.set(signal, { ...one, value });
    }
    if (!all && signals.length > FIRST_SIGNALS && !more.isConnected) { more.textContent = `Show all ${signals.length} signals`; live.after(more); }
  };
  const more = h("button", { type: "button", onclick: () => { all = true; more.remove(); drawLive(); } });

  fill(view, 
    h("p.kicker", {}, h("a", { href: "/" }, "fleet"), " / truck"), h("h1", {}, name), head,
    h("div.bar.actions", {}, h("button", { type: "button", onclick: () => silence("shelve", "Shelve") }, "Shelve…"), h("button", { type: "button", onclick: () => silence("out_of_service", "Out of service:") }, "Out of service…"), h("button", { type: "button", onclick: forget }, "Remove from the list…")),
    openList,
    h("section", {}, h("div.bar", {}, h("h2", {}, "Live"), h("p.key", {}, h("span.line.observed"), " observed ", h("span.line.expected"), " expected")), hint, scoreBox, live),
    h("section", {}, h("h2", {}, "Notices, and what is out of service"), standing),
    h("section", {}, h("h2", {}, "Episodes"), body.episodes.length ? timeline(body.episodes) : null, episodeTable(body.episodes, false)),
    body.episodes.length ? h("section", {}, h("h2", {}, "Newest freeze-frame"), frame) : null,
    h("section", {}, h("h2", {}, "Promise: episodes against the budget"), promise),
    h("section", {}, h("h2", {}, "Health"), h("div.columns", {}, health, h("div", {}, h("h3", {}, "Dropped, by reason"), drops))),
    h("section", {}, h("h2", {}, "Earlier notices"), body.past.length ? h("ul", {}, body.past.map((one) => h("li", {}, time(fromMicros(one.time)), " ", h("b", {}, words(one.kind)), one.active ? `: ${one.text}` : ` over: ${one.text}`))) : h("p.hint", {}, "None.")));
  drawHead();
  drawOpen(body.episodes);
  drawScore();
  if (body.episodes.length) get(`/api/episode?id=${encodeURIComponent(body.episodes[0].id)}`).then((one) => { const data = one.body.data; return drawFrame(frame, data, data.signals.map((part) => part.signal).filter((signal) => data.freeze_frame.signals.includes(signal)).slice(0, 3)); }).catch(() => frame.replaceChildren());
  const ages = setInterval(() => fill(head, facts(told, names)), 5000);
  return {
    seen: `${body.epoch}-${body.number}`, truck: name, title: name, page: () => {},
    key: (event) => { if (event.key === "u") document.querySelector(".kicker a").click(); },
    close: () => { closed = true; clearInterval(ages); for (const plot of plots.values()) plot.destroy?.(); },
    change: async (changed) => {
      if (closed) return;
      if (changed.truck) { told = changed.truck; drawHead(); const fresh = await trying(() => get(`/api/truck?name=${encodeURIComponent(name)}`)); if (fresh && !closed) drawOpen(fresh.episodes); }
      for (const [detector, ticks] of Object.entries(changed.live.points)) points.set(detector, [...(points.get(detector) || []), ...ticks].slice(-KEPT));
      if (changed.live.trouble && !points.size) hint.textContent = `No live signals: ${changed.live.trouble}`;
      if (Object.keys(changed.live.points).length) await drawLive();
    },
  };
}

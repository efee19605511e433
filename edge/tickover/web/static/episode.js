// One episode: what, since when, how bad, observed against expected; what people say of it; those like it.
import { HOURS, SEVERITIES, ask, count, episodeHref, fill, fromIso, fromMicros, get, h, now, number, pill, post, span, tell, time, title, truckLink, trying, who, words } from "./ui.js";
import { chart } from "./charts.js";

const VERDICTS = [["real", "Real fault"], ["false", "False alarm"], ["known", "Known"]];
const FIRST_SIGNALS = 3;

export function episodeTable(list, withTruck) {
  if (!list.length) return h("p.hint", {}, "None.");
  const head = ["Start", ...(withTruck ? ["Truck"] : []), "Severity", "What", "Peak", "Lasted", "Ended", ""];
  return h("div.scroll", { tabindex: 0 }, h("table.episodes", {}, h("thead", {}, h("tr", {}, head.map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, list.map((one) => h("tr", {},
      h("td.whole", {}, h("a", { href: episodeHref(one.id) }, time(fromMicros(one.start)))),
      withTruck ? h("td.whose", {}, truckLink(one.vehicle)) : null,
      h("td", {}, pill(one.severity)),
      h("td", {}, h("a", { href: episodeHref(one.id) }, title(one.kind))),
      h("td.n", { "data-label": "peak" }, number(one.peak)),
      h("td.whole", { "data-label": "lasted" }, span(one.phase === "end" ? fromMicros((one.end ?? one.last) - one.start) : now() - fromMicros(one.start))),
      h("td", {}, one.phase === "end" ? words(one.reason || "ended") : h("b.over", {}, "open")),
      h("td", {}, one.verdict ? h(`span.tag.${one.verdict}`, {}, one.verdict) : one.acked ? h("span.tag", {}, "acknowledged") : null))))));
}

// The pictures of a freeze-frame: the score, and a panel for each of the named signals.
export async function drawFrame(place, data, names) {
  const frame = data.freeze_frame, seconds = frame.time.map((text) => fromIso(text) / 1000);
  const units = Object.fromEntries(data.signals.map((part) => [part.signal, part.unit]));
  const column = (rows, at) => rows.map((row) => row[at]);
  const panels = [["score", seconds, frame.score, null], ...names.map((name) => [name, seconds, column(frame.observed, frame.signals.indexOf(name)), column(frame.expected, frame.signals.indexOf(name))])];
  for (const [name, x, observed, expected] of panels) {
    const at = h("div.plot");
    place.append(h("div.panelbox", {}, h("h3", {}, name, h("small", {}, units[name] ? ` ${units[name]}` : "")), at));
    if (name === "score") await chart(at, [x, observed, x.map(() => 1)], "score", "Score before the alert; 1 is the alarm limit");
    else await chart(at, [x, observed, expected], "signal", `${name}, observed and expected, before the alert`);
  }
}
function parts(data) {
  const head = ["Signal", "Observed", "Expected", "Direction", "Over its limit", "Share", "Chart", "J1939"];
  return h("div.scroll", { tabindex: 0 }, h("table", {}, h("thead", {}, h("tr", {}, head.map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, data.signals.map((part) => h("tr", {},
      h("td", {}, h("b", {}, part.signal)), h("td", {}, number(part.observed, part.unit)), h("td", {}, number(part.expected, part.expected === null ? "" : part.unit)),
      h("td", {}, h("span.how", {}, part.direction)), h("td", {}, `${number(part.level)} ×`),
      h("td", {}, h("span.share", { style: { "--share": `${Math.round(100 * part.share)}%` }, title: `${Math.round(100 * part.share)} %` })),
      h("td", {}, h("code", {}, part.chart)), h("td", {}, part.spn === undefined ? "–" : `SPN ${part.spn}, FMI ${part.fmi}`))))));
}
function saying(mark) {
  const said = { ack: mark.value ? "acknowledged" : "no longer acknowledged", mute: mark.value ? `muted (${mark.value === "truck" ? "the whole truck" : "this kind"})` : "no longer muted", verdict: mark.value ? `verdict: ${mark.value}` : "verdict withdrawn" }[mark.what];
  const until = mark.until ? [", until ", time(fromMicros(mark.until))] : [];
  return h("li", {}, time(fromMicros(mark.time)), " ", h("b", {}, said), until, mark.who ? ` by ${mark.who}` : "", mark.reason ? `: ${mark.reason}` : "");
}

export async function show(view, params) {
  const id = params.get("episode");
  const body = await get(`/api/episode?id=${encodeURIComponent(id)}`);
  const data = body.body.data, isOpen = body.phase !== "end";
  const say = async (said) => {
    if (!(await trying(() => post("/api/mark", { episode: id, who: who(), reason: "", ...said })))) return;
    if (said.what === "verdict") tellTruck(said);
    await again();
  };
  // The verdict is kept here in any case; the truck's daemon takes it too where it knows the command.
  const tellTruck = async (said) => {
    const note = [said.reason, who()].filter(Boolean).join(" - ").slice(0, 200);
    const answer = await trying(() => post("/api/command", { vehicle: body.vehicle, command: "verdict", alert: id, verdict: said.value || "none", note }));
    if (answer) tell(answer.ok ? "Kept, and told to the truck." : `Kept here. The truck's daemon did not take it: ${answer.error}`, !answer.ok);
  };
  const acknowledge = () => say({ what: "ack", value: body.acked ? "" : "yes" });
  const mute = async () => {
    if (body.mute) { await say({ what: "mute", value: "" }); return; }
    const given = await ask("Mute", [
      { name: "reason", label: "Reason", required: true, hint: "in the workshop on Monday" }, { name: "for_s", label: "For", options: HOURS },
      { name: "value", label: "What", options: [["kind", `this kind: ${data.detector}`], ["truck", `everything of ${data.vehicle}`]] }], "Mute");
    if (given) await say({ what: "mute", value: given.value, reason: given.reason, for_s: Number(given.for_s) });
  };
  const judge = async (value) => {
    if (body.verdict === value) { await say({ what: "verdict", value: "" }); return; }
    const given = await ask(VERDICTS.find(([name]) => name === value)[1], [{ name: "reason", label: "What was found (may be empty)", hint: "thermostat replaced" }], "Keep verdict");
    if (given) await say({ what: "verdict", value, reason: given.reason });
  };
  const again = async () => { handle.close(); Object.assign(handle, await show(view, params)); };
  const frame = h("div.panels");
  const more = h("button", { type: "button", onclick: () => { more.remove(); drawFrame(frame, data, data.freeze_frame.signals.filter((name) => !named.includes(name))); } }, `Show all ${count(data.freeze_frame.signals.length)} signals`);
  const named = data.signals.map((part) => part.signal).filter((name) => data.freeze_frame.signals.includes(name)).slice(0, FIRST_SIGNALS);
  fill(view, 
    h("p.kicker", {}, truckLink(body.vehicle), " / episode"),
    h("h1", {}, title(body.kind), " ", pill(body.severity)),
    h("p.facts", {},
      h("span", {}, isOpen ? h("b.over", {}, "open") : "ended ", isOpen ? " for " : h("b", {}, words(body.reason || "ended")), isOpen ? span(now() - fromMicros(body.start)) : ` after ${span(fromMicros((body.end ?? body.last) - body.start))}`),
      h("span", {}, "since ", h("b", {}, time(fromMicros(body.start)))),
      h("span", {}, "peak ", h("b", {}, number(body.peak)), " × the limit"),
      h("span", {}, "newest score ", h("b", {}, number(body.score))),
      h("span", {}, "detector ", h("b", {}, body.detector)),
      h("span", {}, "model ", h("code", { title: data.model_digest }, data.model_digest.slice(0, 12))),
      data.data_quality.missing ? h("span", {}, h("b", {}, `${Math.round(100 * data.data_quality.missing)} %`), " of the readings missing") : null),
    h("div.bar.actions", {},
      h("button", { type: "button", "aria-pressed": String(body.acked), onclick: acknowledge }, body.acked ? "Acknowledged" : "Acknowledge", h("kbd", {}, "a")),
      h("button", { type: "button", "aria-pressed": String(Boolean(body.mute)), onclick: mute }, body.mute ? "Unmute" : "Mute…", h("kbd", {}, "m")),
      h("span.group", { role: "group", "aria-label": "Verdict" }, VERDICTS.map(([value, text], place) => h(`button.${value}`, { type: "button", "aria-pressed": String(body.verdict === value), onclick: () => judge(value) }, text, h("kbd", {}, place + 1))))),
    body.mute ? h("p.verdict.doubt", {}, "Muted until ", time(body.mute.until), body.mute.who ? ` by ${body.mute.who}` : "", `: ${body.mute.reason}`) : null,
    h("section", {}, h("h2", {}, "Observed against expected"), h("p.hint", {}, isOpen ? "At the newest alert." : "At the peak."), parts(data)),
    h("section", {}, h("div.bar", {}, h("h2", {}, "Freeze-frame"), h("p.key", {}, h("span.line.observed"), " observed ", h("span.line.expected"), " expected")),
      h("p.hint", {}, `The last ${data.freeze_frame.time.length} ticks before the newest alert. Drag to zoom, double-click to show all.`), frame,
      data.freeze_frame.signals.length > named.length ? more : null),
    h("section", {}, h("h2", {}, "What was said"), body.marks.length ? h("ul", {}, body.marks.map(saying)) : h("p.hint", {}, "Nothing yet.")),
    h("section", {}, h("h2", {}, "Its alerts"), h("ol.course", {}, body.course.map(([, at, phase, severity, score, peak]) => h("li", {}, time(fromMicros(at)), ` ${phase} `, h("span.soft", {}, `${SEVERITIES[severity]}, score ${number(score)}, peak ${number(peak)}`))))),
    h("section", {}, h("h2", {}, "Earlier of this kind on this truck"), episodeTable(body.like_here, false)),
    h("section", {}, h("h2", {}, "Of this kind on other trucks"), episodeTable(body.like_others, true)));
  drawFrame(frame, data, named);
  const known = body.course.length;
  const handle = {
    seen: body.seen, truck: "", title: `${title(body.kind)}, ${body.vehicle}`, page: () => {}, close: () => {}, refresh: again, vehicle: body.vehicle, known,
    key: (event) => { const act = { a: acknowledge, m: mute, 1: () => judge("real"), 2: () => judge("false"), 3: () => judge("known"), u: () => document.querySelector(".kicker a").click() }[event.key]; if (act) { event.preventDefault(); act(); } },
    change: async (told) => {
      // Something of the fleet changed: this episode is read again when its own truck is among it.
      if (told.rows.some((row) => row[1] === body.vehicle)) await trying(again);
    },
  };
  return handle;
}
export async function showRecent(view) {
  const body = await get("/api/recent");
  const open = body.episodes.filter((one) => one.phase !== "end");
  fill(view, h("h1", {}, "Episodes"),
    h("section", {}, h("h2", {}, `Open (${open.length})`), episodeTable(open, true)),
    h("section", {}, h("h2", {}, "Newest first"), episodeTable(body.episodes, true)));
  const handle = { seen: body.seen, truck: "", title: "Episodes", page: () => {}, key: () => {}, close: () => {}, change: async (told) => { if (told.rows.length) await trying(() => showRecent(view)); } };
  return handle;
}

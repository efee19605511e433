// The list of all trucks. Only the rows in view are in the document, so that 10,000 scroll as 10 do.
import { SEVERITIES, ago, count, get, h, number, short, span, words } from "./ui.js";

const ROW = 46, NARROW_ROW = 74, MARGIN = 8;   // heights in pixels, as in web.css; rows drawn beyond the view
const SORT_EVERY = 300;                        // ms between two sorts while rows change
const OUT = ["out_of_service", "shelved"];
const narrow = matchMedia("(max-width: 760px)");

let column = {};
const rows = new Map();
let number_ = 0, epoch = "";
let shown = [], sortedAt = 0, timer = null;
let query = { q: "", sort: "worst", only: "" };
let list = null, spacer = null, tiles = null, empty = null, found = null, page = null;

const at = (row, name) => row[column[name]];
const isOut = (row) => at(row, "notices").some((kind) => OUT.includes(kind));
const isGone = (row) => ["silent", "offline"].includes(at(row, "state")) && !isOut(row);
const broken = (row) => at(row, "notices").includes("budget_broken") || at(row, "promise")?.[2] === true;

// What needs somebody first: a smaller number is further up.
function rank(row) {
  const open = at(row, "open");
  if (open[2]) return 0;
  if (isGone(row)) return 1;
  if (open[1]) return 2;
  if (open[0]) return 3;
  if (broken(row)) return 4;
  if (at(row, "notices").length && !isOut(row)) return 5;
  return { online: 8, unknown: 6 }[at(row, "state")] ?? 7;
}
const GROUPS = [["", "all"], ["critical", "critical"], ["gone", "silent or offline"], ["major", "major"], ["warning", "warning"], ["notice", "notices"], ["stopped", "stopped"], ["fine", "fine"]];
function isIn(row, group) {
  const open = at(row, "open");
  if (SEVERITIES.includes(group)) return open[SEVERITIES.indexOf(group)] > 0;
  if (group === "gone") return isGone(row);
  if (group === "notice") return at(row, "notices").length > 0;
  if (group === "stopped") return at(row, "state") === "stopped" || isOut(row);
  if (group === "fine") return rank(row) === 8;
  return true;
}
const byName = new Intl.Collator(undefined, { numeric: true }).compare;
const SORTS = {
  worst: (a, b) => rank(a) - rank(b) || oldest(a, b) || byName(at(a, "name"), at(b, "name")),
  name: (a, b) => byName(at(a, "name"), at(b, "name")),
  reading: (a, b) => at(a, "fed") - at(b, "fed"),
  lag: (a, b) => (at(b, "lag_s") ?? -1) - (at(a, "lag_s") ?? -1),
  score: (a, b) => (at(b, "score") ?? -1) - (at(a, "score") ?? -1),
  drops: (a, b) => at(b, "dropped") - at(a, "dropped"),
};
// Among the silent: who has been so the shortest, which is the news.
const oldest = (a, b) => (rank(a) === 1 ? at(b, "since") - at(a, "since") : 0);
const HEADS = [["worst", "State"], ["name", "Truck"], [null, "Open episodes"], ["reading", "Last reading"], ["lag", "Lag"], ["score", "Score"], [null, "Promise"], ["drops", "Dropped"], [null, "Runs"]];

function arrange() {
  sortedAt = performance.now();
  const wanted = query.q.toLowerCase();
  const matches = (row) => !wanted || [at(row, "name"), at(row, "state"), at(row, "model") || "", ...at(row, "signals"), ...at(row, "notices")].join(" ").toLowerCase().includes(wanted);
  shown = [...rows.values()].filter((row) => isIn(row, query.only) && matches(row)).sort(SORTS[query.sort] || SORTS.worst);
  drawTiles();   // not at each scroll: it counts every truck
  draw();
}
function arrangeSoon() {
  if (timer || !list) return;
  timer = setTimeout(() => { timer = null; if (list?.isConnected) arrange(); }, Math.max(0, SORT_EVERY - (performance.now() - sortedAt)));
}

// ---- drawing -----------------------------------------------------------------------------------------------------

function state(row) {
  const word = at(row, "state"), since = at(row, "since");
  const said = word === "silent" ? ["silent since ", short(since)] : word === "unknown" ? ["no live data"] : [word];
  const out = at(row, "notices").filter((kind) => OUT.includes(kind));
  return h("span.cell.state", {}, h(`i.dot.${word}`, { "aria-hidden": "true" }), h("span", {}, said), out.map((kind) => h("span.tag", {}, words(kind))));
}
function episodes(row) {
  const open = at(row, "open");
  const pills = [2, 1, 0].filter((s) => open[s]).map((s) => h(`span.severity.${SEVERITIES[s]}`, {}, `${open[s]} ${SEVERITIES[s]}`));
  const quiet = at(row, "quiet") ? h("span.tag", { title: "acknowledged or muted" }, `${at(row, "quiet")} seen to`) : null;
  const notices = at(row, "notices").filter((kind) => !OUT.includes(kind)).slice(0, 2).map((kind) => h("span.tag", {}, words(kind)));
  return h("span.cell.open", {}, pills, quiet, notices, h("span.signals", {}, at(row, "signals").join(", ")));
}
function promise(row) {
  const meter = at(row, "promise");
  return meter ? h(`span${meter[2] ? ".over" : ""}`, { title: "episodes an hour of driving, and the budget of the model's limits" }, `${number(meter[0])} / ${number(meter[1])}`) : "";
}
function line(row, place, height) {
  const lag = at(row, "lag_s"), score = at(row, "score"), vehicles = at(row, "vehicles");
  const cells = [
    state(row),
    h("span.cell.name", {}, h("b", {}, at(row, "name")), vehicles > 1 ? h("small", {}, ` ${count(vehicles)} vehicles`) : null),
    episodes(row),
    h("span.cell.n", { "data-label": "reading " }, ago(at(row, "fed"))),
    h("span.cell.n.wide", {}, lag === null ? "" : span(1000 * lag)),
    h(`span.cell.n.wide${score >= 1 ? ".over" : ""}`, {}, score === null ? "" : score.toFixed(2)),
    h("span.cell.n.wide", {}, promise(row)),
    h("span.cell.n.wide", {}, at(row, "dropped") ? count(at(row, "dropped")) : ""),
    h("span.cell.wide.model", { title: at(row, "digest") || "" }, [at(row, "model"), (at(row, "digest") || "").slice(0, 8), at(row, "version")].filter(Boolean).join(" · ")),
  ];
  return h(`a.row${place === chosen ? ".chosen" : ""}`, { href: `/?truck=${encodeURIComponent(at(row, "name"))}`, role: "listitem", style: { top: `${place * height}px`, height: `${height}px` }, "data-place": place }, cells);
}
let chosen = -1, drawPending = false;
function draw() {
  if (!list || drawPending) return;
  drawPending = true;
  requestAnimationFrame(() => { drawPending = false; if (list) drawNow(); });
}
function drawNow() {
  const height = narrow.matches ? NARROW_ROW : ROW;
  const top = Math.max(0, -spacer.getBoundingClientRect().top);
  const from = Math.max(0, Math.floor(top / height) - MARGIN), to = Math.min(shown.length, Math.ceil((top + innerHeight) / height) + MARGIN);
  spacer.style.setProperty("height", `${shown.length * height}px`);
  const focused = document.activeElement?.dataset?.place;
  spacer.replaceChildren(...shown.slice(from, to).map((row, place) => line(row, from + place, height)));
  if (focused !== undefined) spacer.querySelector(`[data-place="${focused}"]`)?.focus({ preventScroll: true });
  found.textContent = shown.length === rows.size ? `${count(rows.size)} trucks` : `${count(shown.length)} of ${count(rows.size)} trucks`;
  empty.hidden = shown.length > 0;
  if (!shown.length) empty.replaceChildren(...nothing());
}
function drawTiles() {
  const all = [...rows.values()];
  const chosenTile = (group) => (query.only === group ? "true" : "false");
  tiles.replaceChildren(...GROUPS.map(([group, text]) => {
    const total = group ? all.filter((row) => isIn(row, group)).length : all.length;
    return h(`button.tile${total && group ? `.${group}` : ""}`, { type: "button", "aria-pressed": chosenTile(group), onclick: () => choose({ only: query.only === group ? "" : group }) }, h("b", {}, count(total)), text);
  }));
}
function nothing() {
  if (rows.size) return [h("p", {}, "No truck matches. "), h("button", { type: "button", onclick: () => choose({ q: "", only: "" }) }, "Show all")];
  const base = page?.base || "tickover";
  const trouble = page?.broker.connected ? [] : [h("p", {}, h("b", {}, "The broker is not reached: "), page?.broker.trouble || "connecting")];
  return [
    h("h2", {}, "No truck has been heard yet"), ...trouble,
    h("p", {}, "This page listens to ", h("code", {}, `${base}/v1/+/…`), ". A truck appears with the first message of its daemon. What to do next:"),
    h("ol", {},
      h("li", {}, "On the truck: ", h("code", {}, "tickover doctor --config tickover.toml"), ", then ", h("code", {}, "tickover run --config tickover.toml"), "."),
      h("li", {}, "Another first level of topics than ", h("code", {}, base), "? Start this page with ", h("code", {}, "--base"), "."),
      h("li", {}, "A broker with an ACL has to let this page read ", h("code", {}, `${base}/v1/#`), "; most brokers leave out in silence what they do not allow."),
      h("li", {}, "To try it without a truck: ", h("code", {}, "tickover simulate"), " with a daemon beside it.")),
  ];
}

// ---- the view ----------------------------------------------------------------------------------------------------

function choose(change) {
  query = { ...query, ...change };
  const kept = new URLSearchParams(Object.entries(query).filter(([key, value]) => value && !(key === "sort" && value === "worst")));
  history.replaceState(null, "", kept.size ? `/?${kept}` : "/");
  const search = document.getElementById("search");
  if (search && search.value !== query.q) search.value = query.q;
  chosen = -1;
  drawHeads();
  arrange();
}
function drawHeads() {
  document.getElementById("heads")?.replaceChildren(...HEADS.map(([sort, text], place) => h(`span.cell${place > 2 && place < 8 ? ".n" : ""}${place > 3 ? ".wide" : ""}`, {}, sort
    ? h("button.head", { type: "button", "aria-pressed": query.sort === sort ? "true" : "false", onclick: () => choose({ sort }) }, text) : text)));
}
export async function show(view, params) {
  query = { q: params.get("q") || "", sort: params.get("sort") || "worst", only: params.get("only") || "" };
  const body = await get("/api/fleet");
  load(body);
  tiles = h("div.filters", { role: "group", "aria-label": "Show only" });
  found = h("span.hint", { role: "status" });
  spacer = h("div.spacer", { role: "list", "aria-label": "Trucks" });
  list = h("section.fleet", {}, h("div.row.heads", { id: "heads" }), spacer);
  empty = h("section.empty", { hidden: true });
  const search = h("input", { id: "search", type: "search", value: query.q, placeholder: "Search: truck, signal, state, model  (/)", "aria-label": "Search", oninput: (event) => choose({ q: event.target.value }) });
  const sort = h("select.narrow", { "aria-label": "Sort by", onchange: (event) => choose({ sort: event.target.value }) },
    Object.keys(SORTS).map((name) => h("option", { value: name, selected: name === query.sort }, { worst: "worst first", reading: "longest without reading" }[name] || `by ${name}`)));
  view.replaceChildren(h("h1.hidden", {}, "Fleet"), tiles, h("div.bar.search", {}, search, sort, found), list, empty);
  drawHeads();
  arrange();
  addEventListener("scroll", draw, { passive: true });
  addEventListener("resize", draw);
  const ages = setInterval(draw, 5000);
  return {
    seen: `${epoch}-${number_}`, truck: "", title: "Fleet",
    change, page: (told) => { page = told; if (!rows.size) draw(); },
    key,
    close: () => { removeEventListener("scroll", draw); removeEventListener("resize", draw); clearInterval(ages); list = null; },
  };
}
function load(body) {
  column = Object.fromEntries(body.columns.map((name, place) => [name, place]));
  rows.clear();
  for (const row of body.rows) rows.set(row[0], row);
  ({ number: number_, epoch, page } = body);
}
function change(body) {
  for (const row of body.rows) rows.set(row[0], row);
  for (const index of body.gone) rows.delete(index);
  for (const [index, fed, score] of body.beats) {
    const row = rows.get(index);
    if (row) { row[column.fed] = fed; row[column.score] = score; }
  }
  number_ = body.number;
  if (body.rows.length || body.gone.length) arrangeSoon(); else if (body.beats.length) draw();
}
function key(event) {
  if (event.key === "/") { document.getElementById("search").focus(); event.preventDefault(); return; }
  const step = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
  if (step && shown.length) {
    chosen = Math.min(shown.length - 1, Math.max(0, chosen + step));
    const height = narrow.matches ? NARROW_ROW : ROW, top = spacer.getBoundingClientRect().top + chosen * height;
    if (top < 60) scrollBy(0, top - 60); else if (top + height > innerHeight) scrollBy(0, top + height - innerHeight + 8);
    drawNow();
    spacer.querySelector(`[data-place="${chosen}"]`)?.focus({ preventScroll: true });
    event.preventDefault();
  }
}

// The page: which view the address names, the stream of changes, theme, keyboard.
import * as fleet from "./fleet.js";
import * as truck from "./truck.js";
import * as episode from "./episode.js";
import { ago, count, h, setClock, words, zone } from "./ui.js";

const view = document.getElementById("view");
const RETRY = 3000;
let current = null, source = null, turn = 0, serverAway = false;

async function open() {
  const mine = ++turn, params = new URLSearchParams(location.search);
  current?.close();
  current = null;
  source?.close();
  const pick = params.has("truck") ? truck.show : params.has("episode") ? episode.show : params.has("episodes") ? episode.showRecent : fleet.show;
  const name = params.has("truck") || params.has("episode") ? "" : params.has("episodes") ? "episodes" : "fleet";
  for (const link of document.querySelectorAll("[data-page]")) link.toggleAttribute("aria-current", link.dataset.page === name);
  try {
    const handle = await pick(view, params);
    if (mine !== turn) { handle.close(); return; }
    current = handle;
    document.title = `${handle.title} · tickover`;
    listen(mine);
  } catch (error) {
    if (mine !== turn) return;
    view.replaceChildren(h("section.empty", {}, h("h2", {}, "Not shown"), h("p", {}, error.message), h("p", {}, h("a", { href: "/" }, "All trucks"))));
    // A server that is away comes back; a truck that is unknown may be heard.
    setTimeout(() => { if (mine === turn) open(); }, RETRY);
  }
}
function listen(mine) {
  const asked = new URLSearchParams({ seen: current.seen });
  if (current.truck) asked.set("truck", current.truck);
  source = new EventSource(`/api/stream?${asked}`);
  const own = source;
  own.addEventListener("change", (event) => {
    if (mine !== turn) return;
    serverAway = false;
    const body = JSON.parse(event.data);
    shown(body.page);
    current.page(body.page);
    current.change(body);
  });
  own.addEventListener("anew", () => { if (mine !== turn) return; own.close(); open(); });
  own.addEventListener("error", () => {
    if (mine !== turn) return;
    serverAway = true;
    banner("The server of this page is not reached; trying again.");
    if (own.readyState === EventSource.CLOSED) setTimeout(() => { if (mine === turn) open(); }, RETRY);
  });
}
function shown(page) {
  setClock(page.now);
  const { connected, address, trouble, since } = page.broker;
  const link = document.getElementById("link");
  link.className = connected ? "good" : "bad";
  link.textContent = connected ? `live · ${address}` : "broker not connected";
  if (connected) banner(""); else banner(`No connection to the broker ${address} for ${ago(since).replace(" ago", "")}: ${trouble || "connecting"}. What you see is as it was then.`);
  const left = Object.entries(page.counts).map(([name, times]) => `${count(times)} ${words(name)}`).join(", ");
  const hooks = page.hooks.map((one) => `${one.name}: ${count(one.sent)} sent${one.waiting ? `, ${count(one.waiting)} wait` : ""}${one.refused ? `, ${count(one.refused)} refused` : ""}${one.trouble ? ` (${one.trouble})` : ""}`).join("; ");
  document.getElementById("foot").textContent = `tickover ${page.version} · times in ${zone()} · silent after ${page.silent_s} s without readings${left ? ` · left out: ${left}` : ""}${hooks ? ` · hooks ${hooks}` : ""} · `;
}
function banner(text) {
  const place = document.getElementById("banner");
  place.hidden = !text;
  if (place.textContent !== text) place.textContent = text;
}

// ---- the address -------------------------------------------------------------------------------------------------

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button || link.hasAttribute("download") || link.target) return;
  const to = new URL(link.href);
  if (to.origin !== location.origin || to.pathname !== "/") return;
  event.preventDefault();
  if (to.href !== location.href) history.pushState(null, "", to);
  open();
  scrollTo(0, 0);
});
addEventListener("popstate", open);

// ---- theme, name, keyboard ---------------------------------------------------------------------------------------

const stored = (name, value) => { try { if (value === undefined) return localStorage.getItem(name); localStorage.setItem(name, value); } catch { /* storage may be forbidden */ } return null; };
const button = document.getElementById("theme"), root = document.documentElement;
const label = () => { button.textContent = root.dataset.theme === "dark" ? "Light" : "Dark"; };
function swap() { root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark"; stored("theme", root.dataset.theme); label(); if (!view.contains(document.getElementById("heads"))) open(); }
button.addEventListener("click", swap);
label();
const name = document.getElementById("who");
name.value = stored("who") || "";
name.addEventListener("change", () => stored("who", name.value));

const KEYS = [["/", "search"], ["j, k or arrows", "next, previous truck"], ["Enter", "open"], ["u", "up: to the truck, to the fleet"], ["f, e", "fleet, episodes"], ["a", "acknowledge an episode"], ["m", "mute"], ["1, 2, 3", "verdict: real, false alarm, known"], ["t", "light or dark"], ["?", "this list"]];
function help() {
  const dialog = document.getElementById("dialog");
  dialog.onclose = null;
  dialog.replaceChildren(h("h2", {}, "Keyboard"), h("table.small", {}, KEYS.map(([keys, what]) => h("tr", {}, h("td", {}, h("kbd", {}, keys)), h("td", {}, what)))), h("form", { method: "dialog" }, h("button", {}, "Close")));
  dialog.showModal();
}
document.getElementById("keys").addEventListener("click", help);
const go = (to) => { history.pushState(null, "", to); open(); };
addEventListener("keydown", (event) => {
  if (event.metaKey || event.ctrlKey || event.altKey || document.getElementById("dialog").open) return;
  if (event.target.matches("input, select, textarea")) { if (event.key === "Escape") event.target.blur(); return; }
  const act = { t: swap, f: () => go("/"), e: () => go("/?episodes"), "?": help }[event.key];
  if (act) { event.preventDefault(); act(); } else current?.key(event);
});
open();

// What all views share: elements, times, numbers, requests, dialogs. Text from outside becomes text nodes, never HTML.

export const SEVERITIES = ["warning", "major", "critical"];
const SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;

// An element: h("a.brand", { href, onclick }, "text", child, ...). A null child is left out.
export function h(name, props = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag || "div");
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "style") for (const [name, text] of Object.entries(value)) element.style.setProperty(name, text);
    else if (key === "value") element.value = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// ---- times, in the viewer's zone; the server's clock counts, since the viewer's may be wrong --------------------

let ahead = 0;
export function setClock(server) { ahead = server - Date.now(); }
export const now = () => Date.now() + ahead;
export const fromMicros = (micros) => micros / 1000;
export const fromIso = (text) => Date.parse(text);

const sameDay = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const otherDay = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
const whole = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });
export function time(ms) {
  if (!ms) return h("span", {}, "–");
  const text = Math.abs(now() - ms) < DAY / 2 ? sameDay.format(ms) : otherDay.format(ms);
  return h("time", { datetime: new Date(ms).toISOString(), title: `${whole.format(ms)} (${new Date(ms).toISOString()})` }, text);
}
export function span(ms) {
  if (ms < 0) ms = 0;
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min`;
  if (ms < 2 * DAY) return `${Math.floor(ms / HOUR)} h ${Math.floor((ms % HOUR) / MINUTE)} min`;
  return `${Math.floor(ms / DAY)} days`;
}
const clockOnly = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
export const short = (ms) => h("time", { datetime: new Date(ms).toISOString(), title: whole.format(ms) }, (Math.abs(now() - ms) < DAY / 2 ? clockOnly : otherDay).format(ms));
export const ago = (ms) => (ms ? `${span(now() - ms)} ago` : "never");
export const zone = () => Intl.DateTimeFormat().resolvedOptions().timeZone;

// ---- numbers and names -------------------------------------------------------------------------------------------

const integer = new Intl.NumberFormat();
export const count = (value) => integer.format(value);
export function number(value, unit = "") {
  if (value === null || value === undefined) return "missing";
  const text = value === 0 ? "0" : Math.abs(value) >= 1e5 || Math.abs(value) < 1e-3 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
  return unit ? `${text} ${unit}` : text;
}
export const words = (text) => String(text).replaceAll("_", " ");
export const fill = (element, ...children) => element.replaceChildren(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
export const pill = (severity) => h(`span.severity.${SEVERITIES[severity]}`, {}, SEVERITIES[severity]);
export const truckLink = (name) => h("a", { href: `/?truck=${encodeURIComponent(name)}` }, name);
export const episodeHref = (id) => `/?episode=${encodeURIComponent(id)}`;

// What an episode is about, from its kind: "coolant_temp high", or "coolant_temp: no data".
export function title(kind) {
  const [detector, signal, direction] = kind.split(" ");
  if (detector.startsWith("sensor.")) {
    const what = detector.split(".")[1];
    return `${signal || detector.split(".").slice(2).join(".")}: sensor ${words(what)}`;
  }
  return signal ? `${signal} ${direction}` : detector;
}

// ---- requests ----------------------------------------------------------------------------------------------------

export async function get(path) {
  const answer = await fetch(path, { headers: { accept: "application/json" } });
  if (answer.status === 401) location.assign("/login");
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error || `HTTP ${answer.status}`);
  return body;
}
export async function post(path, body) {
  const answer = await fetch(path, { method: "POST", headers: { "content-type": "application/json", "x-tickover": "1" }, body: JSON.stringify(body) });
  if (answer.status === 401) location.assign("/login");
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error || `HTTP ${answer.status}`);
  return found;
}
export function who() {
  return document.getElementById("who").value.trim();
}

// ---- a dialog: fields in, an object out, or null when it was cancelled --------------------------------------------

export function ask(heading, fields, action) {
  const dialog = document.getElementById("dialog");
  return new Promise((resolve) => {
    const inputs = fields.map((field) => field.options
      ? h("select", { name: field.name }, field.options.map(([value, text]) => h("option", { value }, text)))
      : h("input", { name: field.name, maxlength: 500, required: field.required, placeholder: field.hint, autocomplete: "off" }));
    const cancel = h("button", { type: "button", onclick: () => dialog.close() }, "Cancel");
    const form = h("form", { method: "dialog" }, h("h2", {}, heading),
      fields.map((field, place) => h("label", {}, field.label, inputs[place])), h("p.bar", {}, h("button.main", {}, action), cancel));
    let answer = null;
    form.addEventListener("submit", () => { answer = Object.fromEntries(inputs.map((input) => [input.name, input.value])); });
    dialog.onclose = () => resolve(answer);
    dialog.replaceChildren(form);
    dialog.showModal();
    inputs[0]?.focus();
  });
}
export function tell(text, isTrouble = false) {
  const note = h(`p.toast${isTrouble ? ".trouble" : ""}`, { role: "status" }, text);
  document.body.append(note);
  setTimeout(() => note.remove(), isTrouble ? 8000 : 4000);
}
export async function trying(work) {
  try { return await work(); } catch (error) { tell(error.message, true); return null; }
}
export const HOURS = [["3600", "1 hour"], ["28800", "8 hours"], ["86400", "1 day"], ["604800", "7 days"], ["2592000", "30 days"]];

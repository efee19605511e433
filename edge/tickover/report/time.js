"use strict";
// Time on the page: the axis, on which long gaps are narrow breaks, and the zone in which times are shown.
// Everything that draws asks an axis where a time stands (place) and which time stands at a position (timeAt).

const BREAK_PX = 20;           // width of a break
const BREAK_ROOM = 0.3;        // all breaks together take at most this share of the axis
const WORTH = 3;               // a gap is a break when it would else be this many times as wide
const TICK_PX = 110;           // distance of ticks, about
const TICK_NEAREST_PX = 72;    // and at least
const MINUTE = 60000, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
const STEPS = [100, 200, 500, 1000, 2000, 5000, 10000, 15000, 30000, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE,
  HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 28 * DAY, 91 * DAY, 182 * DAY, 364 * DAY];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

// The gaps between buckets: { from, to } in ms, in order.
function gapsOf({ start, step }) {
  const gaps = [];
  for (let i = 1; i < start.length; i++) if (start[i] - start[i - 1] > 1.5 * step) gaps.push({ from: start[i - 1] + step, to: start[i] });
  return gaps;
}

// Positions are ms, too: those before the first break are the times themselves. Outside the range nothing is shortened.
function axisOf([from, to], gaps, width) {
  const inside = gaps.filter((gap) => gap.to > from && gap.from < to).map((gap) => ({ from: Math.max(gap.from, from), to: Math.min(gap.to, to) }));
  const driven = to - from - inside.reduce((sum, gap) => sum + gap.to - gap.from, 0);
  const broken = (size) => inside.filter((gap) => driven > 0 && gap.to - gap.from > WORTH * size);
  const widest = driven * BREAK_PX / width;
  const size = Math.min(widest, driven * BREAK_ROOM / Math.max(1, broken(widest).length));
  let removed = 0;
  const breaks = broken(size).map((gap) => {
    const at = gap.from - removed;
    removed += gap.to - gap.from - size;
    return { ...gap, at, end: at + size };
  });
  function place(time) {
    const later = breaks[before(breaks, (gap) => gap.from < time) - 1];
    if (!later) return time;
    return time >= later.to ? later.end + time - later.to : later.at + (time - later.from) * size / (later.to - later.from);
  }
  function timeAt(position) {
    const later = breaks[before(breaks, (gap) => gap.at < position) - 1];
    if (!later) return position;
    return position >= later.end ? later.to + position - later.end : later.from + (position - later.at) * (later.to - later.from) / size;
  }
  return { from, to, breaks, place, timeAt, perPixel: (place(to) - place(from)) / width };
}
// How many of the items, of which the first ones pass, do.
function before(items, passes) {
  let low = 0, high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (passes(items[middle])) low = middle + 1; else high = middle;
  }
  return low;
}

// Ticks between the breaks, at round times of the zone: { at, text }. The first one, and one of a new day, tell the day.
function ticksOf(axis) {
  const least = TICK_PX * axis.perPixel;
  const step = STEPS.find((size) => size >= least) || STEPS[STEPS.length - 1] * Math.ceil(least / STEPS[STEPS.length - 1]);
  const ticks = [];
  let reached = -Infinity, day = "";
  const add = (time) => {
    const at = axis.place(time);
    if (at - reached < TICK_NEAREST_PX * axis.perPixel) return;
    reached = at;
    const today = date(time);
    ticks.push({ at, text: step >= DAY ? today : time_of_day(time, step) + (today === day || data.relative ? "" : "<br>" + today) });
    day = today;
  };
  const edges = [axis.from, ...axis.breaks.flatMap((gap) => [gap.from, gap.to]), axis.to];
  for (let piece = 0; piece < edges.length; piece += 2) {
    const [from, to] = [edges[piece], edges[piece + 1]];
    const first = Math.ceil((from + offset(from)) / step) * step;
    const times = [];
    for (let local = first; local - offset(local) <= to + HOUR && times.length < 100; local += step) {
      const time = local - offset(local - offset(local));
      if (time >= from && time <= to) times.push(time);
    }
    for (const time of times.length ? times : [from]) add(time);
  }
  return ticks;
}

// ---- the zone ----------------------------------------------------------------------------------------------------

let zone = "UTC";
let clockOf = null;            // the formatter of a zone other than UTC
const offsets = new Map();     // quarter hour -> ms ahead of UTC
function useZone(name) {
  clockOf = name === "UTC" ? null : new Intl.DateTimeFormat("en-US", { timeZone: name, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric" });
  zone = name;
  offsets.clear();
}
function offset(time) {
  if (data.relative || !clockOf) return 0;
  const quarter = Math.floor(time / (15 * MINUTE));
  if (!offsets.has(quarter)) {
    const start = quarter * 15 * MINUTE;
    const part = Object.fromEntries(clockOf.formatToParts(start).map(({ type, value }) => [type, +value]));
    offsets.set(quarter, Date.UTC(part.year, part.month - 1, part.day, part.hour, part.minute, part.second) - start);
  }
  return offsets.get(quarter);
}
const known = (name) => { try { return Boolean(new Intl.DateTimeFormat("en-US", { timeZone: name })); } catch { return false; } };
// The zones that can be chosen: [name, words].
function zones() {
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const all = [["UTC", "UTC"]];
  if (data.zone && data.zone !== "UTC" && known(data.zone)) all.push([data.zone, data.zone]);
  if (own && !all.some(([name]) => name === own)) all.push([own, `${own} (yours)`]);
  return all;
}

const wall = (time) => new Date(time + offset(time)).toISOString();
// "2026-03-02 06:08:20" in the zone, or "0:08:20" from the log's start.
function stamp(time) {
  return data.relative ? time_of_day(time, 1000) : wall(time).slice(0, 19).replace("T", " ");
}
function time_of_day(time, step) {
  const text = wall(time).slice(11, step < 1000 ? 21 : step < MINUTE || data.relative ? 19 : 16);
  return data.relative ? Math.floor((time - data.shift) / HOUR) + text.slice(2) : text;
}
function date(time) {
  if (data.relative) return time_of_day(time, 1000);
  const [year, month, day] = wall(time).slice(0, 10).split("-");
  return `${MONTHS[+month - 1]} ${+day}, ${year}`;
}
// The two largest parts of a gap: "214 d", "3 d 4 h", "5 h 20 min".
function lengthOf(ms) {
  const minutes = Math.round(ms / MINUTE);
  if (ms < 2 * MINUTE) return `${Math.round(ms / 1000)} s`;
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60), days = Math.round(ms / HOUR / 24);
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return hours < 240 && hours % 24 ? `${Math.floor(hours / 24)} d ${hours % 24} h` : `${days} d`;
}

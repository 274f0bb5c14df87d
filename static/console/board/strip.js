// The floor's key figures above, the health of its parts below.

import { el, Spot } from "./dom.js";
import { about, count, NONE, of, percent, seconds } from "./format.js";

const AGENTS = [["available", "available"], ["on_call", "on_call"], ["wrap_up", "wrap_up"], ["busy", "busy"], ["break", "on_break"], ["offline", "offline"]];
const CALLS = ["initiated", "alerting", "bridged", "held"];
// The cap of the US rule; each campaign's own is on its line.
const CAP = 0.03;

export function strip(box, ctx) {
  const { floor, words } = ctx;
  const tiles = new Map();

  function tile(list, key, word, figure, look = {}) {
    const name = el("dt"), value = el("dd"), small = el("small");
    const number = el("b");
    value.append(number, small);
    list.append(el("div", { class: "tile" + (look.wide ? " wide" : ""), "data-figure": figure, "data-item": true, tabindex: -1 }, name, value));
    new Spot(name).show(word, look);
    tiles.set(key, { box: list.lastChild, number: new Spot(number), small: new Spot(small) });
  }

  function list(label) { const made = el("dl", { "aria-label": label }); box.append(made); return made; }

  const agents = list("Agents"), calls = list("Live calls"), today = list("Today, UTC");
  for (const [key] of AGENTS) { const [word, icon, tone] = words.agent_states[key]; tile(agents, key, word, key, { icon, tone }); }
  for (const key of CALLS) { const [word, icon, tone] = words.call_states[key]; tile(calls, key, word, key, { icon, tone }); }
  tile(calls, "waiting", "Waiting", "waiting", { icon: "wait", wide: true });
  tile(today, "attempts", "Calls", "attempts");
  tile(today, "answered", "Answered", "answer_rate", { wide: true });
  tile(today, "connected", "Connected", "connected");
  tile(today, "abandoned", "Abandoned", "abandon_rate", { wide: true });

  function set(key, text, small = "", { zero = false, over = false } = {}) {
    const { box: at, number, small: more } = tiles.get(key);
    number.show(text);
    more.show(small, { icon: over ? "alert" : "", word: over ? "over the limit" : "" });
    at.classList.toggle("zero", zero);
    at.classList.toggle("over", over);
  }

  function waiting(now) {
    const found = floor.kpis?.waiting;
    if (!found?.count) { set("waiting", found ? "0" : NONE, `limit ${words.wait_limit_ms / 1000} s`, { zero: true }); return; }
    const waited = now - found.oldest_since;
    set("waiting", String(found.count), `${seconds(waited)} of ${words.wait_limit_ms / 1000} s`, { over: waited > words.wait_limit_ms });
  }

  function draw(now) {
    const kpis = floor.kpis;
    for (const [key, field] of AGENTS) set(key, kpis ? count(kpis.agents[field]) : NONE, "", { zero: !kpis?.agents[field] });
    for (const key of CALLS) set(key, kpis ? count(kpis.calls[key]) : NONE, "", { zero: !kpis?.calls[key] });
    set("attempts", kpis ? count(kpis.today.attempts) : NONE, "", { zero: !kpis?.today.attempts });
    set("connected", kpis ? count(kpis.today.connected) : NONE, "", { zero: !kpis?.today.connected });
    for (const [key, figure] of [["answered", kpis?.answer_rate], ["abandoned", kpis?.abandon_rate]]) {
      const none = !figure?.denominator;
      set(key, percent(figure), none ? "" : of(figure), { zero: none, over: key === "abandoned" && !none && figure.numerator / figure.denominator > CAP });
    }
    waiting(now);
  }

  return { draw, tick: waiting };
}

export function healthStrip(box, ctx, screen) {
  const { floor, words } = ctx;
  const spots = new Map();

  function spot(key, figure) {
    if (!spots.has(key)) {
      const made = el("span", figure ? { "data-figure": figure, "data-item": true, tabindex: -1 } : { "data-item": true, tabindex: -1 });
      box.append(made);
      spots.set(key, new Spot(made));
    }
    return spots.get(key);
  }

  // What waits there, and how long what it does now has waited.
  function lag(part) {
    if (!part || (part.backlog === null && part.delay_ms === null)) return NONE;
    return [part.backlog !== null && `${count(part.backlog)} waiting`, part.delay_ms !== null && seconds(part.delay_ms)].filter(Boolean).join(", ");
  }

  return function draw(now) {
    for (const [key, label] of Object.entries(words.parts)) {
      const part = floor.kpis?.health[key];
      const heard = part?.at ? `, heard ${about(now - part.at)} ago` : "";
      // Well is one word: what is not well is what is read.
      spot(key).show(part && !part.ok ? `${label}: ${part.detail}` : label, {
        icon: !part ? "off" : part.ok ? "done" : "alert", extra: !part ? "unknown" : part.ok ? "ok" : "down",
        word: part ? (part.ok ? "well" : "") : "unknown", tip: part ? `${label}: ${part.detail}${heard}` : `${label}: not known`,
      });
    }
    spot("lag", "queue_lag").show(`queue ${lag(floor.kpis?.health.dialer)}`, { extra: "figure" });
    const p95 = screen.p95();
    spot("screen", "screen").show(`event to screen p95 ${p95 === null ? NONE : (p95 / 1000).toFixed(2) + " s"}`, { extra: "figure" });
  };
}

// How old everything is, in words: the page's link, each panel's source, and how quickly an event reaches the screen.

import { hide, mark, point, write } from "./dom.js";
import { clock, duration, seconds } from "./format.js";

const SAMPLES = 200;
// Frames come when something changes, else once a second: younger than this is as fresh as it gets.
const QUIET_MS = 1_300;
// A change waits up to one frame's time at the publisher.
const FRAME_MS = 150;

const LINK = {
  signed_out: "You are signed out. Sign in again in another tab, or reload this page.",
  forbidden: "You may not see the floor any more. An administrator can change that.",
  too_many: "Too many open boards and panels of this user: close one, and this one comes back.",
};
const SPOKEN = { live: "The floor is live again.", stale: "What you see is old.", lost: "Connection lost. Reconnecting." };

export class Freshness {
  #ctx; #panels; #spoken = "live";

  constructor(ctx) {
    this.#ctx = ctx;
    this.#panels = [...document.querySelectorAll("[data-source]")];
  }

  draw(now) {
    const { link, floor, words } = this.#ctx;
    const age = floor.at ? now - floor.at : Infinity;
    const told = LINK[link.state];
    let state = "live", text, why = "";
    if (told) { state = "lost"; text = "not connected"; why = told; }
    else if (link.state === "lost") {
      state = "lost"; text = "connection lost";
      why = `Connection lost ${duration(Date.now() - link.since)} ago. What you see is old; reconnecting…`;
    } else if (link.state === "connecting") { state = "connecting"; text = "connecting…"; }
    else if (!floor.at) { state = Date.now() - link.since > words.stale_ms ? "stale" : "connecting"; text = "waiting for the floor"; why = state === "stale" ? "The floor publisher has not started yet." : ""; }
    else if (age > words.stale_ms) { state = "stale"; text = `no news for ${duration(age)}`; why = `No news from the floor for ${duration(age)}. What you see is old.`; }
    const parts = state === "live" ? this.#bad(["bridge", "ingest", "floor"]) : [];
    if (parts.length) { state = "stale"; text = "cut off from the switch"; why = `${parts.join("; ")}. Calls and softphones are shown as last heard of.`; }
    if (state === "live") text = this.#behind("calls", age);
    this.#say(state, text, why);
    for (const panel of this.#panels) this.#panel(panel, state, age, told);
  }

  #bad(names) {
    const health = this.#ctx.floor.kpis?.health ?? {};
    return names.filter((name) => health[name] && !health[name].ok).map((name) => `${this.#ctx.words.parts[name]}: ${health[name].detail}`);
  }

  // What is known of the way from a source to here, in words.
  #behind(source, age) {
    const { kpis } = this.#ctx.floor, name = this.#ctx.words.sources[source][0];
    const extra = age > QUIET_MS ? age : 0;
    if (source === "calls") return kpis?.behind_ms == null ? "switch quiet" : `${seconds(kpis.behind_ms + extra)} behind ${name}`;
    return `${seconds((kpis?.health[source]?.delay_ms ?? 0) + FRAME_MS + extra)} behind ${name}`;
  }

  // A panel greys by its own source: calls may be old while agents are not.
  #panel(panel, state, age, told) {
    const source = panel.dataset.source, label = panel.querySelector(".age");
    const cut = state === "lost" || age > this.#ctx.words.stale_ms;
    const bad = cut ? [] : this.#bad(this.#ctx.words.sources[source][1]);
    const old = state !== "connecting" && (cut || bad.length > 0);
    mark(panel, "data-stale", old ? "1" : null);
    if (!label) return;
    const { floor } = this.#ctx;
    if (state === "connecting") write(label, "");
    else if (cut) write(label, told ? "not connected" : floor.at ? `as of ${clock(floor.at)}` : "nothing yet");
    else write(label, bad.length ? bad[0] : this.#behind(source, age));
  }

  #say(state, text, why) {
    const box = document.getElementById("fresh"), banner = document.getElementById("banner");
    if (box.dataset.state !== state) {
      box.dataset.state = state;
      point(box.querySelector("svg"), { live: "ready", connecting: "wait" }[state] ?? "alert");
    }
    write(document.getElementById("fresh-text"), text);
    document.body.toggleAttribute("data-stale", state === "stale" || state === "lost");
    hide(banner, !why);
    write(document.getElementById("banner-text"), why);
    // Said once per change: a screen reader must not count the seconds.
    if (SPOKEN[state] && state !== this.#spoken) { this.#spoken = state; this.#ctx.announce(LINK[this.#ctx.link.state] ?? SPOKEN[state]); }
  }
}

// From the switch's time of a leg's new state to the frame in which it is painted.
export class Screen {
  #samples = []; #states = new Map(); #paint = [];

  // Remembers which calls have a new state; `fresh`: they come from a snapshot and say nothing about speed.
  note(calls, ids, fresh) {
    for (const id of ids) {
      const row = calls.get(id);
      if (!row) { this.#states.delete(id); continue; }
      const now = `${row.state} ${row.since}`;
      if (this.#states.get(id) === now) continue;
      this.#states.set(id, now);
      if (!fresh && row.since !== null && this.#paint.length < SAMPLES) this.#paint.push(row.since);
    }
  }

  // To be called in the animation frame that draws them: the next task comes after the pixels.
  painted(serverNow) {
    if (!this.#paint.length) return;
    const since = this.#paint;
    this.#paint = [];
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      const now = serverNow();
      this.#samples.push(...since.map((at) => now - at));
      this.#samples.splice(0, Math.max(0, this.#samples.length - SAMPLES));
      port1.close();
    };
    port2.postMessage(null);
  }

  p95() {
    if (!this.#samples.length) return null;
    const sorted = [...this.#samples].sort((a, b) => a - b);
    return Math.max(0, sorted[Math.min(sorted.length - 1, Math.floor(0.95 * sorted.length))]);
  }
}

// What has passed a threshold: one line that is always there, and below it, where wanted, the list with its buttons.

import { SILENT_MS } from "../connection.js";
import { alertOrder } from "../floor.js";
import { Calls } from "./alert_calls.js";
import { marks } from "./alert_marks.js";
import { el, hide, icon, mark, point, write } from "./dom.js";
import { about, moment } from "./format.js";
import { remember, remembered } from "./remember.js";

const OPEN = "board-alerts-open";
const SNOOZES = [5, 15, 60, 240];
const SNOOZE_WORDS = { 5: "5 min", 15: "15 min", 60: "1 hour", 240: "4 hours" };
const QUIET_TITLE = document.title;

// Those that wait for somebody first, then those that somebody has, then those that are put off; the worst first in each.
const STATES = ["raised", "acknowledged", "snoozed"];
export function order(a, b) { return STATES.indexOf(a.state) - STATES.indexOf(b.state) || alertOrder(a, b); }

// `ctx`: see main.js.
export function attach(ctx) {
  const box = document.getElementById("alerts");
  const list = new List(ctx);
  const summary = new Summary(ctx, list);
  const calls = new Calls(ctx);
  const markRows = marks(ctx);
  summary.tools.append(...calls.switches);
  box.className = "alerts";
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", "Alerts");
  box.append(summary.element, list.element);

  function draw() {
    const rows = [...ctx.floor.alerts.values()].sort(order), now = ctx.serverNow();
    summary.draw(rows, now);
    list.draw(rows, now);
    calls.hear(rows);
    const waiting = rows.filter((row) => row.state === "raised").length;
    document.title = waiting ? `(${waiting}) ${QUIET_TITLE}` : QUIET_TITLE;
  }

  // The board writes its rows in the same frame, before or after us: their marks follow when all have drawn.
  ctx.onDraw((changed) => {
    if (changed.all || changed.alerts.size) draw();
    if (changed.all || changed.alerts.size || changed.calls.size || changed.agents.size) queueMicrotask(markRows);
  });
  for (const { table } of Object.values(ctx.grids)) table.addEventListener("rows", markRows);
  setInterval(() => { const now = ctx.serverNow(); summary.tick(now); list.tick(now); markRows(); }, 1_000);
}

// The row on the board that an alert is about. False when it is not shown.
function jump(ctx, row) {
  const found = row.subject_kind === "floor"
    ? document.querySelector("#health [data-item]")
    : ctx.reach(row.subject_kind, row.subject_id);
  if (!found) {
    ctx.announce("Not shown: the filters hide it, or it has gone.");
    return false;
  }
  if (!found.hasAttribute("tabindex")) found.tabIndex = -1;
  found.focus();
  found.scrollIntoView({ block: "nearest" });
  return true;
}

// One line of fixed height: how many, the worst, and the way to all of them.
class Summary {
  constructor(ctx, list) {
    this.ctx = ctx;
    this.counts = el("span", { class: "alert-counts" });
    this.worst = el("button", { type: "button", class: "ghost small alert-worst", title: "Go to it" }, icon("alert"), el("b", { class: "visually-hidden" }), el("span"), el("small", { class: "muted" }));
    this.worst.addEventListener("click", () => jump(ctx, this.row));
    this.tools = el("span", { class: "alert-tools" });
    this.toggle = el("button", { type: "button", class: "small", id: "alerts-toggle", "aria-controls": "alert-list" });
    this.toggle.addEventListener("click", () => this.#open(list, list.element.hidden));
    this.element = el("div", { class: "alert-line" }, el("h2", {}, "Alerts"), this.counts, this.worst, this.tools, this.toggle);
    this.#open(list, remembered(OPEN));
  }

  #open(list, open) {
    hide(list.element, !open);
    mark(this.toggle, "aria-expanded", String(open));
    write(this.toggle, open ? "Hide" : "Show");
    this.toggle.setAttribute("aria-label", open ? "Hide the alerts" : "Show the alerts");
    remember(OPEN, open);
  }

  draw(rows, now) {
    const by = (level) => rows.filter((row) => row.level === level).length;
    const words = Object.entries(this.ctx.words.alert_levels).map(([level, [word, sign, tone]]) => [by(level), word, sign, tone]);
    const key = JSON.stringify([words, Boolean(this.ctx.floor.epoch)]);
    if (key !== this.key) {
      this.key = key;
      const shown = words.filter(([n]) => n).reverse();
      this.counts.replaceChildren(...shown.map(([n, word, sign, tone]) => el("span", { class: `t-${tone}` }, icon(sign), `${n} ${word.toLowerCase()}`)));
      if (!shown.length) this.counts.append(el("span", { class: "muted" }, this.ctx.floor.epoch ? "none" : "…"));
    }
    this.row = rows[0];
    hide(this.worst, !this.row);
    if (!this.row) return;
    const [word, sign, tone] = this.ctx.words.alert_levels[this.row.level];
    point(this.worst.firstChild, sign);
    this.worst.className = `ghost small alert-worst t-${tone}`;
    write(this.worst.children[1], `${word}: `);
    write(this.worst.children[2], this.row.text);
    this.tick(now);
  }

  tick(now) { if (this.row) write(this.worst.lastChild, about(now - this.row.raised_at)); }
}

// The alerts as a list of lines that live as long as their alert.
class List {
  #lines = new Map();
  #asked = new Map(); // command -> line, until it is answered

  constructor(ctx) {
    this.ctx = ctx;
    this.items = el("ol", { class: "alert-items" });
    this.none = el("p", { class: "muted" }, "Nothing has passed a threshold.");
    this.element = el("div", { class: "alert-list", id: "alert-list", hidden: true }, this.items, this.none);
    ctx.link.on("ack", (message) => this.#answer(message, "queued…", false));
    ctx.link.on("result", (message) => this.#answer(message, message.status === "applied" ? "" : `refused: ${message.reason}`, true));
    ctx.link.on("error", (message) => this.#answer(message, message.message, message.code !== "no_answer"));
  }

  draw(rows, now) {
    const there = new Set(rows.map((row) => row.id));
    for (const [id, line] of this.#lines) {
      if (there.has(id)) continue;
      const next = line.element.nextElementSibling ?? line.element.previousElementSibling;
      const inside = line.element.contains(document.activeElement);
      line.element.remove();
      this.#lines.delete(id);
      if (inside) (next?.querySelector("button") ?? document.getElementById("alerts-toggle")).focus();
    }
    let before = null;
    for (const row of rows) {
      let line = this.#lines.get(row.id);
      if (!line) { line = new Line(this.ctx, row, (action, minutes) => this.#ask(line, action, minutes)); this.#lines.set(row.id, line); }
      line.draw(row, now);
      const place = before ? before.nextElementSibling : this.items.firstElementChild;
      if (place !== line.element) {
        const focus = document.activeElement, held = line.element.contains(focus);
        this.items.insertBefore(line.element, place);
        if (held) focus.focus({ preventScroll: true });
      }
      before = line.element;
    }
    hide(this.none, rows.length > 0);
  }

  tick(now) {
    for (const line of this.#lines.values()) {
      if (line.silent()) this.#answer({ id: line.command }, "no answer; try again", true);
      if (!this.element.hidden) line.tick(now);
    }
  }

  #ask(line, action, minutes) {
    const words = { acknowledge: "acknowledge", snooze: `snooze for ${SNOOZE_WORDS[minutes]}`, resolve: "resolve" };
    const message = { type: "alert_control", alert_id: line.row.id, action, ...(action === "snooze" ? { minutes } : {}) };
    // An error may be told before the id is known: nothing was sent then.
    line.begin();
    this.asking = line;
    const id = this.ctx.link.command(message, `${line.row.text}: ${words[action]}`);
    this.asking = null;
    if (!line.waits) return;
    line.command = id;
    this.#asked.set(id, line);
  }

  #answer(message, text, last) {
    const line = this.#asked.get(message.id) ?? this.asking;
    if (!line) return;
    // What the floor has shown meanwhile has given the buttons back, perhaps for another command.
    const current = line === this.asking || (line.waits && line.command === message.id);
    if (!last) { if (current) line.wait(text); return; }
    this.#asked.delete(message.id);
    if (current || !line.waits) line.answer(text);
    if (text) this.ctx.announce(text);
  }
}

// What an answered command changes of an alert.
function standing(row) { return JSON.stringify([row.state, row.owner, row.snoozed_until]); }

class Line {
  waits = false; // for an answer to `command`
  command = "";

  constructor(ctx, row, ask) {
    Object.assign(this, { ctx, row });
    this.level = el("span", { class: "alert-level" }, icon("alert"), el("span"));
    this.text = el("button", { type: "button", class: "ghost small alert-text" });
    this.text.addEventListener("click", () => { if (!jump(ctx, this.row)) this.answer("not shown on the board now"); });
    this.age = el("span", { class: "num muted" });
    this.who = el("span", { class: "alert-who" });
    this.said = el("output", { class: "alert-said" });
    const button = (word, act) => {
      const made = el("button", { type: "button", class: "small" }, word);
      made.addEventListener("click", () => { if (made.getAttribute("aria-disabled") !== "true") act(); });
      return made;
    };
    this.minutes = el("select", { class: "chip", "aria-label": "Snooze for" }, ...SNOOZES.map((n) => el("option", { value: n, selected: n === 15 }, SNOOZE_WORDS[n])));
    this.take = button("Acknowledge", () => ask("acknowledge"));
    this.snooze = button("Snooze", () => ask("snooze", Number(this.minutes.value)));
    this.resolve = button("Resolve", () => ask("resolve"));
    this.buttons = [this.take, this.snooze, this.resolve];
    // Whoever may only look is offered nothing; the server refuses them all the same.
    const may = ctx.words.rights?.includes("alerts") ?? true;
    const actions = el("span", { class: "alert-actions", hidden: !may }, this.take, this.snooze, this.minutes, this.resolve);
    this.element = el("li", { "data-alert-id": row.id }, this.level, this.text, this.age, this.who, actions, this.said);
  }

  draw(row, now) {
    this.row = row;
    // The frame that shows what was asked for may come before the answer: the next press must not be lost in between.
    if (this.waits && this.before !== standing(row)) this.answer("");
    const [word, sign, tone] = this.ctx.words.alert_levels[row.level];
    mark(this.element, "class", `t-${tone}`);
    mark(this.element, "data-state", row.state);
    point(this.level.firstChild, sign);
    write(this.level.lastChild, word);
    write(this.text, row.text);
    this.text.setAttribute("aria-label", `${row.text}. Go to it.`);
    for (const made of this.buttons) made.setAttribute("aria-label", `${made.textContent}: ${row.text}`);
    this.minutes.setAttribute("aria-label", `Snooze for how long: ${row.text}`);
    hide(this.take, row.state === "acknowledged");
    this.tick(now);
  }

  tick(now) {
    const { row } = this;
    write(this.age, about(now - row.raised_at));
    const who = { raised: row.owner && `${row.owner} had it`, acknowledged: `${row.owner} has it`, snoozed: `${row.owner} put it off until ${row.snoozed_until ? moment(row.snoozed_until, now) : "…"}` };
    write(this.who, who[row.state]);
  }

  begin() { this.waits = true; this.before = standing(this.row); this.wait("sent…"); }

  wait(text) { this.heard = Date.now(); this.#enable(false); write(this.said, text); }

  answer(text) { this.waits = false; this.#enable(true); write(this.said, text); }

  silent() { return this.waits && Date.now() - this.heard > SILENT_MS; }

  // Not `disabled`: the focus stays where it is.
  #enable(on) { for (const made of this.buttons) mark(made, "aria-disabled", on ? null : "true"); }
}

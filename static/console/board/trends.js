// The last 60 minutes as lines, and the same as a table. Pointer and arrow keys read values.

import { el, hide, mark, write } from "./dom.js";
import { remember, remembered } from "./remember.js";

const EVERY_MS = 15_000;
const ANSWER_MS = 10_000;
const TABLE = "board-trends-table";
const NONE = "–";

const whole = (value) => (value == null ? NONE : String(value));
const share = (value) => (value == null ? NONE : `${Math.round(100 * value)} %`);
const wait = (value) => (value == null ? NONE : `${(value / 1000).toFixed(1)} s`);

const SERIES = {
  calls: { format: whole, tone: "oncall" },
  abandoned: { format: whole, tone: "trouble" },
  answer_rate: { format: share, tone: "available" },
  occupancy: { format: share, tone: "busy" },
  wait_p50: { format: wait, tone: "oncall" },
  wait_p95: { format: wait, tone: "break" },
};
const CHARTS = [
  { keys: ["calls", "abandoned"], top: 4, format: whole },
  { keys: ["answer_rate", "occupancy"], top: 1, format: share },
  { keys: ["wait_p50", "wait_p95"], top: 2000, format: (value) => `${value / 1000} s`, times: true },
];
const HEIGHT = 50, HEIGHT_WITH_TIMES = 66;

// `ctx`: see main.js.
export function attach(ctx) {
  const box = document.getElementById("trends");
  new Trends(ctx, box).start();
}

class Trends {
  #charts = []; #values = new Map(); #data = null; #at = null; #table;

  constructor(ctx, box) {
    this.ctx = ctx;
    this.url = box.dataset.url;
    this.part = el("select", { class: "chip", "aria-label": "Trends of" }, el("option", { value: "" }, "All campaigns"));
    this.part.addEventListener("change", () => this.#load());
    this.toggle = el("button", { type: "button", class: "chip", "aria-pressed": "false", id: "trends-as-table" }, "Table");
    this.toggle.addEventListener("click", () => this.#asTable(this.rows.hidden));
    this.minute = el("span", { class: "trend-minute muted" });
    this.state = el("span", { class: "trend-state muted", role: "status" });
    const lines = el("div", {
      class: "trend-lines", id: "trend-lines", tabindex: 0, role: "application", "aria-roledescription": "chart",
      "aria-label": "The last 60 minutes. Arrow keys read minute by minute, Home and End the first and the last, Escape stops.",
    });
    lines.addEventListener("keydown", (event) => this.#key(event));
    lines.addEventListener("blur", () => this.#point(null));
    this.spoken = el("p", { class: "visually-hidden", "aria-live": "polite" });
    this.rows = el("div", { class: "trend-table", hidden: true, tabindex: 0, role: "region", "aria-label": "The last 60 minutes as a table" });
    this.lines = lines;
    for (const chart of CHARTS) lines.append(this.#chart(chart));
    box.append(el("div", { class: "trend-tools" }, this.part, this.minute, this.state, this.toggle), lines, this.rows, this.spoken);
    this.#table = this.#head();
  }

  async start() {
    this.#asTable(remembered(TABLE));
    this.ctx.onDraw((changed) => { if (changed.all || changed.campaigns.size) this.#names(); });
    this.ctx.view?.onChange(() => this.#follow());
    const { Chart } = await import("./trend_chart.js");
    for (const chart of this.#charts) {
      chart.plot = new Chart(chart.box, { ...chart, series: chart.keys.map((key) => SERIES[key]), height: chart.times ? HEIGHT_WITH_TIMES : HEIGHT, onMove: (index) => this.#point(index, chart) });
    }
    new ResizeObserver(() => { for (const { plot } of this.#charts) plot.fit(); }).observe(this.lines);
    const anew = () => { for (const { plot } of this.#charts) plot.build(); };
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", anew);
    new MutationObserver(anew).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    this.#follow();
    this.#load();
    setInterval(() => { if (!document.hidden) this.#load(); }, EVERY_MS);
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.#load(); });
  }

  #chart(chart) {
    const key = el("div", { class: "trend-key" });
    for (const [n, name] of chart.keys.entries()) {
      const { name: word, formula } = this.ctx.words.trends[name], value = el("b", {}, NONE);
      this.#values.set(name, value);
      key.append(el("span", { class: `trend-of${n ? " dashed" : ""}`, "data-tone": SERIES[name].tone, "data-tip": `${word}: ${formula}, each minute` }, el("i", { "aria-hidden": "true" }), word, value));
    }
    const box = el("div", { class: "trend-box", "aria-hidden": "true" });
    this.#charts.push({ ...chart, box, plot: null });
    return el("div", {}, key, box);
  }

  // --- which part ---

  #names() {
    const rows = [...this.ctx.floor.campaigns.values()].sort((a, b) => a.name.localeCompare(b.name));
    const known = rows.map((row) => `${row.id} ${row.name}`).join("\n");
    if (known === this.known) return;
    this.known = known;
    const chosen = this.part.value;
    this.part.replaceChildren(this.part.firstElementChild, ...rows.map((row) => el("option", { value: row.id }, row.name)));
    this.part.value = rows.some((row) => row.id === chosen) ? chosen : "";
    if (this.part.value !== chosen) this.#load();
    else this.#follow();
  }

  // The board's own filter, when it leaves one campaign.
  #follow() {
    const filter = this.ctx.view?.campaign;
    if (!filter) return;
    const wanted = filter.size === 1 ? [...filter][0] : "";
    if (wanted === this.followed || (wanted && ![...this.part.options].some((one) => one.value === wanted))) return;
    this.followed = wanted;
    if (this.part.value !== wanted) { this.part.value = wanted; this.#load(); }
  }

  // --- reading ---

  async #load() {
    const asked = this.part.value;
    try {
      const answer = await fetch(this.url + (asked ? `?campaign=${encodeURIComponent(asked)}` : ""), { credentials: "same-origin", cache: "no-store", redirect: "manual", signal: AbortSignal.timeout(ANSWER_MS) });
      if (!answer.ok) throw new Error(String(answer.status));
      const data = await answer.json();
      if (asked !== this.part.value) return;
      this.#data = data;
      write(this.state, "");
    } catch {
      if (asked === this.part.value) write(this.state, this.#data ? `not renewed since ${clock(this.#data.at)}` : "cannot be read now");
      return;
    }
    this.#draw();
  }

  #draw() {
    const { minutes, series } = this.#data, seconds = minutes.map((at) => at / 1000);
    for (const { plot, keys } of this.#charts) plot.show(seconds, keys.map((key) => series[key]));
    this.#read();
    if (!this.rows.hidden) this.#fill();
  }

  // --- values ---

  // The keys, or the pointer over one of the charts, are on a minute; null: on none, so the newest is told.
  #point(index, from = null) {
    if (index === this.#at) return;
    this.#at = index;
    for (const chart of this.#charts) if (chart !== from) chart.plot?.point(index);
    this.#read();
  }

  #read() {
    if (!this.#data) return;
    const { minutes, series } = this.#data, last = minutes.length - 1, at = this.#at ?? last;
    write(this.minute, clock(minutes[at]));
    for (const [key, value] of this.#values) write(value, SERIES[key].format(series[key][at]));
  }

  #key(event) {
    if (!this.#data || event.ctrlKey || event.metaKey || event.altKey) return;
    const last = this.#data.minutes.length - 1, at = this.#at;
    const to = { ArrowLeft: (at ?? last + 1) - 1, ArrowRight: at === null ? last : at + 1, Home: 0, End: last, PageUp: (at ?? last) - 10, PageDown: (at ?? last) + 10 }[event.key];
    if (event.key === "Escape") { this.#point(null); return; }
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    this.#point(Math.max(0, Math.min(last, to)));
    write(this.spoken, this.#sentence(this.#at));
  }

  #sentence(at) {
    const { minutes, series } = this.#data, words = this.ctx.words.trends;
    const known = Object.keys(SERIES).filter((key) => series[key][at] != null);
    if (!known.length) return `${clock(minutes[at])}: nothing known`;
    return `${clock(minutes[at])}: ` + known.map((key) => `${words[key].name} ${SERIES[key].format(series[key][at])}`).join(", ");
  }

  // --- as a table ---

  #asTable(on) {
    hide(this.rows, !on);
    hide(this.lines, on);
    mark(this.toggle, "aria-pressed", String(on));
    remember(TABLE, on);
    if (on && this.#data) this.#fill();
  }

  #head() {
    const short = { calls: "Calls", abandoned: "Aband.", answer_rate: "Answ.", occupancy: "Occ.", wait_p50: "p50", wait_p95: "p95" };
    const cell = (key) => {
      const { name, formula } = this.ctx.words.trends[key];
      return el("th", { scope: "col", class: "num", "aria-label": name }, el("span", { "data-tip": `${name}: ${formula}` }, short[key]));
    };
    const body = el("tbody");
    const head = el("tr", {}, el("th", { scope: "col" }, "Minute"), ...Object.keys(SERIES).map(cell));
    this.rows.append(el("table", { "aria-label": "The last 60 minutes" }, el("thead", {}, head), body));
    return body;
  }

  // The newest minute first.
  #fill() {
    const { minutes, series } = this.#data, keys = Object.keys(SERIES), lines = minutes.length;
    while (this.#table.children.length < lines) this.#table.append(el("tr", {}, el("th", { scope: "row" }), ...keys.map(() => el("td", { class: "num" }))));
    for (let n = 0; n < lines; n += 1) {
      const at = lines - 1 - n, [head, ...cells] = this.#table.children[n].children;
      write(head, clock(minutes[at]));
      keys.forEach((key, column) => write(cells[column], SERIES[key].format(series[key][at])));
    }
  }
}

function clock(ms) {
  const at = new Date(ms), pad = (n) => String(n).padStart(2, "0");
  return `${pad(at.getHours())}:${pad(at.getMinutes())}`;
}

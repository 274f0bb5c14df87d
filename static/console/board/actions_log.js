// The command log: a line for each command, from sending to its end; a drawer with the last of this page.

import { newId } from "../connection.js";
import { begun, cutOff, needless, SETTLED_MS, summed, told, unsent, waited } from "./commands.js";
import { el, icon, write } from "./dom.js";

const KEPT = 50;
const SHOWN = 5;

export class Log {
  #ctx; #list; #opener; #sheet;
  #entries = new Map(); // id -> entry, those of groups among them
  #tops = new Map(); // id of an entry or a group -> { group } or {}
  #dismissed = new Set();
  #group = null; // what is sent now belongs to it
  #said = new Map(); // id of a top -> what was last said of it
  #due = false;
  #drawer = null;

  constructor(ctx, sheet) {
    this.#ctx = ctx;
    this.#sheet = sheet;
    this.#list = document.getElementById("commands");
    this.#opener = document.getElementById("commands-open");
    this.#opener.addEventListener("click", () => this.openDrawer());
    const { link } = ctx;
    link.on("sent", (message, about) => this.#add(begun(message.id, message.type, about, this.#now())));
    for (const type of ["ack", "result", "confirmed", "error"]) link.on(type, (message) => this.#hear(message));
    link.on("state", (state) => { if (state !== "open") this.#map(cutOff); });
    setInterval(() => { this.#map(waited); this.#plan(); }, 1_000);
  }

  #now() { return this.#ctx.serverNow(); }

  // Commands sent within `send` are one line of the log, with a report of each.
  together(about, send) {
    const group = { id: `g${newId()}`, about, at: this.#now(), ids: [] };
    this.#group = group;
    try { send(); } finally { this.#group = null; }
    if (!group.ids.length) return;
    this.#tops.set(group.id, group);
    this.#trim();
    this.#settle(group.ids[0]);
    this.#plan();
  }

  // What is not asked of the server at all, and why.
  // `so`: it is as wanted already.
  refuse(about, why, so = false) {
    const one = (so ? needless : unsent)(`u${newId()}`, about, why, this.#now());
    this.#add(one);
    this.#settle(one.id);
  }

  #add(entry) {
    this.#entries.set(entry.id, entry);
    if (this.#group) { entry.group = this.#group; this.#group.ids.push(entry.id); }
    else this.#tops.set(entry.id, null);
    this.#trim();
    this.#plan();
  }

  #hear(message) {
    const before = this.#entries.get(message.id);
    if (before) this.#replace(before, told(before, message, this.#now()));
    else if (message.type === "error" && !message.id) this.refuse("The server", message.message);
  }

  #map(change) { for (const entry of this.#entries.values()) this.#replace(entry, change(entry, this.#now())); }

  #replace(before, after) {
    if (after === before) return;
    this.#entries.set(after.id, after);
    if (after.settled) this.#settle(after.id);
    this.#plan();
  }

  // Said once, when there is nothing more to come: a screen reader must not hear every step of every command.
  #settle(id) {
    if (this.#group) return; // told when all of it has been sent
    const top = this.#top(this.#entries.get(id).group?.id ?? id);
    if (!top.settled) return;
    if (this.#said.get(top.id) === top.text) return;
    this.#said.set(top.id, top.text);
    this.#ctx.announce(`${top.about}: ${top.text}`);
  }

  #top(id) {
    const group = this.#tops.get(id);
    return group ? summed(group, group.ids.map((one) => this.#entries.get(one))) : this.#entries.get(id);
  }

  #trim() {
    for (const [id, group] of this.#tops) {
      if (this.#tops.size <= KEPT) return;
      if (!this.#top(id).settled) continue;
      for (const one of group ? group.ids : [id]) this.#entries.delete(one);
      this.#tops.delete(id);
      this.#dismissed.delete(id);
      this.#said.delete(id);
    }
  }

  // --- drawing ---

  #plan() {
    if (this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => { this.#due = false; this.#draw(); });
  }

  #draw() {
    const now = this.#now();
    const all = [...this.#tops.keys()].map((id) => this.#top(id));
    const shown = all.filter((top) => !this.#dismissed.has(top.id) && (!top.settled || top.trouble || now - top.changed < SETTLED_MS));
    this.#lines(this.#list, shown.slice(-SHOWN), (top) => this.#line(top, true));
    const trouble = all.filter((top) => top.trouble && !this.#dismissed.has(top.id)).length;
    write(this.#opener.querySelector(".count"), all.length ? String(all.length) : "");
    this.#opener.classList.toggle("trouble", trouble > 0);
    if (this.#drawer) this.#lines(this.#drawer, all.reverse(), (top) => this.#line(top, false));
  }

  // Keeps what is there: focus, and what a reader has opened.
  #lines(list, tops, make) {
    const there = new Map([...list.children].map((item) => [item.dataset.command, item]));
    const wanted = tops.map((top) => {
      const item = there.get(top.id) ?? make(top);
      there.delete(top.id);
      this.#show(item, top);
      return item;
    });
    for (const item of there.values()) item.remove();
    wanted.forEach((item, n) => { if (list.children[n] !== item) list.insertBefore(item, list.children[n] ?? null); });
  }

  #line(top, floating) {
    const item = el("li", { class: "command", "data-command": top.id });
    const text = el("span", {}, el("b", {}, top.about), " ", el("span", { class: "what" }));
    item.append(icon("wait"), text);
    if (top.ids && floating) {
      const report = el("button", { type: "button", class: "ghost small" }, "Report");
      report.addEventListener("click", () => this.openDrawer(top.id));
      item.append(report);
    }
    if (floating) {
      const dismiss = el("button", { type: "button", class: "ghost small", "aria-label": `Dismiss: ${top.about}` }, "×");
      dismiss.addEventListener("click", () => { this.#dismissed.add(top.id); this.#plan(); });
      item.append(dismiss);
    } else {
      item.insertBefore(el("time", {}, new Date(top.at).toLocaleTimeString([], { hour12: false })), text);
      if (top.ids) item.append(el("details", {}, el("summary", {}, `${top.ids.length} rows`), el("ol", { class: "report" })));
    }
    return item;
  }

  #show(item, top) {
    item.dataset.state = top.trouble ? "trouble" : top.settled ? "done" : "open";
    item.querySelector("use").setAttribute("href", `#i-${top.icon}`);
    write(item.querySelector(".what"), top.text);
    const report = item.querySelector(".report");
    if (!report) return;
    // Trouble first: it is what a reader opens the report for.
    const rows = top.ids.map((id) => this.#entries.get(id)).sort((a, b) => b.trouble - a.trouble);
    this.#lines(report, rows, (row) => el("li", { "data-command": row.id }, icon("wait"), el("b", {}, row.about), " ", el("span", { class: "what" })));
  }

  // `open`: the group whose report is wanted.
  openDrawer(open = "") {
    const list = el("ol", { class: "drawer-list" });
    this.#sheet.show({
      title: "Commands",
      sub: `The last ${KEPT} of this page, newest first.`,
      build: (body) => body.append(list, el("p", { class: "hint none" }, "Nothing has been asked for yet.")),
      onClose: () => { this.#drawer = null; },
    });
    this.#drawer = list;
    this.#draw();
    const item = [...list.children].find((one) => one.dataset.command === open);
    if (item) { item.querySelector("details").open = true; item.querySelector("summary").focus(); }
  }
}

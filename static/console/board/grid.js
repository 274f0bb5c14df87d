// A table of keyed rows: a row's elements live as long as the row, and only cells that have changed are written. Of a long
// table only the rows near the screen are in the page (near.js): all of them count, sort, match and answer to the keys.

import { el, hide, icon, mark, Spot, write } from "./dom.js";
import { Near } from "./near.js";

// Columns: {key, head or sign (an icon), label, figure, num, sort(row, now), draw(spot, row, now), live, hurry(row)}.
//   figure: whose definition the head shows; sort: value to sort by, null last; live: drawn every second, and for rows in
//   a hurry in every drawing.
// What changed is marked for a second; where everything changes a mark tells nothing.
const MARKED_MS = 1_000;
const MOST_MARKED = 12;

export class Grid {
  #rows = new Map(); #shown = []; #wanted = []; #drawn = []; #body; #empty; #columns; #heads = new Map(); #options; #flashed = new Set(); #near;

  // options: {columns, groups, name, pick, menu, describe(row), order(a, b), pinned(row, now), look(row, now), empty(), now()}
  //   name: data-NAME of the rows; pick: ids that are selected, rows have a checkbox then; look: {state, tone, extra} of the
  //   row. `table` says `rows` when others have come into the page.
  constructor(table, options) {
    this.table = table;
    this.#options = options;
    this.#columns = options.columns;
    table.setAttribute("role", "grid");
    const head = el("thead", { role: "rowgroup" });
    if (options.groups) head.append(this.#groups(options.groups));
    head.append(this.#head());
    this.#body = el("tbody", { role: "rowgroup" });
    this.#empty = el("p", { class: "empty" });
    table.append(head, this.#body);
    table.after(this.#empty);
    this.#near = new Near(table, this.#body, () => this.#look());
  }

  #groups(groups) {
    const line = el("tr", { role: "row", class: "groups" });
    for (const { label, span } of groups) {
      const cell = el("th", { role: "columnheader", class: label ? "" : "blank" }, label);
      cell.style.setProperty("grid-column", `span ${span}`);
      line.append(cell);
    }
    return line;
  }

  #head() {
    const line = el("tr", { role: "row" });
    if (this.#options.pick) {
      const all = el("input", { type: "checkbox", "data-select-all": true, "aria-label": "Select all shown" });
      line.append(el("th", { role: "columnheader", scope: "col", class: "c-pick" }, all));
    }
    for (const { key, head, sign, label, figure, num, sort } of this.#columns) {
      // Whoever speaks to the page says what they see: the name of the head begins with it.
      const name = label && head && !label.toLowerCase().includes(head.toLowerCase()) ? `${head}: ${label}` : label;
      const named = name ? { "aria-label": name } : {};
      const shown = sign ? icon(sign) : head;
      const inner = sort && !this.#options.fixed
        ? el("button", { type: "button", class: "sorter", "data-sort": key, "data-figure": figure, ...named }, shown)
        : el("span", { "data-figure": figure }, shown);
      const cell = el("th", { role: "columnheader", scope: "col", class: `c-${key}${num ? " num" : ""}`, ...named }, inner);
      this.#heads.set(key, cell);
      line.append(cell);
    }
    if (this.#options.menu) {
      line.append(el("th", { role: "columnheader", scope: "col", class: "c-menu" }, el("span", { class: "visually-hidden" }, "Menu")));
    }
    return line;
  }

  get shown() { return this.#shown; }

  // The row's element where it is in the page.
  element(id) { const element = this.#rows.get(id)?.element; return element?.isConnected ? element : undefined; }

  // The row's element, brought near the screen where it was not.
  reach(id) {
    const place = this.#shown.indexOf(id);
    if (place >= 0 && !this.#drawn.includes(this.#rows.get(id))) { this.#near.reach(place); this.#look(); }
    return this.element(id);
  }

  // The row so many rows, or lines of cards, from the one of `element`; the first or last one for an infinite step.
  beside(element, step, lines = false) {
    const at = this.#shown.indexOf(this.#id(element)), last = this.#shown.length - 1;
    const to = Number.isFinite(step) ? at + step * (lines ? this.#near.across : 1) : step < 0 ? 0 : last;
    return at < 0 || to < 0 || to > last ? null : this.reach(this.#shown[to]);
  }

  #id(element) { return element.getAttribute(`data-${this.#options.name}`); }

  // `changed`: ids, or null for all. `rows`: the floor's. `sort`: [{key, down}].
  draw(changed, rows, { now, matches, sort }) {
    const focus = this.#focused(), stood = focus ? this.#shown.indexOf(this.#id(focus)) : -1;
    let turned = 0;
    for (const id of changed ?? new Set([...this.#rows.keys(), ...rows.keys()])) {
      const row = rows.get(id), held = this.#rows.get(id);
      if (!row) this.#rows.delete(id);
      else if (held) Object.assign(held, { row, old: true });
      else this.#rows.set(id, { row, old: true, element: null, state: null, told: null });
      if (row && this.#turned(this.#rows.get(id), now)) turned += 1;
    }
    this.#arrange(rows, now, matches, sort);
    const others = this.#place(now);
    // Whoever stood on a row that has left stands on the one that took its place.
    if (stood >= 0 && document.activeElement === document.body && this.#shown.length) {
      this.reach(this.#shown[Math.min(stood, this.#shown.length - 1)])?.focus({ preventScroll: true });
    }
    if (turned <= MOST_MARKED) this.#flash(others, now);
  }

  // Whether the row, in the page or not, has another state than when it was last told of.
  #turned(held, now) {
    const { state } = this.#options.look(held.row, now), before = held.told;
    held.told = state;
    return before !== null && before !== state;
  }

  #focused() {
    const focus = document.activeElement;
    return this.#body.contains(focus) ? focus.closest("tr") : null;
  }

  #look() {
    this.#place(this.#options.now());
    this.table.dispatchEvent(new CustomEvent("rows"));
  }

  // No animation: it would cost the whole page a drawing sixty times a second for as long as it lasts.
  #flash(rows, now) {
    for (const held of rows) {
      held.until = now + MARKED_MS;
      held.element.classList.add("changed");
      this.#flashed.add(held);
    }
  }

  // Whether the row shows another state than before.
  #write(held, now) {
    const { row } = held, fresh = !held.element;
    if (fresh) this.#make(held);
    held.old = false;
    this.#columns.forEach((column, n) => column.draw(held.spots[n], row, now));
    const { state, tone = "", extra = "" } = this.#options.look(row, now);
    const other = !fresh && held.state !== state;
    const look = `${tone ? "t-" + tone : ""} ${extra}`;
    if (held.look !== look) { held.look = look; held.element.className = look; }
    if (held.state !== state) { held.state = state; held.element.dataset.state = state; }
    const said = this.#options.describe(row);
    if (held.said !== said) {
      held.said = said;
      if (held.box) held.box.setAttribute("aria-label", "Select " + said);
      if (held.menu) held.menu.setAttribute("aria-label", "Menu of " + said);
    }
    if (held.box) this.#pick(held);
    return other;
  }

  // Shows which rows are selected.
  pick() { for (const held of this.#drawn) this.#pick(held); }

  #pick(held) {
    const on = this.#options.pick.has(held.row.id);
    if (held.box.checked !== on) held.box.checked = on;
    mark(held.element, "aria-selected", on ? "true" : null);
  }

  #make(held) {
    const { name, pick, menu } = this.#options;
    const element = el("tr", { role: "row", tabindex: -1, [`data-${name}`]: held.row.id });
    Object.assign(held, { element, spots: [], box: null, menu: null, look: null, state: null });
    if (pick) {
      held.box = el("input", { type: "checkbox", "data-select": true, tabindex: -1 });
      element.append(el("td", { role: "gridcell", class: "c-pick" }, held.box));
    }
    for (const { key, num } of this.#columns) {
      const cell = el("td", { role: "gridcell", class: `c-${key}${num ? " num" : ""}` });
      element.append(cell);
      held.spots.push(new Spot(cell));
    }
    if (menu) {
      held.menu = el("button", { type: "button", class: "ghost", "data-menu": name, tabindex: -1, "aria-haspopup": "dialog" }, "⋯");
      element.append(el("td", { role: "gridcell", class: "c-menu" }, held.menu));
    }
  }

  // Rows that are over their time on top, whatever the order; then as asked for.
  #arrange(rows, now, matches, sort = []) {
    const { order, pinned } = this.#options;
    const wanted = [];
    for (const held of this.#rows.values()) if (matches(held.row)) { held.pinned = pinned(held.row, now); wanted.push(held); }
    const by = sort.map(({ key, down }) => [this.#columns.find((column) => column.key === key)?.sort, down]).filter(([fn]) => fn);
    wanted.sort((a, b) => {
      if (a.pinned !== b.pinned) return a.pinned ? -1 : 1;
      for (const [fn, down] of by) { const found = compare(fn(a.row, now), fn(b.row, now), down); if (found) return found; }
      return order(a.row, b.row);
    });
    this.#shown = wanted.map((held) => held.row.id);
    this.#wanted = wanted;
    hide(this.#empty, wanted.length > 0);
    if (!wanted.length) write(this.#empty, this.#options.empty(rows.size));
    for (const [key, cell] of this.#heads) {
      const at = sort.findIndex((one) => one.key === key);
      mark(cell, "aria-sort", at < 0 ? null : sort[at].down ? "descending" : "ascending");
      mark(cell, "data-rank", at >= 0 && sort.length > 1 ? at + 1 : null);
    }
  }

  // Writes the rows near the screen and puts them in order; the one with the focus stays, wherever it is. Returns those
  // that show another state than before.
  #place(now) {
    const all = this.#wanted, [from, to] = this.#near.range(all.length), far = to - from < all.length;
    const drawn = all.slice(from, to), focus = this.#focused(), kept = focus ? this.#shown.indexOf(this.#id(focus)) : -1;
    const above = kept >= 0 && kept < from, below = kept >= to;
    if (above) drawn.unshift(all[kept]);
    if (below) drawn.push(all[kept]);
    const before = new Set(this.#drawn), others = [];
    for (const held of drawn) {
      const came = !before.has(held);
      if ((held.old || came) && this.#write(held, now) && !came) others.push(held);
      mark(held.element, "data-pinned", held.pinned);
      mark(held.element, "data-kept", (above && held === drawn[0]) || (below && held === drawn.at(-1)));
    }
    this.#drawn = drawn;
    this.#order(drawn);
    // How many there are, for whoever cannot see how long the scroll bar is.
    mark(this.table, "data-long", far ? "1" : null);
    const heads = this.table.tHead.rows.length;
    mark(this.table, "aria-rowcount", far ? all.length + heads : null);
    drawn.forEach((held, n) => {
      const place = !far ? null : (above && !n) || (below && n === drawn.length - 1) ? kept : from + n - above;
      if (held.at !== place) { held.at = place; mark(held.element, "aria-rowindex", place === null ? null : place + heads + 1); }
    });
    this.#near.space(from, all.length - to, [above, below]);
    return others;
  }

  // Moves as few elements as the new order needs; focus stays where it was.
  #order(drawn) {
    const focus = document.activeElement, body = this.#body, inside = body.contains(focus);
    const keep = new Set(drawn.map((held) => held.element)), at = new Map();
    for (const element of [...body.children]) {
      if (keep.has(element)) { at.set(element, at.size); continue; }
      element.remove();
      element.tabIndex = -1;
    }
    const stay = risingRun(drawn.map((held) => at.get(held.element) ?? -1));
    let next = null;
    for (let n = drawn.length - 1; n >= 0; n -= 1) {
      const { element } = drawn[n];
      if (!stay.has(n)) body.insertBefore(element, next);
      next = element;
    }
    if (inside && document.activeElement !== focus && body.contains(focus)) focus.focus({ preventScroll: true });
  }

  // Writes what depends on the time anew: all of it, or only what is in a hurry.
  tick(now, hurry) {
    for (const held of this.#flashed) if (now >= held.until) { held.element.classList.remove("changed"); this.#flashed.delete(held); }
    this.#columns.forEach((column, n) => {
      if (!column.live) return;
      for (const held of this.#drawn) {
        if (!hurry || column.hurry?.(held.row)) column.draw(held.spots[n], held.row, now);
      }
    });
  }
}

function compare(a, b, down) {
  if (a === b) return 0;
  if (a === null || a === undefined) return 1;
  if (b === null || b === undefined) return -1;
  const found = typeof a === "string" ? a.localeCompare(b) : a - b;
  return down ? -found : found;
}

// Places of the longest run of `values` that rises, -1 left out: what stands there need not move.
function risingRun(values) {
  const ends = [], before = [];
  values.forEach((value, n) => {
    if (value < 0) return;
    let low = 0, high = ends.length;
    while (low < high) { const mid = (low + high) >> 1; if (values[ends[mid]] < value) low = mid + 1; else high = mid; }
    before[n] = low ? ends[low - 1] : -1;
    ends[low] = n;
  });
  const run = new Set();
  for (let n = ends.length ? ends[ends.length - 1] : -1; n >= 0; n = before[n]) run.add(n);
  return run;
}

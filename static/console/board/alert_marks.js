// Rows that an alert is about carry its level: an icon and a word in their first text, and `data-alert` for the colour.

import { el, icon, mark, point } from "./dom.js";

const CELLS = { agent: "td.c-name", call: "td.c-who", campaign: "td.c-name" };

export function marks(ctx) {
  const marked = new Map(); // row element -> {sign, said}

  // The worst alert of each subject that has one.
  function worst() {
    const found = new Map();
    for (const row of ctx.floor.alerts.values()) {
      if (!CELLS[row.subject_kind]) continue;
      const key = `${row.subject_kind} ${row.subject_id}`, old = found.get(key);
      if (!old || (old.level === "warning" && row.level === "critical")) found.set(key, row);
    }
    return found;
  }

  return function draw() {
    const seen = new Set();
    for (const row of worst().values()) {
      const element = document.querySelector(`tr[data-${row.subject_kind}="${CSS.escape(row.subject_id)}"]`);
      const cell = element?.querySelector(CELLS[row.subject_kind]);
      if (!cell) continue;
      seen.add(element);
      let held = marked.get(element);
      if (!held || !cell.contains(held.sign)) {
        held = { sign: icon("alert"), said: el("span", { class: "visually-hidden" }) };
        held.sign.classList.add("alert-sign");
        cell.prepend(held.sign);
        cell.append(held.said);
        marked.set(element, held);
      }
      const [word, sign] = ctx.words.alert_levels[row.level];
      if (held.sign.firstChild.getAttribute("href") !== `#i-${sign}`) point(held.sign, sign);
      const text = `, ${word.toLowerCase()}: ${row.text}`;
      if (held.said.textContent !== text) held.said.textContent = text;
      mark(element, "data-alert", row.level);
    }
    for (const [element, held] of marked) {
      if (seen.has(element)) continue;
      held.sign.remove();
      held.said.remove();
      mark(element, "data-alert", null);
      marked.delete(element);
    }
  };
}

// Search, filter chips and the shape of the board. The chips are buttons that say whether they are pressed.

import { agentKind } from "../floor.js";
import { KINDS } from "./agents.js";
import { el, hide, icon, mark, write } from "./dom.js";

// `box`: for filters of the rows; `tools`: for what belongs to the whole page.
export function toolbar(box, tools, ctx) {
  const { floor, view, words } = ctx;
  const search = el("input", { type: "search", id: "search", placeholder: "Search  /", "aria-label": "Search agents, customers, numbers", autocomplete: "off", spellcheck: "false" });
  const states = group("Show agents by state");
  const teams = choice("team", "Team", "All teams"), campaigns = choice("campaign", "Campaign", "All campaigns");
  const clear = el("button", { type: "button", class: "chip clear", id: "clear" }, "Clear filters");
  const shape = group("Shape of the board");
  const chips = new Map();

  const shapes = {
    cards: ["Cards", () => view.set({ as: view.as === "cards" ? "table" : "cards" }), () => view.as === "cards"],
    compact: ["Compact", () => view.set({ dense: !view.dense }), () => view.dense],
    wall: ["Wall", wall, () => view.wall],
  };
  const help = el("button", { type: "button", class: "chip", id: "show-keys", "aria-label": "Keys of this page" }, "?");
  for (const [key, [word, act]] of Object.entries(shapes)) {
    const made = el("button", { type: "button", class: "chip", id: `as-${key}` }, word);
    made.addEventListener("click", act);
    shape.append(made);
  }
  shape.append(help);
  box.append(states, campaigns, teams, clear);
  tools.append(search, shape);

  function group(label) { return el("div", { role: "group", class: "chips", "aria-label": label }); }

  // A screen that nobody sits at: full screen where the browser lets us. The address alone does it, too.
  function wall() {
    const on = !view.wall;
    view.set({ wall: on, as: on ? "cards" : "table" });
    if (on) document.documentElement.requestFullscreen?.().catch(() => { /* refused: the page fills the window then */ });
    else if (document.fullscreenElement) document.exitFullscreen();
  }

  for (const kind of KINDS) {
    const [word, sign, tone] = words.agent_states[kind];
    const button = el("button", { type: "button", class: `chip t-${tone}`, "data-filter": "state", "data-value": kind }, icon(sign), word);
    const count = el("b");
    button.append(" ", count);
    button.addEventListener("click", () => view.toggle("state", kind));
    states.append(button);
    chips.set(kind, { button, count });
  }

  let typing = 0;
  search.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(() => view.set({ q: search.value }), 120); });
  search.addEventListener("keydown", (event) => { if (event.key === "Escape" && search.value) { search.value = ""; view.set({ q: "" }); event.stopPropagation(); } });
  clear.addEventListener("click", () => { view.clear(); search.focus(); });

  function choice(name, label, all) {
    const made = el("select", { class: "chip", "data-filter": name, "aria-label": label }, el("option", { value: "" }, all));
    made.addEventListener("change", () => view.set({ [name]: new Set(made.value.split(",").filter(Boolean)) }));
    return made;
  }

  // A choice of a single thing is none: not shown, unless the address asks for it.
  function offer(select, name, found) {
    const wanted = new Map(found);
    for (const value of view[name]) if (!wanted.has(value)) wanted.set(value, value);
    const [first] = view[name], several = view[name].size > 1 ? [...view[name]].join(",") : "";
    if (several) wanted.set(several, [...view[name]].map((value) => wanted.get(value)).join(", "));
    hide(select, wanted.size < 2 && !view[name].size);
    const options = JSON.stringify([...wanted]), renewed = select.dataset.options !== options;
    if (renewed) {
      select.dataset.options = options;
      select.replaceChildren(select.firstElementChild, ...[...wanted].map(([value, label]) => el("option", { value }, label)));
    }
    // Whoever is just choosing is left alone, unless the options are new: with them the choice is gone.
    if (renewed || document.activeElement !== select || !first) select.value = several || first || "";
    select.classList.toggle("on", view[name].size > 0);
  }

  return function draw() {
    if (document.activeElement !== search && search.value !== view.q) search.value = view.q;
    const counts = Object.fromEntries(KINDS.map((kind) => [kind, 0])), found = new Map();
    for (const row of floor.agents.values()) {
      counts[agentKind(row)] += 1;
      if (row.team) found.set(row.team, row.team_name || row.team);
    }
    for (const [kind, { button, count }] of chips) {
      write(count, String(counts[kind]));
      mark(button, "aria-pressed", String(view.state.has(kind)));
    }
    offer(teams, "team", [...found].sort((a, b) => a[1].localeCompare(b[1])));
    offer(campaigns, "campaign", [...floor.campaigns.values()].map((row) => [row.id, row.name]).sort((a, b) => a[1].localeCompare(b[1])));
    for (const [key, [, , on]] of Object.entries(shapes)) mark(document.getElementById(`as-${key}`), "aria-pressed", String(on()));
    hide(clear, !view.filtered);
  };
}

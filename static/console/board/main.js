// The supervisor's board: the floor from the websocket, drawn at most once per animation frame.

import { Floor } from "../floor.js";
import { Link } from "../link.js";
import * as actions from "./actions.js";
import { agentsGrid } from "./agents.js";
import * as alerts from "./alerts.js";
import { callsGrid } from "./calls.js";
import { campaignsGrid } from "./campaigns.js";
import { mark, write } from "./dom.js";
import { Freshness, Screen } from "./freshness.js";
import { keys } from "./keys.js";
import { healthStrip, strip } from "./strip.js";
import { tips } from "./tips.js";
import { toolbar } from "./toolbar.js";
import * as trends from "./trends.js";
import { View } from "./view.js";

// Beyond so many agents rows and cards are as small as they can be read.
const MANY_ROWS = 22;
const MANY_CARDS = 40;
// Up to so many have large cards on a wall.
const FEW_CARDS = 21;

// Timers are written with what has changed, and alone where nothing comes: each drawing costs a layout and a painting. So
// longer than from one of the publisher's frames to the next.
const TICK_MS = 170;
const SECOND_MS = 850;
const KINDS = ["agents", "calls", "campaigns", "alerts"];

// A table of so many columns is of no use on a phone.
const phone = matchMedia("(max-width: 719px)");

const $ = (id) => document.getElementById(id);
const board = $("board");
const floor = new Floor();
const link = new Link(board.dataset.socket, { session: board.dataset.session, now: Number(board.dataset.now) });
const view = new View();
const drawers = new Set();

// For the modules of the board. `onDraw(fn)`: fn(changed) in each animation frame that something has changed in, with sets
// of ids by kind, `kpis` and `all`. `selection`: ids of agents; the board says `selection` when it changes.
export const ctx = {
  floor,
  link,
  view,
  words: JSON.parse($("words").textContent),
  selection: new Set(),
  serverNow: () => link.serverNow(),
  onDraw(fn) { drawers.add(fn); return () => drawers.delete(fn); },
  redraw() { changed.all = true; plan(); },
  // The element of a row, brought near the screen where it was not; undefined when the filters hide it or it has gone.
  reach(kind, id) { return grids[kind].reach(id); },
  select(ids) { setSelection(ids); },
  announce(text) { write($("announce"), text); },
};

const agents = agentsGrid($("agents"), ctx), calls = callsGrid($("calls"), ctx), campaigns = campaignsGrid($("campaigns"), ctx);
const grids = ctx.grids = { agent: agents, call: calls, campaign: campaigns };
const figures = strip($("kpis"), ctx), screen = new Screen(), health = healthStrip($("health"), ctx, screen);
const freshness = new Freshness(ctx), drawToolbar = toolbar($("filters"), $("tools"), ctx), keepStops = keys(ctx);
tips(ctx);

// --- what has changed since the last drawing ---

let changed = nothing(), due = false, timer = 0, second = 0;
const agentOf = new Map(); // call -> agent: an agent's row shows their customer, so it changes with the call
let names = ""; // of the campaigns, which other rows show

function nothing() {
  return { agents: new Set(), calls: new Set(), campaigns: new Set(), alerts: new Set(), kpis: false, all: false };
}

function take(message) {
  const more = floor.apply(message);
  screen.note(floor.calls, more.calls, message.type === "snapshot");
  for (const kind of KINDS) for (const id of more[kind]) changed[kind].add(id);
  for (const id of more.calls) {
    const before = agentOf.get(id), now = floor.calls.get(id)?.agent_id;
    if (before) changed.agents.add(before);
    if (now) { changed.agents.add(now); agentOf.set(id, now); } else agentOf.delete(id);
  }
  changed.kpis ||= more.kpis;
  changed.all ||= message.type === "snapshot";
  plan();
}

function plan() {
  if (due) return;
  due = true;
  requestAnimationFrame(draw);
}

// --- drawing ---

// What has changed, and the timers: those whose second has passed, else those in a hurry.
function draw() {
  const what = changed, now = link.serverNow(), some = what.all || what.kpis || KINDS.some((kind) => what[kind].size);
  const whole = performance.now() - second >= SECOND_MS;
  changed = nothing();
  due = false;
  clearTimeout(timer);
  timer = setTimeout(plan, TICK_MS);
  if (whole) second = performance.now();
  if (some) renew(what, now);
  else if (whole) arrange(what, now);
  for (const grid of Object.values(grids)) grid.tick(now, !whole);
  figures.tick(now);
  if (whole) health(now);
  if (whole || some) freshness.draw(now);
  if (some) screen.painted(() => link.serverNow());
}

function renew(what, now) {
  if (what.all || what.campaigns.size) {
    const known = [...floor.campaigns.values()].map((row) => `${row.id} ${row.name}`).join("\n");
    if (known !== names) { names = known; what.all = true; }
  }
  shape();
  arrange(what, now);
  if (what.all || what.agents.size || what.campaigns.size) drawToolbar();
  if (what.all || what.kpis) { figures.draw(now); health(now); }
  for (const id of [...ctx.selection]) if (!agents.shown.includes(id)) { setSelection(ctx.selection); break; }
  keepStops();
  for (const fn of drawers) fn(what);
}

function arrange(what, now) {
  const ids = (kind) => (what.all ? null : what[kind]);
  agents.draw(ids("agents"), floor.agents, { now, sort: view.sort, matches: (row) => view.agent(row, floor.calls.get(row.call_id)) });
  calls.draw(ids("calls"), floor.calls, { now, matches: (row) => view.call(row, floor.agents.get(row.agent_id)) });
  campaigns.draw(ids("campaigns"), floor.campaigns, { now, matches: (row) => !view.campaign.size || view.campaign.has(row.id) });
  write($("shown"), agents.shown.length === floor.agents.size ? `${floor.agents.size}` : `${agents.shown.length} of ${floor.agents.size} shown`);
}

function shape() {
  const as = phone.matches ? "cards" : view.as;
  mark(board, "data-as", as);
  const many = as === "cards" ? MANY_CARDS : MANY_ROWS;
  mark(board, "data-dense", view.dense || floor.agents.size > many ? "1" : null);
  mark(board, "data-few", floor.agents.size <= FEW_CARDS ? "1" : null);
  mark(document.documentElement, "data-view", view.wall ? "wall" : null);
  let teams = false;
  for (const row of floor.agents.values()) if (row.team) { teams = true; break; }
  mark($("agents"), "data-teams", teams ? "1" : null);
}

// --- selection: agents that are shown ---

function setSelection(ids) {
  const shown = new Set(agents.shown), kept = new Set([...ids].filter((id) => shown.has(id)));
  for (const id of ctx.selection) if (!kept.has(id)) ctx.selection.delete(id);
  for (const id of kept) ctx.selection.add(id);
  agents.pick();
  const all = $("agents").querySelector("[data-select-all]");
  all.checked = kept.size > 0 && kept.size === shown.size;
  all.indeterminate = kept.size > 0 && kept.size < shown.size;
  board.dispatchEvent(new CustomEvent("selection"));
}

$("agents").addEventListener("change", (event) => {
  const box = event.target;
  if (box.hasAttribute("data-select-all")) setSelection(box.checked ? agents.shown : []);
  if (!box.hasAttribute("data-select")) return;
  const next = new Set(ctx.selection), id = box.closest("tr").dataset.agent;
  if (box.checked) next.add(id); else next.delete(id);
  setSelection(next);
});
$("agents").addEventListener("click", (event) => {
  const button = event.target.closest("[data-sort]");
  if (button) view.order(button.dataset.sort, event.shiftKey);
});

for (const grid of Object.values(grids)) grid.table.addEventListener("rows", keepStops);

view.onChange(() => ctx.redraw());
phone.addEventListener("change", () => ctx.redraw());
link.on("snapshot", take);
link.on("frame", take);
link.on("state", () => freshness.draw(link.serverNow()));
for (const module of [actions, alerts, trends]) module.attach(ctx);
ctx.redraw();
link.start();

// How the board is looked at: filters, order, shape. All of it in the address, so a reload or a bookmark shows the same.

import { agentKind } from "../floor.js";

const LISTS = ["state", "team", "campaign"];

export class View {
  state = new Set(); // kinds of agents
  team = new Set(); // codes
  campaign = new Set(); // ids
  q = "";
  sort = []; // [{key, down}]
  as = "table"; // or "cards"
  dense = false;
  wall = false;
  #listeners = new Set();

  constructor() {
    const asked = new URLSearchParams(location.search);
    for (const name of LISTS) this[name] = new Set((asked.get(name) ?? "").split(",").filter(Boolean));
    this.q = asked.get("q") ?? "";
    this.sort = (asked.get("sort") ?? "").split(",").filter(Boolean).map((key) => ({ key: key.replace(/^-/, ""), down: key.startsWith("-") }));
    this.wall = asked.get("view") === "wall";
    this.as = asked.get("as") === "cards" || (this.wall && asked.get("as") !== "table") ? "cards" : "table";
    this.dense = asked.get("density") === "compact";
  }

  onChange(fn) { this.#listeners.add(fn); }

  get filtered() { return Boolean(this.q || LISTS.some((name) => this[name].size)); }

  // Both a change and its place in the address.
  set(change) {
    Object.assign(this, change);
    history.replaceState(null, "", this.address());
    for (const fn of this.#listeners) fn(this);
  }

  address() {
    const now = new URLSearchParams();
    for (const name of LISTS) if (this[name].size) now.set(name, [...this[name]].join(","));
    if (this.q) now.set("q", this.q);
    if (this.sort.length) now.set("sort", this.sort.map(({ key, down }) => (down ? "-" : "") + key).join(","));
    if (this.as !== (this.wall ? "cards" : "table")) now.set("as", this.as);
    if (this.dense) now.set("density", "compact");
    if (this.wall) now.set("view", "wall");
    const text = now.toString().replaceAll("%2C", ",");
    return location.pathname + (text ? "?" + text : "");
  }

  toggle(name, value) {
    const next = new Set(this[name]);
    if (!next.delete(value)) next.add(value);
    this.set({ [name]: next });
  }

  clear() { this.set({ state: new Set(), team: new Set(), campaign: new Set(), q: "" }); }

  // Up, down, not at all. `more`: besides the columns that are sorted by already.
  order(key, more) {
    const old = this.sort.find((one) => one.key === key);
    const next = !old ? { key, down: false } : old.down ? null : { key, down: true };
    if (!more) { this.set({ sort: next ? [next] : [] }); return; }
    const kept = this.sort.filter((one) => one.key !== key || next).map((one) => (one.key === key ? next : one));
    this.set({ sort: old ? kept : [...kept, next] });
  }

  agent(row, call) {
    if (this.state.size && !this.state.has(agentKind(row))) return false;
    if (this.team.size && !this.team.has(row.team)) return false;
    if (this.campaign.size && !row.campaigns.some((id) => this.campaign.has(id)) && !this.campaign.has(row.campaign_id)) return false;
    return this.#says(row.name, row.id, row.extension, row.team_name, row.reason, call?.contact, call?.number, row.preview?.contact);
  }

  call(row, agent) {
    if (this.team.size && !this.team.has(row.team || agent?.team)) return false;
    if (this.campaign.size && !this.campaign.has(row.campaign_id)) return false;
    return this.#says(row.contact, row.number, agent?.name, row.agent_id, row.id);
  }

  #says(...texts) {
    const wanted = this.q.trim().toLowerCase();
    return !wanted || texts.some((text) => text && text.toLowerCase().includes(wanted));
  }
}

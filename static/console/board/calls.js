// Live calls, and the customers who wait for an agent above them: oldest first.

import { callOrder } from "../floor.js";
import { Grid } from "./grid.js";
import { duration, NONE, seconds } from "./format.js";

export function callsGrid(table, ctx) {
  const { floor, words } = ctx;
  const limit = words.wait_limit_ms;
  const waits = (row) => row.waiting_since !== null;
  const late = (row, now) => waits(row) && now - row.waiting_since > limit;
  const agentOf = (row) => (row.agent_id ? floor.agents.get(row.agent_id)?.name || row.agent_id : "");

  // What the legs do, in words: the customer's, then the agent's.
  function legs(row) {
    const customer = `customer's leg: ${words.call_states[row.state][0].toLowerCase()}`;
    const agent = row.agent_state ? `agent's leg: ${words.call_states[row.agent_state][0].toLowerCase()}` : "no leg of an agent";
    const more = [row.muted && "agent muted", row.parked && "parked", row.consulting && `agent consults ${row.consulting}`,
      { on: "recording", paused: "recording paused" }[row.recording], ...row.listeners.map(({ user, mode }) => `${user}: ${mode}`)];
    return [customer, agent, ...more.filter(Boolean)];
  }

  function sign(row) {
    if (row.parked) return ["Parked", "pause", "break"];
    if (row.consulting) return ["Consulting", "next", "break"];
    if (waits(row)) return ["Waiting", "wait", "available"];
    return words.call_states[row.state];
  }

  const columns = [
    { key: "state", head: "State", figure: "legs", draw(spot, row) { const [text, icon, tone] = sign(row); spot.show(text, { icon, tone, tip: legs(row).join("; ") }); } },
    {
      key: "time", head: "Time", label: "Time in state; for who waits: seconds against the limit", figure: "waiting", num: true, live: true, hurry: waits,
      draw(spot, row, now) {
        if (!waits(row)) { spot.show(row.since === null ? NONE : duration(now - row.since)); return; }
        const over = late(row, now), waited = now - row.waiting_since;
        spot.show(waited < 60_000 ? `${seconds(waited).replace(" s", "")}/${limit / 1000} s` : duration(waited), { extra: over ? "over" : "wait", icon: over ? "alert" : "", word: over ? "over the limit" : "" });
      },
    },
    {
      key: "who", head: "Customer",
      draw: (spot, row) => spot.show(row.contact || row.number || "Unknown", { icon: row.direction === "inbound" ? "in" : "out", word: row.direction, tip: [row.number, row.direction].filter(Boolean).join(", ") }),
    },
    { key: "attempt", head: "#", label: "Attempt", figure: "attempt", num: true, draw: (spot, row) => spot.show(row.source === "call" ? String(row.attempt) : "") },
    {
      key: "agent", head: "Agent", draw: (spot, row) => {
        const state = row.agent_state ? words.call_states[row.agent_state] : null;
        spot.show(agentOf(row) || NONE, { icon: state ? state[1] : "", tip: state ? `agent's leg: ${state[0].toLowerCase()}` : "" });
      },
    },
    { key: "campaign", head: "Campaign", draw: (spot, row) => spot.show(floor.campaigns.get(row.campaign_id)?.name ?? "") },
    {
      key: "marks", sign: "listen", label: "Recording and listeners", draw: (spot, row) => {
        const on = row.listeners.length ? "listen" : row.recording === "on" ? "ready" : row.recording === "paused" ? "pause" : "";
        const text = legs(row).slice(2).join("; ");
        spot.show("", { icon: on, tone: row.listeners.length ? "quiet" : "trouble", word: on ? text : "", tip: on ? text : "" });
      },
    },
  ];

  return new Grid(table, {
    name: "call", menu: true, fixed: true, columns, now: ctx.serverNow,
    order: (a, b) => (waits(a) && waits(b) ? a.waiting_since - b.waiting_since : callOrder(a, b)),
    pinned: waits,
    describe: (row) => row.contact || row.number || "the call",
    look: (row, now) => { const [, , tone] = sign(row); return { state: waits(row) ? "waiting" : row.state, tone, extra: late(row, now) ? "late" : "" }; },
    empty: (total) => (floor.epoch ? (total ? "No call matches the filters." : "No live calls.") : "Waiting for the floor…"),
  });
}

// The agents: what each column says, and in which order they stand.

import { agentKind, agentOrder } from "../floor.js";
import { Grid } from "./grid.js";
import { count, duration, NONE, plain } from "./format.js";

const KINDS = ["available", "on_call", "wrap_up", "busy", "break", "offline"];
const MODES = { listen: "listens", whisper: "whispers", barge: "speaks with both" };

export function isOver(row, now) { return row.over_at !== null && now > row.over_at; }

export function agentsGrid(table, ctx) {
  const { floor, words } = ctx;
  const word = (row) => words.agent_states[agentKind(row)];
  const callOf = (row) => (row.call_id ? floor.calls.get(row.call_id) : undefined);
  const nameOf = (id) => floor.campaigns.get(id)?.name ?? "";

  function reason(row) { return agentKind(row) === "wrap_up" ? "" : plain(row.reason); }

  function campaign(row) {
    const now = row.campaign_id ?? callOf(row)?.campaign_id ?? row.preview?.campaign_id;
    return now ? nameOf(now) : row.campaigns.map(nameOf).filter(Boolean).join(", ");
  }

  function customer(row) {
    const call = callOf(row);
    if (call) return { text: call.contact || call.number || "Unknown", icon: call.bridged_at ? "" : "dial", word: call.bridged_at ? "" : "calling" };
    if (row.preview) return { text: "preview: " + (row.preview.contact || row.preview.number) };
    return { text: "" };
  }

  function next(row) {
    if (!row.pending) return "";
    const states = words.agent_states[row.pending.status];
    const state = states ? states[0].toLowerCase() : plain(row.pending.status);
    return row.pending.reason ? `${state} (${plain(row.pending.reason)})` : state;
  }

  function phone(row) {
    const unregistered = row.registered === "no" && row.softphone !== "open" && row.status !== "offline";
    const [text, icon, tone] = unregistered ? words.unregistered : words.softphones[row.softphone];
    const known = { yes: "registered", no: "not registered", unknown: "registration not known" }[row.registered];
    return { icon: icon === "off" && row.registered === "yes" ? "phone" : icon, tone, word: `${text}, ${known}`, tip: `${text}, ${known}` };
  }

  const columns = [
    { key: "name", head: "Agent", sort: (row) => row.name.toLowerCase(), draw: (spot, row) => spot.show(row.name || row.id, { tip: `${row.id}, extension ${row.extension}` }) },
    { key: "team", head: "Team", sort: (row) => row.team_name || null, draw: (spot, row) => spot.show(row.team_name) },
    {
      key: "state", head: "State", sort: (row) => KINDS.indexOf(agentKind(row)),
      draw(spot, row) {
        const [text, icon, tone] = word(row), more = reason(row);
        const owes = agentKind(row) === "wrap_up" && row.last_call?.required && !row.last_call.disposition;
        spot.show(more ? `${text} · ${more}` : owes ? `${text} · owes a disposition` : text, { icon, tone });
      },
    },
    {
      key: "time", head: "Time", label: "Time in state", figure: "time_in_state", num: true, live: true, sort: (row, now) => (row.since === null ? null : now - row.since),
      draw(spot, row, now) {
        const over = isOver(row, now);
        spot.show(row.since === null ? NONE : duration(now - row.since), {
          icon: over ? "alert" : "", extra: over ? "over" : "", word: over ? "longer than it may be" : "", tip: over ? `longer than it may be, by ${duration(now - row.over_at)}` : "",
        });
      },
    },
    { key: "next", head: "Next", label: "Next state", draw: (spot, row) => { const text = next(row); spot.show(text, { icon: text ? "next" : "", tip: text && `after this call: ${text}` }); } },
    { key: "campaign", head: "Campaign", sort: (row) => campaign(row).toLowerCase() || null, draw: (spot, row) => spot.show(campaign(row), { extra: callOf(row) || row.campaign_id ? "" : "idle" }) },
    { key: "customer", head: "Customer", sort: (row) => customer(row).text.toLowerCase() || null, draw: (spot, row) => { const { text, ...look } = customer(row); spot.show(text, look); } },
    {
      key: "age", head: "Call", label: "Call age", figure: "call_age", num: true, live: true,
      sort: (row, now) => { const at = callOf(row)?.answered_at; return at ? now - at : null; },
      draw(spot, row, now) { const at = callOf(row)?.answered_at; spot.show(at ? duration(now - at) : ""); },
    },
    { key: "calls", head: "Calls", label: "Calls today", figure: "calls_today", num: true, sort: (row) => row.calls_today, draw: (spot, row) => spot.show(count(row.calls_today)) },
    { key: "contacts", head: "Cont.", label: "Contacts today", figure: "contacts", num: true, sort: (row) => row.today.contacts, draw: (spot, row) => spot.show(count(row.today.contacts)) },
    {
      key: "aht", head: "AHT", label: "Average handle time", figure: "average_handle_time", num: true, sort: (row) => row.today.handle_time?.value ?? null,
      draw(spot, row) {
        const figure = row.today.handle_time;
        spot.show(figure?.denominator ? duration(1000 * figure.numerator / figure.denominator) : NONE, { tip: figure ? `${duration(1000 * figure.numerator)} in ${figure.denominator} calls, ${figure.window}` : "" });
      },
    },
    {
      key: "occ", head: "Occ.", label: "Occupancy", figure: "occupancy", num: true, sort: (row) => row.today.occupancy?.value ?? null,
      draw(spot, row) {
        const figure = row.today.occupancy;
        spot.show(figure?.denominator ? Math.round(100 * figure.numerator / figure.denominator) + " %" : NONE, { tip: figure ? `${duration(1000 * figure.numerator)} of ${duration(1000 * figure.denominator)}, ${figure.window}` : "" });
      },
    },
    { key: "disposition", head: "Last", label: "Last disposition", figure: "disposition", sort: (row) => row.last_call?.label || null, draw: (spot, row) => spot.show(row.last_call?.label || row.last_call?.disposition || "") },
    { key: "phone", sign: "phone", label: "Softphone", figure: "registered", sort: (row) => row.registered, draw: (spot, row) => spot.show("", phone(row)) },
    { key: "trip", head: "ms", label: "Round trip, ms", figure: "round_trip", num: true, sort: (row) => row.round_trip_ms, draw: (spot, row) => spot.show(row.round_trip_ms === null ? NONE : count(row.round_trip_ms)) },
    {
      key: "heard", sign: "listen", label: "Who listens", figure: "listeners", sort: (row) => (row.listeners.length ? -row.listeners.length : null),
      draw(spot, row) {
        const who = row.listeners.map(({ user, mode }) => `${user} ${MODES[mode]}`).join(", ");
        spot.show(row.listeners.map(({ user }) => user).join(", "), { icon: who ? "listen" : "", tip: who });
      },
    },
  ];

  return new Grid(table, {
    name: "agent", pick: ctx.selection, menu: true, columns, now: ctx.serverNow,
    order: agentOrder,
    pinned: isOver,
    describe: (row) => row.name || row.id,
    look: (row, now) => ({ state: agentKind(row), tone: word(row)[2], extra: isOver(row, now) ? "late" : "" }),
    empty: (total) => (floor.epoch ? (total ? "No agent matches the filters." : "No agents yet.") : "Waiting for the floor…"),
  });
}

export { KINDS };

// A line for each campaign: how it dials and why, who works for it, what rings, what is left, what is lost.

import { campaignOrder } from "../floor.js";
import { Grid } from "./grid.js";
import { about, count, moment, NONE, of, percent, plain } from "./format.js";

export const GROUPS = [
  { label: "", span: 3 }, { label: "Agents", span: 5 }, { label: "Lines", span: 4 }, { label: "Contacts", span: 3 }, { label: "Today", span: 3 }, { label: "", span: 3 },
];

export function campaignsGrid(table, ctx) {
  const { floor, words } = ctx;
  const sign = (row) => words.campaign_states[row.status] ?? [plain(row.status), "off", "quiet"];
  const counted = (row) => row.contacts.at !== null;

  // A figure that the dialer has not counted yet is a dash, never 0.
  const number = (key, head, label, figure, value, loud) => ({
    key, head, label, figure, num: true,
    draw(spot, row) { const n = value(row); spot.show(count(n), { extra: !n ? "zero" : loud ? "loud" : "" }); },
  });

  function blocked(row) {
    const gates = Object.entries(row.contacts.blocked).sort((a, b) => b[1] - a[1]);
    return { total: gates.reduce((sum, [, n]) => sum + n, 0), words: gates.map(([gate, n]) => `${plain(gate)} ${count(n)}`).join(", ") };
  }

  function pacing(spot, row, now) {
    const decision = row.decision;
    if (!decision) { spot.show("No decision yet.", { extra: "zero" }); return; }
    const why = words.decisions[decision.reason] ?? plain(decision.reason);
    const age = decision.at === null ? "" : `, ${about(now - decision.at)} ago`;
    spot.show(`${decision.placed} placed${age}: ${why}`, { tip: `${decision.summary}${age}. What bound it: ${why}.` });
  }

  function drops(spot, row) {
    const found = row.drops, bar = spot.element.style;
    if (!found) { spot.show(NONE, { extra: "zero" }); bar.setProperty("--used", "0%"); return; }
    const cap = found.cap * found.answered, over = found.left < 0;
    const left = over ? `over ${100 * found.cap} % by ${-found.left}` : `${found.left} more before ${100 * found.cap} %`;
    bar.setProperty("--used", Math.min(100, cap ? 100 * found.abandoned / cap : 0).toFixed(0) + "%");
    const share = percent({ numerator: found.abandoned, denominator: found.answered }, 2);
    spot.show(`${share}  ${count(found.abandoned)}/${count(found.answered)}  ${found.window}`, {
      icon: over ? "alert" : "", word: over ? "over the cap" : "", extra: over ? "over" : "", tip: `${count(found.abandoned)} abandoned of ${count(found.answered)} answered by a person, ${found.window}: ${left}.`,
    });
  }

  function rate(key, head, label, figure, value) {
    return { key, head, label, figure, num: true, draw(spot, row) { const ratio = value(row); spot.show(percent(ratio), { extra: ratio?.denominator ? "" : "zero", tip: ratio ? `${of(ratio)}, ${ratio.window}` : "" }); } };
  }

  const columns = [
    { key: "name", head: "Campaign", draw(spot, row) { const [word, icon, tone] = sign(row); spot.show(row.name, { icon, tone, word, tip: `${row.name}: ${word.toLowerCase()}, ${row.agents} agents assigned` }); } },
    {
      key: "mode", head: "Mode", figure: "mode",
      draw(spot, row) {
        const [word] = sign(row), [mode, hint] = words.modes[row.mode] ?? [plain(row.mode), ""];
        spot.show(row.status === "active" ? mode : `${mode} · ${word.toLowerCase()}`, { tip: `${mode}: ${hint}. At most ${count(row.limits.max_lines || row.max_lines)} lines.` });
      },
    },
    { key: "pacing", head: "Pacing now, and why", figure: "pacing", live: true, draw: pacing },
    number("idle", "Idle", "Idle agents", "idle", (row) => row.agents_now.idle),
    number("near", "Near", words.figures.nearly_free, "nearly_free", (row) => row.agents_now.nearly_free),
    number("talk", "Talk", "Talking agents", "talking", (row) => row.agents_now.talking),
    number("wrap", "Wrap", "Agents wrapping up", "wrap_up", (row) => row.agents_now.wrap_up),
    number("brk", "Brk", "Agents on break", "on_break", (row) => row.agents_now.on_break),
    number("dial", "Dial", "Lines dialling", "dialling", (row) => row.lines.dialling),
    number("ring", "Ring", "Lines ringing", "ringing", (row) => row.lines.ringing),
    number("live", "Live", "Live lines", "live", (row) => row.lines.live),
    number("wait", "Wait", "Customers waiting", "waiting", (row) => row.lines.waiting, true),
    number("ready", "Ready", "Contacts ready", "ready", (row) => (counted(row) ? row.contacts.ready : null)),
    number("later", "Later", "Contacts due later", "later", (row) => (counted(row) ? row.contacts.later : null)),
    {
      key: "blocked", head: "Blocked", label: "Contacts blocked, by reason", figure: "blocked", num: true,
      draw(spot, row) { const found = blocked(row); spot.show(counted(row) ? count(found.total) : NONE, { extra: found.total ? "" : "zero", tip: found.words }); },
    },
    number("attempts", "Calls", "Attempts today", "attempts", (row) => row.today.attempts),
    { key: "contact", head: "Cont.", label: "Contacts today", figure: "contact_rate", num: true, draw(spot, row) { const ratio = row.contact_rate; spot.show(ratio ? count(ratio.numerator) : NONE, { extra: ratio?.numerator ? "" : "zero", tip: ratio ? `${percent(ratio)}: ${of(ratio)}, ${ratio.window}` : "" }); } },
    rate("answer", "Answ.", "Answer rate today", "answer_rate", (row) => row.answer_rate ?? { numerator: row.today.answered, denominator: row.today.attempts, window: "today (UTC)" }),
    { key: "drops", head: "Abandoned", label: "Abandoned, of its cap", figure: "drops", draw: drops },
    {
      key: "end", head: "List ends", figure: "forecast", num: true, live: true,
      draw(spot, row, now) {
        const left = `${count(row.contacts_left)} of ${count(row.contacts_total)} contacts left`;
        if (!row.forecast) { spot.show(NONE, { extra: "zero", tip: left }); return; }
        spot.show(moment(row.forecast.ends_at, now), { tip: `${left}; ${Math.round(row.forecast.per_hour)} an hour` });
      },
    },
  ];

  return new Grid(table, {
    name: "campaign", menu: true, fixed: true, columns, groups: GROUPS, now: ctx.serverNow,
    order: campaignOrder,
    pinned: () => false,
    describe: (row) => row.name,
    look: (row) => ({ state: row.status, tone: sign(row)[2], extra: "" }),
    empty: (total) => (floor.epoch ? (total ? "No campaign matches the filters." : "No campaigns yet.") : "Waiting for the floor…"),
  });
}

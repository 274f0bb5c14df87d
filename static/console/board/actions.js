// What a supervisor does with rows: menus, keys, selections. What becomes of it: actions_log.js.

import { agentActions, CALL_KEYS, callActions, campaignActions, modeActions, nameOf, pendingText, plain, stateActions } from "./actions_can.js";
import { limitsForm, messageForm, question, softphoneForm, transferForm } from "./actions_forms.js";
import { Log } from "./actions_log.js";
import { attachSelection } from "./actions_selection.js";
import { section, Sheet } from "./actions_sheet.js";
import { agentKind } from "../floor.js";
import { el, icon } from "./dom.js";

const KINDS = { agent: "agents", call: "calls", campaign: "campaigns" };

export function attach(ctx) {
  const sheet = new Sheet();
  const log = new Log(ctx, sheet);
  const acting = new Acting(ctx, sheet, log);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-menu]"), row = button && acting.rowOf(button);
    if (row) acting.menu(row);
  });
  document.addEventListener("keydown", (event) => acting.key(event));
  ctx.onDraw(() => sheet.refresh());
  attachSelection(ctx, { sheet, log, acting });
  const list = document.querySelector("#keys dl");
  for (const [key, words] of HELP) list?.append(el("dt", {}, key), el("dd", {}, words));
}

const HELP = [
  ["M", "the row's menu, with the letter of each action"],
  ["S", "the agent's state"],
  ["L W B", "listen, whisper, barge in"],
  ["O P T H", "hold, park, transfer, hang up"],
  ["N", "a message"],
  ["Shift S N H", "state, message, hang up for all that are selected"],
  ["C", "the last commands of this page"],
];

class Acting {
  constructor(ctx, sheet, log) { Object.assign(this, { ctx, sheet, log }); }

  // The row that an element is in, as { kind, id }.
  rowOf(element) {
    for (const kind of Object.keys(KINDS)) {
      const id = element.closest(`[data-${kind}]`)?.dataset[kind];
      if (id) return { kind, id };
    }
    return null;
  }

  rowNow({ kind, id }) { return this.ctx.floor[KINDS[kind]].get(id); }

  // Where the focus goes back to: the row, or the board when it has gone.
  origin({ kind, id }) {
    return () => this.ctx.reach(kind, id) ?? document.getElementById("main");
  }

  // Everything that may be done with a row as it is now, by part of its menu; empty when the row has gone.
  parts(row) {
    const { floor, words } = this.ctx, now = this.rowNow(row);
    if (!now) return [];
    switch (row.kind) {
      case "agent": {
        const call = floor.calls.get(now.call_id);
        const called = call ? callActions(call, { words, agent: now }) : [];
        const state = now.status === "on_call" ? "State, after the call" : "State";
        return [[state, stateActions(now, { words })], ["Call", called], ["Agent", agentActions(now, { words })]];
      }
      case "call":
        return [["Call", callActions(now, { words, agent: floor.agents.get(now.agent_id) })]];
      case "campaign":
        return [["Campaign", campaignActions(now, { words })], ["Mode", modeActions(now, { words })]];
    }
  }

  actions(row) { return this.parts(row).flatMap(([, actions]) => actions); }

  // --- keys on a row ---

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || document.querySelector("dialog[open]")) return;
    if (event.target.closest("input:not([type=checkbox]), select, textarea")) return;
    const row = this.rowOf(event.target), key = event.key.toLowerCase();
    if (key === "c") { event.preventDefault(); this.log.openDrawer(); return; }
    if (!row || key.length > 1 || /[0-9\s]/.test(key)) return;
    if (key === "m" || (key === "s" && row.kind === "agent")) this.menu(row, key === "s");
    else {
      const action = this.actions(row).find((one) => one.key === key);
      if (action) this.run(row, action);
      else if (row.kind === "agent" && CALL_KEYS[key]) this.log.refuse(`${this.title(row)}: ${CALL_KEYS[key]}`, "the agent has no call");
      else return;
    }
    event.preventDefault();
  }

  // --- the menu ---

  menu(row, statesOnly = false) {
    const shown = () => this.parts(row).filter(([title]) => !statesOnly || title.startsWith("State"));
    this.sheet.show({
      origin: this.origin(row),
      title: () => this.title(row),
      sub: () => this.sub(row),
      stamp: () => JSON.stringify([this.title(row), this.sub(row), this.now(row), shown()]),
      build: (body) => {
        const now = this.rowNow(row);
        if (!now) { body.append(el("p", { class: "hint" }, "It is no longer on the floor.")); return; }
        if (row.kind === "agent") body.append(this.stateLine(now));
        for (const [title, actions] of shown()) {
          if (actions.length) body.append(section(title, actions, (action) => this.run(row, action)));
          else body.append(el("h3", {}, title), el("p", { class: "hint" }, "No call now."));
        }
        if (!statesOnly) body.append(this.links(row, now));
      },
    });
  }

  title(row) {
    const now = this.rowNow(row);
    return now ? now.name ?? nameOf(now) : "Gone";
  }

  sub(row) {
    const now = this.rowNow(row), { floor, words } = this.ctx;
    if (!now) return "";
    switch (row.kind) {
      case "agent": {
        const phone = now.registered === "no" && now.softphone !== "open" ? words.unregistered : words.softphones[now.softphone];
        return `${now.id} · extension ${now.extension} · ${phone[0]}`;
      }
      case "call": {
        const who = floor.agents.get(now.agent_id)?.name ?? "no agent", campaign = floor.campaigns.get(now.campaign_id)?.name;
        return [words.call_states[now.state][0], who, campaign, now.number].filter(Boolean).join(" · ");
      }
      case "campaign":
        return `${words.campaign_states[now.status]?.[0] ?? plain(now.status)} · dials in mode ${now.mode}`;
    }
  }

  now(row) {
    const now = this.rowNow(row);
    return row.kind === "agent" && now ? [agentKind(now), now.reason, pendingText(now, this.ctx.words)] : [];
  }

  stateLine(agent) {
    const { words } = this.ctx, kind = agentKind(agent);
    const [word, name, tone] = words.agent_states[kind], pending = pendingText(agent, words);
    const reason = kind === "wrap_up" || !agent.reason ? "" : ` · ${plain(agent.reason)}`;
    return el("p", { class: `now t-${tone}` }, icon(name), `${word}${reason}`, pending ? el("span", { class: "muted" }, `then ${pending}`) : "");
  }

  links(row, now) {
    const link = (href, text) => el("a", { href }, text);
    const found = [];
    if (row.kind === "agent") found.push(link(`/console/agents/${encodeURIComponent(now.id)}/`, "The agent's day"));
    const call = row.kind === "call" ? now : row.kind === "agent" ? this.ctx.floor.calls.get(now.call_id) : null;
    if (call?.source === "call") found.push(link(`/console/calls/${encodeURIComponent(call.id)}/`, "The call"));
    // Whoever does not see its campaign may see the call, not why it was placed.
    if (call?.decision_id && this.ctx.floor.campaigns.has(call.campaign_id)) found.push(link(`/console/decisions/${call.decision_id}/`, "Why this call?"));
    if (row.kind === "campaign") found.push(link(`/console/decisions/?campaign=${encodeURIComponent(now.id)}`, "Why it dials, or does not"));
    return el("p", { class: "links" }, ...found);
  }

  // --- doing it ---

  // `action`: as it was shown. Refused when it may not be done, or when the row has changed so that it means another.
  run(row, action) {
    if (action.why) { this.log.refuse(action.about, action.why, action.so); this.close(); return; }
    if (!this.still(row, action)) return;
    const { sheet } = this, origin = this.origin(row);
    const send = (message = action.message, about = action.about) => {
      if (this.still(row, action)) this.ctx.link.command(message, about);
    };
    switch (action.form) {
      case "transfer": transferForm(sheet, action, origin, send); return;
      case "softphone": softphoneForm(sheet, action, origin, send); return;
      case "limits": limitsForm(sheet, action, this.rowNow(row), origin, send); return;
      case "message": messageForm(sheet, this.addressees(row), origin, send); return;
    }
    if (action.confirm) { question(sheet, `${action.label}?`, action.confirm, origin, send); return; }
    this.close();
    send();
  }

  close() { if (this.sheet.open) this.sheet.close(); }

  // Whether it can be done now and means what was shown. Says why not.
  still(row, action) {
    const now = this.actions(row).find((one) => one.key === action.key && one.label === action.label);
    const why = !this.rowNow(row) ? "it is no longer on the floor"
      : !now || JSON.stringify(now.message) !== JSON.stringify(action.message) ? "it has changed meanwhile; look again"
      : now.why;
    if (why) { this.close(); this.log.refuse(action.about, why); }
    return !why;
  }

  // Whom a message from this row may go to: the row first, then what is selected, then teams and campaigns.
  addressees(row = null) {
    const { floor, selection } = this.ctx, now = row && this.rowNow(row), found = [];
    const agents = [...floor.agents.values()];
    const add = (label, to) => { if (!found.some((one) => one.label === label)) found.push({ label, to }); };
    const campaign = (one) => add(`the agents of ${one.name}`, { campaigns: [one.id] });
    if (row?.kind === "agent") add(now.name, { agents: [now.id] });
    if (row?.kind === "campaign") campaign(now);
    const selected = agents.filter((agent) => selection.has(agent.id)).map((agent) => agent.id);
    if (selected.length) add(`the ${selected.length} selected agents`, { agents: selected });
    const teams = new Map(agents.filter((agent) => agent.team).map((agent) => [agent.team, agent.team_name || agent.team]));
    for (const [code, name] of [...teams].sort((a, b) => a[1].localeCompare(b[1]))) add(`team ${name}`, { teams: [code] });
    for (const one of [...floor.campaigns.values()].sort((a, b) => a.name.localeCompare(b.name))) if (one.agents) campaign(one);
    return found;
  }
}

// The selected agents as one: a bar while any are selected, each command a bundle, each row reported.

import { agentActions, callActions, stateActions, stateLabel } from "./actions_can.js";
import { messageForm, question } from "./actions_forms.js";
import { section } from "./actions_sheet.js";
import { el, icon, write } from "./dom.js";

const MESSAGE_AGENTS = 500; // of one send_message

export function attachSelection(ctx, { sheet, log, acting }) {
  const { floor, link, selection, words } = ctx;
  const bar = document.getElementById("actions-bar");
  const count = el("b");
  const button = (key, name, label, run) => {
    const made = el("button", { type: "button", "aria-keyshortcuts": key ? `Shift+${key}` : false }, icon(name), label, key ? el("kbd", { "aria-hidden": "true" }, `⇧${key}`) : "");
    made.addEventListener("click", () => run(made));
    return made;
  };
  const clear = button("", "off", "Clear", () => { ctx.select([]); document.getElementById("main").focus(); });
  const buttons = {
    S: button("S", "next", "State…", states),
    N: button("N", "message", "Message…", message),
    H: button("H", "hangup", "Hang up…", hangup),
  };
  bar.setAttribute("role", "toolbar");
  bar.setAttribute("aria-label", "Selected agents");
  bar.hidden = true;
  bar.append(count, ...Object.values(buttons), clear);

  function update() {
    const n = selection.size;
    if (bar.hidden !== !n) bar.hidden = !n;
    write(count, `${n} selected`);
  }
  document.getElementById("board").addEventListener("selection", update);
  document.addEventListener("keydown", (event) => {
    if (!event.shiftKey || event.ctrlKey || event.metaKey || event.altKey || bar.hidden || document.querySelector("dialog[open]")) return;
    const made = buttons[event.key.toUpperCase()];
    if (!made || event.target.closest("input:not([type=checkbox]), select, textarea")) return;
    event.preventDefault();
    made.click();
  });

  // Each selected agent, in the order of the floor; those that have left it too, as { id, agent: undefined }.
  function chosen() { return [...selection].sort().map((id) => ({ id, agent: floor.agents.get(id) })); }

  // One line of the log; `of(agent)` gives the action for an agent, or why there is none.
  function all(title, of) {
    log.together(title, () => {
      const ready = [];
      for (const { id, agent } of chosen()) {
        const action = agent ? of(agent) : { about: id, why: "no longer on the floor" };
        if (action.why) log.refuse(action.about, action.why, action.so);
        else ready.push(action);
      }
      if (ready.length) link.bulk(ready.map((action) => ({ message: action.message, about: action.about })));
    });
  }

  function many(n) { return n === 1 ? "1 agent" : `${n} agents`; }

  function states(from) {
    const choices = stateActions({ id: "", name: "", status: "", pending: null }, ctx);
    sheet.show({
      title: `State of ${many(selection.size)}`, origin: () => from,
      sub: "Whoever is on a call changes after it.",
      build: (body) => body.append(section("State", choices, (choice) => {
        sheet.close();
        const wanted = words.choices[choices.indexOf(choice)];
        all(`${stateLabel(wanted)} for ${many(selection.size)}`, (agent) => stateActions(agent, ctx)[choices.indexOf(choice)]);
      }), section("Next state", [{ ...agentActions({ id: "", name: "", pending: {} }, ctx)[0] }], () => {
        sheet.close();
        all(`Cancel the next state of ${many(selection.size)}`, (agent) => agentActions(agent, ctx)[0]);
      })),
    });
  }

  function message(from) {
    messageForm(sheet, acting.addressees(), () => from, (whole, about) => {
      const { agents } = whole;
      if (!agents || agents.length <= MESSAGE_AGENTS) { link.command(whole, about); return; }
      log.together(about, () => {
        for (let at = 0; at < agents.length; at += MESSAGE_AGENTS) {
          const part = agents.slice(at, at + MESSAGE_AGENTS);
          link.command({ ...whole, agents: part }, `Message to ${part.length} of them`);
        }
      });
    });
  }

  function hangup(from) {
    const call = (agent) => floor.calls.get(agent?.call_id);
    const calls = chosen().filter(({ agent }) => call(agent)).length;
    if (!calls) { log.refuse(`Hang up for ${many(selection.size)}`, "none of them has a call"); return; }
    const without = selection.size - calls;
    const more = without ? ` ${many(without)} of the selection ${without === 1 ? "has" : "have"} none.` : "";
    question(sheet, "Hang up?", `Hang up ${calls === 1 ? "1 call" : `${calls} calls`}?${more}`, () => from, () => {
      all(`Hang up for ${many(selection.size)}`, (agent) => call(agent)
        ? callActions(call(agent), { ...ctx, agent }).find((action) => action.message.action === "hangup")
        : { about: `${agent.name}: hang up`, why: "the agent has no call" });
    });
  }
}

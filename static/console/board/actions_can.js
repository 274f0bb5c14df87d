// What may be done with a row as it is now, and why not. Pure; the server decides anyway.
//
// Action: { key, label, icon, why, about, message | form, confirm, danger }. `key`: the letter that does it, in the menu
// and on the row. `why`: why it cannot be done now, or "". `form`: what must be filled in first (actions_forms.js).

const RIGHT = {
  set_agent_state: "set_agent_state", send_message: "send_message", listen: "listen", whisper: "whisper", barge: "barge",
  stop_listening: "listen", take_over: "take_over", transfer: "transfer", hold: "hold", unhold: "hold", mute: "mute",
  unmute: "mute", park: "park", unpark: "park", hangup: "hang_up", record_start: "record", record_stop: "record",
  record_pause: "record", record_resume: "record", start: "run_campaign", pause: "run_campaign", stop: "run_campaign",
  set_mode: "campaign_mode", set_limits: "campaign_limits",
};
const FORBIDDEN = "your role does not allow it";

// `rights`: names of permissions; absent: the server has not said, so all are shown.
export function refusal(rights, what) {
  return rights && !rights.includes(RIGHT[what]) ? FORBIDDEN : "";
}

export function nameOf(call) { return call.contact || call.number || "the customer"; }

export function plain(code) { return code.replace(/[_-]/g, " "); }

// --- calls ---

// As dialer/call_operations.py refuses, as far as a row tells; the server says the rest.
function answered(call) { return call.answered_at ? "" : "it has not been answered yet"; }
function talking(call) {
  return answered(call) || (!call.bridged_at ? "nobody is talking on it yet" : !call.agent_id ? "no agent is on it any more" : "");
}
// One thing at a time moves the legs of a call.
function settled(call) {
  return call.operation ? "the switch is moving it" : call.consulting ? "the agent consults an extension" : "";
}
// Whoever has taken a call over may hold it, too.
function holder(call) { return call.taken_over_by ? "" : talking(call); }

export function callActions(call, { words, agent = null }) {
  const who = agent ? agent.name : nameOf(call);
  const mine = call.listeners.find((one) => one.user === words.me.user);
  const ended = call.state === "ended" ? "the call has ended" : call.source === "leg" ? "it is not a call of the dialer" : "";
  const action = (key, what, label, icon, why, more = {}) => ({
    key, label, icon,
    why: refusal(words.rights, what) || ended || why,
    about: `${who}: ${label.toLowerCase()}`,
    message: { type: "call_control", call_id: call.id, action: what },
    ...more,
  });
  // A supervisor without a softphone of their own says which one is to be called.
  const calls = words.me.extension || mine ? {} : { form: "softphone" };
  const listening = (key, what, label, icon) => mine
    ? action(key, what, label, icon, mine.mode === what ? "you do so already" : talking(call))
    : action(key, what, label, icon, talking(call), calls);
  const waits = call.state === "held", recording = call.recording !== "off", paused = call.recording === "paused";
  return [
    listening("l", "listen", "Listen", "listen"),
    listening("w", "whisper", "Whisper", "whisper"),
    listening("b", "barge", "Barge in", "barge"),
    action("e", "stop_listening", "Stop listening", "off", mine ? "" : "you are not listening to it"),
    action("v", "take_over", "Take over", "takeover", talking(call) || settled(call), {
      ...calls, confirm: `Take ${nameOf(call)} over from ${agent ? agent.name : "the agent"}? ${mine ? "Your softphone is joined to the customer." : "Your own softphone is called."}`,
    }),
    action("t", "transfer", "Transfer…", "next", answered(call) || settled(call), { form: "transfer", about: `${who}: transfer` }),
    waits ? action("o", "unhold", "Take off hold", "call", "") : action("o", "hold", "Hold", "pause", holder(call) || (call.parked ? "the customer waits already" : settled(call))),
    call.muted ? action("u", "unmute", "Unmute the agent", "mic", "") : action("u", "mute", "Mute the agent", "mute", talking(call)),
    call.parked ? action("p", "unpark", "Take out of the park", "call", settled(call)) : action("p", "park", "Park", "park", talking(call) || settled(call)),
    recording
      ? action("r", "record_stop", "Stop recording", "rec", "")
      : action("r", "record_start", "Record", "rec", answered(call)),
    paused
      ? action("z", "record_resume", "Resume recording", "rec", "")
      : action("z", "record_pause", "Pause recording", "pause", recording ? "" : "it is not being recorded"),
    action("h", "hangup", "Hang up", "hangup", "", {
      danger: true, confirm: `Hang up the call ${agent ? `of ${agent.name} ` : ""}with ${nameOf(call)}?`,
    }),
  ];
}

// What the letters on a row mean, for a row that has no call.
export const CALL_KEYS = {
  l: "listen", w: "whisper", b: "barge in", e: "stop listening", v: "take over", t: "transfer", o: "hold", u: "mute the agent",
  p: "park", r: "record", z: "pause recording", h: "hang up",
};

// --- agents ---

export function stateLabel(choice) { return choice.label ? `${choice.word} · ${choice.label}` : choice.word; }

// One action for each state and reason; the first nine have digits.
export function stateActions(agent, { words }) {
  const later = agent.status === "on_call";
  const now = (choice) => agent.status === choice.status && (!choice.reason || agent.reason === choice.reason);
  const next = (choice) => agent.pending?.status === choice.status && (agent.pending.reason || "") === choice.reason;
  const forbidden = refusal(words.rights, "set_agent_state");
  const so = (choice) => (next(choice) ? "it is the next state already" : now(choice) && !agent.pending ? "it is so now" : "");
  return words.choices.map((choice, n) => ({
    key: n < 9 ? String(n + 1) : "",
    label: stateLabel(choice), icon: choice.icon, tone: choice.tone,
    why: forbidden || so(choice), so: !forbidden && Boolean(so(choice)),
    about: `${agent.name}: ${choice.word.toLowerCase()}${choice.label ? ` (${choice.label.toLowerCase()})` : ""}${later ? " after the call" : ""}`,
    message: { type: "set_agent_state", agent_id: agent.id, state: choice.status, reason: choice.reason },
  }));
}

export function pendingText(agent, words) {
  if (!agent.pending) return "";
  const word = words.agent_states[agent.pending.status]?.[0].toLowerCase() ?? plain(agent.pending.status);
  return agent.pending.reason ? `${word} (${plain(agent.pending.reason)})` : word;
}

export function agentActions(agent, { words }) {
  return [
    {
      key: "x", label: "Cancel the next state", icon: "off",
      why: refusal(words.rights, "set_agent_state") || (agent.pending ? "" : "there is no next state"),
      about: `${agent.name}: cancel the next state`,
      message: { type: "set_agent_state", agent_id: agent.id, cancel_pending: true },
    },
    {
      key: "n", label: "Message…", icon: "message", why: refusal(words.rights, "send_message"), form: "message",
      hint: agent.note ? `not read yet: ${agent.note.sender}'s` : "",
      about: `Message to ${agent.name}`, message: { type: "send_message", agents: [agent.id] },
    },
  ];
}

// --- campaigns ---

const RUNS = {
  start: { active: "it is active already", cancelled: "it is cancelled" },
  pause: { paused: "it is paused already", draft: "it has not been started", completed: "it is completed", cancelled: "it is cancelled" },
  stop: { completed: "it is completed already", cancelled: "it is cancelled" },
};

export function campaignActions(campaign, { words }) {
  const action = (key, what, label, icon, more = {}) => ({
    key, label, icon,
    why: refusal(words.rights, what) || RUNS[what]?.[campaign.status] || "",
    about: `${campaign.name}: ${label.toLowerCase()}`,
    message: { type: "campaign_control", campaign_id: campaign.id, action: what },
    ...more,
  });
  return [
    action("g", "start", "Start", "ready"),
    action("p", "pause", "Pause", "pause"),
    action("x", "stop", "Stop", "off"),
    action("l", "set_limits", "Limits…", "limits", { form: "limits", about: `${campaign.name}: limits` }),
    action("n", "send_message", "Message to its agents…", "message", {
      form: "message", about: `Message to the agents of ${campaign.name}`,
      message: { type: "send_message", campaigns: [campaign.id] },
    }),
  ];
}

export function modeActions(campaign, { words }) {
  return Object.entries(words.modes).map(([mode, [word, hint]], n) => ({
    key: String(n + 1), label: word, hint, icon: "", pressed: campaign.mode === mode,
    why: refusal(words.rights, "set_mode") || (campaign.mode === mode ? "it is so now" : ""),
    about: `${campaign.name}: dial in mode ${word.toLowerCase()}`,
    message: { type: "campaign_control", campaign_id: campaign.id, action: "set_mode", mode },
  }));
}

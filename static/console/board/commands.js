// What becomes of a command, in words. Pure: the clock is an argument.
//
// sending -> queued -> applied -> confirmed, or refused, failed, unknown, not sent. Nothing is said before the server has
// said it. A settled entry changes no more, except that an answer that came late is still told.

// Asked of the switch as well: `confirmed` follows their result.
const OF_THE_SWITCH = new Set(["call_control"]);
const NO_ACK_MS = 10_000;
// The server gives the switch a minute, then says itself that it has not answered.
const NO_SWITCH_MS = 75_000;
export const SETTLED_MS = 8_000;

const ICONS = {
  sending: "wait", queued: "wait", applied: "done", asking: "wait", confirmed: "done", needless: "done",
  refused: "alert", failed: "alert", unknown: "alert", unsent: "alert",
};
const TROUBLE = new Set(["refused", "failed", "unknown", "unsent"]);
const NOT_SENT = new Set(["offline"]);
// The server did not act on these; after the others it may yet.
const UNKNOWN = new Set(["lost", "no_answer"]);

export function begun(id, kind, about, now) {
  return entry({ id, kind, about, at: now }, "sending", "sending…", now);
}

// Something that was not asked of the server, and why.
export function unsent(id, about, why, now) {
  return entry({ id, kind: "", about, at: now }, "unsent", `not sent: ${why}`, now);
}

// Not asked for either, as there is nothing to do: no trouble.
export function needless(id, about, why, now) {
  return entry({ id, kind: "", about, at: now }, "needless", `nothing to do: ${why}`, now);
}

function entry(before, state, text, now) {
  const trouble = TROUBLE.has(state);
  const settled = trouble || ["confirmed", "applied", "needless"].includes(state);
  return { ...before, state, text, trouble, settled, icon: ICONS[state], changed: now };
}

// The entry after a message of the server (or an `error` of the link), a new object.
export function told(before, message, now) {
  switch (message.type) {
    case "ack": {
      if (before.state !== "sending") return before;
      const ahead = message.queue_position - 1;
      return entry(before, "queued", ahead > 0 ? `queued, ${ahead} before it` : "queued", now);
    }
    case "result":
      if (message.status === "rejected") return entry(before, "refused", `refused: ${message.reason}`, now);
      if (message.status === "failed") return entry(before, "failed", `failed: ${message.reason || "no reason was given"}`, now);
      if (before.state === "confirmed" || before.state === "failed") return before;
      if (OF_THE_SWITCH.has(before.kind)) return entry(before, "asking", "applied, asking the switch…", now);
      return entry(before, "applied", "applied", now);
    case "confirmed":
      if (message.status === "confirmed") return entry(before, "confirmed", "confirmed by the switch", now);
      return entry(before, "failed", `the switch refused: ${message.reason || "no reason was given"}`, now);
    case "error":
      if (NOT_SENT.has(message.code)) return entry(before, "unsent", message.message, now);
      if (UNKNOWN.has(message.code)) return entry(before, "unknown", message.message, now);
      return entry(before, "refused", `refused: ${message.message}`, now);
    default:
      return before;
  }
}

// The entry once time has passed without a word; the same object while there is nothing to say.
export function waited(before, now) {
  const silent = now - before.changed;
  if (before.state === "sending" && silent > NO_ACK_MS) {
    return entry(before, "unknown", "no answer from the server: whether it was taken is not known", now);
  }
  if (before.state === "asking" && silent > NO_SWITCH_MS) {
    return entry(before, "unknown", "applied, but the switch has not answered", now);
  }
  return before;
}

// The connection was lost: what the switch answers now is told to nobody.
export function cutOff(before, now) {
  if (before.state !== "asking") return before;
  return entry(before, "unknown", "applied; the connection was lost before the switch answered", now);
}

const COUNTED = [
  ["sending", "sending"], ["queued", "queued"], ["asking", "asking the switch"], ["applied", "applied"],
  ["confirmed", "confirmed"], ["needless", "with nothing to do"], ["refused", "refused"], ["failed", "failed"], ["unknown", "unknown"], ["unsent", "not sent"],
];

// Many commands of one click as one entry: how many are how far.
export function summed(group, entries) {
  const parts = COUNTED.map(([state, word]) => [entries.filter((one) => one.state === state).length, word]);
  const settled = entries.every((one) => one.settled), trouble = entries.some((one) => one.trouble);
  return {
    ...group,
    text: parts.filter(([n]) => n).map(([n, word]) => `${n} ${word}`).join(" · "),
    settled, trouble,
    icon: trouble ? "alert" : settled ? "done" : "wait",
    changed: Math.max(...entries.map((one) => one.changed)),
  };
}

// What the sockets of the board and of the panel have in common: ids for commands, how long a handshake and an answer may
// take, and what a refused handshake means.

// Behind a proxy a handshake can hang for as long as the browser likes.
export const HANDSHAKE_MS = 10_000;

// Nothing heard of what was asked for so long: the buttons are given back. A switch that does not answer must not keep one
// for ever; the log goes on waiting.
export const SILENT_MS = 15_000;

// Not `crypto.randomUUID`: browsers have it only in pages that came by https or from the same machine.
export function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const STANDINGS = { 204: "welcome", 401: "signed_out", 403: "forbidden" };

// A refused handshake looks like a dead server: ask whether we may still come in. "" while the server is away.
// `session`: the address that knows (console/views.py).
export async function standing(session) {
  try {
    const answer = await fetch(session, { credentials: "same-origin", cache: "no-store", redirect: "manual", signal: AbortSignal.timeout(HANDSHAKE_MS) });
    return STANDINGS[answer.status] ?? "";
  } catch { return ""; }
}

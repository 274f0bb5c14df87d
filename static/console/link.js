// The websocket of the live board: comes back through any failure, goes on where it stopped, answers for every command.
//
// Events: hello, snapshot, frame, pong; sent, ack, result, confirmed, error (all of them with what the command was about as
// second argument); state ("connecting", "open", "lost", "signed_out", "forbidden", "too_many").

import { HANDSHAKE_MS, newId, standing } from "./connection.js";
import { OutOfSequence } from "./floor.js";

const FIRST_PAUSE_MS = 400;
const LONGEST_PAUSE_MS = 8_000;
// Nothing may have changed for whoever was refused: asked again now and then, for a screen that nobody sits at.
const REFUSED_PAUSE_MS = 20_000;
// A socket that is half open: frames or pongs come more often than this.
const PING_AFTER_MS = 4_000;
const DEAD_AFTER_MS = 9_000;
const PING_EVERY_MS = 10_000;
const REFUSED = { 4401: "signed_out", 4403: "forbidden", 4430: "too_many" };
const BULK = 200;
const ABOUTS = 1_000;
const ANEW = '{"type":"subscribe"}'; // answered with a snapshot

export class Link {
  state = "connecting";
  since = Date.now(); // of this state, by this machine's clock
  #url; #session; #socket = null; #listeners = new Map();
  #epoch = ""; #seq = -1;
  #offset; // the server's clock less this one's
  #asked = []; // when each ping was sent that has no pong yet
  #pinged = 0;
  #failures = 0; #timer = 0; #heard = 0; #opening = 0;
  #stray = false; // a frame was missed: a snapshot has been asked for
  #open = new Set(); // ids of commands without a result
  #abouts = new Map(); // id -> what the command was about

  // `session`: address that answers 401 or 403 to whoever may not open this socket. `now`: the server's time, ms.
  constructor(url, { session = "", now = Date.now() } = {}) {
    this.#url = new URL(url, location.href);
    this.#url.protocol = this.#url.protocol.replace("http", "ws");
    this.#session = session;
    this.#offset = now - Date.now();
    addEventListener("online", () => this.#hurry());
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.#hurry(); });
    setInterval(() => this.#watch(), 1_000);
  }

  start() { this.#connect(); return this; }

  on(type, fn) {
    if (!this.#listeners.has(type)) this.#listeners.set(type, new Set());
    this.#listeners.get(type).add(fn);
    return () => this.off(type, fn);
  }

  off(type, fn) { this.#listeners.get(type)?.delete(fn); }

  serverNow() { return Date.now() + this.#offset; }

  // Sends a command, or says by an `error` event why not. It is never kept for later: nobody would mean it any more.
  command(message, about = "") { return this.bulk([{ message, about }])[0]; }

  bulk(commands) {
    const ready = commands.map(({ message, about = "" }) => {
      const one = { ...message, id: newId(), sent_at: Math.round(this.serverNow()) };
      this.#open.add(one.id);
      this.#abouts.set(one.id, about);
      if (this.#abouts.size > ABOUTS) this.#abouts.delete(this.#abouts.keys().next().value);
      this.#tell("sent", one);
      return one;
    });
    if (this.state !== "open") {
      for (const { id } of ready) this.#fail(id, "offline", "not sent: there is no connection");
    } else if (ready.length === 1) {
      this.#socket.send(JSON.stringify(ready[0]));
    } else {
      for (let at = 0; at < ready.length; at += BULK) {
        this.#socket.send(JSON.stringify({ type: "bulk", commands: ready.slice(at, at + BULK) }));
      }
    }
    return ready.map(({ id }) => id);
  }

  // --- connection ---

  #connect() {
    clearTimeout(this.#timer);
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    this.#opening = Date.now();
    this.#asked = [];
    socket.onopen = () => { this.#heard = Date.now(); };
    socket.onmessage = (event) => { if (socket === this.#socket) this.#hear(JSON.parse(event.data)); };
    socket.onclose = (event) => { if (socket === this.#socket) this.#lost(event.code); };
  }

  #lost(code) {
    this.#socket = null;
    this.#failures += 1;
    for (const id of [...this.#open]) {
      this.#fail(id, "lost", "the connection was lost before an answer: what became of it is not known");
    }
    const refused = REFUSED[code];
    this.#enter(refused || (this.#kept() ? this.state : "lost"));
    if (!refused && this.#failures > 1) this.#ask();
    const longest = this.#kept() ? REFUSED_PAUSE_MS : Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#failures);
    // Jitter: a restarted server must not see all boards at once.
    this.#timer = setTimeout(() => this.#connect(), longest * (0.5 + Math.random() / 2));
  }

  // Whether what was said of the user's rights still stands.
  #kept() { return Object.values(REFUSED).includes(this.state); }

  async #ask() {
    if (!this.#session) return;
    const told = await standing(this.#session);
    if (this.state === "open") return;
    if (told === "signed_out" || told === "forbidden") this.#enter(told);
    else if (this.#kept() && this.state !== "too_many" && told === "welcome") { this.#enter("lost"); this.#hurry(); }
  }

  #hurry() { if (!this.#socket) this.#connect(); }

  #watch() {
    const socket = this.#socket, now = Date.now();
    if (!socket) return;
    if (socket.readyState === WebSocket.CONNECTING) {
      if (now - this.#opening > HANDSHAKE_MS) this.#drop(socket);
    } else if (socket.readyState === WebSocket.OPEN) {
      if (now - this.#heard > DEAD_AFTER_MS) this.#drop(socket);
      else if (now - this.#heard > PING_AFTER_MS || now - this.#pinged > PING_EVERY_MS) this.#ping(socket, now);
    }
  }

  #ping(socket, now) {
    this.#pinged = now;
    this.#asked.push(now);
    socket.send('{"type":"ping"}');
  }

  // close() waits for the other side, which may be gone: what it says later is not ours any more.
  #drop(socket) {
    socket.onclose = socket.onmessage = null;
    socket.close();
    this.#lost(1006);
  }

  // --- messages ---

  #hear(message) {
    this.#heard = Date.now();
    const floor = message.type === "snapshot" || message.type === "frame";
    if (floor) this.#learn(message.at);
    else if (message.server_time) this.#learn(message.server_time);
    if (message.type === "pong") this.#check(message.server_time);
    if (message.type === "hello") {
      this.#failures = 0;
      this.#stray = false;
      this.#socket.send(this.#epoch ? JSON.stringify({ type: "resume", epoch: this.#epoch, seq: this.#seq }) : ANEW);
      this.#ping(this.#socket, Date.now());
      this.#enter("open");
    }
    if (message.type === "snapshot") this.#stray = false;
    if (message.type === "frame" && (this.#stray || this.#repeated(message))) return;
    try {
      this.#tell(message.type, message);
    } catch (error) {
      if (!(error instanceof OutOfSequence)) throw error;
      this.#stray = true;
      this.#socket.send(ANEW);
      return;
    }
    if (floor) { this.#epoch = message.epoch; this.#seq = message.seq; }
    if (message.type === "result" || message.type === "error") this.#open.delete(message.id);
  }

  // What `resume` had asked for may come after a snapshot that has come by itself.
  #repeated(frame) { return frame.epoch === this.#epoch && frame.seq <= this.#seq; }

  // No message comes before it was sent: the largest difference is of the one that travelled least. However long ago
  // that was: when all that comes is late, it must not pass for the time after a while.
  #learn(at) { this.#offset = Math.max(this.#offset, at - Date.now()); }

  // And no ping is answered before it was sent. When that says otherwise, this machine's clock was set, or runs slow.
  #check(at) {
    const asked = this.#asked.shift();
    if (asked !== undefined && this.#offset > at - asked) this.#offset = at - Date.now();
  }

  #fail(id, code, message) { this.#tell("error", { type: "error", id, code, message }); this.#open.delete(id); }

  #enter(state) {
    if (state === this.state) return;
    this.state = state;
    this.since = Date.now();
    this.#tell("state", state);
  }

  #tell(type, message) {
    const about = this.#abouts.get(message.id) ?? "";
    for (const fn of [...(this.#listeners.get(type) ?? [])]) fn(message, about);
  }
}

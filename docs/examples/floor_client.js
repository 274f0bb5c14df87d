// An example client of the live floor: snapshot, frames, resume, commands with results. Only the standard WebSocket.
//
// In a page of this server the session signs in:
//   const client = new FloorClient("/ws/v1/floor/", { changed: (floor) => draw(floor) }).start();
//   const result = await client.command("set_agent_state", { agent_id: "agent_101", state: "break", reason: "lunch" });
//
// Elsewhere (Node 22 or later) a token does; there the constructor's third argument takes headers:
//   new FloorClient("wss://floor.example/ws/v1/floor/", { token, ... })

const KINDS = ["agents", "calls", "campaigns", "alerts"];
const LONGEST_PAUSE_MS = 10_000;
// Not crypto.randomUUID: a page that came by plain http from another machine has none.
const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
const FINAL = { 4401: "signed out", 4403: "the right to this was taken away" };

// The floor as last told. `apply` is the whole protocol of snapshots and frames.
export class Floor {
  epoch = ""; seq = -1; kpis = null;
  rows = Object.fromEntries(KINDS.map((kind) => [kind, new Map()]));

  // false: a frame was missed, ask for a snapshot.
  apply(message) {
    if (message.type === "snapshot") {
      for (const kind of KINDS) this.rows[kind] = new Map(message[kind].map((row) => [row.id, row]));
      this.kpis = message.kpis;
    } else {
      if (message.epoch === this.epoch && message.seq <= this.seq) return true; // told already
      if (message.epoch !== this.epoch || message.seq !== this.seq + 1) return false;
      for (const kind of KINDS) {
        for (const row of message[kind]) this.rows[kind].set(row.id, row);
        for (const key of message.gone[kind]) this.rows[kind].delete(key);
      }
      this.kpis = message.kpis ?? this.kpis;
    }
    this.epoch = message.epoch;
    this.seq = message.seq;
    return true;
  }
}

export class FloorClient {
  floor = new Floor();
  #url; #options; #part; #changed; #ended; #socket = null; #pause = 500; #stopped = false;
  #answers = new Map(); // id -> { resolve, reject }

  // `changed(floor, message)` after each snapshot and frame; `ended(why)` when there is no use in coming back.
  // `campaigns` (ids), `teams` (codes), `kinds`: only these; empty leaves it out of account.
  constructor(url, { token = "", campaigns = [], teams = [], kinds = [], changed = () => {}, ended = () => {} } = {}) {
    this.#url = typeof location === "undefined" ? url : new URL(url, location.href).href.replace(/^http/, "ws");
    this.#options = token ? { headers: { Authorization: `Bearer ${token}` } } : undefined;
    this.#part = { campaigns, teams, kinds };
    this.#changed = changed;
    this.#ended = ended;
  }

  start() {
    this.#stopped = false;
    const socket = this.#options ? new WebSocket(this.#url, this.#options) : new WebSocket(this.#url);
    this.#socket = socket;
    socket.onopen = () => {
      const { epoch, seq } = this.floor;
      this.#say(epoch ? { type: "resume", epoch, seq, ...this.#part } : { type: "subscribe", ...this.#part });
    };
    socket.onmessage = (event) => this.#take(JSON.parse(event.data));
    socket.onclose = (event) => this.#lost(event.code);
    return this;
  }

  stop() {
    this.#stopped = true;
    this.#socket?.close();
  }

  // Promises the command's result or error message; rejects when the connection is lost before it is known.
  command(type, fields, id = newId()) {
    return new Promise((resolve, reject) => {
      if (this.#socket?.readyState !== WebSocket.OPEN) {
        reject(new Error("not connected; nothing was sent"));
        return;
      }
      this.#answers.set(id, { resolve, reject });
      this.#say({ type, id, ...fields });
    });
  }

  #say(message) { this.#socket.send(JSON.stringify(message)); }

  #take(message) {
    this.#pause = 500;
    switch (message.type) {
      case "snapshot":
      case "frame":
        if (this.floor.apply(message)) this.#changed(this.floor, message);
        else this.#say({ type: "subscribe", ...this.#part });
        break;
      case "result":
      case "error":
        this.#answers.get(message.id)?.resolve(message);
        this.#answers.delete(message.id);
        break;
      default: // hello, ack, confirmed, pong
    }
  }

  #lost(code) {
    for (const { reject } of this.#answers.values()) reject(new Error("connection lost; the command may have been done"));
    this.#answers.clear();
    if (this.#stopped) return;
    if (FINAL[code]) {
      this.#ended(FINAL[code]);
      return;
    }
    setTimeout(() => this.start(), this.#pause * (0.7 + 0.6 * Math.random()));
    this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE_MS);
  }
}

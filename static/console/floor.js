// The floor as the protocol tells it: rows by id at one `seq` of one `epoch`. Pure; the twin of console/floor_state.py.

// A frame that does not follow: of another epoch, or after a gap. Nothing has been changed.
export class OutOfSequence extends Error {}

const KINDS = ["agents", "calls", "campaigns", "alerts"];

export class Floor {
  epoch = "";
  seq = 0;
  at = 0; // ms, of the last message applied
  agents = new Map();
  calls = new Map();
  campaigns = new Map();
  alerts = new Map();
  kpis = null;

  // Takes a snapshot or a frame. Returns the ids of what changed, of what has gone among them.
  apply(message) {
    return message.type === "snapshot" ? this.#replace(message) : this.#follow(message);
  }

  #replace(snapshot) {
    const changed = { kpis: true };
    for (const kind of KINDS) {
      const rows = new Map(snapshot[kind].map((row) => [row.id, row]));
      changed[kind] = new Set([...this[kind].keys(), ...rows.keys()]);
      this[kind] = rows;
    }
    this.kpis = snapshot.kpis;
    this.#reach(snapshot);
    return changed;
  }

  #follow(frame) {
    if (frame.epoch !== this.epoch || frame.seq !== this.seq + 1) {
      throw new OutOfSequence(`${frame.epoch}/${frame.seq} after ${this.epoch}/${this.seq}`);
    }
    const changed = { kpis: frame.kpis !== null };
    for (const kind of KINDS) {
      changed[kind] = new Set();
      for (const row of frame[kind]) {
        this[kind].set(row.id, row);
        changed[kind].add(row.id);
      }
      for (const id of frame.gone[kind]) {
        this[kind].delete(id);
        changed[kind].add(id);
      }
    }
    if (frame.kpis !== null) this.kpis = frame.kpis;
    this.#reach(frame);
    return changed;
  }

  #reach(message) {
    this.epoch = message.epoch;
    this.seq = message.seq;
    this.at = message.at;
  }
}

// --- the order in which people see them, as in floor_state.py ---

const text = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

export function agentOrder(a, b) {
  return text(a.extension.padStart(12, "0"), b.extension.padStart(12, "0")) || text(a.id, b.id);
}

export function callOrder(a, b) {
  return (a.started || 0) - (b.started || 0) || text(a.id, b.id);
}

const CAN_DIAL = ["active", "paused", "scheduled"];

export function campaignOrder(a, b) {
  return !CAN_DIAL.includes(a.status) - !CAN_DIAL.includes(b.status) || text(a.name, b.name) || text(a.id, b.id);
}

export function alertOrder(a, b) {
  return (a.level !== "critical") - (b.level !== "critical") || a.raised_at - b.raised_at || text(a.id, b.id);
}

// wrap_up apart from busy, otherwise the status.
export function agentKind(row) {
  return row.status === "busy" && row.reason === "wrap_up" ? "wrap_up" : row.status;
}

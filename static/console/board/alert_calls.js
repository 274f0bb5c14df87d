// Sound and notifications of the browser, each by choice: off until somebody turns it on, remembered in this browser. Only
// what is newly raised or gets worse is called out; what was there when the page came is not.

import { el, mark } from "./dom.js";
import { remember, remembered } from "./remember.js";

const SOUND = "board-alert-sound", NOTES = "board-alert-notifications";
// However much is raised at once: one tone, and then a pause.
const PAUSE_MS = 2_000;
// Hz and seconds: one low note for a warning, two high ones for what is critical.
const TONES = { warning: [[440, 0, 0.18]], critical: [[880, 0, 0.16], [660, 0.2, 0.24]] };
const LOUDNESS = 0.15;

export class Calls {
  #known = null; // id -> level; null before the first floor
  #audio = null; #last = -PAUSE_MS; #ctx;

  constructor(ctx) {
    this.#ctx = ctx;
    this.sound = remembered(SOUND);
    this.notes = remembered(NOTES) && "Notification" in window && Notification.permission === "granted";
    this.soundSwitch = toggle("Sound", "A tone when an alert is raised", this.sound, () => this.#setSound(!this.sound));
    this.notesSwitch = toggle("Notify", "A notification of the browser when an alert is raised", this.notes, () => this.#setNotes(!this.notes));
    this.switches = [this.soundSwitch, this.notesSwitch];
    // Browsers let a page sound only after somebody has touched it.
    const unlock = () => { if (this.sound) this.#ready(); };
    for (const type of ["pointerdown", "keydown"]) addEventListener(type, unlock, { passive: true });
  }

  // The alerts as they are now.
  hear(rows) {
    if (!this.#ctx.floor.epoch) return;
    const now = new Map(rows.map((row) => [row.id, row.level]));
    const before = this.#known;
    this.#known = now;
    if (before === null) return;
    const loud = rows.filter((row) => row.state === "raised" && (!before.has(row.id) || (row.level === "critical" && before.get(row.id) === "warning")));
    if (!loud.length) return;
    if (this.sound) this.#play(loud.some((row) => row.level === "critical") ? "critical" : "warning");
    if (this.notes) for (const row of loud.slice(0, 3)) this.#notify(row);
  }

  #setSound(on) {
    this.sound = on;
    remember(SOUND, on);
    mark(this.soundSwitch, "aria-pressed", String(on));
    if (on) { this.#ready(); this.#play("warning"); }
  }

  async #setNotes(on) {
    let granted = on && "Notification" in window;
    if (granted) granted = (await Notification.requestPermission()) === "granted";
    if (on && !granted) this.#ctx.announce("The browser does not allow notifications of this page.");
    this.notes = on && granted;
    remember(NOTES, this.notes);
    mark(this.notesSwitch, "aria-pressed", String(this.notes));
  }

  #ready() {
    this.#audio ??= new AudioContext();
    if (this.#audio.state === "suspended") this.#audio.resume();
  }

  #play(level) {
    if (!this.#audio || this.#audio.state === "closed" || performance.now() - this.#last < PAUSE_MS) return;
    this.#last = performance.now();
    const start = this.#audio.currentTime + 0.02;
    for (const [hertz, after, seconds] of TONES[level]) {
      const tone = this.#audio.createOscillator(), volume = this.#audio.createGain(), at = start + after;
      tone.frequency.value = hertz;
      // A soft beginning and end: no click.
      volume.gain.setValueAtTime(0, at);
      volume.gain.linearRampToValueAtTime(LOUDNESS, at + 0.02);
      volume.gain.linearRampToValueAtTime(0, at + seconds);
      tone.connect(volume).connect(this.#audio.destination);
      tone.start(at);
      tone.stop(at + seconds);
    }
  }

  #notify(row) {
    const [word] = this.#ctx.words.alert_levels[row.level];
    const note = new Notification(`${word} alert`, { body: row.text, tag: `alert-${row.id}` });
    note.onclick = () => { window.focus(); note.close(); };
  }
}

function toggle(word, tip, on, act) {
  const made = el("button", { type: "button", class: "chip", "aria-pressed": String(on), "data-tip": tip }, word);
  made.addEventListener("click", act);
  return made;
}

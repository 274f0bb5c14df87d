// The live part of the agent's panel: how old it is, its connection, timers by the server's clock, commands and what became of them.

import { HANDSHAKE_MS, newId, SILENT_MS, standing } from "./connection.js";

// Frames come at least once a second; three missed are news.
const STALE_MS = 3000;
const PING_MS = 10000;
// Neither a frame nor an answer to a ping for so long: the line is dead, though nobody has closed it.
const DEAF_MS = 20000;
const RETRY_MS = 5000;
const LINES = 6;

let live, wrapper = null, socket = null, opening = null, openingAt = 0, open = false, ended = "", lostAt = 0, failures = 0, retryAt = 0;
let heardAt = 0, pingedAt = 0, pingOpen = false, roundTrip = null;
let offset = 0;

const $ = (id) => document.getElementById(id);
const serverNow = () => Date.now() + offset;
function setText(element, text) { if (element && element.textContent !== text) element.textContent = text; }
function tell(name, detail) { document.dispatchEvent(new CustomEvent(name, { detail })); }

// --- freshness ---

// As in link.js: the largest difference there has been, until the way of a ping there and back disproves it.
function learnClock(at) { offset = Math.max(offset, at - Date.now()); }
function checkClock(at, way) { if (offset > at - Date.now() + way) offset = at - Date.now(); }

const seconds = (ms) => (Math.max(0, ms) / 1000).toFixed(1) + " s";
const SPOKEN = { live: "", connecting: "", stale: "No news from the floor. What you see is old.", lost: "Connection lost. Reconnecting." };

function showFreshness() {
  const box = $("fresh"), beat = $("beat");
  const at = Number(beat.dataset.at), age = at ? serverNow() - at : Infinity;
  let state = "live", text;
  if (ended) { state = "lost"; text = "not connected"; }
  else if (!open) { state = lostAt ? "lost" : "connecting"; text = lostAt ? "connection lost" : "connecting…"; }
  else if (!at) { state = "stale"; text = "waiting for the floor"; }
  else if (age > STALE_MS) { state = "stale"; text = "no news for " + duration(age); }
  else if (beat.dataset.broken) { state = "stale"; text = "cut off from the switch"; }
  else text = beat.dataset.behind === "" ? "live · switch quiet" : "live · " + seconds(Number(beat.dataset.behind)) + " behind the switch";
  if (box.dataset.state !== state) {
    box.dataset.state = state;
    box.querySelector("use").setAttribute("href", { live: "#i-ready", connecting: "#i-wait" }[state] || "#i-alert");
  }
  setText($("fresh-text"), text);
  document.body.toggleAttribute("data-stale", state === "stale" || state === "lost");
  const phone = state === "live" ? $("mystate").dataset.phone : "";
  // Said once per change: a screen reader must not count the seconds.
  setText($("announce"), ended || SPOKEN[state] || phone);
  banner(state, age, beat.dataset.broken, phone);
}

// One banner, the worst first; its place is kept free, so nothing moves.
function banner(state, age, broken, phone) {
  let text = "";
  if (ended) text = ended;
  else if (state === "lost") text = "Connection lost " + duration(Date.now() - lostAt) + " ago. What you see is old; reconnecting…";
  else if (state === "stale" && age <= STALE_MS) text = broken + ". Calls and softphones are shown as last heard of.";
  else if (state === "stale" && isFinite(age)) text = "No news from the floor for " + duration(age) + ". What you see is old.";
  else if (state === "stale") text = "The floor publisher has not started yet.";
  else text = phone || $("trouble").dataset.text;
  const box = $("banner");
  if (box.hidden !== !text) { box.hidden = !text; $("calm").hidden = Boolean(text); }
  setText(box, text);
  setText($("calm"), !open ? "Connecting…" : "Connected" + (roundTrip === null ? "" : " · " + roundTrip + " ms to the server and back"));
  document.title = (text ? "⚠ " : "") + document.title.replace(/^⚠ /, "");
}

// --- timers ---

const pad = (n) => String(n).padStart(2, "0");
function duration(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 3600) return Math.floor(s / 60) + ":" + pad(s % 60);
  return Math.floor(s / 3600) + ":" + pad(Math.floor(s / 60) % 60) + ":" + pad(s % 60);
}

function tick() {
  const now = serverNow();
  for (const element of document.querySelectorAll("time[data-since]")) {
    setText(element, element.dataset.since ? duration(now - Number(element.dataset.since)) : "–");
  }
  for (const element of document.querySelectorAll("time[data-until]")) {
    setText(element, duration(Math.max(0, Number(element.dataset.until) - now + 999)));
  }
  for (const element of document.querySelectorAll("[data-over]")) {
    const within = now < Number(element.dataset.over);
    if (element.hidden !== within) element.hidden = within;
  }
  for (const element of document.querySelectorAll("time[data-ago]")) {
    setText(element, duration(now - Number(element.dataset.ago)) + " ago");
  }
  keepConnected();
  showFreshness();
}

// --- swaps: only what changed, and the focus stays ---

const shown = new Map();
let focused = "";
function beforeSwap(event) {
  const target = event.detail.target, fresh = event.detail.fragment.firstElementChild;
  if (!fresh || target.id !== fresh.id) return;
  const html = fresh.outerHTML;
  if (!target.classList.contains("command")) {
    if (shown.get(target.id) === html) { event.detail.shouldSwap = false; return; }
    shown.set(target.id, html);
  }
  const active = document.activeElement;
  if (active && active.id && target !== active && target.contains(active)) focused = active.id;
}

function beforeMessage(event) {
  heardAt = Date.now();
  if (pingOpen && event.detail.message.startsWith('<i id="pong"')) {
    pingOpen = false;
    roundTrip = Math.round(performance.now() - pingedAt);
    checkClock(Number(event.detail.message.match(/data-at="(\d+)"/)[1]), roundTrip);
  }
}

function afterMessage() {
  const at = $("beat").dataset.at;
  if (at) learnClock(Number(at));
  showAnswers();
  tell("panel:message");
  if (focused) {
    const again = $(focused);
    focused = "";
    if (again && again !== document.activeElement) again.focus({ preventScroll: true });
  }
  tick();
}

// --- commands ---

const FIELDS = ["agent_id", "state", "reason", "call_id", "action", "campaign_id", "extension", "mode", "preview_id", "message_id"];
const REFUSED_MS = 15000;
// Asked for and not answered: {id of the command: {button, said, about}}, by the ids of their elements.
const waiting = new Map();

function line(id, about, text, tone) {
  const item = document.createElement("li"), words = document.createElement("span"), what = document.createElement("b");
  const said = document.createElement("span");
  item.id = "cmd-" + id;
  item.className = "command t-" + tone;
  item.dataset.at = String(Math.round(serverNow()));
  item.dataset.status = tone === "trouble" ? "error" : "sending";
  if (tone === "trouble") item.dataset.settled = "1";
  what.textContent = about + " ";
  said.className = "said";
  said.textContent = text;
  words.append(what, said);
  item.append(words);
  $("commands").append(item);
  const all = Array.from($("commands").children);
  for (const old of all.slice(0, -LINES)) if (old.dataset.settled) old.remove();
  $("no-commands").hidden = true;
}

// What is filled in, in the protocol's own types: times as milliseconds, ticks as true.
function entered(form) {
  const found = {};
  for (const field of form.elements) {
    if (!field.name) continue;
    if (field.type === "checkbox") { if (field.checked) found[field.name] = true; }
    else if (field.type === "datetime-local") found[field.name] = new Date(field.value).getTime();
    else if (field.value) found[field.name] = field.value;
  }
  return found;
}

function send(button) {
  const message = { type: button.dataset.command };
  for (const name of FIELDS) if (button.dataset[name]) message[name] = button.dataset[name];
  if (button.dataset.cancel_pending) message.cancel_pending = true;
  if (button.form) Object.assign(message, entered(button.form));
  command(message, button.dataset.about || button.textContent.trim(), button.id, button.dataset.said || "");
}

function command(message, about, button, said) {
  message.id = newId();
  message.sent_at = Math.round(serverNow());
  if (!open || !wrapper) {
    line(message.id, about, "not sent: there is no connection", "trouble");
    refuse({ said, about }, "not sent: there is no connection");
    return;
  }
  line(message.id, about, "sending…", "quiet");
  waiting.set(message.id, { button: button || "", said: said || "", about });
  if (said) refuse({ said, about }, "");
  markWaiting();
  wrapper.sendImmediately(JSON.stringify(message));
}

// The button shows that it waits until the worker has answered, also after it has been replaced by a frame.
function markWaiting() {
  const busy = new Set(Array.from(waiting.values(), (one) => one.button));
  for (const button of document.querySelectorAll("button[data-command], #dispose button[type=submit]")) {
    const now = button.id !== "" && busy.has(button.id);
    if (button.classList.contains("waiting") !== now) {
      button.classList.toggle("waiting", now);
      if (now) button.setAttribute("aria-busy", "true"); else button.removeAttribute("aria-busy");
    }
  }
}

function showAnswers() {
  for (const [id, one] of Array.from(waiting)) {
    const item = $("cmd-" + id);
    if (!item) continue;
    if (item.dataset.status === "asked") one.askedAt = one.askedAt || Date.now();
    const silent = one.askedAt && Date.now() - one.askedAt > SILENT_MS;
    if (!item.dataset.settled && !silent) continue;
    waiting.delete(id);
    if (silent && !item.dataset.settled) continue;
    item.dataset.told = "1";
    const status = item.dataset.status, text = item.querySelector(".said").textContent;
    if (status !== "applied" && status !== "confirmed") refuse(one, text);
    tell("console:answered", { id, status, text, button: one.button });
  }
  // The switch answers later: what it refuses is told in the same place.
  for (const item of document.querySelectorAll("#commands [data-status=failed]")) {
    if (item.dataset.told) continue;
    item.dataset.told = "1";
    const about = item.querySelector("b");
    refuse({ said: "", about: about ? about.textContent.trim() : "" }, item.querySelector(".said").textContent);
  }
  markWaiting();
}

const timers = {};
function refuse(one, text) {
  const place = $(one.said) || $("refused");
  if (!text && place.id === "refused") return;
  setText(place, text ? one.about + ": " + text : "");
  if (place.id === "refused") place.hidden = false;
  clearTimeout(timers[place.id]);
  timers[place.id] = setTimeout(() => { setText(place, ""); if (place.id === "refused") place.hidden = true; }, REFUSED_MS);
}

// --- clicks ---

let asked = null;
function ask(button, question) {
  // A copy: the original may be replaced while the question is open.
  asked = button.cloneNode(true);
  $("confirm-text").textContent = question;
  $("confirm").showModal();
  $("confirm-yes").focus();
}

function onClick(event) {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.id === "confirm-yes" && asked) { const agreed = asked; asked = null; $("confirm").close(); send(agreed); return; }
  if (button.id === "confirm-no") { asked = null; $("confirm").close(); return; }
  if (button.hasAttribute("data-dismiss")) { button.closest("li").remove(); $("no-commands").hidden = $("commands").children.length > 0; return; }
  if (!button.dataset.command || button.classList.contains("waiting")) return;
  if (button.getAttribute("aria-disabled") === "true") { refuse({ said: button.dataset.said, about: button.textContent.trim() }, button.dataset.why); return; }
  if (button.form && !button.form.reportValidity()) return;
  send(button);
}

// --- connection ---

const SIGNED_OUT = "You are signed out. Reload this page to sign in again.";
const FORBIDDEN = "You may not see this any more.";
const ENDS = { 4401: SIGNED_OUT, 4403: FORBIDDEN, 4430: "Too many open boards and panels; close one and reload this page." };

function onOpen(event) {
  wrapper = event.detail.socketWrapper;
  socket = event.detail.event.target;
  open = true;
  ended = "";
  lostAt = failures = retryAt = 0;
  heardAt = Date.now();
  pingedAt = -Infinity;
  pingOpen = false;
  showFreshness();
}

function onClose(event) {
  // Of a socket that has been replaced already.
  if (open && event.detail.event.target !== socket) return;
  wrapper = event.detail.socketWrapper || wrapper;
  ended = ENDS[event.detail.event.code] || "";
  lose();
  if (!ended && failures > 1) checkSession();
  showFreshness();
}

function lose() {
  open = false;
  lostAt = lostAt || Date.now();
  failures += 1;
  retryAt = Date.now() + Math.random() * Math.min(RETRY_MS, 500 * 2 ** failures);
  // Whether they were done nobody knows here: the log of the server does.
  for (const id of waiting.keys()) {
    const item = $("cmd-" + id);
    if (item) { item.dataset.settled = "1"; item.dataset.status = "error"; setText(item.querySelector(".said"), "no answer: the connection was lost; it may have been done"); }
  }
  showAnswers();
}

// Pings, and every attempt to reconnect, come from here: in a hidden tab only the worker's clock goes on.
function keepConnected() {
  const now = Date.now();
  if (open && now - heardAt > DEAF_MS) {
    socket.onclose = null;
    socket.close();
    lose();
  }
  if (open && wrapper && performance.now() - pingedAt >= PING_MS) {
    pingedAt = performance.now();
    pingOpen = true;
    wrapper.sendImmediately(JSON.stringify(roundTrip === null ? { type: "ping" } : { type: "ping", round_trip_ms: roundTrip }));
  }
  if (opening?.readyState === WebSocket.CONNECTING && now - openingAt > HANDSHAKE_MS) opening.close();
  if (!open && !ended && retryAt && now >= retryAt && wrapper) {
    retryAt = 0;
    wrapper.reconnect();
  }
}

async function checkSession() {
  const told = await standing(live.dataset.session);
  if (open || ended) return;
  ended = { signed_out: SIGNED_OUT, forbidden: FORBIDDEN }[told] || "";
  showFreshness();
}

// Back on a network, or looked at again: no use in waiting any longer.
function hurry() {
  if (open || !retryAt) return;
  retryAt = Date.now();
  tick();
}

// Ours alone (keepConnected): two who reconnect close each other's sockets.
htmx.config.wsReconnectDelay = () => 0x7fffffff;

// The extension tells of a socket once it is open, or has failed; one may hang before that.
const create = htmx.createWebSocket;
htmx.createWebSocket = (url) => {
  opening = create(url);
  openingAt = Date.now();
  return opening;
};

function startClock() {
  let fallback = 0;
  const slow = () => { fallback = fallback || setInterval(tick, 500); };
  try {
    const worker = new Worker(live.dataset.ticker);
    worker.onmessage = tick;
    worker.onerror = slow;
  } catch (error) { slow(); }
}

document.addEventListener("DOMContentLoaded", () => {
  live = $("live");
  offset = Number(live.dataset.now) - Date.now();
  live.addEventListener("htmx:wsOpen", onOpen);
  live.addEventListener("htmx:wsClose", onClose);
  live.addEventListener("htmx:wsBeforeMessage", beforeMessage);
  live.addEventListener("htmx:wsAfterMessage", afterMessage);
  document.addEventListener("htmx:oobBeforeSwap", beforeSwap);
  document.addEventListener("click", onClick);
  // Enter in a field clicks its form's button, which sends the command; the page itself goes nowhere.
  document.addEventListener("submit", (event) => { if (event.target.hasAttribute("data-form")) event.preventDefault(); });
  // Forms and keys of other scripts speak through the same socket.
  document.addEventListener("console:command", (event) => { const d = event.detail; command(d.message, d.about, d.button, d.said); });
  document.addEventListener("console:ask", (event) => ask(event.detail.button, event.detail.question));
  // Told late: by then the next question may be open.
  $("confirm").addEventListener("close", () => { if (!$("confirm").open) asked = null; });
  addEventListener("online", hurry);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) hurry(); });
  tick();
  startClock();
});

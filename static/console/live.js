// What every live page does: knows how old it is, ticks its timers by the server's clock, sends commands, says what became of them.
(function () {
  "use strict";

  // Frames come at least once a second; three missed are news.
  var STALE_MS = 3000;
  var LINES = 6;
  var SETTLED_LINE_MS = 8000;
  var TROUBLE_LINE_MS = 30000;

  var live, wrapper = null, open = false, ended = "", lostAt = 0, failures = 0;
  var offsets = [], offset = 0;

  function $(id) { return document.getElementById(id); }
  function serverNow() { return Date.now() + offset; }

  // --- freshness ---

  // The largest difference of the last half minute belongs to the frame that travelled least.
  function learnClock(at) {
    offsets.push(at - Date.now());
    if (offsets.length > 30) offsets.shift();
    offset = Math.max.apply(null, offsets);
  }

  function seconds(ms) { return (Math.max(0, ms) / 1000).toFixed(1) + " s"; }

  var SPOKEN = { live: "", connecting: "", stale: "No news from the floor. What you see is old.", lost: "Connection lost. Reconnecting." };

  function showFreshness() {
    var box = $("fresh"), beat = $("beat");
    if (!box) return;
    var at = beat && Number(beat.dataset.at), age = at ? serverNow() - at : Infinity;
    var state = "live", text;
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
    // Said once per change: a screen reader must not count the seconds.
    setText($("announce"), ended || SPOKEN[state]);
    banner(state, age, beat ? beat.dataset.broken : "");
  }

  function banner(state, age, broken) {
    var box = $("banner"), text = "";
    if (ended) text = ended;
    else if (state === "lost") text = "Connection lost " + duration(Date.now() - lostAt) + " ago. What you see is old; reconnecting…";
    else if (state === "stale" && age <= STALE_MS) text = broken + ". Calls and softphones are shown as last heard of.";
    else if (state === "stale" && isFinite(age)) text = "No news from the floor for " + duration(age) + ". What you see is old.";
    else if (state === "stale") text = "The floor publisher has not started yet.";
    if (box.hidden !== !text) box.hidden = !text;
    setText(box, text);
  }

  // --- timers ---

  function pad(n) { return (n < 10 ? "0" : "") + n; }
  function duration(ms) {
    var s = Math.max(0, Math.floor(ms / 1000));
    if (s < 3600) return Math.floor(s / 60) + ":" + pad(s % 60);
    return Math.floor(s / 3600) + ":" + pad(Math.floor(s / 60) % 60) + ":" + pad(s % 60);
  }
  function setText(element, text) { if (element && element.textContent !== text) element.textContent = text; }

  function tick() {
    var now = serverNow();
    document.querySelectorAll("time[data-since]").forEach(function (element) {
      setText(element, element.dataset.since ? duration(now - Number(element.dataset.since)) : "–");
    });
    document.querySelectorAll("time[data-until]").forEach(function (element) {
      setText(element, duration(Math.max(0, Number(element.dataset.until) - now + 999)));
    });
    document.querySelectorAll("[data-over]").forEach(function (element) {
      var within = now < Number(element.dataset.over);
      if (element.hidden !== within) element.hidden = within;
    });
    document.querySelectorAll("time[data-ago]").forEach(function (element) {
      setText(element, duration(now - Number(element.dataset.ago)) + " ago");
    });
    showFreshness();
    tidyCommands();
  }
  function tickWaits() {
    var now = serverNow();
    document.querySelectorAll("time[data-wait]").forEach(function (element) {
      var waited = now - Number(element.dataset.wait);
      setText(element, seconds(waited));
      element.classList.toggle("over", waited > Number(element.dataset.limit));
    });
  }

  // --- swaps: show what changed, keep focus and order ---

  var focused = "";
  function beforeSwap(event) {
    var target = event.detail.target, fresh = event.detail.fragment.firstElementChild;
    var active = document.activeElement;
    if (active && active.id && target !== active && target.contains(active)) focused = active.id;
    if (!fresh || !target.dataset || target.id !== fresh.id) return;
    if (target.dataset.state && target.dataset.state !== fresh.dataset.state) fresh.classList.add("changed");
  }
  function sortIn(list) {
    var rows = Array.prototype.slice.call(list.children);
    for (var i = 1; i < rows.length; i++) {
      if (order(rows[i]) >= order(rows[i - 1])) continue;
      rows.sort(function (a, b) { return order(a) < order(b) ? -1 : order(a) > order(b) ? 1 : 0; });
      rows.forEach(function (row) { list.appendChild(row); });
      return;
    }
  }
  // Extensions and times alike: digits of any length, compared as numbers.
  function order(row) { return Number(row.dataset.order) || 0; }

  function afterMessage() {
    var beat = $("beat");
    if (beat && beat.dataset.at) learnClock(Number(beat.dataset.at));
    ["agents", "calls"].forEach(function (id) { if ($(id)) sortIn($(id)); });
    if (focused) {
      var again = $(focused);
      focused = "";
      if (again && again !== document.activeElement) again.focus({ preventScroll: true });
    }
    tick();
    tickWaits();
  }

  // --- commands ---

  var FIELDS = ["agent_id", "state", "reason", "call_id", "action", "campaign_id", "extension", "mode", "preview_id"];

  function newId() {
    var bytes = crypto.getRandomValues(new Uint8Array(12));
    return Array.prototype.map.call(bytes, function (b) { return (b < 16 ? "0" : "") + b.toString(16); }).join("");
  }

  function line(id, about, text, tone) {
    var item = document.createElement("li"), words = document.createElement("span"), what = document.createElement("b");
    item.id = "cmd-" + id;
    item.className = "command t-" + tone;
    item.dataset.at = String(Math.round(serverNow()));
    if (tone === "trouble") item.dataset.settled = "1";
    what.textContent = about + " ";
    words.append(what, text);
    item.append(words);
    $("commands").append(item);
    tidyCommands();
  }

  // What is filled in, in the protocol's own types: times as milliseconds, ticks as true.
  function entered(form) {
    var found = {};
    Array.prototype.forEach.call(form.elements, function (field) {
      if (!field.name) return;
      if (field.type === "checkbox") { if (field.checked) found[field.name] = true; }
      else if (field.type === "datetime-local") found[field.name] = new Date(field.value).getTime();
      else if (field.value) found[field.name] = field.value;
    });
    return found;
  }

  function send(button) {
    var message = { type: button.dataset.command };
    FIELDS.forEach(function (name) { if (button.dataset[name]) message[name] = button.dataset[name]; });
    if (button.dataset.cancel_pending) message.cancel_pending = true;
    if (button.form) Object.assign(message, entered(button.form));
    command(message, button.dataset.about || button.textContent.trim());
  }

  function command(message, about) {
    message.id = newId();
    message.sent_at = Math.round(serverNow());
    if (!open || !wrapper) {
      line(message.id, about, "not sent: there is no connection", "trouble");
      return;
    }
    line(message.id, about, "sending…", "quiet");
    wrapper.sendImmediately(JSON.stringify(message));
  }

  function tidyCommands() {
    var list = $("commands");
    if (!list) return;
    var now = serverNow();
    Array.prototype.slice.call(list.children).forEach(function (item, index, all) {
      var age = now - Number(item.dataset.at), trouble = item.classList.contains("t-trouble");
      var old = item.dataset.settled && age > (trouble ? TROUBLE_LINE_MS : SETTLED_LINE_MS);
      if (!list.classList.contains("inline") && old) item.remove();
      else if (all.length - index > LINES && item.dataset.settled) item.remove();
    });
    if ($("no-commands")) $("no-commands").hidden = list.children.length > 0;
  }

  var asked = null;
  function onClick(event) {
    var button = event.target.closest("button");
    if (!button) return;
    if (button.id === "confirm-yes" && asked) { var agreed = asked; asked = null; $("confirm").close(); send(agreed); return; }
    if (button.id === "confirm-no") { asked = null; $("confirm").close(); return; }
    if (button.hasAttribute("data-dismiss")) { button.closest("li").remove(); return; }
    if (button.dataset.command) {
      if (button.form && !button.form.reportValidity()) return;
      if (button.dataset.confirm) {
        // A copy: the row may be replaced while the question is open.
        asked = button.cloneNode(true);
        $("confirm-text").textContent = button.dataset.confirm;
        $("confirm").showModal();
      } else send(button);
    }
    if (button.hasAttribute("data-close")) { var dialog = button.closest("dialog"); if (dialog) dialog.close(); }
  }

  // --- connection ---

  var SIGNED_OUT = "You are signed out. Reload this page to sign in again.";

  function onOpen(event) { wrapper = event.detail.socketWrapper; open = true; ended = ""; lostAt = 0; failures = 0; showFreshness(); }

  function onClose(event) {
    var code = event.detail.event.code;
    open = false;
    if (!lostAt) lostAt = Date.now();
    failures += 1;
    if (code === 4401) ended = SIGNED_OUT;
    else if (code === 4403) ended = "You may not see this any more.";
    else if (code === 4430) ended = "Too many open boards and panels; close one and reload this page.";
    else if ([1006, 1011, 1012, 1013].indexOf(code) < 0) {
      // htmx reconnects after those four only.
      var again = event.detail.socketWrapper;
      setTimeout(function () { again.reconnect(); }, 500 + Math.random() * 1500);
    } else if (failures === 2) checkSession();
    showFreshness();
  }

  // A refused handshake looks like a dead server: ask whether we are still signed in.
  function checkSession() {
    fetch(live.dataset.session, { credentials: "same-origin", cache: "no-store", redirect: "manual" }).then(function (answer) {
      if (answer.status === 401 || answer.status === 403) { ended = SIGNED_OUT; showFreshness(); }
    }).catch(function () { /* the server is away: htmx goes on trying */ });
  }

  htmx.config.wsReconnectDelay = function (tries) { return Math.random() * Math.min(5000, 500 * Math.pow(2, tries)); };

  document.addEventListener("DOMContentLoaded", function () {
    live = $("live");
    offset = Number(live.dataset.now) - Date.now();
    live.addEventListener("htmx:wsOpen", onOpen);
    live.addEventListener("htmx:wsClose", onClose);
    live.addEventListener("htmx:wsAfterMessage", afterMessage);
    document.addEventListener("htmx:oobBeforeSwap", beforeSwap);
    document.addEventListener("click", onClick);
    // Enter in a field clicks its form's button, which sends the command; the page itself goes nowhere.
    document.addEventListener("submit", function (event) { if (event.target.hasAttribute("data-form")) event.preventDefault(); });
    // Forms of other scripts speak through the same socket.
    document.addEventListener("console:command", function (event) { command(event.detail.message, event.detail.about); });
    $("confirm").addEventListener("close", function () { asked = null; });
    tick();
    tickWaits();
    setInterval(tick, 500);
    setInterval(tickWaits, 100);
  });
})();

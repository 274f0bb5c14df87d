// The disposition form of the agent's panel: there while they talk, in wrap-up, and for a while to correct it.
(function () {
  "use strict";

  // Stands outside what the socket replaces: what is being typed stays.
  var shown = "", given = null, phase = "";

  function $(id) { return document.getElementById(id); }
  function pad(n) { return (n < 10 ? "0" : "") + n; }
  function text(element, words) { if (element.textContent !== words) element.textContent = words; }

  function follow() {
    var mine = $("mystate"), box = $("disposing");
    if (!mine || !box) return;
    if (mine.dataset.call !== shown) load(mine.dataset.call);
    if (!$("dispose")) return;
    text($("disposing-who"), mine.dataset.who);
    text($("disposing-given"), mine.dataset.disposed || "not disposed of");
    var now = mine.dataset.oncall ? "talking" : mine.dataset.kind === "wrap_up" ? "wrap_up" : "after";
    if (mine.dataset.disposed !== given || now !== phase) {
      // Opened and closed when something has changed, not against the person's own click.
      box.open = !mine.dataset.disposed && now !== "after";
      text(box.querySelector("button[type=submit]"), mine.dataset.disposed ? "Correct" : "Save");
      given = mine.dataset.disposed;
      phase = now;
    }
  }

  function load(call) {
    var box = $("disposing");
    shown = call;
    given = null;
    phase = "";
    box.hidden = true;
    $("disposing-form").replaceChildren();
    if (!call) return;
    fetch(box.dataset.address.replace(/0{8}-(0{4}-){3}0{12}/, call), { credentials: "same-origin", cache: "no-store", redirect: "error" }).then(function (answer) {
      return answer.status === 200 ? answer.text() : "";
    }).then(function (html) {
      if (call !== shown || !html) return;
      // Made by our own template, which escapes what people have written.
      $("disposing-form").replaceChildren(document.createRange().createContextualFragment(html));
      box.hidden = false;
      $("dispose").addEventListener("submit", submit);
      $("dispose").addEventListener("change", changed);
      $("hot-keys").checked = localStorage.getItem("hot-keys") !== "off";
      changed();
      follow();
    }).catch(function () { if (call === shown) shown = ""; /* asked again with the next message */ });
  }

  function chosen() { return $("dispose").querySelector("input[name=code]:checked"); }

  function changed(event) {
    var code = chosen(), box = $("dispose").querySelector(".appointment");
    if (event && event.target.id === "hot-keys") localStorage.setItem("hot-keys", event.target.checked ? "on" : "off");
    if (!box) return;
    var wanted = Boolean(code && code.dataset.callback), at = $("callback-at");
    box.hidden = !wanted;
    at.required = wanted;
    if (wanted && !at.value) at.value = local(new Date(Math.ceil((Date.now() + 3600000) / 900000) * 900000));
    at.min = local(new Date());
    text($("callback-there"), there(at.value, box.dataset.zone));
  }

  function local(date) {
    return date.getFullYear() + "-" + pad(date.getMonth() + 1) + "-" + pad(date.getDate()) + "T" + pad(date.getHours()) + ":" + pad(date.getMinutes());
  }

  // The customer's clock, where the contact's zone is known.
  function there(value, zone) {
    if (!value || !zone) return "";
    try {
      var words = new Intl.DateTimeFormat(undefined, { timeZone: zone, weekday: "short", hour: "2-digit", minute: "2-digit" }).format(new Date(value));
      return "For them: " + words + " (" + zone.split("/").pop().replace(/_/g, " ") + ")";
    } catch (error) { return ""; }
  }

  function submit(event) {
    event.preventDefault();
    var form = $("dispose"), code = chosen();
    if (!code) return;
    var message = { type: "dispose_call", call_id: form.dataset.call, code: code.value, notes: form.elements.notes.value };
    if (code.dataset.callback) {
      message.callback_at = new Date(form.elements.callback_at.value).getTime();
      message.callback_personal = form.elements.callback_personal.checked;
    }
    document.dispatchEvent(new CustomEvent("console:command", { detail: { message: message, about: form.dataset.who + ": " + code.dataset.label } }));
  }

  // One key chooses, Enter saves. Not while something is being written, and only where the person wants them.
  function onKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.key.length !== 1) return;
    var form = $("dispose");
    if (!form || !$("disposing").open || $("disposing").hidden || !$("hot-keys").checked || document.querySelector("dialog[open]")) return;
    var typing = event.target.closest("textarea, select, input:not([type=radio]):not([type=checkbox]), [contenteditable]");
    if (typing) return;
    var found = Array.prototype.find.call(form.elements.code.length ? form.elements.code : [form.elements.code], function (input) {
      return input.getAttribute("aria-keyshortcuts") === event.key.toLowerCase();
    });
    if (!found) return;
    event.preventDefault();
    found.checked = true;
    found.focus();
    changed();
  }

  function onWritten(event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.id === "dispose-notes") $("dispose").requestSubmit();
  }

  document.addEventListener("DOMContentLoaded", function () {
    $("live").addEventListener("htmx:wsAfterMessage", follow);
    document.addEventListener("keydown", onKey);
    document.addEventListener("keydown", onWritten);
    follow();
  });
})();

// The agent's panel: which state button is pressed, the contact for preview, and the form to dial by hand.
(function () {
  "use strict";

  // A refusal is shown where the agent looks, long enough to be read.
  var REFUSED_MS = 15000;

  var preview = "", refusal = "", refusedTimer = 0;

  function $(id) { return document.getElementById(id); }

  function follow() {
    var mine = $("mystate");
    if (!mine) return;
    var kind = mine.dataset.kind === "wrap_up" ? "busy" : mine.dataset.kind;
    document.querySelectorAll(".states .choice").forEach(function (button) {
      var pressed = button.dataset.state === kind && (button.dataset.reason || "") === mine.dataset.reason;
      if (button.getAttribute("aria-pressed") !== String(pressed)) button.setAttribute("aria-pressed", String(pressed));
    });
    var hint = $("oncall-hint");
    if (hint.hidden !== !mine.dataset.oncall) hint.hidden = !mine.dataset.oncall;
    followPreview(mine.dataset.preview || "", mine.dataset.contact || "");
    followManual();
    followRefusal();
  }

  // --- the contact for preview: fetched once, when it comes ---

  function followPreview(id, contact) {
    if (id === preview) return;
    preview = id;
    var section = $("preview");
    if (!id) { closePreview(); return; }
    htmx.ajax("GET", section.dataset.url.replace(/[0-9a-f-]{36}/, id), { target: "#preview", swap: "innerHTML" }).then(function () {
      if (preview !== id || !$("preview-dial")) { if (preview === id) closePreview(); return; }
      section.hidden = false;
      $("preview-said").textContent = "Contact for preview: " + (contact || "no name");
      $("preview-at").min = localTime(new Date());
      // Only where the keyboard is nowhere else: what is being typed goes on.
      if (document.activeElement === document.body || document.activeElement === null) $("preview-dial").focus();
    });
  }

  function closePreview() {
    var section = $("preview"), held = section.contains(document.activeElement);
    section.hidden = true;
    section.replaceChildren();
    $("preview-said").textContent = "";
    if (held) $("main").focus({ preventScroll: true });
  }

  function localTime(date) {
    return new Date(date.getTime() - date.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
  }

  // --- dialling by hand: the campaigns in which it is allowed now ---

  function followManual() {
    var select = $("manual-campaign"), source = $("mymanual");
    if (!select || !source) return;
    var wanted = Array.prototype.map.call(source.children, function (item) { return item.dataset.id + item.textContent; }).join("\n");
    if (select.dataset.shown === wanted) return;
    select.dataset.shown = wanted;
    var chosen = select.value;
    select.replaceChildren.apply(select, Array.prototype.map.call(source.children, function (item) {
      var option = new Option(item.textContent, item.dataset.id);
      option.selected = item.dataset.id === chosen;
      return option;
    }));
    $("manual").hidden = !source.children.length;
  }

  // --- the last refusal, as one sentence ---

  function followRefusal() {
    var lines = document.querySelectorAll("#commands .command.t-trouble > span");
    var last = lines[lines.length - 1], text = last ? last.textContent.trim() : "", key = last ? last.parentNode.id + text : "";
    if (!key || key === refusal) return;
    refusal = key;
    $("refused").textContent = text;
    $("refused").hidden = false;
    clearTimeout(refusedTimer);
    refusedTimer = setTimeout(function () { $("refused").hidden = true; }, REFUSED_MS);
  }

  document.addEventListener("DOMContentLoaded", function () {
    $("live").addEventListener("htmx:wsAfterMessage", follow);
    follow();
  });
})();

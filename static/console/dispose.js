// The disposition form of the agent's panel: there while they talk, in wrap-up, and for a while to correct it.
// What is being written is never thrown away: not by a frame, not by the next call.
(function () {
  "use strict";

  const $ = (id) => document.getElementById(id);
  function text(element, words) { if (element.textContent !== words) element.textContent = words; }

  // shown: the call whose form this is; kept: an earlier call's, because it holds unsaved words. drafts: by call.
  let shown = "", kept = "", given = null, phase = "", sent = null;
  const drafts = new Map();

  function follow() {
    const mine = $("mystate").dataset, box = $("disposing");
    if (mine.call !== shown && !kept) {
      if (shown && dirty()) kept = shown; else load(mine.call);
    }
    if (kept && mine.call === kept) kept = "";
    showUnsaved(mine.call);
    const form = $("dispose");
    if (!form) return;
    const current = shown === mine.call;
    text($("disposing-who"), form.dataset.who);
    text($("disposing-given"), current ? mine.disposed || "not disposed of" : "");
    const now = !current ? "earlier" : mine.oncall ? "talking" : mine.kind === "wrap_up" ? "wrap_up" : "after";
    if (mine.disposed !== given || now !== phase) {
      // Opened and closed when something has changed, not against the person's own click.
      if (current) box.open = (!mine.disposed && now !== "after") || dirty();
      if (current) text($("dispose-save"), mine.disposed ? "Correct" : "Save");
      given = mine.disposed;
      phase = now;
    }
  }

  function load(call) {
    const box = $("disposing"), place = $("disposing-form");
    keepDraft();
    shown = call;
    given = null;
    phase = "";
    box.hidden = true;
    place.replaceChildren();
    if (!call) { panelParts.drop(place); return; }
    const late = () => { box.hidden = false; box.open = true; text($("disposing-who"), ""); text($("disposing-given"), ""); };
    const take = (html) => {
      place.replaceChildren();
      box.hidden = !html && $("unsaved").hidden;
      if (!html) return;
      panelParts.put(place, html);
      $("dispose").addEventListener("submit", submit);
      $("dispose").addEventListener("change", changed);
      $("hot-keys").checked = panelKeys.on();
      restoreDraft(call);
      changed();
      follow();
    };
    panelParts.load(place, { address: box.dataset.address, id: call, what: "the form", late, take });
  }

  function chosen() { return $("dispose").querySelector("input[name=code]:checked"); }

  function changed(event) {
    const code = chosen(), at = event && event.target.id === "callback-at";
    if (event && event.target.id === "hot-keys") panelKeys.set(event.target.checked);
    callbackPicker.follow($("dispose"), Boolean(code && code.dataset.callback), at);
  }

  // --- unsaved words ---

  function dirty() {
    const form = $("dispose");
    if (!form) return false;
    const code = chosen();
    return form.elements.notes.value !== form.elements.notes.defaultValue || Boolean(code && !code.defaultChecked) || callbackPicker.changed(form);
  }

  function keepDraft() {
    if (!dirty()) return;
    const form = $("dispose"), code = chosen(), at = $("callback-at");
    drafts.set(shown, { who: form.dataset.who, notes: form.elements.notes.value, code: code ? code.value : "", at: at ? at.value : "", personal: at ? form.elements.callback_personal.checked : true });
  }

  function restoreDraft(call) {
    const draft = drafts.get(call), form = $("dispose");
    if (!draft) return;
    drafts.delete(call);
    form.elements.notes.value = draft.notes;
    for (const input of form.querySelectorAll("input[name=code]")) if (input.value === draft.code) input.checked = true;
    if ($("callback-at")) { $("callback-at").value = draft.at; form.elements.callback_personal.checked = draft.personal; }
  }

  function showUnsaved(current) {
    const box = $("unsaved"), earlier = kept && kept !== current;
    const other = earlier ? kept : Array.from(drafts.keys()).find((call) => call !== shown) || "";
    box.hidden = !other;
    if (!other) return;
    box.dataset.call = other;
    const who = earlier ? $("dispose") && $("dispose").dataset.who : drafts.get(other).who;
    text(box.querySelector("span"), earlier ? "A new call has begun. These notes on " + who + " are not saved." : "Your notes on " + who + " are not saved.");
    text($("unsaved-open"), earlier ? "To the new call" : "Back to them");
    // A form of the new call may not be there (yet): the way back is.
    $("disposing").hidden = false;
    if (!earlier && !$("dispose")) $("disposing").open = true;
  }

  function onUnsaved(event) {
    const other = $("unsaved").dataset.call, current = $("mystate").dataset.call;
    if (event.target.id === "unsaved-open") {
      if (kept) { kept = ""; load(current); } else { kept = other; load(other); }
    } else if (event.target.id === "unsaved-drop") {
      drafts.delete(other);
      if (kept === other) { kept = ""; $("dispose").reset(); load(current); }
    } else return;
    follow();
  }

  // --- saving ---

  function submit(event) {
    event.preventDefault();
    const form = $("dispose"), code = chosen();
    if (!code || $("dispose-save").classList.contains("waiting")) return;
    const message = { type: "dispose_call", call_id: form.dataset.call, code: code.value, notes: form.elements.notes.value };
    if (code.dataset.callback) {
      message.callback_at = new Date(form.elements.callback_at.value).getTime();
      message.callback_personal = form.elements.callback_personal.checked;
    }
    sent = message;
    document.dispatchEvent(new CustomEvent("console:command", { detail: { message, about: form.dataset.who + ": " + code.dataset.label, button: "dispose-save", said: "dispose-said" } }));
  }

  function onAnswered(event) {
    if (!sent || event.detail.id !== sent.id || event.detail.status !== "applied") return;
    const form = $("dispose");
    drafts.delete(sent.call_id);
    if (form && form.dataset.call === sent.call_id) {
      // What the server has now is what the form begins with; words written meanwhile are still unsaved.
      form.elements.notes.defaultValue = sent.notes;
      for (const input of form.querySelectorAll("input[name=code]")) input.defaultChecked = input.value === sent.code;
      callbackPicker.saved(form, sent);
    }
    if (kept === sent.call_id && !dirty()) kept = "";
    sent = null;
    follow();
  }

  // One key chooses, Enter saves. Not while something is being written, and only where the person wants them.
  function onKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey || event.key.length !== 1) return;
    const form = $("dispose");
    if (!form || !$("disposing").open || $("disposing").hidden || !panelKeys.on() || document.querySelector("dialog[open]")) return;
    if (panelKeys.writing(event.target)) return;
    const found = Array.from(form.querySelectorAll("input[name=code]")).find((input) => input.getAttribute("aria-keyshortcuts") === event.key.toLowerCase());
    if (!found) return;
    event.preventDefault();
    found.checked = true;
    found.focus();
    changed();
  }

  function onWritten(event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.id === "dispose-notes") $("dispose").requestSubmit();
  }

  document.addEventListener("DOMContentLoaded", () => {
    document.addEventListener("panel:message", follow);
    document.addEventListener("console:answered", onAnswered);
    document.addEventListener("keydown", onKey);
    document.addEventListener("keydown", onWritten);
    $("unsaved").addEventListener("click", onUnsaved);
    window.addEventListener("beforeunload", (event) => { if (dirty() || drafts.size) event.preventDefault(); });
    follow();
  });
})();

// Keys of the agent's panel: Shift and a letter for what can be clicked, Shift and a digit for a state, ? for help. The
// plain keys belong to the dispositions (dispose.js). Nothing while something is being written.
(function () {
  "use strict";

  const KEPT = "hot-keys";
  const $ = (id) => document.getElementById(id);

  window.panelKeys = {
    on() { try { return localStorage.getItem(KEPT) !== "off"; } catch (error) { return true; } },
    set(on) { try { localStorage.setItem(KEPT, on ? "on" : "off"); } catch (error) { /* for this page only */ } },
    writing(target) { return target.closest("textarea, select, input:not([type=radio]):not([type=checkbox]), [contenteditable]"); },
  };

  function onKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || event.isComposing) return;
    if (!(event.target instanceof Element) || panelKeys.writing(event.target) || document.querySelector("dialog[open]")) return;
    if (event.key === "?") { event.preventDefault(); help(); return; }
    if (!event.shiftKey || !panelKeys.on()) return;
    const digit = /^Digit([1-9])$/.exec(event.code);
    const key = event.key.length === 1 ? event.key.toUpperCase() : "";
    if (key === "N" && $("dispose-notes")) { event.preventDefault(); $("disposing").open = true; $("dispose-notes").focus(); return; }
    const wanted = digit ? `[data-digit="${digit[1]}"]` : /^[A-Z]$/.test(key) ? `[data-hotkey="${key}"]` : "";
    const found = wanted && Array.from(document.querySelectorAll(wanted)).find((one) => one.offsetParent !== null);
    if (!found) return;
    event.preventDefault();
    found.focus();
    // What is still there from a refused try is mended, or written over.
    if (found.tagName !== "BUTTON") { found.select(); return; }
    if (found.dataset.ask) document.dispatchEvent(new CustomEvent("console:ask", { detail: { button: found, question: found.dataset.ask } }));
    else found.click();
  }

  function help() {
    $("keys-on").checked = panelKeys.on();
    $("help").showModal();
    $("help-close").focus();
  }

  document.addEventListener("DOMContentLoaded", () => {
    document.addEventListener("keydown", onKey);
    $("help-open").addEventListener("click", help);
    $("help-close").addEventListener("click", () => $("help").close());
    $("keys-on").addEventListener("change", (event) => {
      panelKeys.set(event.target.checked);
      if ($("hot-keys")) $("hot-keys").checked = event.target.checked;
    });
    $("help").addEventListener("click", (event) => { if (event.target === $("help")) $("help").close(); });
  });
})();

// The agent's call beside what the socket replaces: the extension to transfer to, the colleague on the line.
(function () {
  "use strict";

  const $ = (id) => document.getElementById(id);

  function follow() {
    const mine = $("mycall").dataset, consulting = Boolean(mine.consulting);
    const moving = $("moving"), held = moving.contains(document.activeElement) ? document.activeElement : null;
    if (moving.hidden !== !mine.call) moving.hidden = !mine.call;
    if ($("transfer").hidden !== consulting) { $("transfer").hidden = consulting; $("consulting").hidden = !consulting; }
    if (consulting) $("consulting-who").textContent = "With " + mine.consulting;
    for (const id of ["consult", "transfer-blind", "consult-cancel", "consult-complete"]) $(id).dataset.call_id = mine.call || "";
    for (const id of ["consult", "transfer-blind"]) forbid($(id), mine.noTransfer);
    forbid($("consult-complete"), mine.noJoin);
    // The button that was pressed has given way to its successor; so does the focus.
    if (held && held.offsetParent === null && !moving.hidden) $(consulting ? "consult-cancel" : "consult").focus({ preventScroll: true });
  }

  function forbid(button, why) {
    if ((button.dataset.why || "") === (why || "")) return;
    if (why) { button.setAttribute("aria-disabled", "true"); button.dataset.why = button.title = why; }
    else { button.removeAttribute("aria-disabled"); delete button.dataset.why; button.removeAttribute("title"); }
  }

  document.addEventListener("DOMContentLoaded", () => {
    document.addEventListener("panel:message", follow);
    // What was typed is kept until it has been done: a refused transfer is tried again with one digit mended.
    document.addEventListener("console:answered", (event) => {
      const moved = event.detail.button === "consult" || event.detail.button === "transfer-blind";
      if (moved && ["applied", "confirmed"].includes(event.detail.status)) $("transfer-to").value = "";
    });
    follow();
  });
})();

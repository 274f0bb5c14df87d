// The agent's panel: which state button is pressed, and what a click would mean now.
(function () {
  "use strict";

  function follow() {
    var mine = document.getElementById("mystate");
    if (!mine) return;
    var kind = mine.dataset.kind === "wrap_up" ? "busy" : mine.dataset.kind;
    document.querySelectorAll(".states .choice").forEach(function (button) {
      var pressed = button.dataset.state === kind && (button.dataset.reason || "") === mine.dataset.reason;
      if (button.getAttribute("aria-pressed") !== String(pressed)) button.setAttribute("aria-pressed", String(pressed));
    });
    var hint = document.getElementById("oncall-hint");
    if (hint.hidden !== !mine.dataset.oncall) hint.hidden = !mine.dataset.oncall;
  }

  document.addEventListener("DOMContentLoaded", function () {
    document.getElementById("live").addEventListener("htmx:wsAfterMessage", follow);
    follow();
  });
})();

// The supervisor's board: the menu of an agent and the filter chips.
(function () {
  "use strict";

  function $(id) { return document.getElementById(id); }

  function openMenu(url) {
    htmx.ajax("GET", url, { target: "#menu-body", swap: "innerHTML" }).then(function () {
      var menu = $("menu");
      if (!menu.open) menu.showModal();
      var first = menu.querySelector(".choice");
      if (first) first.focus();
    });
  }

  function show(kind) {
    var panel = document.querySelector(".agents-panel");
    if (kind) panel.dataset.show = kind; else delete panel.dataset.show;
    panel.querySelectorAll(".chip").forEach(function (chip) {
      chip.setAttribute("aria-pressed", String(chip.dataset.filter === kind));
    });
  }

  document.addEventListener("DOMContentLoaded", function () {
    // The filter is kept in the address, so a reload or a bookmark shows the same agents.
    show(new URLSearchParams(location.hash.slice(1)).get("agents") || "");
    document.addEventListener("click", function (event) {
      var button = event.target.closest("button");
      if (!button) return;
      if (button.dataset.menu) openMenu(button.dataset.menu);
      if (button.dataset.filter !== undefined) {
        var kind = button.getAttribute("aria-pressed") === "true" ? "" : button.dataset.filter;
        history.replaceState(null, "", kind ? "#agents=" + encodeURIComponent(kind) : location.pathname);
        show(kind);
      }
    });
    $("menu").addEventListener("click", function (event) { if (event.target === $("menu")) $("menu").close(); });
  });
})();

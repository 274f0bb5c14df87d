// The board by keyboard: one tab stop for each table and strip, arrows inside, Enter for the menu, Space to select.

const KEYS = {
  "↑ ↓": "to the next row", "← →": "to the next figure, to the next card", "Home End": "to the first, to the last row",
  Enter: "opens the row's menu; on a column's head sorts", "Shift Enter": "sorts by one more column", Space: "selects the agent", "/": "search", "?": "these keys", Escape: "puts away what is open",
};

export function keys(ctx) {
  const grids = Object.values(ctx.grids);
  const dialog = document.getElementById("keys"), list = dialog.querySelector("dl");
  for (const [key, words] of Object.entries(KEYS)) {
    const name = document.createElement("dt"), text = document.createElement("dd");
    name.textContent = key;
    text.textContent = words;
    list.append(name, text);
  }
  const help = () => { if (!dialog.open) dialog.showModal(); };
  document.getElementById("show-keys").addEventListener("click", help);
  dialog.addEventListener("click", (event) => { if (event.target === dialog || event.target.closest("[data-close]")) dialog.close(); });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
    const typing = event.target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]");
    if (typing || document.querySelector("dialog[open]")) return;
    if (event.key === "/") { event.preventDefault(); document.getElementById("search").focus(); return; }
    if (event.key === "?") { event.preventDefault(); help(); return; }
    const row = event.target.closest("tbody tr"), item = event.target.closest("[data-item]");
    if (row) onRow(event, row, event.target.closest("td"));
    else if (item) onItem(event, item);
  });

  function onRow(event, row, cell) {
    const cards = document.getElementById("board").dataset.as === "cards" && row.dataset.agent !== undefined;
    const own = event.target === row || event.target === cell, grid = grids.find((one) => one.table.contains(row));
    if (!grid) return;
    switch (event.key) {
      case "ArrowDown": go(row, grid.beside(row, 1, cards), cell); break;
      case "ArrowUp": go(row, grid.beside(row, -1, cards), cell); break;
      case "ArrowRight": if (cards) go(row, grid.beside(row, 1)); else cellTo(row, cell ? cell.nextElementSibling : row.firstElementChild); break;
      case "ArrowLeft": if (cards) go(row, grid.beside(row, -1)); else if (cell) cellTo(row, cell.previousElementSibling ?? row); break;
      case "Home": go(row, grid.beside(row, -Infinity)); break;
      case "End": go(row, grid.beside(row, Infinity)); break;
      case "Enter": if (!own) return; row.querySelector("[data-menu]")?.click(); break;
      case " ": if (!own) return; row.querySelector("[data-select]")?.click(); break;
      default: return;
    }
    event.preventDefault();
  }

  function go(row, to, cell) {
    if (!to) return;
    const target = cell ? to.children[[...row.children].indexOf(cell)] : to;
    focus(target);
    to.scrollIntoView({ block: "nearest" });
  }

  function cellTo(row, to) {
    let next = to;
    while (next && next !== row && !next.offsetWidth) next = next.nextElementSibling;
    if (!next) return;
    next.tabIndex = -1;
    next.focus();
  }

  function onItem(event, item) {
    const box = item.closest("[data-roving]"), items = [...box.querySelectorAll("[data-item]")];
    const to = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!to) return;
    event.preventDefault();
    focus(items[items.indexOf(item) + to]);
  }

  function focus(target) {
    if (!target) return;
    target.tabIndex = target.matches("td") ? -1 : 0;
    target.focus({ preventScroll: true });
  }

  // Exactly one tab stop in each table and strip: where the focus was last, else the first.
  document.addEventListener("focusin", (event) => {
    const one = event.target.closest("tbody tr, [data-item]");
    if (!one) return;
    for (const other of stops(one.closest("tbody, [data-roving]"))) if (other !== one && other.tabIndex === 0) other.tabIndex = -1;
    one.tabIndex = 0;
  });

  const stops = (box) => (box.matches("tbody") ? box.children : box.querySelectorAll("[data-item]"));

  return function keepStops() {
    for (const box of document.querySelectorAll("#board tbody, [data-roving]")) {
      const all = stops(box);
      if (all.length && ![...all].some((one) => one.tabIndex === 0)) all[0].tabIndex = 0;
    }
  };
}

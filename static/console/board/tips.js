// One tooltip for the page: what a figure means, what stands behind a value, the whole of a text that was cut short.
// By pointer after a moment, by keyboard at once; Escape puts it away.

import { el, mark } from "./dom.js";

const DELAY_MS = 250;
const MARGIN = 8;

export function tips(ctx) {
  const tip = el("div", { id: "tip", role: "tooltip", hidden: true });
  document.body.append(tip);
  let of = null, timer = 0;

  function words(target) {
    const figure = ctx.words.figures[target.dataset.figure];
    const detail = target.dataset.tip;
    const cut = target.matches("td") && target.scrollWidth > target.clientWidth + 1 ? target.textContent : "";
    return [cut, detail, figure].filter((text, n, all) => text && all.indexOf(text) === n).join("\n");
  }

  function show(target) {
    const text = words(target);
    if (!text) { hide(); return; }
    if (of && of !== target) mark(of, "aria-describedby", null);
    of = target;
    tip.textContent = text;
    tip.hidden = false;
    const at = target.getBoundingClientRect(), size = tip.getBoundingClientRect();
    const left = Math.max(MARGIN, Math.min(at.left, innerWidth - size.width - MARGIN));
    const below = at.bottom + 6 + size.height < innerHeight;
    tip.style.setProperty("left", `${left}px`);
    tip.style.setProperty("top", `${below ? at.bottom + 6 : Math.max(MARGIN, at.top - size.height - 6)}px`);
    mark(target, "aria-describedby", "tip");
  }

  function hide() {
    clearTimeout(timer);
    if (of) mark(of, "aria-describedby", null);
    of = null;
    tip.hidden = true;
  }

  const find = (event) => event.target.closest?.("[data-figure], [data-tip], td");

  document.addEventListener("pointerover", (event) => {
    const target = find(event);
    if (!target || target === of) return;
    hide();
    timer = setTimeout(() => show(target), DELAY_MS);
  });
  document.addEventListener("pointerout", (event) => { if (find(event) && !find(event).contains(event.relatedTarget)) hide(); });
  document.addEventListener("focusin", (event) => { const target = find(event); if (target && event.target.matches(":focus-visible")) show(target); else hide(); });
  document.addEventListener("focusout", hide);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  addEventListener("scroll", hide, { passive: true, capture: true });
}

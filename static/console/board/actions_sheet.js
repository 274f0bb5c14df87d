// The board's one dialog: a menu, a form, a question or the drawer. Esc closes it and gives the focus back to the row.

import { el, icon } from "./dom.js";

export class Sheet {
  #dialog; #now = null; #origin = null; #pressed = false;

  constructor() {
    this.#dialog = el("dialog", { id: "sheet", "aria-labelledby": "sheet-title" });
    document.body.append(this.#dialog);
    // Told late: by then the next one may be open.
    this.#dialog.addEventListener("close", () => { if (!this.open) this.#closed(); });
    this.#dialog.addEventListener("keydown", (event) => this.#key(event));
    // What a finger or a button of the mouse is on stays where it is until it is let go: the click would be lost.
    this.#dialog.addEventListener("pointerdown", () => { this.#pressed = true; });
    for (const over of ["pointerup", "pointercancel"]) {
      addEventListener(over, () => setTimeout(() => { this.#pressed = false; this.refresh(); }));
    }
    // A click beside it closes it, as people expect of a menu; nothing has been done then.
    this.#dialog.addEventListener("mousedown", (event) => { if (event.target === this.#dialog && !this.#now.form) this.close(); });
  }

  get open() { return this.#dialog.open; }

  // { title, sub, build(body), narrow, form, actions(): [{ key, ... }], run(action), onClose, origin: () => element }
  show(content) {
    this.#now?.onClose?.();
    this.#now = content;
    if (content.origin) this.#origin = content.origin;
    else if (!this.open) { const before = document.activeElement; this.#origin = () => before; }
    this.#dialog.classList.toggle("narrow", Boolean(content.narrow));
    this.#draw();
    if (!this.open) this.#dialog.showModal();
    const first = this.#dialog.querySelector("[autofocus]") ?? this.#dialog.querySelector(".sheet-body :is(button, input, select, textarea, a, summary)");
    (first ?? this.#dialog.querySelector("button"))?.focus();
    this.#dialog.scrollTop = 0;
  }

  // What it shows may have changed: drawn anew, with the focus where it was.
  refresh() {
    if (this.#pressed || !this.open || !this.#now?.stamp) return;
    const stamp = this.#now.stamp();
    if (stamp === this.#now.stamped) return;
    const focused = document.activeElement?.dataset.choice, scrolled = this.#dialog.scrollTop;
    this.#draw();
    if (focused) [...this.#dialog.querySelectorAll("[data-choice]")].find((one) => one.dataset.choice === focused)?.focus();
    this.#dialog.scrollTop = scrolled;
  }

  #draw() {
    const { title, sub, build } = this.#now;
    const close = el("button", { type: "button", class: "ghost", "aria-label": "Close" }, "×");
    close.addEventListener("click", () => this.close());
    const body = el("div", { class: "sheet-body" });
    build(body);
    this.#dialog.replaceChildren(
      el("div", { class: "menu-head" }, el("h2", { id: "sheet-title" }, typeof title === "function" ? title() : title), close),
      ...(sub ? [el("p", { class: "sub" }, typeof sub === "function" ? sub() : sub)] : []),
      body,
    );
    this.#now.stamped = this.#now.stamp?.();
  }

  close() { this.#dialog.close(); }

  #closed() {
    if (this.open) return; // the event comes late: something else is shown by now
    const { onClose } = this.#now, origin = this.#origin;
    this.#now = this.#origin = null;
    onClose?.();
    this.#dialog.replaceChildren();
    origin?.()?.focus();
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    const items = [...this.#dialog.querySelectorAll("button[data-choice]")];
    if (!items.length) return;
    const at = items.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowRight: at + 1, ArrowUp: at - 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
    if (to !== undefined) items.at(to % items.length).focus();
    else {
      const item = items.find((one) => one.dataset.key && one.dataset.key === event.key.toLowerCase());
      if (!item) return;
      item.click();
    }
    event.preventDefault();
    event.stopPropagation();
  }
}

// A button for an action; what cannot be done now can still be reached and read, and says why.
export function actionButton(action, run) {
  const button = el(
    "button",
    {
      type: "button", class: `item${action.danger ? " danger" : ""}${action.tone ? ` t-${action.tone}` : ""}`,
      "data-choice": action.key || action.label, "data-key": action.key || false,
      "aria-keyshortcuts": action.key ? action.key.toUpperCase() : false,
      "aria-disabled": action.why ? "true" : false, "aria-pressed": action.pressed === undefined ? false : String(action.pressed),
    },
    action.icon ? icon(action.icon) : "",
    el("span", { class: "label" }, action.label, (action.why || action.hint || action.note) ? el("small", {}, action.why || action.hint || action.note) : ""),
    action.key ? el("kbd", { "aria-hidden": "true" }, action.key.toUpperCase()) : "",
  );
  button.addEventListener("click", () => run(action));
  return button;
}

export function section(title, actions, run) {
  const id = `s-${title.toLowerCase().replace(/[^a-z]+/g, "-")}`;
  return el("section", { role: "group", "aria-labelledby": id }, el("h3", { id }, title), el("div", { class: "items" }, ...actions.map((action) => actionButton(action, run))));
}

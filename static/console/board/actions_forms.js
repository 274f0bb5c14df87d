// What must be filled in before a command, and the question before what cannot be undone.

import { el, icon } from "./dom.js";

const SOFTPHONE = "vo-softphone"; // of this session of the browser
const LONGEST = 500;

// `fields(form)` -> elements. `done(form)` sends, or returns a word why it may not be sent yet.
function form(sheet, { title, sub, submit, origin, fields, done }) {
  const made = el("form", { class: "sheet-form" });
  const problem = el("p", { class: "problem", role: "alert", hidden: true });
  made.append(...fields(made), problem, el("p", { class: "actions" },
    el("button", { type: "submit", class: "primary" }, submit),
    cancelled(sheet)));
  made.addEventListener("submit", (event) => {
    event.preventDefault();
    const why = done(made);
    problem.hidden = !why;
    problem.replaceChildren(...(why ? [icon("alert"), why] : []));
    if (!why) sheet.close();
  });
  sheet.show({ title, sub, origin, form: true, narrow: true, build: (body) => body.append(made) });
}

function cancelled(sheet) {
  const button = el("button", { type: "button" }, "Cancel");
  button.addEventListener("click", () => sheet.close());
  return button;
}

// A hint describes the field and is no part of its name.
function field(label, input, hint = "") {
  const id = `f-${input.name}`, small = hint || input.tagName === "TEXTAREA" ? el("small", { id: `${id}-hint` }, hint) : "";
  input.id = id;
  if (small) input.setAttribute("aria-describedby", small.id);
  return el("div", { class: "field" }, el("label", { for: id }, label), input, small);
}

const extension = (value) => el("input", {
  name: "extension", required: true, pattern: "[0-9]{2,12}", maxlength: 12, inputmode: "numeric", autocomplete: "off",
  autofocus: true, value, title: "2 to 12 digits",
});

export function transferForm(sheet, action, origin, send) {
  form(sheet, {
    title: "Transfer", sub: action.about, submit: "Transfer", origin,
    fields: () => [field("To extension", extension(""), "The customer is joined to it; the agent is free. This cannot be taken back.")],
    done: (made) => { send({ ...action.message, extension: made.elements.extension.value }); },
  });
}

export function softphoneForm(sheet, action, origin, send) {
  form(sheet, {
    title: action.label, sub: action.about, submit: action.label, origin,
    fields: () => [
      action.confirm ? el("p", {}, action.confirm) : "",
      field("Your softphone's extension", extension(sessionStorage.getItem(SOFTPHONE) ?? ""), "You have none of your own set up: this one is called."),
    ],
    done: (made) => {
      sessionStorage.setItem(SOFTPHONE, made.elements.extension.value);
      send({ ...action.message, extension: made.elements.extension.value });
    },
  });
}

export function limitsForm(sheet, action, campaign, origin, send) {
  const { limits } = campaign;
  const was = { max_lines: campaign.max_lines, calls_per_second: limits.calls_per_second ?? 0, power_ratio: limits.power_ratio };
  const number = (name, min, max, step) => el("input", { type: "number", name, min, max, step, required: true, value: was[name] });
  form(sheet, {
    title: `Limits of ${campaign.name}`, sub: "They hold from the next decision on; what rings, rings on.", submit: "Set limits", origin,
    fields: () => [
      field("Lines at once", number("max_lines", 0, 10_000, 1)),
      field("Calls per second", number("calls_per_second", 0, 1_000, 1), "0: only the system's limit"),
      field("Calls for each idle agent", number("power_ratio", 1, 10, 0.01), "in mode power"),
    ],
    done: (made) => {
      const message = { ...action.message };
      for (const name of Object.keys(was)) {
        const value = Number(made.elements[name].value);
        if (value !== was[name]) message[name] = value;
      }
      if (Object.keys(message).length === Object.keys(action.message).length) return "Nothing has been changed.";
      send(message);
    },
  });
}

// `choices`: [{ label, to: { agents | teams | campaigns } }], the first one meant.
export function messageForm(sheet, choices, origin, send) {
  form(sheet, {
    title: "Message to agents", sub: "It stays on their panels until they have read it.", submit: "Send", origin,
    fields: (made) => {
      const to = el("select", { name: "to" }, ...choices.map(({ label }, n) => el("option", { value: n }, label)));
      const text = el("textarea", { name: "text", required: true, maxlength: LONGEST, rows: 4, autofocus: true });
      const written = field("Text", text), count = written.lastChild;
      const counted = () => { count.textContent = `${text.value.length} of ${LONGEST}`; };
      text.addEventListener("input", counted);
      // Enter sends, as in every chat; a new line is Shift+Enter.
      text.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
        event.preventDefault();
        made.requestSubmit();
      });
      counted();
      return [field("To", to), written];
    },
    done: (made) => {
      const text = made.elements.text.value.trim();
      if (!text) return "The message is empty.";
      const { to, label } = choices[Number(made.elements.to.value)];
      send({ type: "send_message", ...to, text }, `Message to ${label}`);
    },
  });
}

// Yes is one key away, and not the one that is pressed by habit.
export function question(sheet, title, text, origin, yes) {
  sheet.show({
    title, origin, narrow: true,
    build: (body) => {
      const answer = (word, key, more, then) => {
        const button = el("button", { type: "button", "data-choice": word, "data-key": key, ...more }, word, el("kbd", { "aria-hidden": "true" }, key.toUpperCase()));
        button.addEventListener("click", then);
        return button;
      };
      body.append(
        el("p", {}, text),
        el("p", { class: "actions" },
          answer("Yes", "y", { class: "danger" }, () => { sheet.close(); yes(); }),
          answer("No", "n", { autofocus: true }, () => sheet.close())),
      );
    },
  });
}

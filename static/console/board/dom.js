// Elements, made once and written only where they have changed. Text is always text, never markup.

const SVG = "http://www.w3.org/2000/svg";

export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "i");
  svg.setAttribute("aria-hidden", "true");
  svg.append(document.createElementNS(SVG, "use"));
  point(svg, name);
  return svg;
}

export function point(svg, name) { svg.firstChild.setAttribute("href", "#i-" + name); }

export function write(element, text) { if (element.textContent !== text) element.textContent = text; }

export function hide(element, hidden) { if (element.hidden !== hidden) element.hidden = hidden; }

export function mark(element, name, value) {
  if (value === "" || value === null || value === false) { if (element.hasAttribute(name)) element.removeAttribute(name); }
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

// One place that holds an icon, a text and a tooltip, and remembers them.
export class Spot {
  text = ""; #node = null; #svg = null; #icon = ""; #tone = null; #tip = ""; #extra = ""; #said = null; #word = "";

  constructor(element) { this.element = element; this.base = element.className; }

  // `tip`: what hovering and focusing say. `word`: the icon's meaning, where no text says it.
  show(text, { icon: name = "", tone = "", tip = "", extra = "", word = "" } = {}) {
    this.#write(text);
    if (name !== this.#icon) this.#draw(name);
    if (tone !== this.#tone || extra !== this.#extra) {
      this.#tone = tone;
      this.#extra = extra;
      this.element.className = this.base + (tone ? " t-" + tone : "") + (extra ? " " + extra : "");
    }
    if (tip !== this.#tip) { this.#tip = tip; mark(this.element, "data-tip", tip); }
    if (word !== this.#word) this.#say(word);
  }

  #write(text) {
    if (text === this.text) return;
    this.text = text;
    if (this.#node) this.#node.data = text;
    else { this.#node = document.createTextNode(text); this.element.append(this.#node); }
  }

  #draw(name) {
    this.#icon = name;
    if (!name) { this.#svg.remove(); this.#svg = null; return; }
    if (this.#svg) point(this.#svg, name);
    else { this.#svg = icon(name); this.element.prepend(this.#svg); }
  }

  #say(word) {
    this.#word = word;
    if (!this.#said) { this.#said = el("span", { class: "visually-hidden" }); this.element.append(this.#said); }
    this.#said.textContent = word;
  }
}

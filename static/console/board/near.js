// Which rows of a long grid are near the screen. All rows are equally high; cards stand in lines of as many as fit.

// Up to so many rows are all in the page, where the browser's own search finds them; more would cost every drawing.
const ALL = 220;
// Lines beyond each edge: what is there before the next drawing when somebody scrolls.
const SPARE = 8;
// Before anything can be measured.
const FIRST = 40;

export class Near {
  #table; #body; #first = 0; #last = FIRST; #pitch = 0; #across = 1;

  // `moved()`: other rows are near than before.
  constructor(table, body, moved) {
    this.#table = table;
    this.#body = body;
    const look = () => { if (this.measure()) moved(); };
    document.addEventListener("scroll", (event) => { if (event.target.contains(table)) look(); }, { capture: true, passive: true });
    addEventListener("resize", look);
    const sizes = new ResizeObserver(look);
    for (const element of [table, body, document.body]) sizes.observe(element);
  }

  // Cards that stand beside each other.
  get across() { return this.#across; }

  // Of `count` rows those from, up to and without.
  range(count) {
    if (count <= ALL) return [0, count];
    const lines = Math.ceil(count / this.#across), most = this.#last - this.#first;
    const first = Math.max(0, Math.min(this.#first, lines - most));
    return [first * this.#across, Math.min(count, (first + most) * this.#across)];
  }

  // Room for the rows that are not there; `before`, `after`: how many they are; `kept`: lines out of place that are.
  space(before, after, [above, below]) {
    const height = (rows, kept) => `${Math.max(0, Math.ceil(rows / this.#across) - kept) * this.#pitch}px`;
    const top = height(before, above), bottom = height(after, below), { style } = this.#body;
    if (style.paddingTop !== top) style.paddingTop = top;
    if (style.paddingBottom !== bottom) style.paddingBottom = bottom;
  }

  // Reads sizes and places: to be called when nothing has been written since the last layout. True when others are near.
  measure() {
    const row = this.#body.firstElementChild;
    if (!row) return false;
    const view = this.#table.getBoundingClientRect(), top = this.#body.getBoundingClientRect().top, style = getComputedStyle(this.#body);
    const pitch = row.offsetHeight + (parseFloat(style.rowGap) || 0);
    if (!pitch) return false; // not shown
    const across = style.display === "grid" ? style.gridTemplateColumns.split(" ").length : 1;
    const first = Math.max(0, Math.floor((Math.max(view.top, 0) - top) / pitch) - SPARE);
    const last = Math.max(first, Math.ceil((Math.min(view.bottom, innerHeight) - top) / pitch)) + SPARE;
    const other = first !== this.#first || last !== this.#last || pitch !== this.#pitch || across !== this.#across;
    this.#first = first;
    this.#last = last;
    this.#pitch = pitch;
    this.#across = across;
    return other;
  }

  // Scrolls so that the row at this place is in the middle: the table where it scrolls, else the page.
  reach(place) {
    this.measure();
    const box = this.#table.scrollHeight > this.#table.clientHeight ? this.#table : document.scrollingElement;
    const view = this.#table.getBoundingClientRect(), middle = (Math.max(view.top, 0) + Math.min(view.bottom, innerHeight)) / 2;
    box.scrollTop += this.#body.getBoundingClientRect().top + Math.floor(place / this.#across) * this.#pitch - middle;
    this.measure();
  }
}

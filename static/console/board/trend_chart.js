// One small chart over the minutes: lines on one scale, a gap where nothing is known. Colours are the page's own.

import uPlot from "../../vendor/uplot/uPlot.esm.js";

const GUTTER = 42;
const AXIS = 18;
const EDGE = 16; // half of a time's width, which may stand under the last minute
const FONT = "11px system-ui, sans-serif";
const DASHES = [[], [4, 3]];

// `series`: [{key, tone}], the second one dashed: a line is known without its colour. `format(value)`: for the scale. `top`:
// what the scale reaches at least. `onMove(index)`: the pointer stands on this minute, null when it has left.
export class Chart {
  constructor(box, { series, format, top, height, times, onMove }) {
    Object.assign(this, { box, series, format, top, height, times, onMove });
    this.data = null;
    this.plot = null;
    this.silent = false;
  }

  // `minutes` in seconds; `values`: a list for each series.
  show(minutes, values) {
    this.data = [minutes, ...values];
    if (this.plot) this.plot.setData(this.data);
    else if (this.box.clientWidth) this.build();
  }

  // Anew: the colours or the width are others.
  build() {
    this.plot?.destroy();
    this.plot = null;
    if (this.data && this.box.clientWidth) this.plot = new uPlot(this.#options(), this.data, this.box);
  }

  fit() {
    if (!this.plot) this.build();
    else if (this.box.clientWidth && this.box.clientWidth !== this.plot.width) this.plot.setSize({ width: this.box.clientWidth, height: this.height });
  }

  // Puts the cursor on a minute, or away.
  point(index) {
    if (!this.plot) return;
    this.silent = true;
    if (index === null) this.plot.setCursor({ left: -10, top: -10 });
    else this.plot.setCursor({ left: this.plot.valToPos(this.data[0][index], "x"), top: 0 });
    this.silent = false;
  }

  #options() {
    const css = getComputedStyle(document.documentElement), colour = (name) => css.getPropertyValue(`--${name}`).trim();
    const lines = { stroke: colour("rule"), width: 1 };
    const axis = { stroke: colour("muted"), font: FONT, ticks: { show: false } };
    return {
      width: this.box.clientWidth,
      height: this.height,
      padding: [6, EDGE, this.times ? 0 : 8, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 }, focus: { prox: -1 } },
      scales: { x: { time: true }, y: { range: (_, low, high) => [0, Math.max(this.top, round(high ?? 0))] } },
      axes: [
        { ...axis, show: this.times, size: AXIS, gap: 2, grid: { show: false }, space: 60, values: (_, ticks) => ticks.map(hourAndMinute) },
        { ...axis, size: GUTTER, gap: 4, grid: lines, splits: (plot) => [0, plot.scales.y.max], values: (_, ticks) => ticks.map((value) => this.format(value)) },
      ],
      series: [
        {},
        ...this.series.map(({ tone }, n) => ({
          stroke: colour(tone), width: 1.5, dash: DASHES[n], spanGaps: false,
          points: { show: true, size: 4, fill: colour(tone), filter: alone },
        })),
      ],
      hooks: { setCursor: [(plot) => { if (!this.silent) this.onMove(plot.cursor.left >= 0 ? plot.cursor.idx : null); }] },
    };
  }
}

// The next of 1, 2, 5, 10, 20 …
function round(value) {
  if (value <= 0) return 0;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}

function hourAndMinute(seconds) {
  const at = new Date(1000 * seconds), pad = (n) => String(n).padStart(2, "0");
  return `${pad(at.getHours())}:${pad(at.getMinutes())}`;
}

// Minutes between two gaps have no line to be seen by: a dot.
function alone(plot, n) {
  const values = plot.data[n], found = [];
  for (let at = 0; at < values.length; at += 1) {
    if (values[at] != null && values[at - 1] == null && values[at + 1] == null) found.push(at);
  }
  return found;
}

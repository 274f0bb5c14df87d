// Figures, times and codes as people read them. Pure.

export const NONE = "–";

const pad = (n) => (n < 10 ? "0" : "") + n;

// 1:05, 1:02:03.
export function duration(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 3600) return Math.floor(s / 60) + ":" + pad(s % 60);
  return Math.floor(s / 3600) + ":" + pad(Math.floor(s / 60) % 60) + ":" + pad(s % 60);
}

// 0.4 s.
export function seconds(ms) { return (Math.max(0, ms) / 1000).toFixed(1) + " s"; }

// 12 s, 4 min, 3 h: how long ago, where a second more or less says nothing.
export function about(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  return s < 90 ? s + " s" : s < 5400 ? Math.round(s / 60) + " min" : Math.round(s / 3600) + " h";
}

export function clock(ms) {
  const at = new Date(ms);
  return pad(at.getHours()) + ":" + pad(at.getMinutes()) + ":" + pad(at.getSeconds());
}

// When something will be: 14:05 today, Tue 14:05 later.
export function moment(ms, now) {
  const at = new Date(ms), time = pad(at.getHours()) + ":" + pad(at.getMinutes());
  if (at.toDateString() === new Date(now).toDateString()) return time;
  return at.toLocaleDateString(undefined, ms - now < 6 * 864e5 ? { weekday: "short" } : { day: "numeric", month: "short" }) + " " + time;
}

const grouped = new Intl.NumberFormat("en-US", { useGrouping: true });

// 1 234, with a thin space.
export function count(n) { return n === null || n === undefined ? NONE : n < 1000 ? String(n) : grouped.format(n).replaceAll(",", "\u2009"); }

// A ratio of the protocol as a share: a dash when there is nothing to divide by.
export function percent(ratio, digits = 1) {
  return ratio && ratio.denominator ? (100 * ratio.numerator / ratio.denominator).toFixed(digits) + " %" : NONE;
}

export function of(ratio) { return `${count(ratio.numerator)} of ${count(ratio.denominator)}`; }

// A code of the database as words.
export function plain(code) { return code.replaceAll("_", " ").replaceAll("-", " "); }

// Choices that this browser keeps: on or off.

export function remembered(key) {
  try { return localStorage.getItem(key) === "1"; } catch { return false; }
}

export function remember(key, on) {
  try { localStorage.setItem(key, on ? "1" : "0"); } catch { /* a browser that keeps nothing: for this page only */ }
}

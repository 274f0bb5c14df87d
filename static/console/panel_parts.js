// What the panel fetches as a call comes: the customer, the contact for preview, the disposition form. A server that fails
// or is away is asked again until it answers: without the form nobody gets out of a wrap-up that wants a disposition.
(function () {
  "use strict";

  const ID = /0{8}-(0{4}-){3}0{12}/;
  // A request that hangs must not stand in the way of the next.
  const ANSWER_MS = 10000;
  const FIRST_PAUSE_MS = 500;
  const LONGEST_PAUSE_MS = 8000;
  // By place, the last that was asked for: an answer to anything before it comes too late.
  const wanted = new Map();

  // The part's HTML, "" where there is nothing to see (any more), null when the server is away.
  async function ask(address) {
    try {
      const answer = await fetch(address, { credentials: "same-origin", cache: "no-store", redirect: "manual", signal: AbortSignal.timeout(ANSWER_MS) });
      if (answer.status >= 500) return null;
      return answer.status === 200 ? await answer.text() : "";
    } catch (error) { return null; }
  }

  function tell(place, what) {
    const words = document.createElement("p");
    words.className = "empty";
    words.textContent = "The server does not send " + what + ". It is asked again by itself.";
    place.replaceChildren(words);
    document.getElementById("said").textContent = words.textContent;
  }

  async function load(place, { address, id, what, late, take }) {
    const mine = {};
    wanted.set(place, mine);
    for (let tries = 0; wanted.get(place) === mine; tries += 1) {
      const html = await ask(address.replace(ID, id));
      if (wanted.get(place) !== mine) return;
      if (html !== null) { take(html); return; }
      if (!tries) { tell(place, what); late(); }
      // Jitter: a restarted server must not see all panels at once.
      const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** tries) * (0.5 + Math.random() / 2);
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  window.panelParts = {
    // `address`: with zeros for the id. `late()`: the place says that `what` does not come yet. `take(html)`: the answer.
    load,
    drop(place) { wanted.delete(place); },
    // Made by our own templates, which escape what people have written.
    put(place, html) { place.replaceChildren(document.createRange().createContextualFragment(html)); },
  };
})();

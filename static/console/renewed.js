// Parts of a page that htmx fetches, again and again or after a choice. When one does not come, what stands in its place is
// old, or of another choice: it says so and since when, until it comes.
(function () {
  "use strict";

  const opened = Date.now();
  const came = new Map(); // id of the part -> when
  let status = null;

  const clock = (ms) => new Date(ms).toISOString().slice(11, 19) + " UTC";

  // `answer`: the status of HTTP; 0: none came.
  function why(answer) {
    if (!answer) return "the server does not answer";
    if (answer >= 500) return "the server failed";
    if (answer === 403) return "the server refuses it to your user as you are signed in now";
    return answer === 404 ? "it is not there any more" : "the server refused it";
  }

  function words({ elt, target, xhr }) {
    const again = !xhr.status || xhr.status >= 500, reason = why(xhr.status);
    if ((elt.getAttribute("hx-trigger") || "").startsWith("every")) {
      const what = again ? "It is asked again by itself." : "Reload this page.";
      return "Not renewed since " + clock(came.get(target.id) || opened) + ": " + reason + ". " + what;
    }
    return "Not shown: " + reason + ". What is below is still what was shown before. " + (again ? "Choose again, or reload this page." : "Reload this page.");
  }

  function notice(id) { return Array.from(document.querySelectorAll(".late")).find((one) => one.dataset.late === id); }

  function onFailure(event) {
    const { target } = event.detail, said = words(event.detail);
    let place = notice(target.id);
    if (!place) {
      place = document.createElement("p");
      place.className = "late";
      place.dataset.late = target.id;
      target.before(place);
    }
    if (place.textContent === said) return;
    place.textContent = said;
    // Beside what is seen: a screen reader hears it once, not at each try.
    status.textContent = said;
  }

  function onAnswer(event) {
    const { successful, target } = event.detail;
    if (!successful) return;
    came.set(target.id, Date.now());
    const place = notice(target.id);
    if (!place) return;
    place.remove();
    status.textContent = "Renewed.";
  }

  document.addEventListener("DOMContentLoaded", () => {
    status = document.createElement("p");
    status.className = "visually-hidden";
    status.id = "renewed";
    status.setAttribute("role", "status");
    // First: at the end of a page it would make it a pixel longer.
    document.body.prepend(status);
    for (const name of ["responseError", "sendError", "timeout"]) document.addEventListener("htmx:" + name, onFailure);
    document.addEventListener("htmx:afterRequest", onAnswer);
  });
})();

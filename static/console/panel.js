// The agent's panel: which state is pressed, the customer of the call, the contact for preview, the form to dial by hand.
(function () {
  "use strict";

  let preview = "", record = "", note = "";

  const $ = (id) => document.getElementById(id);
  function say(words) { $("said").textContent = words; }

  function follow() {
    const mine = $("mystate").dataset, kind = mine.kind === "wrap_up" ? "busy" : mine.kind;
    for (const button of document.querySelectorAll(".states .choice")) {
      const pressed = String(button.dataset.state === kind && (button.dataset.reason || "") === mine.reason);
      if (button.getAttribute("aria-pressed") !== pressed) button.setAttribute("aria-pressed", pressed);
    }
    const hint = $("oncall-hint");
    if (hint.hidden !== !mine.oncall) hint.hidden = !mine.oncall;
    followPreview(mine.preview, mine.contact);
    followRecord(mine.record);
    followManual();
    followNote();
    $("no-record").hidden = Boolean(record || preview);
  }

  function load(section, id, what, shown) {
    const late = () => { section.hidden = false; };
    const take = (html) => {
      if (!html) { empty(section); return; }
      panelParts.put(section, html);
      localTimes(section);
      section.hidden = false;
      shown();
    };
    panelParts.load(section, { address: section.dataset.url, id, what, late, take });
  }

  // --- the customer of the call: fetched once, when it comes ---

  function followRecord(id) {
    if (id === record) return;
    record = id;
    const section = $("record");
    if (!id) { empty(section); return; }
    load(section, id, "the customer", () => say("Customer: " + $("h-record").textContent));
  }

  function empty(section) {
    panelParts.drop(section);
    const held = section.contains(document.activeElement);
    section.hidden = true;
    section.replaceChildren();
    if (held) $("main").focus({ preventScroll: true });
  }

  // Times of people are told in the agent's own; the customer's clock beside it, where their zone is known.
  function localTimes(section) {
    const how = { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" };
    for (const element of section.querySelectorAll("time[datetime]")) {
      element.textContent = new Date(element.dateTime).toLocaleString(undefined, how);
    }
    for (const element of section.querySelectorAll("[data-zone]")) {
      try {
        const clock = new Intl.DateTimeFormat(undefined, { timeZone: element.dataset.zone, hour: "2-digit", minute: "2-digit" }).format(new Date());
        element.textContent = clock + " there (" + element.dataset.zone.split("/").pop().replace(/_/g, " ") + ")";
      } catch (error) { /* a zone the browser does not know: its name stays */ }
    }
  }

  // --- the contact for preview ---

  function followPreview(id, contact) {
    if (id === preview) return;
    preview = id;
    const section = $("preview");
    if (!id) { empty(section); return; }
    load(section, id, "the contact for preview", () => {
      say("Contact for preview: " + (contact || "no name"));
      $("preview-at").min = localTime(new Date());
      // Only where the keyboard is nowhere else: what is being typed goes on.
      if (document.activeElement === document.body || document.activeElement === null) $("preview-dial").focus();
    });
  }

  function localTime(date) {
    return new Date(date.getTime() - date.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
  }

  // --- dialling by hand: the campaigns in which it is allowed now ---

  function followManual() {
    const select = $("manual-campaign"), items = Array.from($("mymanual").children);
    const wanted = items.map((item) => item.dataset.id + item.textContent).join("\n");
    if (select.dataset.shown === wanted) return;
    select.dataset.shown = wanted;
    const chosen = select.value;
    select.replaceChildren(...items.map((item) => {
      const option = new Option(item.textContent, item.dataset.id);
      option.selected = item.dataset.id === chosen;
      return option;
    }));
    $("manual").hidden = !items.length;
  }

  // --- a supervisor's message ---

  function followNote() {
    const box = $("mynote");
    if (box.dataset.note === note) return;
    note = box.dataset.note;
    document.body.toggleAttribute("data-noted", Boolean(note));
    if (note) say("Message from " + box.querySelector(".from b").textContent + ": " + box.querySelector(".text").textContent);
  }

  document.addEventListener("DOMContentLoaded", () => {
    document.addEventListener("panel:message", follow);
    follow();
  });
})();

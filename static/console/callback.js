// When a customer may be called back: times to choose from, their clock beside one's own, and why a time is not possible.
// The server decides (dialer/appointments.py) and asks again when the disposition is saved.
(function () {
  "use strict";

  const ID = /0{8}-(0{4}-){3}0{12}/;
  const $ = (id) => document.getElementById(id);
  const pad = (n) => String(n).padStart(2, "0");
  let asked = 0;

  function local(date) {
    return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}T${pad(date.getHours())}:${pad(date.getMinutes())}`;
  }

  function clock(ms, zone) {
    const how = { weekday: "short", hour: "2-digit", minute: "2-digit" };
    try { return new Intl.DateTimeFormat(undefined, zone ? { ...how, timeZone: zone } : how).format(new Date(ms)); }
    catch (error) { return ""; /* a zone the browser does not know */ }
  }

  // What nobody has chosen yet: it is no change that could be lost.
  function begin(at, date) { at.defaultValue = at.value = local(date); }

  const place = (zone) => zone.split("/").pop().replace(/_/g, " ");

  function there(ms, zone) { return zone && ms ? `For them: ${clock(ms, zone)} (${place(zone)})` : ""; }

  function wrong(time, zone) {
    if (!time || !time.reason) return "";
    const again = time.opens_at ? `; possible from ${clock(time.opens_at)}${zone ? `, ${clock(time.opens_at, zone)} for them` : ""}` : "";
    return `Not possible: ${time.reason}${again}`;
  }

  // The answer to an older question must not overwrite a newer one's.
  function check(call, first) {
    const at = $("callback-at"), box = at.closest(".appointment"), mine = ++asked;
    const ms = at.value ? new Date(at.value).getTime() : 0;
    $("callback-there").textContent = there(ms, box.dataset.zone);
    at.setCustomValidity("");
    const address = $("disposing").dataset.times.replace(ID, call) + (ms ? "?at=" + ms : "");
    fetch(address, { credentials: "same-origin", cache: "no-store", redirect: "manual" })
      .then((answer) => (answer.status === 200 ? answer.json() : null))
      .then((found) => {
        if (mine !== asked || !found || !box.isConnected) return;
        box.dataset.zone = found.zone || box.dataset.zone;
        show(found.choices, box.dataset.zone, call);
        const best = first && found.choices.find((choice) => !choice.reason);
        if (best && found.asked && found.asked.reason) { begin(at, new Date(best.at)); check(call, false); return; }
        $("callback-there").textContent = there(ms, box.dataset.zone);
        $("callback-wrong").textContent = wrong(found.asked, found.zone);
        at.setCustomValidity(wrong(found.asked, found.zone));
      })
      .catch(() => { /* not known now: the server says so when it is saved */ });
  }

  function show(choices, zone, call) {
    const quick = $("callback-quick"), focused = quick.contains(document.activeElement) ? document.activeElement.dataset.key : "";
    quick.replaceChildren(...choices.map((choice) => {
      const button = document.createElement("button"), words = document.createElement("span"), small = document.createElement("small");
      button.type = "button";
      button.dataset.key = choice.key;
      words.textContent = choice.label;
      small.textContent = choice.reason || clock(choice.at, zone) + (zone ? " there" : "");
      if (choice.reason) { button.setAttribute("aria-disabled", "true"); button.title = choice.reason; }
      button.append(words, small);
      button.addEventListener("click", () => {
        if (choice.reason) return;
        $("callback-at").value = local(new Date(choice.at));
        $("callback-at").dispatchEvent(new Event("change", { bubbles: true }));
      });
      return button;
    }));
    const again = focused && quick.querySelector(`[data-key="${focused}"]`);
    if (again) again.focus({ preventScroll: true });
  }

  // `wanted`: whether the chosen disposition makes an appointment.
  window.callbackPicker = {
    follow(form, wanted, moved) {
      const box = form.querySelector(".appointment"), at = $("callback-at");
      if (!box) return;
      const opens = wanted && box.hidden;
      box.hidden = !wanted;
      at.required = wanted;
      if (!wanted) { at.setCustomValidity(""); return; }
      at.min = local(new Date());
      const known = Number(at.dataset.at), fresh = !at.value;
      if (fresh) begin(at, new Date(known || Math.ceil((Date.now() + 3600000) / 900000) * 900000));
      if (opens || moved) check(form.dataset.call, fresh && !known);
    },
    // Whether an appointment would be another than the one the form began with.
    changed(form) {
      const at = $("callback-at"), mine = form.elements.callback_personal;
      return Boolean(at) && !at.closest(".appointment").hidden && (at.value !== at.defaultValue || mine.checked !== mine.defaultChecked);
    },
    // The form now begins with what has been saved.
    saved(form, message) {
      const at = $("callback-at");
      if (!at) return;
      at.dataset.at = message.callback_at || "";
      if (!message.callback_at) return;
      at.defaultValue = local(new Date(message.callback_at));
      form.elements.callback_personal.defaultChecked = message.callback_personal;
    },
  };
})();

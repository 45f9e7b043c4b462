// The pages work without this script. It shows live numbers, the time zone of the
// browser, and the confirmation of an action in a dialog.
"use strict";
(() => {
  const base = document.body.dataset.base;

  // Times are in UTC. Their title is in the time zone of the browser.
  for (const t of document.querySelectorAll("time")) {
    t.title = new Date(t.dateTime).toLocaleString();
  }

  const group = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, "\u202f");
  const size = (n) => {
    if (n < 1024) return n + " B";
    let unit;
    for (unit of ["KiB", "MiB", "GiB", "TiB", "PiB"]) {
      n /= 1024;
      if (n < 1000) break;
    }
    return n.toFixed(n >= 100 ? 0 : n >= 10 ? 1 : 2) + " " + unit;
  };
  const age = (time) => {
    if (!time) return "–";
    const s = Math.max(0, Math.floor((Date.now() - Date.parse(time)) / 1000));
    const two = (a, first, b, second) => a + " " + first + (b ? " " + b + " " + second : "");
    if (s < 60) return s + " s";
    if (s < 3600) return two(Math.floor(s / 60), "min", s % 60, "s");
    if (s < 86400) return two(Math.floor(s / 3600), "h", Math.floor(s % 3600 / 60), "min");
    return two(Math.floor(s / 86400), "d", Math.floor(s % 86400 / 3600), "h");
  };
  const rate = (r) => {
    if (r === 0) return "0";
    if (r >= 1) return r.toFixed(1) + "/s";
    return r * 60 >= 1 ? (r * 60).toFixed(1) + "/min" : (r * 3600).toFixed(1) + "/h";
  };
  const show = (element, text) => {
    if (element.textContent !== text) element.textContent = text;
  };

  if (document.querySelector("[data-live]") && window.EventSource) {
    new EventSource(base + "events").addEventListener("totals", (event) => {
      const now = JSON.parse(event.data);
      for (const e of document.querySelectorAll("[data-live] [data-number]")) show(e, group(now[e.dataset.number]));
      for (const e of document.querySelectorAll("[data-live] [data-bytes]")) show(e, size(now[e.dataset.bytes]));
      for (const e of document.querySelectorAll("[data-live] [data-rate]")) show(e, rate(now[e.dataset.rate]));
      for (const e of document.querySelectorAll("[data-live] [data-age]")) show(e, age(now[e.dataset.age]));
    });
  }

  // A button of an action gets the page that asks for the confirmation. It is
  // shown in a dialog, and its form is sent without this script.
  document.addEventListener("submit", async (event) => {
    const form = event.target, button = event.submitter;
    if (!form.classList.contains("list") || !button || !window.HTMLDialogElement) return;
    event.preventDefault();
    // The property formAction of a button without this attribute is the page.
    const action = button.hasAttribute("formaction") ? button.formAction : form.action;
    const answer = await fetch(action, {
      method: "POST", body: new URLSearchParams(new FormData(form, button)), headers: { Accept: "text/html" },
    });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const dialog = document.createElement("dialog");
    dialog.append(...page.querySelector("main").children);
    const title = dialog.querySelector("h1, h2");
    if (title) {
      title.id = "dialog-title";
      dialog.setAttribute("aria-labelledby", title.id);
    }
    let cancel = dialog.querySelector("a.button");
    if (!cancel) {
      cancel = document.createElement("button");
      cancel.textContent = "Close";
      dialog.append(cancel);
    }
    cancel.addEventListener("click", (e) => { e.preventDefault(); dialog.close(); });
    dialog.addEventListener("close", () => { dialog.remove(); button.focus(); });
    document.body.append(dialog);
    dialog.showModal();
    const first = dialog.querySelector("input:not([type=hidden])");
    if (first) first.focus();
  });
})();

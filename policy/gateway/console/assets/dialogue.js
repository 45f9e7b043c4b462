// The dialogue of live sessions as it happens. Without this script, the page shows
// what the sessions have kept.
"use strict";
(() => {
  const table = document.querySelector("[data-watch]"), state = document.querySelector("[data-watch-state]");
  if (!table || !window.EventSource) return;
  const most = 1000; // rows
  const rows = table.tBodies[0], peers = table.tHead.rows[0].cells.length > 2;
  const source = new EventSource(table.dataset.watch);
  source.addEventListener("open", () => {
    // The stream of one session begins with the lines of the page.
    if (!peers) rows.replaceChildren();
    state.textContent = "New lines are shown as they come.";
  });
  source.addEventListener("line", (event) => {
    const line = JSON.parse(event.data), row = rows.insertRow();
    const time = document.createElement("time");
    time.dateTime = line.time;
    time.title = new Date(line.time).toLocaleString();
    time.textContent = new Date(line.time).toISOString().slice(0, 19).replace("T", " ");
    row.insertCell().append(time);
    if (peers) row.insertCell().textContent = line.remote || "";
    const text = row.insertCell();
    text.className = "mono text";
    text.textContent = line.kind + " " + line.text;
    if (rows.rows.length > most) rows.deleteRow(0);
  });
  source.addEventListener("end", (event) => {
    source.close();
    state.textContent = JSON.parse(event.data).reason;
  });
  source.addEventListener("error", () => {
    state.textContent = source.readyState === EventSource.CLOSED ? "The view has ended. Reload the page to try again." : "The connection is lost. It is tried again.";
  });
})();

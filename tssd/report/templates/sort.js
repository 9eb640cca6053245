// Sorts a table by the column whose heading is pressed; without it the page is as complete.
"use strict";
const UNITS = {
  T: 1e12, G: 1e9, M: 1e6, KiB: 2 ** 10, MiB: 2 ** 20,
  pJ: 1e-12, nJ: 1e-9, "µJ": 1e-6, mJ: 1e-3, ns: 1e-9, "µs": 1e-6, ms: 1e-3,
};
function amount(text) {
  const found = text.replace(/,/g, "").match(/^(?:under )?(-?\d[\d.]*(?:e[+-]?\d+)?) ?([a-zA-Zµ]*)/);
  return found ? Number(found[1]) * (UNITS[found[2]] || 1) : NaN;
}
function compared(a, b) {
  const [x, y] = [amount(a), amount(b)];
  return isNaN(x) || isNaN(y) ? a.localeCompare(b) : x - y;
}
function sort(table, head) {
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const text = (row) => row.cells[head.cellIndex].textContent.trim();
  const told = (row) => text(row) !== "" && text(row) !== "not run"; // these stay last
  const order = (a, b) => told(b) - told(a) || (down ? -1 : 1) * compared(text(a), text(b));
  table.tBodies[0].append(...[...table.tBodies[0].rows].sort(order));
}
for (const table of document.querySelectorAll("table.sorts")) {
  for (const head of table.tHead.rows[0].cells) {
    const press = document.createElement("button");
    press.type = "button";
    press.append(...head.childNodes);
    press.addEventListener("click", () => sort(table, head));
    head.append(press);
  }
}

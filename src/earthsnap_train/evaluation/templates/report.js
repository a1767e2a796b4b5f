"use strict";
// Sorting, finding and unfolding. Without this script the page shows everything, in its first order.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const first = Number(table.dataset.first || rows.length);
  const all = document.querySelector(`[data-all="${table.id}"]`);
  const find = document.querySelector(`[data-filter="${table.id}"]`);
  let folded = rows.length > first;

  function show() {
    const wanted = find ? find.value.trim().toLowerCase() : "";
    Array.from(body.rows).forEach((row, place) => {
      row.hidden = wanted ? !row.dataset.find.includes(wanted) : folded && place >= first;
    });
    if (all) {
      all.hidden = Boolean(wanted) || rows.length <= first;
      all.textContent = folded ? `Show all ${rows.length}` : `Show the first ${first}`;
      all.setAttribute("aria-expanded", String(!folded));
    }
  }

  const heads = Array.from(table.tHead.rows[0].cells);
  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      const isNumber = head.classList.contains("num");
      const value = (row) => row.cells[column].dataset.value;
      const order = (a, b) => (isNumber ? Number(value(a)) - Number(value(b)) : value(a).localeCompare(value(b)));
      heads.forEach((other) => other.hasAttribute("aria-sort") && other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      body.append(...rows.slice().sort((a, b) => (down ? order(b, a) : order(a, b))));
      show();
    });
  });
  if (find) find.addEventListener("input", show);
  if (all) all.addEventListener("click", () => { folded = !folded; show(); });

  // A link to a species must find its row even while the table is folded or filtered.
  function unfold() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target || !body.contains(target) || !target.hidden) return;
    if (find) find.value = "";
    folded = false;
    show();
    target.scrollIntoView({ block: "center" });
  }
  window.addEventListener("hashchange", unfold);
  window.addEventListener("beforeprint", () => { folded = false; show(); });
  show();
  unfold();
}
window.addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});

// A click on a heading sorts by its column; a second click reverses the order. Rows without a value
// come last in both orders.
const table = document.getElementById("variants");
const headings = table ? [...table.tHead.rows[0].cells] : [];
function sortBy(heading) {
  const index = heading.cellIndex;
  const isNumber = heading.dataset.kind === "number";
  const sign = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  headings.forEach((other) => other.removeAttribute("aria-sort"));
  heading.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
  const keyed = [...table.tBodies[0].rows].map((row) => [row.cells[index].dataset.key, row]);
  keyed.sort(([a], [b]) => {
    if (a === "" || b === "") return (a === "") - (b === "");
    return sign * (isNumber ? a - b : a.localeCompare(b));
  });
  table.tBodies[0].append(...keyed.map(([, row]) => row));
}
headings.filter((heading) => heading.dataset.kind).forEach((heading) => {
  heading.addEventListener("click", () => sortBy(heading));
  heading.addEventListener("keydown", (event) => {
    if (event.key === "Enter") sortBy(heading);
  });
});

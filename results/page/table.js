"use strict";
// Sorting and filtering of tables. Without this script they are plain tables, whole and in order.

for (const block of document.querySelectorAll("[data-active]")) {
  const table = block.querySelector("table");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  if (rows.length > 1) {
    makeSortable(table, body, rows);
    makeFilter(block, table, rows);
  }
}

function makeSortable(table, body, rows) {
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      const falling = heading.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
      body.append(...sorted(rows, column, falling));
    });
  });
}

// A figure before a text, and what is unknown last, whichever way the column is sorted.
function sorted(rows, column, falling) {
  const sign = falling ? -1 : 1;
  return rows
    .map((row, place) => ({ row, place, key: keyOf(row.cells[column]) }))
    .sort((a, b) => a.key.rank - b.key.rank || sign * order(a.key, b.key) || a.place - b.place)
    .map((entry) => entry.row);
}

function keyOf(cell) {
  const text = cell.dataset.sort ?? cell.firstChild?.textContent.trim() ?? "";
  if (text === "" || text === "-") return { rank: 2, value: "" };
  const number = Number(text);
  return Number.isNaN(number) ? { rank: 1, value: text } : { rank: 0, value: number };
}

function order(a, b) {
  return a.rank === 0 ? a.value - b.value : String(a.value).localeCompare(String(b.value), "en");
}

function makeFilter(block, table, rows) {
  const tools = document.createElement("div");
  tools.className = "tools";
  const input = document.createElement("input");
  input.type = "search";
  tools.append(labelled("Filter rows", input));
  const choice = document.createElement("select");
  const column = Number(block.dataset.chosenBy ?? -1);
  if (column >= 0) {
    const texts = rows.map((row) => valueOf(row, column));
    choice.append(new Option("all", ""));
    for (const text of new Set(texts)) {
      const count = texts.filter((other) => other === text).length;
      choice.append(new Option(`${text} (${count})`, text));
    }
    if (choice.length > 2) {
      const heading = table.tHead.rows[0].cells[column].textContent.trim();
      tools.append(labelled(`Only ${heading}`, choice));
    }
  }
  const shown = document.createElement("output");
  tools.append(shown);
  block.prepend(tools);

  const searched = rows.map((row) => row.textContent.toLowerCase());
  const apply = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    rows.forEach((row, place) => {
      const fits = words.every((word) => searched[place].includes(word));
      const chosen = choice.value === "" || valueOf(row, column) === choice.value;
      row.hidden = !(fits && chosen);
      if (!row.hidden) count += 1;
    });
    shown.textContent = `${count} of ${rows.length} rows`;
  };
  input.addEventListener("input", apply);
  choice.addEventListener("change", apply);
  apply();
}

function valueOf(row, column) {
  return row.cells[column].firstChild?.textContent.trim() ?? "";
}

function labelled(text, control) {
  const label = document.createElement("label");
  label.append(text, control);
  return label;
}

"use strict";
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

// A click on a heading sorts: by the first number of each cell where all have one, else by text.
for (const table of all("table.sortable")) {
  const body = table.tBodies[0];
  all("thead th", table).forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const down = heading.getAttribute("aria-sort") === "ascending";
      all("th[aria-sort]", table).forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const text = (row) => row.cells[column].textContent.trim();
      const number = (row) => parseFloat(text(row).match(/-?\d[\d,]*\.?\d*/)?.[0].replaceAll(",", ""));
      const rows = [...body.rows];
      const known = (row) => /^[-(\d]/.test(text(row));
      const numeric = rows.some(known) && rows.every((row) => known(row) || /^[^\p{L}\d]*$|^missing/u.test(text(row)));
      const place = (a, b) => numeric
        ? (known(b) - known(a)) || (number(a) - number(b)) * (down ? -1 : 1)
        : text(a).localeCompare(text(b)) * (down ? -1 : 1);
      body.append(...rows.sort(place));
    });
  });
}

// The tally of the claims chooses which are shown.
for (const button of all("button[data-verdict]")) {
  button.addEventListener("click", () => {
    const on = button.getAttribute("aria-pressed") === "false";
    all("button[data-verdict]").forEach((other) => other.setAttribute("aria-pressed", on && other === button));
    all("tr[data-verdict]").forEach((row) => { row.hidden = on && row.dataset.verdict !== button.dataset.verdict; });
  });
}

// Every run, and the points of fronts: a mark says what it is; methods can be hidden.
for (const cloud of all(".cloud")) {
  const paper = cloud.querySelector(".paper"), said = cloud.querySelector("output");
  const point = (mark) => {
    all(".mark.on", cloud).forEach((other) => other.classList.remove("on"));
    mark.classList.add("on");
    said.textContent = mark.textContent;
  };
  for (const event of ["pointerover", "pointerdown"]) {
    paper.addEventListener(event, ({ target }) => { if (target.matches(".mark")) point(target); });
  }
  paper.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const across = (mark) => mark.transform.baseVal[0].matrix.e;
    const marks = all(".mark", cloud).filter((mark) => mark.parentNode.style.display !== "none")
      .sort((a, b) => across(a) - across(b));
    const on = marks.findIndex((mark) => mark.matches(".on"));
    if (marks.length) point(marks[Math.min(marks.length - 1, Math.max(0, on + by))]);
  });
  for (const button of all("button[data-group]", cloud)) {
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") === "false";
      button.setAttribute("aria-pressed", on);
      cloud.querySelector(`g[data-group="${button.dataset.group}"]`).style.display = on ? "" : "none";
    });
  }
}

// Figures enlarge.
const dialog = document.querySelector("dialog");
for (const button of all(".enlarge")) {
  button.addEventListener("click", () => {
    dialog.querySelector(".scroll").replaceChildren(button.firstElementChild.cloneNode());
    dialog.showModal();
  });
}
dialog.addEventListener("click", () => dialog.close());

// A telephone begins with the contents closed; on paper everything is open.
if (matchMedia("(max-width: 60rem)").matches) document.querySelector("nav details").open = false;
addEventListener("beforeprint", () => all("main details").forEach((own) => { own.open = true; }));

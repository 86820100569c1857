"""The report's style sheet and its script: source code, so that the fingerprint of the report's stage covers them."""

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1c2024; --soft: #56606b; --line: #dfe3e8; --rule: #aab2bd;
  --tint: #f6f7f9; --link: #0b57a4; --bad: #b3261e; --bad-ink: #8c1d18; --bad-tint: #fdf1f0; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14171a; --ink: #e4e7ea; --soft: #a9b2bd; --line: #30363d; --rule: #59636e; --tint: #1d2126;
    --link: #7db4f5; --bad: #f2b8b5; --bad-ink: #f9dedc; --bad-tint: #3b1a18; }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; padding: 2.5rem 1.5rem 5rem; max-width: 90rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .3rem; letter-spacing: -.015em; }
h2 { font-size: 1.4rem; margin: 3.2rem 0 .8rem; padding-top: .9rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
p { margin: .5rem 0; max-width: 46rem; overflow-wrap: anywhere; }
a { color: var(--link); text-decoration: underline; text-decoration-color: transparent; }
a:hover, a:focus, p a, figcaption a, .note a { text-decoration-color: currentColor; }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
main:focus { outline: none; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: .5rem; padding: .3rem .6rem; background: var(--paper); }
.soft { color: var(--soft); }
nav { margin: 1.4rem 0 0; display: flex; flex-wrap: wrap; gap: .3rem 1.3rem; font-size: .92rem; }
nav a { padding: .15rem 0; }
.warning { margin: 1.5rem 0; padding: .9rem 1.1rem; border: 2px solid var(--bad); border-radius: 6px;
  background: var(--bad-tint); }
.warning strong { color: var(--bad-ink); }
.status { display: block; width: 100%; height: 18rem; margin-top: .7rem; border: 1px solid var(--line);
  background: var(--paper); }
.keys { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: .9rem; margin: 1.6rem 0; }
.key { padding: .9rem 1.1rem; border: 1px solid var(--line); border-radius: 6px; }
.key .name { margin: 0; padding: 0; border: 0; color: var(--soft); font-size: .86rem; font-weight: 400; }
.key .value { font-size: 1.75rem; font-weight: 600; line-height: 1.25; font-variant-numeric: tabular-nums; }
.key .value small { white-space: nowrap; font-size: .95rem; font-weight: 400; color: var(--soft); }
.key .system { font-weight: 600; font-size: .92rem; }
.key .note { font-size: .84rem; color: var(--soft); }
dl.summary { display: grid; grid-template-columns: max-content 1fr; gap: .35rem 1.4rem; margin: 1.2rem 0;
  padding: 1.1rem 1.3rem; background: var(--tint); border-radius: 6px; font-size: .95rem; }
dl.summary dt { color: var(--soft); }
dl.summary dd { margin: 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; margin: .4rem 0; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .36rem .6rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: baseline; }
thead th { border-bottom: 2px solid var(--rule); vertical-align: bottom; }
tbody th { font-weight: 400; position: sticky; left: 0; background: var(--paper); }
th, td { white-space: nowrap; }
.long, .wide thead th { white-space: normal; }
td.long { min-width: 10rem; text-align: left; }
th.long { min-width: 10rem; }
.number { text-align: right; }
thead button { font: inherit; font-weight: 600; color: inherit; text-align: inherit; background: none; border: 0;
  padding: 0; cursor: pointer; }
thead button::after { content: "\\a0"; color: var(--soft); font-weight: 400; }
thead button:hover::after, thead button:focus-visible::after { content: "\\a0↕"; }
[aria-sort=ascending] button::after { content: "\\a0↑"; }
[aria-sort=descending] button::after { content: "\\a0↓"; }
.wide { font-size: .77rem; }
.wide th, .wide td { padding: .3rem .28rem; }
.wide .uncertainty { display: block; }
.widest { font-size: .7rem; }
.widest th, .widest td { padding: .3rem .2rem; }
.wide tbody th, .wide td:not(.number) { white-space: normal; }
.wide .long { min-width: 7rem; }
tbody tr:hover > * { background: var(--tint); }
.uncertainty { color: var(--soft); font-size: .8rem; }
.wide .uncertainty { font-size: .7rem; }
sup { font-size: .7rem; line-height: 0; }
.caption { font-size: .88rem; color: var(--soft); max-width: 52rem; }
.filter { display: flex; flex-wrap: wrap; gap: .6rem; align-items: center; font-size: .88rem; color: var(--soft); }
.filter input { font: inherit; color: var(--ink); background: var(--paper); border: 1px solid var(--rule);
  border-radius: 4px; padding: .25rem .5rem; width: min(16rem, 100%); }
audio { display: block; width: 13rem; max-width: 100%; height: 2rem; margin-top: .25rem; }
figure { margin: 1.6rem 0 2.2rem; }
figure img { display: block; max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
figcaption { font-size: .9rem; color: var(--soft); max-width: 52rem; margin-top: .4rem; }
figcaption strong { color: var(--ink); }
.enlarge { display: block; max-width: 100%; padding: 0; border: 0; background: none; cursor: zoom-in; }
dialog { width: min(96vw, 110rem); max-width: none; max-height: 96vh; padding: 1rem; border: 0; border-radius: 6px;
  background: #fff; color: #1c2024; }
dialog::backdrop { background: rgba(0, 0, 0, .6); }
dialog svg { display: block; width: 100%; height: auto; max-height: 80vh; }
dialog .tip { cursor: pointer; pointer-events: bounding-box; }
dialog output { display: block; min-height: 1.6em; font-weight: 600; }
dialog button { float: right; font: inherit; padding: .2rem .8rem; }
pre { padding: 1rem 1.2rem; background: var(--tint); border-radius: 6px; overflow-x: auto; font-size: .82rem;
  line-height: 1.45; }
code { font-size: .92em; background: var(--tint); padding: 0 .2em; border-radius: 3px; }
summary { cursor: pointer; color: var(--link); }
@media (max-width: 40rem) {
  body { padding: 1.3rem 1rem 3rem; }
  dl.summary { grid-template-columns: 1fr; gap: .1rem; }
  dl.summary dd { margin-bottom: .6rem; }
  tbody th { white-space: normal; max-width: 42vw; }
  th.long, .wide .long { min-width: 8rem; }
}
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav, .filter, .skip, audio { display: none; }
  a { color: inherit; }
  figure, tr, .key, dl.summary { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  .scroll, pre { overflow: visible; }
  pre { white-space: pre-wrap; }
  table { font-size: 8pt; }
  th, td, thead th { white-space: normal; padding: .2rem .35rem; }
}
"""

SCRIPT = """
"use strict";
const element = (name, facts, ...children) => {
  const made = Object.assign(document.createElement(name), facts);
  made.append(...children);
  return made;
};

function sortable(table) {
  const body = table.tBodies[0], headings = [...table.tHead.rows[0].cells];
  const key = (row, place) => {
    const cell = row.cells[place], text = cell.textContent.trim();
    if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
    const number = /^[-+−]?[\\d,.]+/.exec(text);
    return number ? Number(number[0].replace("−", "-").replaceAll(",", "")) : text === "–" ? "" : text;
  };
  const compare = (a, b) => {
    if (a === "" || b === "") return 0;
    return typeof a === "number" && typeof b === "number" ? a - b
      : String(a).localeCompare(String(b), "en", { numeric: true });
  };
  headings.forEach((heading, place) => {
    const button = element("button", { type: "button" }, ...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const down = heading.getAttribute("aria-sort") === "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].map((row) => [key(row, place), row]);
      rows.sort(([a], [b]) => (a === "") - (b === "") || (down ? compare(b, a) : compare(a, b)));
      body.append(...rows.map(([, row]) => row));
    });
  });
}

function filterable(table) {
  const rows = [...table.tBodies[0].rows], region = table.parentElement;
  if (rows.length < 8) return;
  const field = element("input", { type: "search", placeholder: "Filter rows" });
  field.setAttribute("aria-label", `Filter rows: ${region.getAttribute("aria-label")}`);
  const count = element("span", {});
  count.setAttribute("role", "status");
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\\s+/);
    rows.forEach((row) => { row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word)); });
    count.textContent = field.value ? `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows` : "";
  });
  region.before(element("div", { className: "filter" }, field, count));
}

const dialog = element("dialog", {});
function enlargeable(image) {
  const button = element("button", { type: "button", className: "enlarge" });
  const title = image.alt.split(".")[0];
  button.setAttribute("aria-label", `Enlarge the figure: ${title}`);
  image.replaceWith(button);
  button.append(image);
  button.addEventListener("click", () => {
    const bytes = Uint8Array.from(atob(image.src.split(",")[1]), (letter) => letter.charCodeAt(0));
    const picture = new DOMParser().parseFromString(new TextDecoder().decode(bytes), "image/svg+xml").documentElement;
    picture.setAttribute("role", "img");
    picture.setAttribute("aria-label", image.alt);
    const close = element("button", { type: "button" }, "Close");
    close.addEventListener("click", () => dialog.close());
    const told = element("output", {}, picture.querySelector(".tip") ? "Point at a value, or tap it." : "");
    for (const name of ["click", "mouseover"]) {
      picture.addEventListener(name, (event) => {
        const tip = event.target.closest(".tip");
        if (tip) told.textContent = tip.querySelector("title").textContent;
      });
    }
    dialog.setAttribute("aria-label", title);
    dialog.replaceChildren(close, told, picture);
    dialog.showModal();
  });
}

document.querySelectorAll("table").forEach((table) => { sortable(table); filterable(table); });
document.querySelectorAll("figure img").forEach(enlargeable);
document.body.append(dialog);
"""

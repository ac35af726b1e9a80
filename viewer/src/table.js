// The top table: the accessible equivalent of the graph, one section per label value when grouped.

import { element } from "./dom.js";
import { formatCount, formatShare, formatValue } from "./format.js";
import { showValue } from "./label.js";
import { baseStart } from "./name.js";
import { sortRows } from "./top.js";

const FIRST = 100;
const FIRST_GROUPED = 5;
const MORE = 200;
const FIRST_SECTIONS = 20;
const COLUMNS = [
  { column: "name", label: "Function", span: 1 },
  { column: "self", label: "Self", span: 2 },
  { column: "total", label: "Total", span: 2 },
];

/** Shows sections of rows; handlers are pick(fn), preview(fn), sort(column) and open(node). */
export class Table {
  constructor(table, profile, handlers) {
    Object.assign(this, { table, profile, handlers });
    this.shown = new Map();
    this.sectionsShown = FIRST_SECTIONS;
    table.addEventListener("keydown", (event) => this.onKey(event));
    table.addEventListener("pointerover", (event) => handlers.preview(functionOf(event.target)));
    table.addEventListener("pointerleave", () => handlers.preview(-1));
    table.addEventListener("focusout", () => handlers.preview(-1));
  }

  /** Shows other figures, from the top. */
  setSections(sections, groupKey) {
    this.sections = sections;
    this.groupKey = groupKey;
    this.shown.clear();
    this.sectionsShown = FIRST_SECTIONS;
  }

  /**
   * Draws. `view` is {unit, sort, matched, selected, swatch}: `matched` marks the functions to
   * keep or is null, `swatch(fn)` gives a colour. Returns how many functions there are.
   */
  render(view) {
    this.view = view;
    const bodies = this.sections.slice(0, this.sectionsShown).map((section) => this.makeSection(section));
    const rest = this.sections.length - this.sectionsShown;
    if (rest > 0) bodies.push(element("tbody", {}, this.makeMore(`Show ${formatCount(rest)} more values`, () => (this.sectionsShown += 100))));
    this.table.replaceChildren(this.makeHead(), ...bodies);
    this.rove();
    const functions = new Set();
    for (const section of this.sections) for (const row of section.rows) if (this.keeps(row)) functions.add(row.fn);
    return functions.size;
  }

  keeps(row) {
    return this.view.matched === null || this.view.matched[row.fn] === 1;
  }

  makeHead() {
    const { sort } = this.view;
    const cells = COLUMNS.map(({ column, label, span }) => {
      const current = sort.column === column;
      const arrow = current ? (sort.descending ? " ↓" : " ↑") : "";
      const button = element("button", { type: "button", onclick: () => this.handlers.sort(column) }, label + arrow);
      const order = current ? (sort.descending ? "descending" : "ascending") : "none";
      return element("th", { scope: span > 1 ? "colgroup" : "col", colspan: span, "aria-sort": order, class: column }, button);
    });
    return element("thead", {}, element("tr", {}, ...cells));
  }

  makeSection(section) {
    const grouped = this.groupKey !== "";
    const rows = sortRows(section.rows.filter((row) => this.keeps(row)), this.profile.functions.name, this.view.sort);
    const limit = this.shown.get(section.node) ?? (grouped ? FIRST_GROUPED : FIRST);
    const largest = rows.reduce((max, row) => Math.max(max, row.self), 0);
    const body = element("tbody", {});
    if (grouped) body.append(this.makeSectionHead(section));
    for (const row of rows.slice(0, limit)) body.append(this.makeRow(row, section, largest));
    if (rows.length === 0 && !grouped) body.append(element("tr", {}, element("td", { colspan: 5, class: "quiet" }, "No function matches.")));
    const rest = rows.length - limit;
    if (rest > 0) body.append(this.makeMore(`Show more (${formatCount(rest)} left)`, () => this.shown.set(section.node, limit + MORE)));
    return body;
  }

  makeSectionHead(section) {
    const name = element("bdi", {}, showValue(this.groupKey, section.value));
    const button = element("button", { type: "button", title: "Zoom the graph to this value", onclick: () => this.handlers.open(section.node) }, name);
    const whole = this.sections.reduce((sum, other) => sum + other.total, 0);
    return element("tr", { class: "section" },
      element("th", { scope: "rowgroup", colspan: 3 }, button),
      element("td", { class: "share" }, formatShare(section.total, whole)),
      element("td", { class: "value" }, formatValue(section.total, this.view.unit)));
  }

  makeRow(row, section, largest) {
    const { functions } = this.profile;
    const { unit } = this.view;
    const selected = this.view.selected === row.fn;
    const name = functions.name[row.fn];
    const at = baseStart(name);
    const swatch = element("i", { class: "swatch", "aria-hidden": "true" });
    swatch.style.background = this.view.swatch(row.fn);
    const bar = element("i", { class: "gauge", "aria-hidden": "true" });
    bar.style.width = (largest > 0 ? (100 * row.self) / largest : 0).toFixed(1) + "%";
    const label = element("bdi", { class: "name" }, element("span", { class: "path" }, name.slice(0, at)), element("span", { class: "base" }, name.slice(at)));
    const where = [name, functions.file[row.fn], functions.module[row.fn]].filter((text) => text !== "").join("\n");
    const button = element("button", { type: "button", tabindex: "-1", title: where, "aria-pressed": String(selected), onclick: () => this.handlers.pick(row.fn) }, label);
    return element("tr", { "data-fn": String(row.fn), class: selected ? "selected" : null },
      element("th", { scope: "row" }, swatch, button),
      element("td", { class: row.self > 0 ? "share self" : "share self zero" }, bar, formatShare(row.self, section.total)),
      element("td", { class: row.self > 0 ? "value" : "value zero" }, formatValue(row.self, unit)),
      element("td", { class: "share" }, formatShare(row.total, section.total)),
      element("td", { class: "value" }, formatValue(row.total, unit)));
  }

  makeMore(text, grow) {
    const button = element("button", { type: "button", class: "link", onclick: () => {
      grow();
      this.render(this.view);
    } }, text);
    return element("tr", { class: "more" }, element("td", { colspan: 5 }, button));
  }

  /** One row is in the tab order; arrow keys move between rows. */
  rove() {
    const rows = this.rowButtons();
    const current = rows.find((button) => button.getAttribute("aria-pressed") === "true") ?? rows[0];
    if (current) current.tabIndex = 0;
  }

  rowButtons() {
    return [...this.table.querySelectorAll("tr[data-fn] button")];
  }

  onKey(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -Infinity, End: Infinity };
    if (!Object.hasOwn(steps, event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
    const rows = this.rowButtons();
    const at = rows.indexOf(document.activeElement);
    if (at < 0) return;
    event.preventDefault();
    const next = rows[Math.min(rows.length - 1, Math.max(0, at + steps[event.key]))];
    rows[at].tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
    this.handlers.preview(functionOf(next));
  }

  /** Focuses the row in the tab order. */
  focus() {
    this.rowButtons().find((button) => button.tabIndex === 0)?.focus();
  }

  /** Marks the row of a function as selected and brings it into sight, without a full redraw. */
  select(fn) {
    this.view.selected = fn;
    for (const row of this.table.querySelectorAll("tr[data-fn]")) {
      const here = Number(row.dataset.fn) === fn;
      row.classList.toggle("selected", here);
      row.querySelector("button").setAttribute("aria-pressed", String(here));
    }
    this.table.querySelector("tr.selected")?.scrollIntoView({ block: "nearest" });
  }
}

function functionOf(target) {
  const row = target.closest?.("tr[data-fn]");
  return row ? Number(row.dataset.fn) : -1;
}

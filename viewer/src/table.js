// The top table: the accessible equivalent of the graph, one section per label value when grouped.
// All rows are one list of items of equal height; only those in sight are in the document.

import { element } from "./dom.js";
import { judge } from "./describe.js";
import { formatChange, formatCount, formatRate, formatShare, formatValue } from "./format.js";
import { showValue } from "./label.js";
import { baseStart } from "./name.js";
import { sortRows } from "./top.js";

const ROW_HEIGHT = 25;
const HEAD_HEIGHT = 26;
const SPARE = 8;
const FIRST_GROUPED = 5;
const MORE = 200;
const CELLS = 5;
const PLAIN_COLUMNS = [
  { column: "name", label: "Function", span: 1 },
  { column: "self", label: "Self", span: 2 },
  { column: "total", label: "Total", span: 2 },
];
const COMPARED_COLUMNS = [
  { column: "name", label: "Function", span: 1 },
  { column: "self", label: "Self", span: 1 },
  { column: "self-change", label: "Change", span: 1, title: "Change of self" },
  { column: "total", label: "Total", span: 1 },
  { column: "total-change", label: "Change", span: 1, title: "Change of total" },
];

/** Shows sections of rows; handlers are pick(fn), preview(fn), sort(column) and open(node). */
export class Table {
  constructor({ table, scroller }, profile, handlers) {
    Object.assign(this, { table, scroller, profile, handlers });
    this.items = [];
    this.shown = new Map();
    this.drawn = new Map();
    this.cursor = -1;
    table.addEventListener("keydown", (event) => this.onKey(event));
    table.addEventListener("focusin", (event) => this.onFocus(event));
    table.addEventListener("pointerover", (event) => handlers.preview(functionOf(event.target)));
    table.addEventListener("pointerleave", () => handlers.preview(-1));
    table.addEventListener("focusout", () => handlers.preview(-1));
    scroller.addEventListener("scroll", () => this.paint());
    new ResizeObserver(() => this.paint()).observe(scroller);
  }

  /** Shows other figures, from the top. */
  setSections(sections, groupKey) {
    this.sections = sections;
    this.groupKey = groupKey;
    this.shown.clear();
    this.scroller.scrollTop = 0;
    this.cursor = -1;
  }

  /**
   * Draws. `view` is {unit, sort, matched, selected, swatch, comparison, seconds}: `matched` marks
   * the functions to keep or is null, `swatch(row)` gives a colour. Returns how many functions
   * there are.
   */
  render(view) {
    const sameRows = this.view && this.view.sort === view.sort && this.view.matched === view.matched;
    this.view = view;
    const focused = document.activeElement?.closest?.("#table thead th")?.dataset.column;
    const inBody = this.table.tBodies[0]?.contains(document.activeElement) ?? false;
    this.items = this.sections.flatMap((section) => this.listItems(section));
    this.drawn.clear();
    this.body = element("tbody", {}, makeFiller(), makeFiller());
    this.table.replaceChildren(this.makeHead(), this.body);
    this.table.setAttribute("aria-rowcount", String(this.items.length + 1));
    if (!sameRows) {
      this.cursor = -1;
      this.scroller.scrollTop = 0;
    }
    this.paint();
    if (focused) this.table.querySelector(`thead [data-column="${focused}"] button`)?.focus();
    else if (inBody) this.focus();
    const functions = new Set();
    for (const section of this.sections) for (const row of section.rows) if (this.keeps(row)) functions.add(row.fn);
    return functions.size;
  }

  keeps(row) {
    return this.view.matched === null || this.view.matched[row.fn] === 1;
  }

  /** The items of one section, in order: its head when grouped, rows, and what shows more. */
  listItems(section) {
    const grouped = this.groupKey !== "";
    const rows = sortRows(section.rows.filter((row) => this.keeps(row)), this.profile.functions.name, this.view.sort);
    const limit = grouped ? this.shown.get(section.node) ?? FIRST_GROUPED : Infinity;
    const largest = rows.reduce((max, row) => Math.max(max, row.self), 0);
    const items = rows.slice(0, limit).map((row) => ({ row, section, largest }));
    if (grouped) items.unshift({ head: section });
    else if (rows.length === 0) items.push({ note: "No function matches." });
    if (rows.length > limit) items.push({ more: section, left: rows.length - limit, limit });
    return items;
  }

  /** Brings the document in line with what is in sight. Rows that stay are left alone, so that
   *  focus and screen readers keep their place. */
  paint() {
    if (!this.view) return;
    const sight = this.sight();
    // The place may still be that of a longer list.
    const first = Math.max(0, Math.min(Math.floor(sight.top / ROW_HEIGHT), this.items.length) - SPARE);
    const last = Math.min(this.items.length, Math.ceil((sight.top + sight.height) / ROW_HEIGHT) + SPARE);
    for (const [index, row] of this.drawn) {
      if (index >= first && index < last) continue;
      if (row.contains(document.activeElement)) this.table.focus({ preventScroll: true });
      row.remove();
      this.drawn.delete(index);
    }
    let next = this.body.firstChild.nextSibling;
    for (let index = first; index < last; index += 1) {
      const row = this.drawn.get(index) ?? this.body.insertBefore(this.makeItem(index), next);
      this.drawn.set(index, row);
      next = row.nextSibling;
    }
    setFiller(this.body.firstChild, first);
    setFiller(this.body.lastChild, this.items.length - last);
    this.rove(sight);
  }

  makeHead() {
    const { sort, comparison } = this.view;
    const columns = comparison ? COMPARED_COLUMNS : PLAIN_COLUMNS;
    const cells = columns.map(({ column, label, span, title }) => {
      const current = sort.column === column;
      const arrow = current ? (sort.descending ? " ↓" : " ↑") : "";
      const button = element("button", { type: "button", title: title ?? null, "aria-label": title ?? null, onclick: () => this.handlers.sort(column) }, label + arrow);
      const order = current ? (sort.descending ? "descending" : "ascending") : "none";
      return element("th", { scope: span > 1 ? "colgroup" : "col", colspan: span, "aria-sort": order, class: column, "data-column": column }, button);
    });
    return element("thead", { class: comparison ? "compared" : null }, element("tr", { "aria-rowindex": "1" }, ...cells));
  }

  makeItem(index) {
    const item = this.items[index];
    const row = item.row ? this.makeRow(item) : item.head ? this.makeSectionHead(item.head) : item.more ? this.makeMore(item) : makeNote(item.note);
    row.setAttribute("aria-rowindex", String(index + 2));
    row.dataset.index = String(index);
    return row;
  }

  makeSectionHead(section) {
    const name = element("bdi", {}, showValue(this.groupKey, section.value));
    const button = element("button", { type: "button", title: "Zoom the graph to this value", onclick: () => this.handlers.open(section.node) }, name);
    const whole = this.sections.reduce((sum, other) => sum + other.total, 0);
    return element("tr", { class: "section" },
      element("th", { scope: "row", colspan: 3 }, button),
      element("td", { class: "share" }, formatShare(section.total, whole)),
      element("td", { class: "value" }, formatValue(section.total, this.view.unit)));
  }

  makeRow({ row, section, largest }) {
    const selected = this.view.selected === row.fn;
    const bar = element("i", { class: "gauge", "aria-hidden": "true" });
    bar.style.width = (largest > 0 ? (100 * row.self) / largest : 0).toFixed(1) + "%";
    const cells = this.view.comparison ? this.compareCells(row, section) : this.plainCells(row, section);
    cells[0].prepend(bar);
    return element("tr", { "data-fn": String(row.fn), class: selected ? "selected" : null }, this.makeName(row, selected), ...cells);
  }

  makeName(row, selected) {
    const { functions } = this.profile;
    const name = functions.name[row.fn];
    const at = baseStart(name);
    const swatch = element("i", { class: "swatch", "aria-hidden": "true" });
    swatch.style.background = this.view.swatch(row);
    const label = element("bdi", { class: "name" }, element("span", { class: "path" }, name.slice(0, at)), element("span", { class: "base" }, name.slice(at)));
    const where = [name, functions.file[row.fn], functions.module[row.fn]].filter((text) => text !== "").join("\n");
    const button = element("button", { type: "button", tabindex: "-1", title: where, "aria-pressed": String(selected), onclick: () => this.handlers.pick(row.fn) }, label);
    const vanished = this.view.comparison && row.total === 0 ? [element("span", { class: "tag" }, "vanished")] : [];
    return element("th", { scope: "row" }, swatch, button, ...vanished);
  }

  plainCells(row, section) {
    const { unit } = this.view;
    return [
      element("td", { class: row.self > 0 ? "share self" : "share self zero" }, formatShare(row.self, section.total)),
      element("td", { class: row.self > 0 ? "value" : "value zero" }, formatValue(row.self, unit)),
      element("td", { class: "share" }, formatShare(row.total, section.total)),
      element("td", { class: "value" }, formatValue(row.total, unit)),
    ];
  }

  compareCells(row, section) {
    const { unit, comparison, seconds } = this.view;
    const amount = (value) => (comparison.measure === "rate" ? formatRate(value / seconds, unit) : formatShare(value, section.total));
    const title = (name, value, before) => `${name} ${formatValue(value, unit)}, ${formatShare(value, section.total)}; base ${formatValue(before, unit)}, ${formatShare(before, section.baseTotal)}`;
    return [
      element("td", { class: row.self > 0 ? "share self" : "share self zero", title: title("self", row.self, row.baseSelf) }, amount(row.self)),
      this.makeChange(row.selfChange),
      element("td", { class: "share", title: title("total", row.total, row.baseTotal) }, amount(row.total)),
      this.makeChange(row.totalChange),
    ];
  }

  /** What chance may explain is grey; the rest has a triangle besides its colour. */
  makeChange(outcome) {
    const { comparison, unit } = this.view;
    const kind = outcome.changed ? (outcome.part > 0 ? "more" : "less") : "unchanged";
    const mark = { more: "▲ ", less: "▼ ", unchanged: "" }[kind];
    return element("td", { class: "change " + kind, title: judge(outcome, comparison) }, mark + formatChange(outcome.change, comparison.measure, unit));
  }

  makeMore({ more, left, limit }) {
    const button = element("button", { type: "button", class: "link", onclick: () => {
      this.shown.set(more.node, limit + MORE);
      this.render(this.view);
    } }, `Show more (${formatCount(left)} left)`);
    return element("tr", { class: "more" }, element("td", { colspan: CELLS }, button));
  }

  /** One row is in the tab order: the keyboard's, else the selected one, else the first in sight. */
  rove(sight) {
    const rows = [...this.drawn].filter(([index]) => this.items[index].row);
    const isSelected = ([index]) => this.items[index].row.fn === this.view.selected;
    const [current] = rows.find(([index]) => index === this.cursor) ?? rows.find(isSelected) ?? rows.find(([index]) => isInSight(index, sight)) ?? [-1];
    for (const [index, row] of rows) row.querySelector("button").tabIndex = index === current ? 0 : -1;
  }

  onFocus(event) {
    const row = event.target.closest("tr[data-fn]");
    if (!row) return;
    this.cursor = Number(row.dataset.index);
    this.rove(this.sight());
    this.handlers.preview(functionOf(row));
  }

  onKey(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -Infinity, End: Infinity };
    if (!Object.hasOwn(steps, event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target !== this.table && functionOf(event.target) < 0) return;
    event.preventDefault();
    this.goTo(this.stepFrom(this.cursor, steps[event.key]));
  }

  /** The index of the row `step` rows away, as far as there are any. */
  stepFrom(from, step) {
    const direction = Math.sign(step);
    let left = Math.abs(step);
    let found = from;
    for (let index = from + direction; left > 0 && index >= 0 && index < this.items.length; index += direction) {
      if (!this.items[index].row) continue;
      found = index;
      left -= 1;
    }
    return found;
  }

  /** Brings a row into sight and focuses it. */
  goTo(index) {
    if (index < 0) return;
    this.cursor = index;
    this.bringIntoSight(index);
    this.drawn.get(index)?.querySelector("button").focus({ preventScroll: true });
  }

  /** What is in sight now. Asking makes the browser lay out, so it is asked once for many rows. */
  sight() {
    return { top: this.scroller.scrollTop, height: this.scroller.clientHeight };
  }

  bringIntoSight(index) {
    const sight = this.sight();
    if (index * ROW_HEIGHT < sight.top) this.scroller.scrollTop = index * ROW_HEIGHT;
    else if (!isInSight(index, sight)) this.scroller.scrollTop = (index + 1) * ROW_HEIGHT + HEAD_HEIGHT - sight.height;
    this.paint();
  }

  /** Focuses the row in the tab order. */
  focus() {
    this.table.querySelector("tbody tr[data-fn] button[tabindex='0']")?.focus({ preventScroll: true });
  }

  /** Marks the row of a function as selected and brings it into sight, without a full redraw. */
  select(fn) {
    this.view.selected = fn;
    for (const [index, row] of this.drawn) {
      if (!this.items[index].row) continue;
      const here = this.items[index].row.fn === fn;
      row.classList.toggle("selected", here);
      row.querySelector("button").setAttribute("aria-pressed", String(here));
    }
    const places = this.items.flatMap((item, index) => (item.row?.fn === fn ? [index] : []));
    const sight = this.sight();
    if (places.length > 0 && !places.some((index) => isInSight(index, sight))) this.bringIntoSight(places[0]);
  }
}

/** Whether an item is below the table's head and above the end of what is seen. */
function isInSight(index, { top, height }) {
  return index * ROW_HEIGHT >= top && (index + 1) * ROW_HEIGHT + HEAD_HEIGHT <= top + height;
}

function functionOf(target) {
  const row = target.closest?.("tr[data-fn]");
  return row ? Number(row.dataset.fn) : -1;
}

function makeNote(text) {
  return element("tr", {}, element("td", { colspan: CELLS, class: "quiet" }, text));
}

/** Stands for the rows that are out of sight. */
function makeFiller() {
  return element("tr", { class: "filler", "aria-hidden": "true" }, element("td", { colspan: CELLS }));
}

function setFiller(filler, rows) {
  filler.hidden = rows === 0;
  filler.firstChild.style.height = rows * ROW_HEIGHT + "px";
}

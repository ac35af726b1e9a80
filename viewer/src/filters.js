// Label filters: one button per key, its values in a menu, what is chosen as chips.

import { element } from "./dom.js";
import { formatCount, formatShare } from "./format.js";
import { showValue } from "./label.js";

const MENU_LIMIT = 200;
const KEY_LIMIT = 12;

/** Fills the row of label keys. `toggle(key, value)` adds or removes a filter, `compare(pair)`
 *  compares two values of a key and is null where the data is a comparison already. */
export function renderKeys(holder, menu, { weights, filters, toggle, compare }) {
  const buttons = weights.slice(0, KEY_LIMIT).map((entry) => {
    const used = filters.some(([key]) => key === entry.key);
    const button = element("button", { type: "button", class: used ? "key used" : "key", "aria-haspopup": "true" }, element("bdi", {}, entry.key), " ▾");
    button.addEventListener("click", () => openMenu(menu, button, { entry, filters, toggle, compare }));
    return button;
  });
  holder.replaceChildren(...(buttons.length ? [element("span", { class: "quiet" }, "Labels"), ...buttons] : []));
}

function openMenu(menu, anchor, { entry, filters, toggle, compare }) {
  const whole = entry.values.reduce((sum, { total }) => sum + total, 0);
  const items = entry.values.slice(0, MENU_LIMIT).map(({ value, total }) => {
    const on = filters.some(([key, chosen]) => key === entry.key && chosen === value);
    return element("button", { type: "button", role: "menuitemcheckbox", "aria-checked": String(on), onclick: () => {
      menu.hidePopover();
      toggle(entry.key, value);
    } }, element("bdi", {}, showValue(entry.key, value)), element("span", { class: "share" }, formatShare(total, whole)));
  });
  const left = entry.values.length - items.length;
  if (left > 0) items.push(element("p", { class: "quiet", role: "presentation" }, `${formatCount(left)} lighter values are not listed`));
  if (compare && entry.values.length > 1) items.push(element("button", { type: "button", role: "menuitem", class: "apart", onclick: () => askPair(menu, entry, compare) }, "Compare two values…"));
  menu.replaceChildren(...items);
  menu.setAttribute("role", "menu");
  menu.setAttribute("aria-label", "Values of " + entry.key);
  menu.showPopover();
  const place = anchor.getBoundingClientRect();
  menu.style.left = Math.max(8, Math.min(place.left, innerWidth - menu.offsetWidth - 8)) + "px";
  menu.style.top = place.bottom + 4 + "px";
  (menu.querySelector("[aria-checked=true]") ?? items[0])?.focus();
}

/** Turns the open menu into the choice of two values to compare. */
function askPair(menu, { key, values }, compare) {
  const choose = (text, chosen) => {
    const options = values.slice(0, MENU_LIMIT).map(({ value }, index) => element("option", { value: String(index), selected: index === chosen }, showValue(key, value)));
    const select = element("select", {}, ...options);
    return { select, field: element("label", { class: "field" }, text, select) };
  };
  const [base, shown] = [choose("Base", 0), choose("Shown", 1)];
  const chosen = ({ select }) => values[Number(select.value)].value;
  const button = element("button", { type: "button", class: "apart", onclick: () => {
    menu.hidePopover();
    compare({ key, base: chosen(base), shown: chosen(shown) });
  } }, "Compare");
  menu.replaceChildren(base.field, shown.field, button);
  menu.setAttribute("role", "group");
  menu.setAttribute("aria-label", "Compare two values of " + key);
  base.select.focus();
}

/** Arrow keys inside an open menu. */
export function moveInMenu(menu, event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step === undefined || event.target.matches("select")) return;
  event.preventDefault();
  const items = [...menu.querySelectorAll("button")];
  const at = items.indexOf(document.activeElement) + step;
  items[(at + items.length) % items.length]?.focus();
}

/** Shows the active filters as chips that remove themselves. `chips` are {text, remove}. */
export function renderChips(holder, chips) {
  holder.replaceChildren(...chips.map(({ text, remove }) =>
    element("button", { type: "button", class: "chip", title: "Remove this filter", onclick: remove }, element("bdi", {}, text), element("span", { "aria-hidden": "true" }, " ×"), element("span", { class: "sr" }, " (remove)"))));
}

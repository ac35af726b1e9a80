// Label filters: one button per key, its values in a menu, what is chosen as chips.

import { element } from "./dom.js";
import { formatCount, formatShare } from "./format.js";
import { showValue } from "./label.js";

const MENU_LIMIT = 200;
const KEY_LIMIT = 12;

/** Fills the row of label keys. `toggle(key, value)` adds or removes a filter. */
export function renderKeys(holder, menu, { weights, filters, toggle }) {
  const buttons = weights.slice(0, KEY_LIMIT).map((entry) => {
    const used = filters.some(([key]) => key === entry.key);
    const button = element("button", { type: "button", class: used ? "key used" : "key", "aria-haspopup": "true" }, element("bdi", {}, entry.key), " ▾");
    button.addEventListener("click", () => openMenu(menu, button, { entry, filters, toggle }));
    return button;
  });
  holder.replaceChildren(...(buttons.length ? [element("span", { class: "quiet" }, "Labels"), ...buttons] : []));
}

function openMenu(menu, anchor, { entry, filters, toggle }) {
  const whole = entry.values.reduce((sum, { total }) => sum + total, 0);
  const items = entry.values.slice(0, MENU_LIMIT).map(({ value, total }) => {
    const on = filters.some(([key, chosen]) => key === entry.key && chosen === value);
    return element("button", { type: "button", role: "menuitemcheckbox", "aria-checked": String(on), onclick: () => {
      menu.hidePopover();
      toggle(entry.key, value);
    } }, element("bdi", {}, showValue(entry.key, value)), element("span", { class: "share" }, formatShare(total, whole)));
  });
  const left = entry.values.length - items.length;
  if (left > 0) items.push(element("p", { class: "quiet" }, `${formatCount(left)} lighter values are not listed`));
  menu.replaceChildren(...items);
  menu.setAttribute("role", "menu");
  menu.setAttribute("aria-label", "Values of " + entry.key);
  menu.showPopover();
  const place = anchor.getBoundingClientRect();
  menu.style.left = Math.max(8, Math.min(place.left, innerWidth - menu.offsetWidth - 8)) + "px";
  menu.style.top = place.bottom + 4 + "px";
  (menu.querySelector("[aria-checked=true]") ?? items[0])?.focus();
}

/** Arrow keys inside an open menu. */
export function moveInMenu(menu, event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step === undefined) return;
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

// The only ways this page makes DOM. Text goes in as text: there is no path from a name to markup.

/** Makes an element. An attribute named on… adds a listener; null and false leave it out.
 *  Children are nodes, or strings that become text. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

/** The element of the page's own skeleton with this id. */
export function byId(id) {
  return document.getElementById(id);
}

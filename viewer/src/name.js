// Function names: where the telling part starts, and what fits in a given width.

const OPEN = "<([{";
const CLOSE = ">)]}";

/** The crate or namespace a name starts with, or the file name of its module. */
export function packageOf(name, module) {
  if (/^\[.*\]$/.test(name)) return "";
  const path = /([A-Za-z_$][\w$]*)::/.exec(name);
  return path ? path[1] : moduleName(module);
}

/** The last part of a module's path. */
export function moduleName(module) {
  return module.slice(module.lastIndexOf("/") + 1);
}

/** Index at which the function's own name starts, after crate, namespace, package or class. */
export function baseStart(name) {
  // A file and an offset, where no symbol was found.
  if (/\+0x[0-9a-f]+$/.test(name)) return 0;
  let depth = 0;
  const starts = [0];
  for (let i = 0; i < name.length; i += 1) {
    const char = name[i];
    if (OPEN.includes(char)) depth += 1;
    else if (CLOSE.includes(char) && name[i - 1] !== "-") depth = Math.max(0, depth - 1);
    else if (depth > 0) continue;
    else if (char === ":" && name[i - 1] === ":") starts.push(i + 1);
    else if (char === "/" || (char === "." && i > 0)) starts.push(i + 1);
    else if (char === " ") break;
  }
  // A closure or a shim says little without what encloses it.
  let at = starts.length - 1;
  while (at > 0 && (starts[at] >= name.length || "{<".includes(name[starts[at]]))) at -= 1;
  return starts[at];
}

/** Removes what stands between angle brackets, except a leading `<T as Trait>`. */
function withoutGenerics(name) {
  let depth = 0;
  let out = "";
  for (let i = 0; i < name.length; i += 1) {
    if (name[i] === "<" && i > 0) depth += 1;
    if (depth === 0) out += name[i];
    if (name[i] === ">" && name[i - 1] !== "-" && depth > 0) depth -= 1;
  }
  return depth === 0 ? out.replace(/::::/g, "::").replace(/::$/, "") : name;
}

/** Control characters and direction overrides made visible, for text painted on the canvas. */
export function printable(text) {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, (char) => {
    const code = char.charCodeAt(0);
    return code < 32 ? String.fromCharCode(0x2400 + code) : "\ufffd";
  });
}

/** The longest telling form of a name within `room` characters; empty when nothing fits. */
export function fitName(name, room) {
  if (room < 3) return "";
  if (name.length <= room) return name;
  const plain = withoutGenerics(name);
  if (plain.length <= room) return plain;
  const base = plain.slice(baseStart(plain));
  if (base.length <= room) {
    const parts = plain.slice(0, plain.length - base.length);
    const cut = parts.lastIndexOf("::", parts.length - 3);
    const longer = cut >= 0 ? plain.slice(cut + 2) : base;
    return longer.length <= room ? longer : base;
  }
  return base.slice(0, room - 1) + "…";
}

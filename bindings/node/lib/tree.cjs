// V8's trees of calls, as texts and numbers that cross the bridge at once.
'use strict';

const { fileURLToPath } = require('node:url');

/** Collects a tree: see `Tree` in the addon. */
class Tree {
  #numbers = new Map();
  texts = [];
  nodes = [];

  /** Adds a node under `parent`, a number that this has returned or 0; returns its own. */
  add(parent, { functionName, url, lineNumber }) {
    // V8 counts lines from 0, and knows none of functions of its own.
    const line = lineNumber + 1;
    const name = this.#text(functionName || '(anonymous)', functionName);
    this.nodes.push(parent, name, this.#text(url, url, pathOf), line, line);
    return this.nodes.length / 5;
  }

  #text(shown, key, translate) {
    const kind = translate ? `f${key}` : `n${key}`;
    let number = this.#numbers.get(kind);
    if (number === undefined) {
      number = this.texts.push(translate ? translate(shown) : shown) - 1;
      this.#numbers.set(kind, number);
    }
    return number;
  }

  /** As the addon takes it. */
  packed() {
    return { texts: this.texts, nodes: Uint32Array.from(this.nodes) };
  }
}

/** The path of a script's address, which is one for files. */
function pathOf(url) {
  if (!url.startsWith('file:')) return url;
  try {
    return fileURLToPath(url);
  } catch {
    return url;
  }
}

module.exports = { Tree };

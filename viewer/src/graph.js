// The call graph on its canvas: painting, zoom, pointer and keys.

import { changeShades } from "./colour.js";
import { layoutTree } from "./layout.js";
import { showValue } from "./label.js";
import { fitName, printable } from "./name.js";

const ROW = 22;
const PAD = 6;
const MIN_WIDTH = 0.6;
const ZOOM_MS = 160;

/** Paints a tree and reports what the reader does: handlers are hover, zoom and cursor. */
export class Graph {
  constructor({ canvas, scroller, spacer }, profile, handlers) {
    Object.assign(this, { canvas, scroller, spacer, profile, handlers });
    this.context = canvas.getContext("2d");
    this.tree = null;
    this.zoom = 0;
    this.view = { from: 0, to: 1 };
    this.marks = { selected: -1, preview: -1, matched: null };
    this.flipped = false;
    this.hover = -1;
    this.cursor = 0;
    this.rects = [];
    this.frame = 0;
    canvas.addEventListener("pointermove", (event) => this.onPointer(event));
    canvas.addEventListener("pointerleave", () => this.setHover(-1));
    canvas.addEventListener("click", (event) => this.onClick(event));
    canvas.addEventListener("keydown", (event) => this.onKey(event));
    canvas.addEventListener("focus", () => this.redraw());
    canvas.addEventListener("blur", () => this.redraw());
    scroller.addEventListener("scroll", () => this.redraw());
    new ResizeObserver(() => this.fit()).observe(scroller);
  }

  /** Shows another tree, zoomed to `zoom`, without animation. `figures` tells of a node its
   *  `text`, which stands at the end of its bar, and its `change`, an outcome of a comparison. */
  setTree(tree, zoom, figures) {
    this.tree = tree;
    this.figures = figures;
    this.hover = -1;
    this.cursor = zoom;
    this.setZoom(zoom, false);
  }

  /** Zooms to a node; the root shows everything. */
  setZoom(node, animate = true) {
    const { tree } = this;
    this.zoom = node;
    const target = { from: tree.start[node], to: tree.start[node] + tree.span[node] };
    const still = !animate || matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.motion = still ? null : { origin: { ...this.view }, target, began: performance.now() };
    if (still) this.view = target;
    this.fit();
    this.reveal(node, true);
  }

  /** Which functions stand out: the selected one, the one hovered in the table, the matched. */
  setMarks(marks) {
    this.marks = marks;
    this.redraw();
  }

  /** Colours come as a palette (makePalette), an assignment (assignColours) and page colours. */
  setColours(palette, assignment, ink) {
    Object.assign(this, { palette, assignment, ink });
    this.hatch = makeHatch(this.context, ink.hatch);
    this.redraw();
  }

  setFlipped(flipped) {
    this.flipped = flipped;
    this.fit();
    this.scroller.scrollTop = flipped ? this.spacer.offsetHeight : 0;
  }

  /** Adapts the canvas to its place and the screen's pixels. */
  fit() {
    if (!this.tree) return;
    const rows = this.tree.depth[this.zoom] + this.tree.height[this.zoom] + 1;
    this.height = rows * ROW;
    this.spacer.style.height = this.height + "px";
    const ratio = devicePixelRatio || 1;
    this.width = this.scroller.clientWidth;
    this.visible = this.scroller.clientHeight;
    this.canvas.width = Math.max(1, Math.round(this.width * ratio));
    this.canvas.height = Math.max(1, Math.round(this.visible * ratio));
    this.canvas.style.width = this.width + "px";
    this.canvas.style.height = this.visible + "px";
    this.ratio = ratio;
    this.redraw();
  }

  redraw() {
    if (this.frame === 0) this.frame = requestAnimationFrame((now) => this.paint(now));
  }

  paint(now) {
    this.frame = 0;
    if (!this.tree || !this.palette) return;
    if (this.ratio !== (devicePixelRatio || 1)) this.fit();
    this.step(now);
    const { context } = this;
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.visible);
    context.font = this.ink.font;
    context.textBaseline = "middle";
    context.direction = "ltr";
    this.charWidth = context.measureText("0000000000").width / 10;
    this.rects = [];
    // Read once: asking for it makes the browser lay out.
    const top = this.scroller.scrollTop;
    this.top = top;
    const [a, b] = [this.rowAt(top), this.rowAt(top + this.visible)];
    const firstRow = Math.max(0, Math.min(a, b));
    const window_ = { ...this.view, width: this.width, minWidth: MIN_WIDTH, firstRow, lastRow: Math.max(a, b) };
    layoutTree(this.tree, window_, (node, depth, x, width) => this.paintNode(node, depth, x, width));
    this.paintOutlines();
  }

  /** Moves the visible range towards the zoomed node. */
  step(now) {
    if (!this.motion) return;
    const { origin, target, began } = this.motion;
    const t = Math.min(1, Math.max(0, (now - began) / ZOOM_MS));
    const eased = 1 - (1 - t) ** 3;
    this.view = {
      from: origin.from + (target.from - origin.from) * eased,
      to: origin.to + (target.to - origin.to) * eased,
    };
    if (t >= 1) this.motion = null;
    else this.redraw();
  }

  /** The row that content coordinate `y` falls in. */
  rowAt(y) {
    const base = this.flipped ? Math.max(this.height, this.visible) - y : y;
    return Math.floor(base / ROW);
  }

  /** The top of a row on the canvas. */
  yOf(depth, top = this.scroller.scrollTop) {
    const base = this.flipped ? Math.max(this.height, this.visible) - (depth + 1) * ROW : depth * ROW;
    return base - top;
  }

  paintNode(node, depth, x, width) {
    const { context, palette, ink } = this;
    const y = this.yOf(depth, this.top);
    const fn = node < 0 ? -1 : this.tree.fn[node];
    const dim = this.isDim(node, fn);
    context.fillStyle = node < 0 ? ink.filler : dim ? ink.dim : this.fillOf(node, fn);
    const inner = width > 2.5 ? width - 1 : width;
    context.fillRect(x, y, inner, ROW - 1);
    if (node < 0) return;
    if (fn >= 0 && this.profile.functions.placeholder[fn]) {
      context.fillStyle = this.hatch;
      context.fillRect(x, y, inner, ROW - 1);
    }
    this.rects.push({ node, depth, x, y, width: inner });
    this.paintText(node, x, y, inner, dim ? ink.dimText : palette.text);
  }

  fillOf(node, fn) {
    const { palette, assignment } = this;
    if (assignment.byChange) {
      const [shades, shade] = node === 0 ? [palette.neutral, 1] : changeShades(palette, this.figures.change(node));
      return shades[shade];
    }
    if (fn < 0) return palette.neutral[1];
    const slot = assignment.slot[fn];
    return (slot < 0 ? palette.neutral : palette.colours[slot])[assignment.shade[fn]];
  }

  /** While something is searched for, or pointed at in the table, all else steps back. */
  isDim(node, fn) {
    const { matched, preview } = this.marks;
    if (node < 0) return false;
    if (preview >= 0) return fn !== preview;
    return matched !== null && (fn < 0 || !matched[fn]);
  }

  paintText(node, x, y, width, colour) {
    const { context } = this;
    const room = Math.floor((width - 2 * PAD) / this.charWidth);
    const figure = room < 8 ? "" : this.figures.text(node);
    const full = printable(this.nameOf(node));
    // A change is what the reader compares for: the name makes room for it.
    const beside = this.assignment.byChange && figure !== "" ? fitName(full, room - figure.length - 1) : "";
    const name = beside || fitName(full, room);
    if (name === "") return;
    context.fillStyle = colour;
    // Wide characters may need more than one cell: let the canvas squeeze rather than overflow.
    context.fillText(name, x + PAD, y + ROW / 2, width - 2 * PAD);
    if (figure === "" || room - name.length < figure.length + 1) return;
    context.textAlign = "right";
    context.fillText(figure, x + width - PAD, y + ROW / 2);
    context.textAlign = "left";
  }

  paintOutlines() {
    const { context, ink, tree } = this;
    const outline = (rect, colour, line) => {
      context.strokeStyle = colour;
      context.lineWidth = line;
      context.strokeRect(rect.x + line / 2, rect.y + line / 2 - 0.5, Math.max(0.5, rect.width - line), ROW - line);
    };
    for (const rect of this.rects) {
      if (rect.width > 1.5 && this.marks.selected >= 0 && tree.fn[rect.node] === this.marks.selected) outline(rect, ink.accent, 2);
      if (rect.node === this.hover) outline(rect, ink.strong, 1.5);
      if (rect.node === this.cursor && document.activeElement === this.canvas) outline(rect, ink.strong, 2.5);
    }
  }

  /** What a node is called: a function, a label value, or everything. */
  nameOf(node) {
    const { tree } = this;
    if (node === 0 && tree.fn[0] < 0) return "all";
    if (tree.fn[node] >= 0) return this.profile.functions.name[tree.fn[node]];
    return showValue(tree.groups.key, tree.groups.values[tree.group[node]]);
  }

  /** The node at a place on the canvas, -1 for none. */
  nodeAt(x, y) {
    for (const rect of this.rects) {
      if (y >= rect.y && y < rect.y + ROW && x >= rect.x && x < rect.x + Math.max(rect.width, 1)) return rect.node;
    }
    return -1;
  }

  onPointer(event) {
    this.setHover(this.nodeAt(event.offsetX, event.offsetY), event);
  }

  setHover(node, event) {
    if (node !== this.hover) {
      this.hover = node;
      this.canvas.style.cursor = node < 0 ? "" : "pointer";
      this.redraw();
    }
    this.handlers.hover(node, event);
  }

  onClick(event) {
    const node = this.nodeAt(event.offsetX, event.offsetY);
    if (node < 0) return;
    this.cursor = node;
    this.setHover(-1);
    this.handlers.zoom(node);
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const down = this.flipped ? "ArrowUp" : "ArrowDown";
    const up = this.flipped ? "ArrowDown" : "ArrowUp";
    if (event.key === "Enter") this.handlers.zoom(this.cursor);
    else if (event.key === down) this.moveTo(this.tree.children[this.tree.firstChild[this.cursor]], this.cursor);
    else if (event.key === up) this.moveTo(this.tree.parent[this.cursor]);
    else if (event.key === "ArrowLeft") this.moveTo(this.sibling(-1));
    else if (event.key === "ArrowRight") this.moveTo(this.sibling(1));
    else return;
    event.preventDefault();
  }

  /** Puts the keyboard's cursor on a node, when there is one (and, going down, it is a child). */
  moveTo(node, parent = -1) {
    if (node === undefined || node < 0 || !(this.tree.span[node] > 0) || (parent >= 0 && this.tree.parent[node] !== parent)) return;
    this.cursor = node;
    this.reveal(node, false);
    this.redraw();
    this.handlers.cursor(node);
  }

  sibling(step) {
    const { parent, firstChild, children } = this.tree;
    const up = parent[this.cursor];
    if (up < 0) return -1;
    const at = children.indexOf(this.cursor, firstChild[up]) + step;
    return at >= firstChild[up] && at < firstChild[up + 1] ? children[at] : -1;
  }

  /** Scrolls so that a node's row is in sight; a zoom leaves half the height for what it calls. */
  reveal(node, zooming) {
    const room = this.visible - ROW;
    const y = this.yOf(this.tree.depth[node]);
    const towardsRoot = Math.min(3 * ROW, room / 2);
    const towardsLeaves = zooming ? room / 2 : towardsRoot;
    const [above, below] = this.flipped ? [towardsLeaves, towardsRoot] : [towardsRoot, towardsLeaves];
    if (y < above) this.scroller.scrollTop += y - above;
    else if (y > room - below) this.scroller.scrollTop += y - (room - below);
  }
}

function makeHatch(context, colour) {
  const tile = document.createElement("canvas");
  tile.width = 6;
  tile.height = 6;
  const pen = tile.getContext("2d");
  pen.strokeStyle = colour;
  pen.lineWidth = 1.2;
  pen.beginPath();
  pen.moveTo(-1, 7);
  pen.lineTo(7, -1);
  pen.moveTo(-1, 1);
  pen.lineTo(1, -1);
  pen.moveTo(5, 7);
  pen.lineTo(7, 5);
  pen.stroke();
  return context.createPattern(tile, "repeat");
}

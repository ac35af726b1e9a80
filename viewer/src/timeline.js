// The time line: a bar for each profile the page is made of, and a brush to choose a period.

import { byId } from "./dom.js";
import { formatCount } from "./format.js";
import { describePeriod, makeSlots } from "./period.js";

const HEIGHT = 46;
const GAP = 14;
const MARK = 4;

/**
 * Shows bars and reports `choose(side, range)`: "shown" or "base" with [first, last] parts, null
 * for all. Data with a base has a lane for each side; otherwise one lane serves both, and the
 * buttons say whose period the brush sets.
 */
export class TimeLine {
  constructor(canvas, profile, choose) {
    Object.assign(this, { canvas, profile, choose, side: "shown", draft: null });
    const { parts, baseParts } = profile;
    const lane = (side, from, to) => ({ side, whole: [from, to - 1], slots: makeSlots(parts, from, to) });
    this.lanes = [...(baseParts > 0 ? [lane("base", 0, baseParts)] : []), lane("shown", baseParts, parts.length)];
    // What the keyboard extends: the slot where a choice began, and the one where it ends.
    this.edges = { shown: [-1, -1], base: [-1, -1] };
    this.idle = this.lanes.every(({ slots }) => slots.length < 2);
    byId("timeline").hidden = this.idle;
    canvas.addEventListener("pointerdown", (event) => this.onDown(event));
    canvas.addEventListener("pointermove", (event) => this.onMove(event));
    canvas.addEventListener("pointerup", () => this.finishDraft());
    canvas.addEventListener("pointercancel", () => this.setDraft(null));
    canvas.addEventListener("dblclick", () => this.choose(this.side, null));
    canvas.addEventListener("keydown", (event) => this.onKey(event));
    for (const side of ["shown", "base"]) byId("brush-" + side).addEventListener("click", () => this.setSide(side));
    new ResizeObserver(() => this.paint()).observe(canvas.parentElement);
  }

  /** Shows the weight of each part and the chosen ranges {shown, base}; null stands for all. */
  show({ weights, ranges, ink }) {
    if (this.idle) return;
    Object.assign(this, { weights, ranges, ink });
    for (const side of ["shown", "base"]) {
      const { slots } = this.laneOf(side);
      const range = ranges[side];
      const edges = range ? [slots.findIndex(({ last }) => last >= range[0]), slots.findLastIndex(({ first }) => first <= range[1])] : [-1, -1];
      // A choice made leftwards keeps its direction.
      if ([...this.edges[side]].sort((a, b) => a - b).join() !== edges.join()) this.edges[side] = edges;
    }
    this.describe();
    this.paint();
  }

  laneOf(side) {
    return this.lanes.find((lane) => lane.side === side) ?? this.lanes[0];
  }

  setSide(side) {
    this.side = side;
    this.describe();
  }

  describe() {
    const { parts } = this.profile;
    const { slots, whole } = this.laneOf(this.side);
    const range = this.ranges[this.side];
    const [first, last] = range ?? whole;
    const count = `${formatCount(last - first + 1)} of ${formatCount(whole[1] - whole[0] + 1)} profiles`;
    const words = range || this.side === "shown" || this.profile.base ? `${describePeriod(parts, [first, last])}, ${count}` : "none chosen";
    byId("timeline-text").textContent = words;
    this.canvas.setAttribute("aria-valuemax", String(slots.length));
    this.canvas.setAttribute("aria-valuenow", String(Math.max(0, this.edges[this.side][1] + 1)));
    this.canvas.setAttribute("aria-valuetext", `${this.side}: ${words}`);
    for (const side of ["shown", "base"]) byId("brush-" + side).setAttribute("aria-pressed", String(side === this.side));
  }

  /** Where the slots of a lane stand: [left, width] of each. */
  place(lane) {
    const share = (this.width - GAP * (this.lanes.length - 1)) / this.lanes.length;
    const offset = this.lanes.indexOf(lane) * (share + GAP);
    const from = lane.slots[0]?.startMs ?? 0;
    const length = Math.max(1, lane.slots.reduce((end, { endMs }) => Math.max(end, endMs), 0) - from);
    return lane.slots.map(({ startMs, endMs }) => [offset + ((startMs - from) / length) * share, Math.max(1.5, ((endMs - startMs) / length) * share)]);
  }

  paint() {
    if (!this.weights) return;
    const { canvas, ink } = this;
    const ratio = devicePixelRatio || 1;
    this.width = canvas.parentElement.clientWidth;
    canvas.width = Math.round(this.width * ratio);
    canvas.height = Math.round(HEIGHT * ratio);
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    const weigh = ({ first, last }) => this.weights.subarray(first, last + 1).reduce((sum, weight) => sum + weight, 0);
    const heaviest = Math.max(...this.lanes.flatMap(({ slots }) => slots.map(weigh)));
    for (const lane of this.lanes) {
      this.place(lane).forEach(([left, width], index) => {
        const slot = lane.slots[index];
        const height = heaviest > 0 ? (weigh(slot) / heaviest) * (HEIGHT - MARK - 4) : 0;
        const inner = width > 3 ? width - 1 : width;
        const [shown, base] = ["shown", "base"].map((side) => this.holds(side, lane, slot));
        pen.fillStyle = shown ? ink.accent : base ? ink["warn-line"] : ink.filler;
        pen.fillRect(left, HEIGHT - MARK - 2 - height, inner, height);
        // The line below tells the sides apart without colour: whole for shown, upper half for base.
        if (shown || base) pen.fillRect(left, HEIGHT - MARK, width, shown ? MARK : MARK / 2);
      });
    }
  }

  /** Whether a bar is in the period of a side, with what is being brushed. */
  holds(side, lane, { first, last }) {
    if (this.profile.base && lane.side !== side) return false;
    const range = this.draft?.side === side ? this.draft.range : this.ranges[side] ?? (side === "shown" || this.profile.base ? lane.whole : null);
    return range !== null && last >= range[0] && first <= range[1];
  }

  /** The lane and slot under a place on the canvas. */
  slotAt(x) {
    const lane = this.lanes.length > 1 && x > this.width / 2 ? this.lanes[1] : this.lanes[0];
    return { lane, slot: Math.max(0, this.place(lane).findLastIndex(([left]) => left <= x)) };
  }

  onDown(event) {
    const { lane, slot } = this.slotAt(event.offsetX);
    if (this.profile.base) this.setSide(lane.side);
    this.canvas.setPointerCapture(event.pointerId);
    this.edges[this.side] = [slot, slot];
    this.setDraft(this.rangeOf(lane));
  }

  onMove(event) {
    if (!this.draft) return;
    const lane = this.laneOf(this.side);
    const slot = this.place(lane).findLastIndex(([left]) => left <= event.offsetX);
    this.edges[this.side][1] = Math.max(0, slot);
    this.setDraft(this.rangeOf(lane));
  }

  /** The parts between the two edges. */
  rangeOf({ slots }) {
    const [a, b] = [...this.edges[this.side]].sort((x, y) => x - y);
    return [slots[a].first, slots[b].last];
  }

  setDraft(range) {
    this.draft = range && { side: this.side, range };
    this.paint();
  }

  finishDraft() {
    if (!this.draft) return;
    const { range } = this.draft;
    this.draft = null;
    this.choose(this.side, range);
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const lane = this.laneOf(this.side);
    const end = lane.slots.length - 1;
    const edges = this.edges[this.side];
    const from = edges[1];
    const targets = { ArrowLeft: from < 0 ? end : from - 1, ArrowRight: from + 1, Home: 0, End: end };
    if (event.key === "Escape" && this.ranges[this.side]) this.choose(this.side, null);
    else if (Object.hasOwn(targets, event.key)) {
      const to = Math.min(end, Math.max(0, targets[event.key]));
      this.edges[this.side] = event.shiftKey && edges[0] >= 0 ? [edges[0], to] : [to, to];
      this.choose(this.side, this.rangeOf(lane));
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

// @ts-check
// Everything a visitor has said about a picture, with undo and redo. Values are never changed in place.

/**
 * @typedef {{x: number, y: number, a: number, b: number, size: number}} Hint
 * @typedef {{hints: Hint[], mood: string, reference: string | null, saturation: number | null}} Wishes
 */

/** @type {Wishes} */
const NOTHING = { hints: [], mood: 'none', reference: null, saturation: null };
export const MAX_HINTS = 128;

export class Edits {
  constructor() {
    this.now = NOTHING;
    /** @type {Wishes[]} */
    this.past = [];
    /** @type {Wishes[]} */
    this.future = [];
    /** @type {Wishes | null} */
    this.before = null;
  }

  /** A gesture begins: all changes until `settle` are one step of undo. */
  begin() {
    this.before ??= this.now;
  }

  /** The gesture ends. One that left everything as it was is no step: undo must always be seen. */
  settle() {
    if (this.before && JSON.stringify(this.before) !== JSON.stringify(this.now)) {
      this.past.push(this.before);
      this.future = [];
    } else if (this.before) this.now = this.before;
    this.before = null;
  }

  /** The gesture never was. */
  abandon() {
    if (this.before) this.now = this.before;
    this.before = null;
  }

  /** @param {Partial<Wishes>} change */
  change(change) {
    const alone = this.before === null;
    this.begin();
    this.now = { ...this.now, ...change };
    if (alone) this.settle();
  }

  /** @param {Hint} hint @returns {number} its index, −1 where there are too many */
  add(hint) {
    if (this.now.hints.length >= MAX_HINTS) return -1;
    this.change({ hints: [...this.now.hints, hint] });
    return this.now.hints.length - 1;
  }

  /** @param {number} index @param {Partial<Hint>} change */
  alter(index, change) {
    this.change({ hints: this.now.hints.map((hint, i) => (i === index ? { ...hint, ...change } : hint)) });
  }

  /** @param {number} index */
  remove(index) {
    this.change({ hints: this.now.hints.filter((_, i) => i !== index) });
  }

  clear() {
    if (this.now !== NOTHING) this.change(NOTHING);
  }

  undo() {
    this.settle();
    const past = this.past.pop();
    if (!past) return false;
    this.future.push(this.now);
    this.now = past;
    return true;
  }

  redo() {
    this.settle();
    const next = this.future.pop();
    if (!next) return false;
    this.past.push(this.now);
    this.now = next;
    return true;
  }
}
